/**
 * Allocates devices to claims: for one node after the other, what each of some claims would get there. What no node can be found for
 * is an answer; what can't be understood (an expression, a class that is gone) is an error and says so.
 */
import type { AllocationResult, DeviceAllocationConfiguration, NodeSelector, NodeSelectorRequirement } from "#api";
import { cloneJson, type DeepReadonly, printQuantity, type SelectableNode } from "#machinery";
import type { AllocatedDevices } from "./allocated.ts";
import { hasRoom } from "./capacity.ts";
import { createConstraint } from "./constraints.ts";
import { type CounterCache, Counters } from "./counters.ts";
import { deviceId, gatherPools, indexSlices, type Pool, type Slice } from "./pools.ts";
import {
  type Candidate,
  type Choice,
  type Claim,
  claimKey,
  fullName,
  type ReadonlyClass,
  type Request,
  type Wanted,
  wantedOf,
} from "./requests.ts";
import { devicesMax, type Picked, Search } from "./search.ts";
import type { Selectors } from "./selectors.ts";

export interface AllocatorOptions {
  readonly slices: readonly Slice[];
  readonly allocated: AllocatedDevices;
  readonly classOf: (name: string) => ReadonlyClass | undefined;
  readonly selectors: Selectors;
  /** Makes ids of shares. */
  readonly newId: () => string;
}

/** `unavailable` without text: the node has no such devices left. */
export type AllocationOutcome = readonly AllocationResult[] | { readonly unavailable: string };

export interface Allocator {
  /** One allocation for each claim, in order. Throws when the claims can't be allocated anywhere until somebody changes something. */
  allocate(node: SelectableNode, claims: readonly Claim[], checkTime?: () => void): AllocationOutcome;
}

/** For the state of this moment. */
export function createAllocator(options: AllocatorOptions): Allocator {
  const { allocated, classOf, selectors, newId } = options;
  const index = indexSlices(options.slices);
  const cache: CounterCache = new Map();

  return {
    allocate(node, claims, checkTime = () => undefined) {
      const pools = gatherPools(index, node);
      const constraints = claims.map(constraintsOf);
      const prepared = claims.map((_, at): { choices: Choice[]; constraints: (typeof constraints)[number] } => ({
        choices: [],
        constraints: constraints[at] ?? [],
      }));
      const search = new Search({
        node,
        pools,
        claims: prepared,
        allocated,
        counters: new Counters(cache, (id) => allocated.isAllocated(id)),
        selectors,
        checkTime,
      });
      claims.forEach((claim, at) => {
        const choices = wantedOf(claim).map(({ wanted, isChoice }) => ({
          alternatives: wanted.map((each) => examine(each, { pools, search })),
          isChoice,
          chosen: 0,
        }));
        const least = choices.reduce((sum, each) => sum + Math.min(...each.alternatives.map(({ size }) => size)), 0);
        if (least > devicesMax) {
          throw new Error(
            `claim ${claimKey(claim)}: number of requested devices ${least} exceeds the claim limit of ${devicesMax}`,
          );
        }
        prepared[at]?.choices.push(...choices);
      });
      if (!search.run()) {
        return {
          unavailable: pools.some(({ isInvalid }) => isInvalid) ? "invalid resource pools were encountered" : "",
        };
      }
      return claims.map((claim, at) => {
        const picked = search.picked[at] ?? [];
        const results = picked.map((each) => resultOf(each, newId));
        const config = configurationsOf(claim, prepared[at]?.choices ?? []);
        const nodeSelector = nodeSelectorOf(picked, node.name);
        return {
          devices: { ...(results.length > 0 ? { results } : {}), ...(config.length > 0 ? { config } : {}) },
          ...(nodeSelector ? { nodeSelector } : {}),
        };
      });
    },
  };

  function examine(wanted: Wanted, { pools, search }: { pools: readonly Pool[]; search: Search }): Request {
    const what = `claim ${claimKey(wanted.claim)}, request ${wanted.name}`;
    const { deviceClassName, mode, count } = wanted;
    wanted.selectors.forEach(({ cel }, at) => {
      if (!cel) throw new Error(`${what}, selector #${at}: CEL expression empty (unsupported selector type?)`);
    });
    if (deviceClassName === "") throw new Error(`${what}: missing device class name (unsupported request type?)`);
    const deviceClass = classOf(deviceClassName);
    if (!deviceClass) {
      const missing = `deviceclass.resource.k8s.io ${JSON.stringify(deviceClassName)} not found`;
      throw new Error(`${what}: could not retrieve device class ${deviceClassName}: ${missing}`);
    }
    const request = { ...wanted, deviceClass, matches: new Map<string, boolean>() };
    if (mode === "ExactCount") return { ...request, size: count };
    if (mode !== "All") throw new Error(`${what}: unsupported count mode ${mode}`);
    const everything: Candidate[] = [];
    for (const pool of pools) {
      const state = pool.isIncomplete ? "being updated" : pool.isInvalid ? "invalid" : undefined;
      if (state) throw new Error(`${what}: asks for all devices, but resource pool ${pool.id} is currently ${state}`);
      for (const slice of pool.slices)
        for (const device of slice.spec.devices ?? []) {
          const id = deviceId(slice, device.name);
          if (!search.isSelectable(request, slice, device)) continue;
          if (hasRoom(wanted.capacity, device.capacity, [allocated.taken(id)]))
            everything.push({ id, device, slice, pool });
        }
    }
    return { ...request, size: everything.length, everything };
  }
}

function constraintsOf(claim: Claim) {
  return (claim.spec.devices?.constraints ?? []).map((each, at) => {
    const constraint = createConstraint(each);
    if (constraint) return constraint;
    throw new Error(`claim ${claimKey(claim)}, constraint #${at}: empty constraint (unsupported constraint type?)`);
  });
}

function resultOf({ request, candidate, consumed }: Picked, newId: () => string) {
  const { slice, device } = candidate;
  const { bindingConditions, bindingFailureConditions } = device;
  const amounts = [...(consumed ?? [])].map(([name, amount]) => [name, printQuantity(amount)]);
  return cloneJson({
    request: fullName(request.reference),
    driver: slice.spec.driver,
    pool: slice.spec.pool.name,
    device: device.name,
    ...(request.isAdmin ? { adminAccess: true } : {}),
    ...(request.tolerations ? { tolerations: request.tolerations } : {}),
    ...(bindingConditions ? { bindingConditions } : {}),
    ...(bindingFailureConditions ? { bindingFailureConditions } : {}),
    ...(consumed ? { shareID: newId() } : {}),
    ...(amounts.length > 0 ? { consumedCapacity: Object.fromEntries(amounts) } : {}),
  }) as NonNullable<NonNullable<AllocationResult["devices"]>["results"]>[number]; // a copy
}

/** Those of classes once each, then those of the claim that are about what was chosen. */
function configurationsOf(claim: Claim, choices: readonly Choice[]): DeviceAllocationConfiguration[] {
  const found: DeviceAllocationConfiguration[] = [];
  const ofClass = new Map<string, DeviceAllocationConfiguration[]>();
  for (const { alternatives, chosen } of choices) {
    const { deviceClass, reference } = alternatives[chosen] as Request; // it was chosen among them
    const known = ofClass.get(deviceClass.metadata.name ?? "");
    if (known) for (const each of known) each.requests?.push(fullName(reference));
    else {
      const fresh = (deviceClass.spec.config ?? []).map((each) => ({
        source: "FromClass",
        requests: [fullName(reference)],
        ...(cloneJson(each) as typeof each),
      })) as DeviceAllocationConfiguration[]; // copies
      ofClass.set(deviceClass.metadata.name ?? "", fresh);
      found.push(...fresh);
    }
  }
  for (const each of claim.spec.devices?.config ?? []) {
    const copy = () => ({ source: "FromClaim", ...(cloneJson(each) as typeof each) }) as DeviceAllocationConfiguration;
    if (!each.requests?.length) found.push(copy());
    else {
      for (const { alternatives, chosen } of choices) {
        const { base, alternative } = (alternatives[chosen] as Request).reference;
        if (each.requests.includes(base) || (alternative && each.requests.includes(alternative))) found.push(copy());
      }
    }
  }
  return found;
}

/** Where the allocation can be used: on this node if any device is of it, else wherever all its devices are. */
function nodeSelectorOf(picked: readonly Picked[], nodeName: string): NodeSelector | undefined {
  const term: { matchFields: NodeSelectorRequirement[]; matchExpressions: NodeSelectorRequirement[] } = {
    matchFields: [],
    matchExpressions: [],
  };
  for (const { candidate } of picked) {
    const { device, slice } = candidate;
    const place = slice.spec.perDeviceNodeSelection ? device : slice.spec;
    if (place.nodeName !== undefined || device.bindsToNode) {
      const matchFields = [{ key: "metadata.name", operator: "In", values: [nodeName] }];
      return { nodeSelectorTerms: [{ matchFields }] };
    }
    const [first] = place.nodeSelector?.nodeSelectorTerms ?? [];
    for (const part of ["matchFields", "matchExpressions"] as const)
      for (const each of first?.[part] ?? [])
        if (!term[part].some((other) => isSame(other, each))) term[part].push(draftOf(each));
  }
  const { matchFields, matchExpressions } = term;
  if (matchFields.length + matchExpressions.length === 0) return undefined;
  return {
    nodeSelectorTerms: [
      {
        ...(matchExpressions.length > 0 ? { matchExpressions } : {}),
        ...(matchFields.length > 0 ? { matchFields } : {}),
      },
    ],
  };
}

const draftOf = (each: DeepReadonly<NodeSelectorRequirement>): NodeSelectorRequirement =>
  cloneJson(each) as NodeSelectorRequirement; // a copy

function isSame(a: NodeSelectorRequirement, b: DeepReadonly<NodeSelectorRequirement>): boolean {
  const set = new Set(a.values);
  const other = new Set(b.values);
  return a.key === b.key && a.operator === b.operator && set.size === other.size && set.isSubsetOf(other);
}
