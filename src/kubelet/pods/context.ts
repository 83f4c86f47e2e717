/** What the workers of all pods share: the node's services, made once. */
import type { Service } from "#api";
import type { Clock, Logger } from "#base";
import type { Client, EventRecorder, Informer } from "#client";
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { ContainerSpec, PodView } from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import type { DeviceManager } from "../devices/device-manager.ts";
import type { ImageManager } from "../images/image-manager.ts";
import type { KubeletDependencies } from "../options.ts";
import type { KubeletMetrics } from "../metrics/kubelet-metrics.ts";
import type { PodCgroups } from "../node/cgroups.ts";
import type { Prober } from "../probes/prober.ts";
import type { RuntimeAbilities } from "../runtime/abilities.ts";
import type { NodeResources } from "../resources/node-resources.ts";
import type { Resizes } from "../resources/resizes.ts";
import type { RuntimeObserver } from "../runtime/observe.ts";
import type { ImageVolumes } from "../volumes/image-volumes.ts";
import type { NodeLayout } from "../volumes/layout.ts";
import type { VolumeManager } from "../volumes/manager.ts";
import type { ObjectCache } from "../volumes/object-cache.ts";
import type { TokenSource } from "../volumes/tokens.ts";

export interface PodContext {
  readonly config: Readonly<KubeletConfiguration>;
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly recorder: EventRecorder;
  readonly cri: CriClient;
  /** Scheme of container ids: `containerd`. */
  readonly runtimeName: string;
  readonly observer: RuntimeObserver;
  readonly metrics: KubeletMetrics;
  readonly images: ImageManager;
  readonly volumes: VolumeManager;
  readonly imageVolumes: ImageVolumes;
  readonly objects: ObjectCache;
  readonly tokens: TokenSource;
  readonly prober: Prober;
  readonly cgroups: PodCgroups;
  readonly resources: NodeResources;
  readonly resizes: Resizes;
  readonly layout: NodeLayout;
  readonly devices: DeviceManager;
  /** Ids of pods that have a user namespace of their own. */
  userRanges(podUid: string): Promise<{ readonly first: number; readonly length: number }>;
  /** Where CDI devices are described; undefined: the runtime adds them to containers itself. */
  readonly cdiFolders: readonly string[] | undefined;
  readonly services: Informer<Service>;
  readonly node: NodeFacts;
  readonly podStarts?: KubeletDependencies["podStarts"];
}

/** Of this node; read when needed, since some change while it runs. */
export interface NodeFacts {
  readonly name: string;
  readonly clusterDomain: string;
  readonly clusterDns: readonly string[];
  /** Where the node's own resolver is configured; "": nowhere. */
  readonly resolvConf: string;
  readonly allowedSysctls: readonly string[];
  readonly memoryBytes: number;
  readonly thermalPaths: readonly string[];
  /** Says it of the node itself. */
  readonly event?: (type: "Normal" | "Warning", reason: string, message: string) => void;
  abilities(): RuntimeAbilities;
  hostIPs(): readonly string[];
  allocatable(): Readonly<Record<string, string>>;
}

export interface PodEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

/** An event about a pod, or about one of its containers. */
export function recordEvent(
  { recorder }: Pick<PodContext, "recorder">,
  pod: PodView,
  { container, ...event }: PodEvent & { container?: ContainerSpec | undefined },
): void {
  const fieldPath = container && containerPath(pod, container);
  recorder.event(
    { apiVersion: "v1", kind: "Pod", metadata: pod.metadata },
    { ...event, ...(fieldPath ? { fieldPath } : {}) },
  );
}

export function containerPath({ spec }: PodView, { name }: ContainerSpec): string {
  const list = spec?.containers.some((one) => one.name === name)
    ? "containers"
    : spec?.initContainers?.some((one) => one.name === name)
      ? "initContainers"
      : "ephemeralContainers";
  return `spec.${list}{${name}}`;
}
