/** Labels and annotations that tell, from the runtime alone, which pod and container something belongs to: what adoption reads. */
import type { ContainerSpec, PodView } from "./types.ts";

export const label = {
  podName: "io.kubernetes.pod.name",
  podNamespace: "io.kubernetes.pod.namespace",
  podUid: "io.kubernetes.pod.uid",
  containerName: "io.kubernetes.container.name",
} as const;

export const annotation = {
  hash: "io.kubernetes.container.hash",
  restartCount: "io.kubernetes.container.restartCount",
  terminationMessagePath: "io.kubernetes.container.terminationMessagePath",
  terminationMessagePolicy: "io.kubernetes.container.terminationMessagePolicy",
  preStop: "io.kubernetes.container.preStopHandler",
  gracePeriod: "io.kubernetes.pod.terminationGracePeriod",
  configSource: "kubernetes.io/config.source",
  configSeen: "kubernetes.io/config.seen",
} as const;

export const podLabels = ({ metadata }: PodView): Record<string, string> => ({
  [label.podName]: metadata.name ?? "",
  [label.podNamespace]: metadata.namespace ?? "",
  [label.podUid]: metadata.uid ?? "",
});

export const containerLabels = (pod: PodView, container: ContainerSpec): Record<string, string> => ({
  [label.containerName]: container.name,
  ...podLabels(pod),
});

export function containerAnnotations(
  pod: PodView,
  container: ContainerSpec,
  { hash, restartCount }: { hash: string; restartCount: number },
): Record<string, string> {
  const preStop = container.lifecycle?.preStop;
  const grace = pod.metadata.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds;
  return {
    [annotation.hash]: hash,
    [annotation.restartCount]: String(restartCount),
    [annotation.terminationMessagePath]: container.terminationMessagePath ?? "",
    [annotation.terminationMessagePolicy]: container.terminationMessagePolicy ?? "",
    ...(preStop ? { [annotation.preStop]: JSON.stringify(preStop) } : {}),
    ...(grace === undefined ? {} : { [annotation.gracePeriod]: String(grace) }),
  };
}
