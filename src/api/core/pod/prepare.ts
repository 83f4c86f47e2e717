/** What the server fills into a new pod beside the defaults: status, labels taken over into selectors, AppArmor's old annotations. */
import { formatTime } from "#machinery";
import { firstGeneration } from "../../strategy.ts";
import type { LabelSelector, Pod, PodAffinityTerm, PodSpec } from "../../types.d.ts";
import { semanticEqual } from "../../equality.ts";
import { Place } from "../../place.ts";
import { appArmorPrefix, appArmorProfileOf } from "../../pod-spec/annotations.ts";
import { containersOf } from "../../pod-spec/containers-of.ts";
import { appArmorWarning } from "../../pod-spec/warnings.ts";
import { computeQosClass } from "./qos.ts";

export function prepareNewPod(pod: Pod, now: number): void {
  pod.spec ??= { containers: [] };
  firstGeneration(pod);
  pod.status = { phase: "Pending", qosClass: computeQosClass(pod.spec) };
  if (pod.spec.schedulingGates?.length) markGated(pod, now);
  takeOverLabels(pod.spec, pod.metadata?.labels ?? {});
  takeOverAppArmor(pod);
}

function markGated(pod: Pod, now: number): void {
  pod.status = {
    ...pod.status,
    conditions: [
      {
        type: "PodScheduled",
        status: "False",
        reason: "SchedulingGated",
        message: "Scheduling is blocked due to non-empty scheduling gates",
        // A time that isn't set is sent as null, which the types don't say.
        lastProbeTime: null as unknown as string,
        lastTransitionTime: formatTime(now),
      },
    ],
  };
}

const required = "requiredDuringSchedulingIgnoredDuringExecution";
const preferred = "preferredDuringSchedulingIgnoredDuringExecution";
type Labels = Readonly<Record<string, string>>;

/** matchLabelKeys mean the pod's own values: they become expressions of the selector. */
function takeOverLabels(spec: PodSpec, labels: Labels): void {
  for (const affinity of [spec.affinity?.podAffinity, spec.affinity?.podAntiAffinity]) {
    for (const term of affinity?.[preferred] ?? []) takeOverIntoTerm(term.podAffinityTerm, labels);
    for (const term of affinity?.[required] ?? []) takeOverIntoTerm(term, labels);
  }
  for (const { labelSelector, matchLabelKeys } of spec.topologySpreadConstraints ?? []) {
    addExpressions(labelSelector, { keys: matchLabelKeys, operator: "In", labels });
  }
}

function takeOverIntoTerm({ labelSelector, matchLabelKeys, mismatchLabelKeys }: PodAffinityTerm, labels: Labels): void {
  addExpressions(labelSelector, { keys: matchLabelKeys, operator: "In", labels });
  addExpressions(labelSelector, { keys: mismatchLabelKeys, operator: "NotIn", labels });
}

function addExpressions(
  selector: LabelSelector | undefined,
  { keys, operator, labels }: { keys: string[] | undefined; operator: string; labels: Labels },
): void {
  if (!selector || !keys) return;
  for (const key of keys) {
    const value = labels[key];
    if (value === undefined) continue;
    selector.matchExpressions = [...(selector.matchExpressions ?? []), { key, operator, values: [value] }];
  }
}

/** Containers with an annotation and no field of their own, unless the pod's field says the same. */
function* annotatedContainers({ spec, metadata }: Pod) {
  const annotations = metadata?.annotations;
  if (!spec || !annotations || spec.os?.name === "windows") return;
  for (const container of containersOf(spec)) {
    const key = `${appArmorPrefix}${container.name}`;
    const text = annotations[key];
    if (text === undefined || container.securityContext?.appArmorProfile) continue;
    const profile = appArmorProfileOf(text);
    if (!semanticEqual(profile, spec.securityContext?.appArmorProfile) || !profile) yield { container, key, profile };
  }
}

function takeOverAppArmor(pod: Pod): void {
  for (const { container, profile } of annotatedContainers(pod)) {
    if (profile) container.securityContext = { ...container.securityContext, appArmorProfile: profile };
  }
}

/** Of a pod whose annotations weren't taken over yet. */
export const appArmorWarnings = (pod: Pod): string[] =>
  Array.from(annotatedContainers(pod), ({ key }) =>
    appArmorWarning(Place.root("metadata").child("annotations").key(key)),
  );
