/** What makes a deployment valid. */
import { type FieldError, validateImmutable } from "#machinery";
import { goStruct } from "../../go-struct.ts";
import { validateCount } from "../../counts.ts";
import { isNothing, validateAtMostAll, validateIntOrPercent } from "../../int-or-percent.ts";
import { Place } from "../../place.ts";
import { specOf } from "../../spec-of.ts";
import type { Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment } from "../../types.d.ts";
import { readSelector, validateOwnSelector } from "../selector.ts";
import { validateReplicaTemplate } from "../template.ts";

const strategies = ["Recreate", "RollingUpdate"];

export function validateDeployment(deployment: Deployment, old?: Deployment): FieldError[] {
  const at = Place.root("spec");
  const spec = specOf(deployment);
  const before = old && specOf(old);
  validateSpec(spec, at, before);
  if (before) at.add(validateImmutable(spec.selector, before.selector, at.child("selector").path));
  return at.errors;
}

function validateSpec(spec: DeploymentSpec, at: Place, old: DeploymentSpec | undefined): void {
  const { replicas, minReadySeconds = 0, revisionHistoryLimit, progressDeadlineSeconds } = spec;
  validateCount(replicas, at.child("replicas"));
  validateOwnSelector(spec.selector, at.child("selector"), "deployment");
  const selector = readSelector(spec.selector);
  if (selector) validateReplicaTemplate(spec.template ?? {}, at.child("template"), { selector, old: old?.template });
  else at.child("selector").invalid(spec.selector, "invalid label selector");
  validateStrategy(spec.strategy ?? {}, at.child("strategy"));
  validateCount(minReadySeconds, at.child("minReadySeconds"));
  validateCount(revisionHistoryLimit, at.child("revisionHistoryLimit"));
  const deadline = at.child("progressDeadlineSeconds");
  validateCount(progressDeadlineSeconds, deadline);
  if (progressDeadlineSeconds !== undefined && progressDeadlineSeconds <= minReadySeconds) {
    deadline.invalid(progressDeadlineSeconds, "must be greater than minReadySeconds");
  }
}

function validateStrategy(strategy: DeploymentStrategy, at: Place): void {
  const { type = "", rollingUpdate } = strategy;
  const place = at.child("rollingUpdate");
  if (!strategies.includes(type)) at.notSupported(goStruct("api.apps.v1.DeploymentStrategy", strategy), strategies);
  else if (type === "Recreate") {
    if (rollingUpdate) place.forbidden("may not be specified when strategy `type` is 'Recreate'");
  } else if (rollingUpdate) validateRollingUpdate(rollingUpdate, place);
  else place.required("this should be defaulted and never be nil");
}

function validateRollingUpdate({ maxUnavailable, maxSurge }: RollingUpdateDeployment, at: Place): void {
  const place = at.child("maxUnavailable");
  validateIntOrPercent(maxUnavailable, place);
  validateIntOrPercent(maxSurge, at.child("maxSurge"));
  if (isNothing(maxUnavailable) && isNothing(maxSurge)) {
    place.invalid(maxUnavailable, "may not be 0 when `maxSurge` is 0");
  }
  validateAtMostAll(maxUnavailable, place);
}
