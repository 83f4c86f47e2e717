/** Every controller, by the name kube-controller-manager gives it. Adding one means adding it here. */
import { deploymentController } from "./deployment/controller.ts";
import type { Controller } from "./lib/controller.ts";
import { replicaSetController, replicationController } from "./replica-set/controller.ts";

export const controllers: readonly Controller[] = [deploymentController, replicaSetController, replicationController];
