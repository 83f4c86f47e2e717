/** DELETE of a definition: it stays, marked, until its objects are gone. Follows registry/customresourcedefinition/etcd.go. */
import { type CustomResourceDefinition, setCondition } from "#api";
import { cloneJson } from "#machinery";
import type { KindHooks } from "../registry/core.ts";
import { checkPreconditions, type DeletionPlan, type DeletionRequest, planDeletion } from "../registry/deletion.ts";
import { rfc3339 } from "../registry/rfc3339.ts";

export const cleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

export const definitionHooks: KindHooks = { planDeletion: planDefinitionDeletion };

function planDefinitionDeletion(request: DeletionRequest): DeletionPlan {
  const { object, now } = request;
  if (object.metadata?.deletionTimestamp !== undefined) return planDeletion(request);
  checkPreconditions(request);
  const marked = cloneJson(object) as CustomResourceDefinition; // of that kind
  const finalizers = marked.metadata.finalizers ?? [];
  marked.metadata.deletionTimestamp = rfc3339(now);
  marked.metadata.finalizers = finalizers.includes(cleanupFinalizer) ? finalizers : [...finalizers, cleanupFinalizer];
  const message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
  setCondition(marked, { type: "Terminating", status: "True", reason: "InstanceDeletionPending", message }, now);
  return { type: "mark", object: marked };
}
