/** Pods of a Job: how they are made, which index they have, and whether they count. Pure. */
import type { Container, Job, Pod } from "#api";
import { timeMs } from "#machinery";
import { isDeleting, nameOf, type Seen } from "../lib/objects.ts";
import { podFromTemplate } from "../lib/pod-control.ts";
import { isPodReady, podReadySinceMs, type SeenPod } from "../lib/pods.ts";
import { judgeFailure } from "./failure-policy.ts";

export const kind = { apiVersion: "batch/v1", kind: "Job" };
/** On every pod until the Job's status counts it, so that none ends uncounted. */
export const trackingFinalizer = "batch.kubernetes.io/job-tracking";
const indexName = "batch.kubernetes.io/job-completion-index";
const failureCountAnnotation = "batch.kubernetes.io/job-index-failure-count";
const ignoredCountAnnotation = "batch.kubernetes.io/job-index-ignored-failure-count";
const indexVariable = "JOB_COMPLETION_INDEX";
/** The server adds five letters and names have 63. */
const prefixCharactersMax = 58;

export const isIndexed = ({ spec }: Seen<Job>): boolean => spec?.completionMode === "Indexed";

export const isTracked = (pod: SeenPod): boolean => (pod.metadata.finalizers ?? []).includes(trackingFinalizer);

/** Undefined when it has none, or none of this Job's. */
export function indexOf(pod: SeenPod, job: Seen<Job>): number | undefined {
  const text = pod.metadata.annotations?.[indexName];
  if (text === undefined || !/^[0-9]+$/.test(text)) return undefined;
  const index = Number(text);
  return index < (job.spec?.completions ?? 0) ? index : undefined;
}

/** With a failure policy, or when asked for, a pod is replaced only when it has failed and not as soon as it is told to go. */
export const replacesOnlyFailed = ({ spec }: Seen<Job>): boolean =>
  spec?.podReplacementPolicy === "Failed" || spec?.podFailurePolicy !== undefined;

/** A pod that was deleted counts as failed: it may never say so itself. */
export function hasFailed(pod: SeenPod, job: Seen<Job>): boolean {
  const phase = pod.status?.phase;
  if (phase === "Failed") return true;
  return !replacesOnlyFailed(job) && isDeleting(pod) && phase !== "Succeeded";
}

/** Whoever may write annotations may write nonsense: that is zero. */
function countIn(pod: SeenPod, annotation: string): number {
  const text = pod.metadata.annotations?.[annotation] ?? "";
  return /^\+?[0-9]+$/.test(text) && Number(text) < 2 ** 31 ? Number(text) : 0;
}

/** How often its index had failed when it was made; the ignored ones make later tries wait too. */
export const failuresOf = (pod: SeenPod): number => countIn(pod, failureCountAnnotation);
export const triesOf = (pod: SeenPod): number => failuresOf(pod) + countIn(pod, ignoredCountAnnotation);

/** With a limit for each index: whether this pod was the last try. */
export function failsIndex(pod: SeenPod, job: Seen<Job>): boolean {
  const limit = job.spec?.backoffLimitPerIndex;
  if (limit === undefined || !hasFailed(pod, job)) return false;
  const { action } = judgeFailure(pod, job);
  return action === "FailIndex" || (action !== "Ignore" && failuresOf(pod) >= limit);
}

/** Which active pod is given up first: unbound, pending, not ready, ready for a short time, often restarted, young. */
export function rankActive(pods: readonly SeenPod[]): SeenPod[] {
  const phases: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };
  const rank = (pod: SeenPod) => [
    pod.spec?.nodeName ? 1 : 0,
    phases[pod.status?.phase ?? ""] ?? 0,
    isPodReady(pod) ? 1 : 0,
    isPodReady(pod) ? -podReadySinceMs(pod) : 0,
    -Math.max(0, ...(pod.status?.containerStatuses ?? []).map(({ restartCount }) => restartCount)),
    -timeMs(pod.metadata.creationTimestamp),
  ];
  const ranks = new Map(pods.map((pod) => [pod, rank(pod)]));
  return pods.toSorted((a, b) => {
    const [first = [], second = []] = [ranks.get(a), ranks.get(b)];
    return first.map((value, at) => value - (second[at] ?? 0)).find((difference) => difference) ?? 0;
  });
}

export interface NewPod {
  readonly index?: number;
  /** The failed pod whose index this one tries again. */
  readonly replaces?: SeenPod;
}

export function jobPod(job: Seen<Job>, { index, replaces }: NewPod = {}): Pod {
  const { template } = job.spec ?? {};
  if (!template) throw new Error(`job ${nameOf(job)}: it has no pod template`);
  const pod = podFromTemplate(template, job, kind);
  const finalizers = [...new Set([...(pod.metadata.finalizers ?? []), trackingFinalizer])];
  const made: Pod = { ...pod, metadata: { ...pod.metadata, finalizers } };
  if (index === undefined) return made;
  const suffix = `-${index}-`;
  const name = nameOf(job);
  const withVariable = (container: Container): Container =>
    container.env?.some((variable) => variable.name === indexVariable)
      ? container
      : {
          ...container,
          env: [
            ...(container.env ?? []),
            { name: indexVariable, valueFrom: { fieldRef: { fieldPath: `metadata.labels['${indexName}']` } } },
          ],
        };
  const spec = pod.spec ?? { containers: [] };
  return {
    ...made,
    metadata: {
      ...made.metadata,
      generateName: name.slice(0, prefixCharactersMax - suffix.length) + suffix,
      labels: { ...made.metadata.labels, [indexName]: String(index) },
      annotations: { ...made.metadata.annotations, [indexName]: String(index), ...failureCounts(job, replaces) },
    },
    spec: {
      ...spec,
      hostname: `${name}-${index}`,
      containers: spec.containers.map(withVariable),
      ...(spec.initContainers ? { initContainers: spec.initContainers.map(withVariable) } : {}),
    },
  };
}

function failureCounts(job: Seen<Job>, replaces: SeenPod | undefined): Record<string, string> {
  if (job.spec?.backoffLimitPerIndex === undefined) return {};
  if (!replaces) return { [failureCountAnnotation]: "0" };
  const isIgnored = judgeFailure(replaces, job).action === "Ignore";
  const failures = failuresOf(replaces) + (isIgnored ? 0 : 1);
  const ignored = countIn(replaces, ignoredCountAnnotation) + (isIgnored ? 1 : 0);
  return {
    [failureCountAnnotation]: String(failures),
    ...(ignored > 0 ? { [ignoredCountAnnotation]: String(ignored) } : {}),
  };
}
