/**
 * A job's template stays, except while the job is suspended and has no pods: then what decides where pods run and what they
 * get may change, so that queueing controllers can place jobs before they start.
 */
import { cloneJson, fieldImmutableMessage } from "#machinery";
import { semanticEqual } from "../../equality.ts";
import type { Place } from "../../place.ts";
import { specOf } from "../../spec-of.ts";
import { setOrDelete } from "../../strategy.ts";
import type { Container, Job, PodSpec, PodTemplateSpec } from "../../types.d.ts";
import { isTrue } from "./conditions.ts";

/** `at` is the template. */
export function validateTemplateChange(job: Job, old: Job, at: Place): void {
  const { template } = specOf(job);
  const { template: before } = specOf(old);
  if (!mayChange(old)) {
    if (!semanticEqual(template, before)) at.invalid(template, fieldImmutableMessage);
    return;
  }
  const allowed = withDirectives(before ?? {}, template ?? {});
  if (!semanticEqual(template, allowed)) at.child("spec").invalid(template?.spec, fieldImmutableMessage);
}

function mayChange({ spec, status = {} }: Job): boolean {
  if (!spec?.suspend || status.active) return false;
  return status.startTime === undefined || isTrue(status.conditions, "Suspended");
}

/** The old template with those fields of the new one that may change. */
function withDirectives(
  old: PodTemplateSpec,
  { metadata = {}, spec = { containers: [] } }: PodTemplateSpec,
): PodTemplateSpec {
  const allowed = cloneJson(old);
  allowed.metadata = { ...allowed.metadata };
  setOrDelete(allowed.metadata, { annotations: metadata.annotations, labels: metadata.labels });
  const before: PodSpec = allowed.spec ?? { containers: [] };
  allowed.spec = before;
  const { nodeSelector, tolerations, schedulingGates } = spec;
  setOrDelete(before, { nodeSelector, tolerations, schedulingGates });
  const affinity = { ...before.affinity };
  setOrDelete(affinity, { nodeAffinity: spec.affinity?.nodeAffinity });
  setOrDelete(before, { affinity: Object.keys(affinity).length > 0 ? affinity : undefined });
  takeResources(before.containers, spec.containers);
  takeResources(before.initContainers, spec.initContainers);
  return allowed;
}

function takeResources(to: readonly Container[] = [], from: readonly Container[] = []): void {
  if (to.length !== from.length) return;
  to.forEach((container, i) => {
    const other = from[i];
    if (other?.name === container.name) setOrDelete(container, { resources: other.resources });
  });
}
