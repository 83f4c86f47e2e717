/** What makes a daemon set valid. */
import { type FieldError, validateImmutable } from "#machinery";
import { goStruct } from "../../go-struct.ts";
import { validateCount } from "../../counts.ts";
import { isNothing, validateAtMostAll, validateIntOrPercent } from "../../int-or-percent.ts";
import { Place } from "../../place.ts";
import { validatePodTemplateSpec } from "../../pod-spec/template.ts";
import { hasInvalidSelectorValue, validateLabelSelector } from "../../selectors.ts";
import { specOf } from "../../spec-of.ts";
import type { DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet } from "../../types.d.ts";
import { isEmptySelector, readSelector, validateTemplateLabels } from "../selector.ts";
import { validateEndless } from "../template.ts";

export function validateDaemonSet(daemonSet: DaemonSet, old?: DaemonSet): FieldError[] {
  const at = Place.root("spec");
  const spec = specOf(daemonSet);
  const before = old && specOf(old);
  validateSpec(spec, at, before);
  if (!before) return at.errors;
  // Upstream says everything twice.
  at.add([...at.errors]);
  at.add(validateImmutable(spec.selector, before.selector, at.child("selector").path));
  return at.errors;
}

function validateSpec(spec: DaemonSetSpec, at: Place, old: DaemonSetSpec | undefined): void {
  const selectorAt = at.child("selector");
  const templateAt = at.child("template");
  const template = spec.template ?? {};
  validateLabelSelector(spec.selector, selectorAt, { anyValue: hasInvalidSelectorValue(old?.selector) });
  const selector = readSelector(spec.selector);
  // A missing selector is only told by this: nothing matches it.
  if (selector) validateTemplateLabels(template, templateAt, selector);
  if (spec.selector && isEmptySelector(spec.selector)) {
    selectorAt.invalid(spec.selector, "empty selector is invalid for daemonset");
  }
  validatePodTemplateSpec(template, templateAt, old?.template);
  validateEndless(template, templateAt, "DaemonSet");
  validateCount(spec.minReadySeconds, at.child("minReadySeconds"));
  validateUpdateStrategy(spec.updateStrategy ?? {}, at.child("updateStrategy"));
  validateCount(spec.revisionHistoryLimit, at.child("revisionHistoryLimit"));
}

const strategies = ["RollingUpdate", "OnDelete"];

function validateUpdateStrategy(strategy: DaemonSetUpdateStrategy, at: Place): void {
  const { type = "", rollingUpdate } = strategy;
  if (!strategies.includes(type))
    at.notSupported(goStruct("api.apps.v1.DaemonSetUpdateStrategy", strategy), strategies);
  if (type !== "RollingUpdate") return;
  if (rollingUpdate) validateRollingUpdate(rollingUpdate, at.child("rollingUpdate"));
  else at.child("rollingUpdate").required();
}

function validateRollingUpdate({ maxUnavailable, maxSurge }: RollingUpdateDaemonSet, at: Place): void {
  const unavailableAt = at.child("maxUnavailable");
  const surgeAt = at.child("maxSurge");
  validateIntOrPercent(maxUnavailable, unavailableAt);
  validateIntOrPercent(maxSurge, surgeAt);
  validateAtMostAll(maxUnavailable, unavailableAt);
  validateAtMostAll(maxSurge, surgeAt);
  const hasUnavailable = !isNothing(maxUnavailable);
  const hasSurge = !isNothing(maxSurge);
  if (hasUnavailable && hasSurge) surgeAt.invalid(maxSurge, "may not be set when maxUnavailable is non-zero");
  if (!hasUnavailable && !hasSurge) unavailableAt.required("cannot be 0 when maxSurge is 0");
}
