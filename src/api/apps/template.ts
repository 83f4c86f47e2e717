/** Templates of pods that run until they are deleted: nothing but restarting them makes sense. */
import type { LabelMatcher } from "#machinery";
import type { Place } from "../place.ts";
import { validatePodTemplateSpec } from "../pod-spec/template.ts";
import type { PodTemplateSpec } from "../types.d.ts";
import { validateTemplateLabels } from "./selector.ts";

/** `owner` is upstream's word for the kind in messages. `at` is the template. */
export function validateEndless({ spec }: PodTemplateSpec, at: Place, owner: string): void {
  const place = at.child("spec");
  const policy = spec?.restartPolicy ?? "";
  if (policy !== "Always") place.child("restartPolicy").notSupported(policy, ["Always"]);
  if (spec?.activeDeadlineSeconds === undefined) return;
  place.child("activeDeadlineSeconds").forbidden(`activeDeadlineSeconds in ${owner} is not Supported`);
}

/** Of replica sets, and of deployments, which make them. */
export function validateReplicaTemplate(
  template: PodTemplateSpec,
  at: Place,
  { selector, old }: { selector: LabelMatcher; old?: PodTemplateSpec | undefined },
): void {
  validateTemplateLabels(template, at, selector);
  validatePodTemplateSpec(template, at, old);
  validateEndless(template, at, "ReplicaSet");
}
