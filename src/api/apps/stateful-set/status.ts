/** What the controller of stateful sets reports. */
import { validateAtMost, validateCounts, validateGrowing } from "../../counts.ts";
import type { Strategy } from "../../kind.ts";
import { Place } from "../../place.ts";
import { setOrDelete } from "../../strategy.ts";
import type { StatefulSet } from "../../types.d.ts";

export const statefulSetStatusStrategy: Strategy<StatefulSet> = {
  resetFields: ["spec"],
  prepareForUpdate(statefulSet, old) {
    setOrDelete(statefulSet, { spec: old.spec });
  },
  validateUpdate({ status = { replicas: 0 } }, old) {
    const at = Place.root("status");
    validateCounts(status, at, [
      "replicas",
      "readyReplicas",
      "currentReplicas",
      "updatedReplicas",
      "availableReplicas",
      "observedGeneration",
      "collisionCount",
    ]);
    const fields = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"] as const;
    validateAtMost(status, at, { fields, of: "replicas", name: "status.replicas" });
    validateAtMost(status, at, { fields: ["availableReplicas"], of: "readyReplicas", name: "status.readyReplicas" });
    validateGrowing(status.collisionCount, old.status?.collisionCount, at.child("collisionCount"));
    return at.errors;
  },
};
