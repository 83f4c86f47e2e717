/** DaemonSet: a pod on every node that fits. Follows upstream's registry/apps/daemonset. */
import { validateCounts, validateGrowing } from "../counts.ts";
import { defineKind, type Strategy } from "../kind.ts";
import { Place } from "../place.ts";
import { defaultPodTemplate } from "../pod-spec/defaults.ts";
import { templateWarnings } from "../pod-spec/warnings.ts";
import { specOf } from "../spec-of.ts";
import { firstGeneration, setOrDelete } from "../strategy.ts";
import type { DaemonSet, DaemonSetStatus } from "../types.d.ts";
import { daemonSetColumns } from "./daemon-set/columns.ts";
import { countGenerations, setTemplateGeneration, templateGenerationOf } from "./daemon-set/generation.ts";
import { validateDaemonSet } from "./daemon-set/validate.ts";

const noStatus = (): DaemonSetStatus => ({
  currentNumberScheduled: 0,
  numberMisscheduled: 0,
  desiredNumberScheduled: 0,
  numberReady: 0,
});

function defaultDaemonSet(daemonSet: DaemonSet): void {
  // Before anybody asks who owns the annotation: whoever writes the object does.
  setTemplateGeneration(daemonSet, templateGenerationOf(daemonSet));
  const spec = specOf(daemonSet);
  daemonSet.spec = spec;
  spec.template ??= {};
  defaultPodTemplate(spec.template);
  spec.updateStrategy ??= {};
  const { updateStrategy } = spec;
  updateStrategy.type ||= "RollingUpdate";
  if (updateStrategy.type === "RollingUpdate") {
    updateStrategy.rollingUpdate ??= {};
    updateStrategy.rollingUpdate.maxUnavailable ??= 1;
    updateStrategy.rollingUpdate.maxSurge ??= 0;
  }
  spec.revisionHistoryLimit ??= 10;
}

const statusStrategy: Strategy<DaemonSet> = {
  resetFields: ["spec"],
  prepareForUpdate(daemonSet, old) {
    setOrDelete(daemonSet, { spec: old.spec });
    setTemplateGeneration(daemonSet, templateGenerationOf(old));
  },
  validateUpdate({ status = noStatus() }, old) {
    const at = Place.root("status");
    validateCounts(status, at, [
      "currentNumberScheduled",
      "numberMisscheduled",
      "desiredNumberScheduled",
      "numberReady",
      "observedGeneration",
      "updatedNumberScheduled",
      "numberAvailable",
      "numberUnavailable",
      "collisionCount",
    ]);
    validateGrowing(status.collisionCount, old.status?.collisionCount, at.child("collisionCount"));
    return at.errors;
  },
};

const warningsOf = ({ spec }: DaemonSet): string[] => templateWarnings(spec?.template, "spec.template");

export const daemonSetKind = defineKind<DaemonSet>({
  group: "apps",
  kind: "DaemonSet",
  resource: "daemonsets",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults: defaultDaemonSet,
  prepareForCreate(daemonSet) {
    daemonSet.status = noStatus();
    firstGeneration(daemonSet);
    setTemplateGeneration(daemonSet, Math.max(1, templateGenerationOf(daemonSet)));
  },
  prepareForUpdate(daemonSet, old) {
    setOrDelete(daemonSet, { status: old.status });
    countGenerations(daemonSet, old);
  },
  validate: (daemonSet) => validateDaemonSet(daemonSet),
  validateUpdate: (daemonSet, old) => validateDaemonSet(daemonSet, old),
  warningsOnCreate: warningsOf,
  warningsOnUpdate: (daemonSet, old) =>
    templateGenerationOf(daemonSet) === templateGenerationOf(old) ? [] : warningsOf(daemonSet),

  subresources: { status: statusStrategy },
  columns: daemonSetColumns,
});
