/** Pod templates: of workloads, and of PodTemplate itself. */
import type { Place } from "../place.ts";
import { validateAnnotations, validateLabels } from "../selectors.ts";
import type { PodTemplateSpec } from "../types.d.ts";
import { validateAnnotationsMatch, validatePodAnnotations } from "./annotations.ts";
import { templateOptions, type Tolerance, tolerateNothing } from "./check.ts";
import { toleranceOf } from "./tolerance.ts";
import { validatePodSpec } from "./validate.ts";

/** `old` is the stored template of an update: what it has wrong may stay. */
export function validatePodTemplateSpec(template: PodTemplateSpec, at: Place, old?: PodTemplateSpec): void {
  const before = at.errors.length;
  validate(template, at, tolerateNothing);
  if (!old?.spec || at.errors.length === before) return;
  at.errors.length = before;
  validate(template, at, toleranceOf(old.spec, old.metadata?.annotations));
}

function validate({ metadata = {}, spec = { containers: [] } }: PodTemplateSpec, at: Place, tolerate: Tolerance): void {
  const { labels, annotations } = metadata;
  validateLabels(labels, at.child("labels"));
  validateAnnotations(annotations, at.child("annotations"));
  validatePodAnnotations(annotations, at.child("annotations"), { spec, tolerate });
  const specAt = at.child("spec");
  validatePodSpec(spec, specAt, { ...templateOptions, tolerate });
  validateAnnotationsMatch(annotations, specAt, spec);
  if (spec.ephemeralContainers?.length) {
    specAt.child("ephemeralContainers").forbidden("ephemeral containers not allowed in pod template");
  }
}
