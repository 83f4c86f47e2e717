/**
 * Slices of one driver and pool make one pool, of which a node sees the part that it can use. Only the newest generation counts; a pool of
 * which slices are missing is being replaced and isn't used. Follows upstream's allocator, order included: it takes the
 * first solution, so that drivers can prefer devices by their names.
 */
import type { Counter, Device, NodeSelector, ResourceSlice } from "#api";
import { compileNodeSelector, type DeepReadonly, type NodeMatcher, type SelectableNode } from "#machinery";

export type Slice = DeepReadonly<ResourceSlice>;
export type ReadonlyDevice = DeepReadonly<Device>;
export type CounterSets = ReadonlyMap<string, Readonly<Record<string, DeepReadonly<Counter>>>>;

export interface Pool {
  /** `driver/pool`. */
  readonly id: string;
  /** Not all slices are there; it has none then. */
  readonly isIncomplete?: true;
  /** Devices or counters contradict each other. */
  readonly isInvalid?: true;
  /** Those with devices for the node. */
  readonly slices: readonly Slice[];
  /** The others, whose devices may use the same counters. */
  readonly elsewhere: readonly Slice[];
  readonly counterSets: CounterSets;
}

export const deviceId = (slice: Slice, device: string): string =>
  `${slice.spec.driver}/${slice.spec.pool.name}/${device}`;
const poolId = ({ spec }: Slice): string => `${spec.driver}/${spec.pool.name}`;

const compiled = new WeakMap<object, NodeMatcher>();

interface Place {
  readonly nodeName?: string | undefined;
  readonly allNodes?: boolean | undefined;
  readonly nodeSelector?: DeepReadonly<NodeSelector> | undefined;
}

export function isOnNode({ nodeName, allNodes, nodeSelector }: Place, node: SelectableNode): boolean {
  if (nodeName) return node.name === nodeName;
  if (allNodes) return true;
  if (!nodeSelector) return false;
  let matches = compiled.get(nodeSelector);
  if (!matches) {
    matches = compileNodeSelector(nodeSelector);
    compiled.set(nodeSelector, matches);
  }
  return matches(node);
}

const hasCounters = ({ spec }: Slice): boolean => (spec.sharedCounters?.length ?? 0) > 0;

function isRelevant(slice: Slice, node: SelectableNode): boolean {
  const { spec } = slice;
  if (hasCounters(slice)) return true;
  if (spec.nodeName || spec.allNodes || spec.nodeSelector) return isOnNode(spec, node);
  return spec.perDeviceNodeSelection === true && (spec.devices ?? []).some((device) => isOnNode(device, node));
}

/** All slices, sorted once for many nodes. */
export interface SliceIndex {
  readonly all: ReadonlyMap<string, readonly Slice[]>;
  readonly ofNode: ReadonlyMap<string, readonly Slice[]>;
  readonly shared: readonly Slice[];
}

export function indexSlices(slices: readonly Slice[]): SliceIndex {
  const isLocal = (slice: Slice) => Boolean(slice.spec.nodeName) && !hasCounters(slice);
  return {
    all: Map.groupBy(slices, poolId),
    ofNode: Map.groupBy(slices.filter(isLocal), ({ spec }) => spec.nodeName ?? ""),
    shared: slices.filter((slice) => !isLocal(slice)),
  };
}

export function gatherPools(index: SliceIndex, node: SelectableNode): readonly Pool[] {
  const found = new Map<string, Slice[]>();
  for (const slice of [...(index.ofNode.get(node.name) ?? []), ...index.shared]) {
    if (!isRelevant(slice, node)) continue;
    const id = poolId(slice);
    const others = found.get(id);
    const age = others ? slice.spec.pool.generation - (others[0] as Slice).spec.pool.generation : 1; // lists aren't empty
    if (age > 0) found.set(id, [slice]);
    else if (age === 0) others?.push(slice);
  }
  const pools: Pool[] = [];
  for (const [id, slices] of found) {
    const pool = completePool(id, slices, index);
    if (pool) pools.push(pool);
  }
  // By bytes; those whose devices must be waited for come last.
  const rank = (pool: Pool) => (mustWait(pool) ? 1 : 0);
  return pools.sort((a, b) => rank(a) - rank(b) || compareIds(a.id, b.id));
}

/** Driver names have no slash. */
function compareIds(a: string, b: string): number {
  const [driverA, driverB] = [a.slice(0, a.indexOf("/")), b.slice(0, b.indexOf("/"))];
  if (driverA !== driverB) return driverA < driverB ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

const mustWait = ({ slices }: Pool): boolean =>
  slices.some(({ spec }) => (spec.devices ?? []).some(({ bindingConditions }) => bindingConditions !== undefined));

function completePool(id: string, slices: Slice[], index: SliceIndex): Pool | undefined {
  const { generation, resourceSliceCount } = (slices[0] as Slice).spec.pool; // it has one
  if (slices.length === resourceSliceCount) return buildPool(id, slices, []);
  const all = index.all.get(id) ?? [];
  // The driver is replacing it, and what is new has nothing for this node.
  if (all.some(({ spec }) => spec.pool.generation > generation)) return undefined;
  const current = all.filter(({ spec }) => spec.pool.generation === generation);
  const empty = { id, slices: [], elsewhere: [], counterSets: new Map() };
  if (current.length !== resourceSliceCount) return { ...empty, isIncomplete: true };
  const here = new Set(slices);
  return buildPool(
    id,
    slices,
    current.filter((slice) => !here.has(slice)),
  );
}

function buildPool(id: string, slices: Slice[], elsewhere: readonly Slice[]): Pool {
  slices.sort((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1));
  const withDevices = slices.filter((slice) => !hasCounters(slice));
  const counterSets = new Map<string, Readonly<Record<string, DeepReadonly<Counter>>>>();
  let isValid = areDistinct(withDevices.flatMap(({ spec }) => (spec.devices ?? []).map(({ name }) => name)));
  for (const { spec } of slices) {
    for (const { name, counters } of spec.sharedCounters ?? []) {
      if (counterSets.has(name)) isValid = false;
      counterSets.set(name, counters);
    }
  }
  isValid &&= [...slices, ...elsewhere].every(({ spec }) =>
    (spec.devices ?? []).every(({ consumesCounters = [] }) =>
      consumesCounters.every(({ counterSet, counters }) => {
        const known = counterSets.get(counterSet);
        return known && Object.keys(counters).every((name) => Object.hasOwn(known, name));
      }),
    ),
  );
  if (!isValid) return { id, isInvalid: true, slices: [], elsewhere: [], counterSets: new Map() };
  return { id, slices: withDevices, elsewhere, counterSets };
}

const areDistinct = (names: readonly string[]): boolean => new Set(names).size === names.length;
