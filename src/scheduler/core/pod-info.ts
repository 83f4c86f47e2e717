/** What scheduling needs to know of a pod, worked out once instead of for each node. */
import type { Pod } from "#api";
import type { DeepReadonly } from "#machinery";
import { type AffinityTerms, affinityTermsOf } from "./affinity-terms.ts";
import { isSidecar, podRequests, type Resources } from "./resources.ts";
import { claimsOf, type PodClaim } from "./storage.ts";

export type ReadonlyPod = DeepReadonly<Pod>;

export interface HostPort {
  readonly ip: string;
  readonly protocol: string;
  readonly port: number;
}

export interface PodInfo {
  readonly pod: ReadonlyPod;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** `namespace/name`. */
  readonly key: string;
  readonly priority: number;
  readonly requests: Resources;
  /** With a little assumed for containers that ask for nothing; only for comparing nodes. */
  readonly assumed: { readonly milliCpu: number; readonly memory: number };
  readonly hostPorts: readonly HostPort[];
  readonly terms: AffinityTerms;
  readonly claims: readonly PodClaim[];
  readonly hasVolumes: boolean;
}

export function createPodInfo(pod: ReadonlyPod): PodInfo {
  const { namespace = "", name = "", uid = "" } = pod.metadata;
  const { milliCpu, memory } = podRequests(pod, { assume: true });
  return {
    pod,
    namespace,
    name,
    uid,
    key: `${namespace}/${name}`,
    priority: pod.spec?.priority ?? 0,
    requests: podRequests(pod),
    assumed: { milliCpu, memory },
    hostPorts: hostPortsOf(pod),
    terms: affinityTermsOf(pod),
    claims: claimsOf(pod),
    hasVolumes: (pod.spec?.volumes?.length ?? 0) > 0,
  };
}

const noPorts: readonly HostPort[] = [];

function hostPortsOf(pod: ReadonlyPod): readonly HostPort[] {
  const { containers = [], initContainers = [] } = pod.spec ?? {};
  let found: HostPort[] | undefined;
  for (const container of [...containers, ...initContainers.filter(isSidecar)]) {
    for (const { hostPort, hostIP, protocol } of container.ports ?? []) {
      if (!hostPort) continue;
      found ??= [];
      found.push({ ip: hostIP || anyAddress, protocol: protocol || "TCP", port: hostPort });
    }
  }
  return found ?? noPorts;
}

const anyAddress = "0.0.0.0";

/** An address that means all of them conflicts with each. */
export function portsConflict(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port || a.protocol !== b.protocol) return false;
  return a.ip === b.ip || a.ip === anyAddress || b.ip === anyAddress;
}
