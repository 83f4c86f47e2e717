/** What makes a stateful set valid, and what of it may change. */
import type { FieldError } from "#machinery";
import { goStruct } from "../../go-struct.ts";
import { validateCount } from "../../counts.ts";
import { semanticEqual } from "../../equality.ts";
import { isNothing, validateAtMostAll, validateIntOrPercent } from "../../int-or-percent.ts";
import { Place } from "../../place.ts";
import { validatePodAnnotations } from "../../pod-spec/annotations.ts";
import { tolerateNothing } from "../../pod-spec/check.ts";
import { toleranceOf } from "../../pod-spec/tolerance.ts";
import { validateAnnotations, validateLabels } from "../../selectors.ts";
import { specOf } from "../../spec-of.ts";
import type {
  PodTemplateSpec,
  RollingUpdateStatefulSetStrategy,
  StatefulSet,
  StatefulSetSpec,
  StatefulSetUpdateStrategy,
} from "../../types.d.ts";
import { readSelector, validateOwnSelector, validateTemplateLabels } from "../selector.ts";
import { validateEndless } from "../template.ts";

export function validateStatefulSet(statefulSet: StatefulSet, old?: StatefulSet): FieldError[] {
  const at = Place.root("spec");
  const spec = specOf(statefulSet);
  validateManagement(spec, at);
  validateCount(spec.replicas, at.child("replicas"));
  validateCount(spec.minReadySeconds, at.child("minReadySeconds"));
  validateCount(spec.ordinals?.start, at.child("ordinals.start"));
  validateOwnSelector(spec.selector, at.child("selector"), "statefulset");
  const selector = readSelector(spec.selector);
  const template = spec.template ?? {};
  const templateAt = at.child("template");
  if (selector) {
    validateTemplateLabels(template, templateAt, selector);
    validateTemplateMeta(template, templateAt, old?.spec?.template);
  } else at.child("selector").invalid(spec.selector, "");
  validateEndless(template, templateAt, "StatefulSet");
  if (old && !keepsTheRest(spec, specOf(old))) at.forbidden(forbiddenChange);
  return at.errors;
}

function validateManagement(spec: StatefulSetSpec, at: Place): void {
  const { podManagementPolicy = "", persistentVolumeClaimRetentionPolicy: retention } = spec;
  const policyAt = at.child("podManagementPolicy");
  if (podManagementPolicy === "") policyAt.required();
  else if (podManagementPolicy !== "OrderedReady" && podManagementPolicy !== "Parallel") {
    policyAt.invalid(podManagementPolicy, "must be 'OrderedReady' or 'Parallel'");
  }
  validateUpdateStrategy(spec.updateStrategy ?? {}, at.child("updateStrategy"));
  if (!retention) return;
  const retentionAt = at.child("persistentVolumeClaimRetentionPolicy");
  for (const field of ["whenDeleted", "whenScaled"] as const) {
    const policy = retention[field] ?? "";
    if (!retentions.includes(policy)) retentionAt.child(field).notSupported(policy, retentions);
  }
}

const retentions = ["Retain", "Delete"];

function validateUpdateStrategy(strategy: StatefulSetUpdateStrategy, at: Place): void {
  const { type = "", rollingUpdate } = strategy;
  const place = at.child("rollingUpdate");
  if (type === "") at.required();
  else if (type === "OnDelete") {
    if (rollingUpdate)
      place.invalid(
        goStruct("api.apps.v1.RollingUpdateStatefulSetStrategy", rollingUpdate),
        "only allowed for updateStrategy 'RollingUpdate'",
      );
  } else if (type === "RollingUpdate") {
    if (rollingUpdate) validateRollingUpdate(rollingUpdate, place);
  } else
    at.invalid(goStruct("api.apps.v1.StatefulSetUpdateStrategy", strategy), "must be 'RollingUpdate' or 'OnDelete'");
}

function validateRollingUpdate({ partition, maxUnavailable }: RollingUpdateStatefulSetStrategy, at: Place): void {
  validateCount(partition, at.child("partition"));
  if (maxUnavailable === undefined) return;
  const place = at.child("maxUnavailable");
  validateIntOrPercent(maxUnavailable, place);
  if (isNothing(maxUnavailable)) place.invalid(maxUnavailable, "cannot be 0");
  validateAtMostAll(maxUnavailable, place);
}

/** Not the pod's spec: its mounts may name volumes that the claim templates make. The paths are upstream's. */
function validateTemplateMeta({ metadata = {}, spec }: PodTemplateSpec, at: Place, old?: PodTemplateSpec): void {
  const { labels, annotations } = metadata;
  validateLabels(labels, at.child("labels"));
  validateAnnotations(annotations, at.child("annotations"));
  const tolerate = old?.spec ? toleranceOf(old.spec, old.metadata?.annotations) : tolerateNothing;
  validatePodAnnotations(annotations, at.child("annotations"), { spec: spec ?? { containers: [] }, tolerate });
}

const changeable = [
  "replicas",
  "ordinals",
  "template",
  "updateStrategy",
  "revisionHistoryLimit",
  "persistentVolumeClaimRetentionPolicy",
  "minReadySeconds",
] as const;

const forbiddenChange = `updates to statefulset spec for fields other than ${changeable
  .slice(0, -1)
  .map((field) => `'${field}'`)
  .join(", ")} and '${changeable.at(-1)}' are forbidden`;

function keepsTheRest(spec: StatefulSetSpec, old: StatefulSetSpec): boolean {
  const now: StatefulSetSpec = { ...spec };
  const before: StatefulSetSpec = { ...old };
  for (const field of changeable) {
    // Copies that are only compared.
    delete (now as Partial<StatefulSetSpec>)[field];
    delete (before as Partial<StatefulSetSpec>)[field];
  }
  return semanticEqual(now, before);
}
