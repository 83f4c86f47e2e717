/**
 * What the checks of one pod spec share. `tolerate` says which faults the stored object already has: those may stay,
 * because rules became stricter over the releases and an update must not fail on what it doesn't touch.
 */
import type { PodSpec, Volume } from "../types.d.ts";

export interface Tolerance {
  readonly deletionCost: boolean;
  readonly selectorValues: boolean;
  readonly nodeAffinityValues: boolean;
  readonly spreadSelectors: boolean;
  readonly partialHugePages: boolean;
  readonly tokenPaths: boolean;
  readonly hostSysctls: boolean;
  readonly emptyImageReferences: boolean;
  readonly userNamespaceDevices: boolean;
  readonly initResizePolicies: boolean;
}

export const tolerateNothing: Tolerance = {
  deletionCost: false,
  selectorValues: false,
  nodeAffinityValues: false,
  spreadSelectors: false,
  partialHugePages: false,
  tokenPaths: false,
  hostSysctls: false,
  emptyImageReferences: false,
  userNamespaceDevices: false,
  initResizePolicies: false,
};

export interface PodCheckOptions {
  /** A pod itself, not a template of one. */
  readonly isPod: boolean;
  /** The pod's name; "" when it isn't known or for a template. */
  readonly podName: string;
  readonly isMirror: boolean;
  readonly tolerate: Tolerance;
}

export interface PodCheck extends PodCheckOptions {
  readonly spec: PodSpec;
  /** The valid volumes by name. */
  readonly volumes: ReadonlyMap<string, Volume>;
  readonly claimNames: ReadonlySet<string>;
  /** The pod shares the host's user namespace. */
  readonly hostUsers: boolean;
}

export const templateOptions: PodCheckOptions = {
  isPod: false,
  podName: "",
  isMirror: false,
  tolerate: tolerateNothing,
};
