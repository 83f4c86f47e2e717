/** Containers for debugging, added to a running pod through a subresource of their own; once there they stay as they are. */
import { goQuote } from "#machinery";
import { printDifference, semanticEqual } from "../../equality.ts";
import type { Strategy } from "../../kind.ts";
import { Place } from "../../place.ts";
import { mirrorAnnotation } from "../../pod-spec/annotations.ts";
import { bumpGeneration, resetMetaForStatus } from "../../strategy.ts";
import type { Pod } from "../../types.d.ts";
import { validateAnnotationsChange } from "./update.ts";
import { specOf, validateChangedPod } from "./validate.ts";

export const ephemeralContainersStrategy: Strategy<Pod> = {
  prepareForUpdate(pod, old) {
    const { ephemeralContainers } = specOf(pod);
    pod.spec = { ...specOf(old) };
    if (ephemeralContainers) pod.spec.ephemeralContainers = ephemeralContainers;
    else delete pod.spec.ephemeralContainers;
    if (old.status) pod.status = old.status;
    resetMetaForStatus(pod, old);
    bumpGeneration(pod, old);
  },

  validateUpdate(pod, old) {
    if (old.metadata.annotations?.[mirrorAnnotation] !== undefined) {
      const place = Place.whole();
      place.forbidden("static pods do not support ephemeral containers");
      return place.errors;
    }
    const errors = validateChangedPod(pod, old);
    validateAnnotationsChange(pod, old, errors);
    const at = Place.root("spec", errors).child("ephemeralContainers");
    const now = new Map(specOf(pod).ephemeralContainers?.map((each) => [each.name, each]));
    for (const before of specOf(old).ephemeralContainers ?? []) {
      const what = `existing ephemeral containers ${goQuote(before.name ?? "")}`;
      const after = now.get(before.name);
      if (!after) at.forbidden(`${what} may not be removed\n`);
      else if (!semanticEqual(after, before))
        at.forbidden(`${what} may not be changed\n${printDifference(before, after)}`);
    }
    return errors;
  },
};
