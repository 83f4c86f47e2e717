/** A replication controller's spec and status, in upstream's order. */
import type { FieldError } from "#machinery";
import { goMap } from "../../go-struct.ts";
import { Place } from "../../place.ts";
import { validatePodTemplateSpec } from "../../pod-spec/template.ts";
import type { PodTemplateSpec, ReplicationControllerSpec, ReplicationControllerStatus } from "../../types.d.ts";

export function validateReplicationController(
  spec: ReplicationControllerSpec = {},
  old?: ReplicationControllerSpec,
): FieldError[] {
  const { minReadySeconds, selector = {}, replicas, template } = spec;
  const at = Place.root("spec");
  at.child("minReadySeconds").notNegative(minReadySeconds);
  if (Object.keys(selector).length === 0) at.child("selector").required();
  at.child("replicas").notNegative(replicas);
  const templateAt = at.child("template");
  if (!template) {
    templateAt.required();
    return at.errors;
  }
  const labels = template.metadata?.labels ?? {};
  if (Object.keys(selector).some((key) => labels[key] !== selector[key])) {
    templateAt.child("metadata").child("labels").invalid(goMap(labels), "`selector` does not match template `labels`");
  }
  validatePodTemplateSpec(template, templateAt, old?.template);
  validateLongRunning(template, templateAt.child("spec"));
  return at.errors;
}

function validateLongRunning({ spec }: PodTemplateSpec, at: Place): void {
  const { restartPolicy = "", activeDeadlineSeconds } = spec ?? {};
  if (restartPolicy !== "Always") at.child("restartPolicy").notSupported(restartPolicy, ["Always"]);
  if (activeDeadlineSeconds === undefined) return;
  at.child("activeDeadlineSeconds").forbidden("activeDeadlineSeconds in ReplicationController is not Supported");
}

export function validateStatus(status: Partial<ReplicationControllerStatus> = {}): FieldError[] {
  const { replicas = 0, fullyLabeledReplicas = 0, readyReplicas = 0, availableReplicas = 0 } = status;
  const at = Place.root("status");
  const counts = { replicas, fullyLabeledReplicas, readyReplicas, availableReplicas };
  for (const [field, count] of Object.entries(counts)) at.child(field).notNegative(count);
  at.child("observedGeneration").notNegative(status.observedGeneration);
  for (const [field, count] of Object.entries(counts)) {
    if (count > replicas) at.child(field).invalid(count, "cannot be greater than status.replicas");
  }
  if (availableReplicas > readyReplicas) {
    at.child("availableReplicas").invalid(availableReplicas, "cannot be greater than readyReplicas");
  }
  return at.errors;
}
