/** The devices of one pod in one attempt to schedule it: its claims, and what they would get on each node that was looked at. */
import {
  isReservedForPod,
  podClaimName,
  type AllocationResult,
  type ContainerExtendedResourceRequest,
  whyNotForPod,
} from "#api";
import { compileNodeSelector, type NodeMatcher } from "#machinery";
import type { NodeInfo } from "../node-info.ts";
import type { PodInfo } from "../pod-info.ts";
import type { Allocator } from "./allocator.ts";
import { areDevicesReady, isBindingOverdue } from "./binding-conditions.ts";
import type { DeviceState } from "./device-state.ts";
import { claimOnNode, extendedClaimOf } from "./extended-resources.ts";
import { type Claim, claimKey, unwrittenName } from "./requests.ts";

/** What the claims that have no devices yet would get on a node, in their order. */
export interface NodeDevices {
  readonly allocations: readonly AllocationResult[];
  /** The pod's own claim, as this node needs it. */
  readonly extended?: { readonly claim: Claim; readonly mappings: ContainerExtendedResourceRequest[] };
}

/** What was decided for the pod's claims. */
export interface DevicePlan {
  readonly claims: readonly { readonly claim: Claim; readonly allocation?: AllocationResult }[];
  readonly mappings: readonly ContainerExtendedResourceRequest[];
}

/** Taken back when a pod fits nowhere. */
export interface DevicesToFree {
  readonly deallocate?: Claim;
  readonly remove?: Claim;
}

/** One search; upstream's default. */
const searchMsMax = 10_000;

/** The claims that a pod names, or why it must wait for one. */
export function claimsOf({ pod, namespace }: PodInfo, devices: DeviceState): readonly Claim[] | string {
  const claims: Claim[] = [];
  for (const entry of pod.spec?.resourceClaims ?? []) {
    const found = podClaimName(pod, entry);
    if ("missing" in found) return found.missing;
    if (found.name === undefined) continue;
    const key = `${namespace}/${found.name}`;
    const claim = devices.claim(key);
    if (!claim) return `could not find ResourceClaim ${JSON.stringify(key)}`;
    if (claim.metadata.deletionTimestamp) return `resourceclaim ${JSON.stringify(found.name)} is being deleted`;
    const complaint = found.isOwn ? whyNotForPod(pod, claim) : undefined;
    if (complaint) return complaint;
    claims.push(claim);
  }
  return claims;
}

const unavailable = "resourceclaim not available on the node";

export class PodDevices {
  /** The scheduler's own comes last. */
  readonly claims: readonly Claim[];
  readonly extended: Claim | undefined;
  readonly #pod: PodInfo;
  readonly #devices: DeviceState;
  readonly #allocator: Allocator | undefined;
  readonly #available: ReadonlyMap<Claim, NodeMatcher>;
  readonly #now: number;
  readonly #onNode = new Map<string, NodeDevices>();
  /** Allocated, and of no use on some node. */
  readonly #unavailable = new Set<Claim>();

  /** Undefined: the pod has no claims. A text: no node can take it, and why. */
  static prepare(pod: PodInfo, devices: DeviceState, now: number): PodDevices | string | undefined {
    const own = claimsOf(pod, devices);
    if (typeof own === "string") return own;
    const extended = extendedClaimOf(pod, devices);
    const claims = extended ? [...own, extended] : own;
    if (claims.length === 0) return undefined;
    for (const claim of own) {
      if (claim.status?.allocation) continue;
      if (devices.isPending(claim.metadata.uid ?? ""))
        return `resource claim ${claimKey(claim)} is in the process of being allocated`;
      for (const { name, exactly, firstAvailable = [] } of claim.spec.devices?.requests ?? []) {
        const asked = exactly
          ? [{ ...exactly, name }]
          : firstAvailable.map((each) => ({ ...each, name: `${name}/${each.name}` }));
        if (asked.length === 0) return `resource claim ${claimKey(claim)}, request ${name}: unknown request type`;
        const missing = asked.find(({ deviceClassName }) => !devices.deviceClass(deviceClassName));
        if (missing) return `request ${missing.name}: device class ${missing.deviceClassName} does not exist`;
      }
    }
    return new PodDevices(pod, devices, { claims, extended, now });
  }

  private constructor(
    pod: PodInfo,
    devices: DeviceState,
    { claims, extended, now }: { claims: readonly Claim[]; extended: Claim | undefined; now: number },
  ) {
    this.#pod = pod;
    this.#devices = devices;
    this.claims = claims;
    this.extended = extended;
    this.#now = now;
    this.#allocator = claims.some(({ status }) => !status?.allocation) ? devices.createAllocator() : undefined;
    this.#available = new Map(
      claims.flatMap((claim) => {
        const selector = claim.status?.allocation?.nodeSelector;
        return selector ? [[claim, compileNodeSelector(selector)] as const] : [];
      }),
    );
  }

  /** Why a node can't take the pod; throws when no node ever can until somebody changes something. */
  rejects(node: NodeInfo): string | undefined {
    let extended: NodeDevices["extended"];
    if (this.extended) {
      // Left by an attempt that failed: it goes before another is made.
      if (this.extended.spec.devices?.requests) return "cannot schedule extended resource claim";
      const found = claimOnNode(this.#pod, node, { claim: this.extended, devices: this.#devices });
      if (typeof found === "object" && "lacks" in found) return "cannot fit resource";
      if (found !== "not needed") extended = found;
      else if (this.claims.length === 1) return undefined;
    }
    let isUnavailable = false;
    for (const claim of this.claims) {
      const matches = this.#available.get(claim);
      const isFar = matches !== undefined && !matches(node);
      const ready = isFar || !claim.status?.allocation || areDevicesReady(claim);
      if (!isFar && (ready === true || (ready === false && !isBindingOverdue(claim, this.#now)))) continue;
      this.#unavailable.add(claim);
      isUnavailable = true;
    }
    let devices: NodeDevices = { allocations: [] };
    if (this.#allocator) {
      const end = performance.now() + searchMsMax;
      const asked = this.#unallocated(extended?.claim);
      const allocations = this.#allocator.allocate(node, asked, () => {
        if (performance.now() > end) throw new Error(`node ${node.name}: timed out trying to allocate devices`);
      });
      if ("unavailable" in allocations) return allocations.unavailable || "cannot allocate all claims";
      devices = { allocations, ...(extended ? { extended } : {}) };
    }
    if (isUnavailable) return unavailable;
    this.#onNode.set(node.name, devices);
    return undefined;
  }

  /** Those that need devices; the pod's own as the node needs it. */
  #unallocated(extended: Claim | undefined): readonly Claim[] {
    const open = this.claims.filter(({ status }) => !status?.allocation);
    return open.map((claim) => (claim === this.extended ? (extended ?? claim) : claim));
  }

  /** The better the alternatives that a node would give, the more. */
  score(node: NodeInfo): number {
    const found = this.#onNode.get(node.name);
    if (!found) return 0;
    let next = 0;
    let score = 0;
    for (const claim of this.claims) {
      const allocation = claim.status?.allocation ?? found.allocations[next++];
      const taken = new Set((allocation?.devices?.results ?? []).map(({ request }) => request));
      for (const { name, firstAvailable = [] } of claim.spec.devices?.requests ?? [])
        firstAvailable.forEach((each, at) => {
          if (taken.has(`${name}/${each.name}`)) score += alternativesMax - at;
        });
    }
    return score;
  }

  get hasAlternatives(): boolean {
    return this.claims.some(({ spec }) => spec.devices?.requests?.some(({ firstAvailable }) => firstAvailable?.length));
  }

  /** For the node that was chosen. */
  plan(nodeName: string): DevicePlan | undefined {
    const found = this.#onNode.get(nodeName);
    if (!found) return undefined;
    const { allocations, extended } = found;
    let next = 0;
    const claims = this.claims.flatMap((claim) => {
      if (claim === this.extended && !extended) {
        if (!claim.status?.allocation) next++;
        return [];
      }
      const allocation = claim.status?.allocation ? undefined : allocations[next++];
      if (!allocation && isReservedForPod(this.#pod.pod, claim)) return [];
      return [
        { claim: claim === this.extended && extended ? extended.claim : claim, ...(allocation ? { allocation } : {}) },
      ];
    });
    return claims.length > 0 ? { claims, mappings: extended?.mappings ?? [] } : undefined;
  }

  /** What can be taken back so that another node may do: an allocation that nobody else uses, or a claim left over. */
  toFree(): DevicesToFree {
    const leftOver = this.extended?.metadata.name === unwrittenName ? undefined : this.extended;
    for (const claim of this.#unavailable) {
      if (claim === this.extended) {
        if (leftOver) break;
        continue;
      }
      const users = claim.status?.reservedFor ?? [];
      if (users.length === 0 || (users.length === 1 && users[0]?.uid === this.#pod.uid)) return { deallocate: claim };
    }
    return leftOver ? { remove: leftOver } : {};
  }
}

const alternativesMax = 8;

/** What the rule needs beside nodes and pods; absent where nobody has devices. */
export interface Devices {
  readonly state: DeviceState;
  /** The last attempt of each pod. */
  readonly attempts: WeakMap<PodInfo, PodDevices>;
  now(): number;
  /** Begins to take back what is of no use; answers what it does. */
  free(found: DevicesToFree): string;
}
