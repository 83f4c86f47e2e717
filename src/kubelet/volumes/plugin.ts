/**
 * Volumes that need more than a folder of this machine: each kind is a plugin, loaded when a pod first needs it. What a plugin sets up it
 * finds again on disk, so that taking down works after a restart of the node.
 */
import type { PersistentVolume, PersistentVolumeClaim } from "#api";
import type { DeepReadonly } from "#machinery";
import type { PodView } from "../core/types.ts";
import type { VolumeView } from "./payload.ts";

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
}

export interface VolumePlugin {
  /** Idempotent. Rejects with the text of the FailedMount event, after "MountVolume.SetUp failed for volume … : ". */
  setUp(request: VolumeRequest): Promise<PluginVolume>;
  /** Of all volumes of this pod, before their folders are deleted; also of pods from before a restart. */
  tearDown(podUid: string): Promise<void>;
  /** Whatever else it needs to stop; devices stay in use as pods do. */
  close(): Promise<void>;
}

/** Loads the plugin for a field of a volume or of a persistent volume's spec (`csi`, `nfs`, `rbd`); undefined: nobody serves it. */
export type FindVolumePlugin = (source: string) => Promise<VolumePlugin> | undefined;
