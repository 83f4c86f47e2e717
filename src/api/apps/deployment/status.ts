/** What the deployment controller reports. */
import { validateAtMost, validateCounts, validateGrowing } from "../../counts.ts";
import type { Strategy } from "../../kind.ts";
import { Place } from "../../place.ts";
import { setOrDelete } from "../../strategy.ts";
import type { Deployment } from "../../types.d.ts";

export const deploymentStatusStrategy: Strategy<Deployment> = {
  resetFields: ["spec", "metadata.labels"],
  prepareForUpdate(deployment, old) {
    setOrDelete(deployment, { spec: old.spec });
    setOrDelete(deployment.metadata, { labels: old.metadata.labels });
  },
  validateUpdate({ status = {} }, old) {
    const at = Place.root("status");
    validateCounts(status, at, [
      "observedGeneration",
      "replicas",
      "updatedReplicas",
      "readyReplicas",
      "availableReplicas",
      "unavailableReplicas",
      "terminatingReplicas",
      "collisionCount",
    ]);
    const fields = ["updatedReplicas", "readyReplicas", "availableReplicas"] as const;
    validateAtMost(status, at, { fields, of: "replicas", name: "status.replicas" });
    validateAtMost(status, at, { fields: ["availableReplicas"], of: "readyReplicas", name: "readyReplicas" });
    validateGrowing(status.collisionCount, old.status?.collisionCount, at.child("collisionCount"));
    return at.errors;
  },
};
