/** The labels by which a job knows its pods. The short ones are older than the rule that upstream's labels have a prefix. */
import { goMap } from "../../go-struct.ts";
import type { Place } from "../../place.ts";
import type { Job, LabelSelector, PodTemplateSpec } from "../../types.d.ts";
import { readSelector } from "../../apps/selector.ts";

const nameLabel = "batch.kubernetes.io/job-name";
const uidLabel = "batch.kubernetes.io/controller-uid";
const oldNameLabel = "job-name";
const oldUidLabel = "controller-uid";

type Labels = Record<string, string>;

/** Labels a job's template, and makes the job select what has its uid. What the client set stays, for validation to refuse. */
export function generateSelector(job: Job): void {
  const { spec, metadata } = job;
  if (!spec || spec.manualSelector) return;
  const { name = "", uid = "" } = metadata;
  spec.template ??= {};
  spec.template.metadata ??= {};
  const { metadata: templateMeta } = spec.template;
  templateMeta.labels = {
    [oldNameLabel]: name,
    [nameLabel]: name,
    [oldUidLabel]: uid,
    [uidLabel]: uid,
    ...templateMeta.labels,
  };
  const selector: LabelSelector = spec.selector ?? {};
  selector.matchLabels = { [uidLabel]: uid, ...selector.matchLabels };
  spec.selector = selector;
}

/** Before 1.27 jobs had no labels with a prefix. */
export const hasPrefixedLabels = (template: PodTemplateSpec | undefined): boolean => {
  const labels = template?.metadata?.labels;
  return labels?.[nameLabel] !== undefined && labels[uidLabel] !== undefined;
};

/** That nobody tampered with what was generated. `spec` is the place of the job's spec. */
export function validateGenerated(
  { metadata, spec = { template: {} } }: Job,
  errors: { readonly spec: Place; readonly metadata: Place },
  { prefixed }: { prefixed: boolean },
): void {
  if (spec.manualSelector || !spec.selector) return;
  const { name = "", uid = "" } = metadata;
  if (uid === "") errors.metadata.child("uid").required();
  const expected: Labels = { [oldUidLabel]: uid, [oldNameLabel]: name };
  if (prefixed) Object.assign(expected, { [uidLabel]: uid, [nameLabel]: name });
  const labels = spec.template?.metadata?.labels ?? {};
  const at = errors.spec.child("template").child("metadata").child("labels");
  for (const [key, value] of Object.entries(expected)) {
    if (labels[key] === undefined) at.key(key).required(`must be '${value}'`);
    else if (labels[key] !== value) at.key(key).invalid(labels, `must be '${value}'`);
  }
  const selector = readSelector(spec.selector);
  if (selector && !selector.matches(expected)) {
    const { matchLabels } = spec.selector;
    const printed = { ...spec.selector, ...(matchLabels && { matchLabels: goMap(matchLabels) }) };
    errors.spec.child("selector").invalid(printed, "`selector` not auto-generated");
  }
}
