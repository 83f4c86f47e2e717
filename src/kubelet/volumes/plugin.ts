/**
 * Volumes that need more than a folder of this machine: each kind is a plugin, loaded when a pod first needs it. What a plugin sets up it
 * finds again on disk, so that taking down works after a restart of the node.
 */
import type { Node, NodeStatus, PersistentVolume, PersistentVolumeClaim } from "#api";
import type { Clock, Logger } from "#base";
import type { Client, Informer, InformerSet } from "#client";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { PodView } from "../core/types.ts";
import type { NodeLayout } from "./layout.ts";
import type { VolumeView } from "./payload.ts";
import type { TokenSource } from "./tokens.ts";

/** What plugins work with. */
export interface VolumeHost {
  readonly client: Client;
  readonly informers: InformerSet;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodeName: string;
  /** This node only. */
  readonly nodes: Informer<Node>;
  /** Of the node: sockets and mounts of plugins are below. */
  readonly folder: string;
  readonly layout: NodeLayout;
  readonly tokens: TokenSource;
  /** How often running pods are looked at for what no event tells. */
  readonly syncMs: number;
  /** Aborts when the node stops working; devices stay in use as pods do. */
  readonly signal: AbortSignal;
  event(about: DeepReadonly<KubernetesObject>, type: "Normal" | "Warning", reason: string, message: string): void;
  /** What these pods wait for may be there. */
  onChange(podUids: Iterable<string> | "all"): void;
  /** Ends a pod that this node can't give what it needs. */
  reject(podUid: string, reason: string, message: string): void;
  /** `volumesInUse` is otherwise than the node's status shows. */
  statusChanged(): void;
}

/** Why a volume can't be set up, when the event says more than "MountVolume.SetUp failed". */
export class MountError extends Error {
  override name = "MountError";
  readonly operation: string;
  readonly reason: "FailedMount" | "FailedMapVolume";
  /** Only waited for: no event. */
  readonly isSilent: boolean;

  constructor(
    message: string,
    { operation = "MountVolume.SetUp failed", reason = "FailedMount", isSilent = false }: Partial<MountError> = {},
  ) {
    super(message);
    this.operation = operation;
    this.reason = reason;
    this.isSilent = isSilent;
  }
}

export interface VolumeRequest {
  readonly pod: PodView;
  readonly volume: VolumeView;
  /** Missing: the source is written in the pod. */
  readonly persistent: DeepReadonly<PersistentVolume> | undefined;
  readonly claim: DeepReadonly<PersistentVolumeClaim> | undefined;
  /** What the pod asks for, beside what the volume itself says. */
  readonly readOnly: boolean;
  readonly mode: "Filesystem" | "Block";
  /** The volume's place among those of the pod, which doesn't exist yet; mount there. */
  readonly path: string;
  readonly fsGroup: number | undefined;
}

export interface PluginVolume {
  /** A folder, or the node of a block device. */
  readonly path: string;
  readonly readOnly: boolean;
  /** Give the files to the pod's group; false: fixed, or done by the plugin. */
  readonly ownsFiles: boolean;
  /** `path` is a link to it, for `volumeDevices`. */
  readonly isBlock?: boolean;
}

export interface VolumeStats {
  readonly availableBytes: number;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly inodesFree: number;
  readonly inodes: number;
  readonly inodesUsed: number;
}

export interface VolumePlugin {
  /** Idempotent. Rejects with the text of the event, after "MountVolume.SetUp failed for volume … : " or what a MountError names. */
  setUp(request: VolumeRequest): Promise<PluginVolume>;
  /** Of all volumes of this pod, before their folders are deleted; also of pods from before a restart. */
  tearDown(podUid: string): Promise<void>;
  /** For the node's summary, by the pod's name of the volume; undefined: it doesn't know. */
  stats?(podUid: string, volume: string): Promise<VolumeStats | undefined>;
  /** Names for the node's status, so that nobody detaches them; given the one that the cluster shows. */
  volumesInUse?(status: DeepReadonly<NodeStatus>): readonly string[];
  /** Whatever else it needs to stop; devices stay in use as pods do. */
  close(): Promise<void>;
}

/** Loads the plugin for a field of a volume or of a persistent volume's spec (`csi`, `nfs`, `rbd`); undefined: nobody serves it. */
export type FindVolumePlugin = (source: string) => Promise<VolumePlugin> | undefined;
