/** A pod as a whole: annotations, spec, and what holds for pods but not for templates. */
import type { FieldError } from "#machinery";
import { Place } from "../../place.ts";
import { mirrorAnnotation, validateAnnotationsMatch, validatePodAnnotations } from "../../pod-spec/annotations.ts";
import { type PodCheckOptions, type Tolerance, tolerateNothing } from "../../pod-spec/check.ts";
import { validateImageOfPod } from "../../pod-spec/container.ts";
import { toleranceOf } from "../../pod-spec/tolerance.ts";
import { validatePodSpec } from "../../pod-spec/validate.ts";
import type { Pod, PodSpec } from "../../types.d.ts";

export const specOf = (pod: Pod): PodSpec => pod.spec ?? { containers: [] };

/** Metadata itself is checked by the registry. */
function validatePod(pod: Pod, errors: FieldError[], tolerate: Tolerance): void {
  const spec = specOf(pod);
  const annotations = pod.metadata?.annotations;
  validatePodAnnotations(annotations, Place.root("metadata", errors).child("annotations"), { spec, tolerate });
  const options: PodCheckOptions = {
    isPod: true,
    podName: pod.metadata?.name ?? "",
    isMirror: annotations?.[mirrorAnnotation] !== undefined,
    tolerate,
  };
  const at = Place.root("spec", errors);
  validatePodSpec(spec, at, options);
  if (!spec.serviceAccountName) validateNoTokens(spec, at);
  for (const list of ["containers", "initContainers"] as const) {
    spec[list]?.forEach((container, i) => {
      validateImageOfPod(container, at.child(list).index(i));
    });
  }
}

function validateNoTokens(spec: PodSpec, at: Place): void {
  spec.volumes?.forEach(({ projected }, i) => {
    projected?.sources?.forEach(({ serviceAccountToken }, j) => {
      if (!serviceAccountToken) return;
      const place = at.child("volumes").index(i).child("projected").child("sources").index(j);
      place.child("serviceAccountToken").forbidden("must not be specified when serviceAccountName is not set");
    });
  });
}

export function validateNewPod(pod: Pod): FieldError[] {
  const errors: FieldError[] = [];
  validatePod(pod, errors, tolerateNothing);
  const spec = specOf(pod);
  const at = Place.root("spec", errors);
  if (spec.ephemeralContainers?.length) at.child("ephemeralContainers").forbidden("cannot be set on create");
  if (spec.nodeName && spec.schedulingGates?.length) {
    at.child("nodeName").forbidden("cannot be set until all schedulingGates have been cleared");
  }
  validateAnnotationsMatch(pod.metadata?.annotations, at, spec);
  return errors;
}

/** Strict first; what the stored pod has wrong is looked up only when that finds something. */
export function validateChangedPod(pod: Pod, old: Pod): FieldError[] {
  const errors: FieldError[] = [];
  validatePod(pod, errors, tolerateNothing);
  if (errors.length === 0) return errors;
  errors.length = 0;
  validatePod(pod, errors, toleranceOf(specOf(old), old.metadata?.annotations));
  return errors;
}
