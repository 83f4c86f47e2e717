/**
 * Hints by what each zone can bear (`service.kubernetes.io/topology-mode: Auto`): a zone gets endpoints by its share of the cluster's
 * processors, its own first, then those that other zones can spare. Upstream: k8s.io/endpointslice/topologycache.
 */
import type { Endpoint, EndpointSlice, Service } from "#api";
import { quantityMilliValue } from "#machinery";
import { nodeCondition, type SeenNode } from "../lib/nodes.ts";
import type { Seen } from "../lib/objects.ts";
import type { AddressType, SlicePlan } from "../lib/slices.ts";

export interface TopologyEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: "TopologyAwareHintsEnabled" | "TopologyAwareHintsDisabled";
  readonly message: string;
}

/** What a family of a Service's slices becomes, and those that stay as they are. */
export interface FamilyPlan {
  readonly key: string;
  readonly type: AddressType;
  readonly plan: SlicePlan;
  readonly unchanged: readonly Seen<EndpointSlice>[];
}

interface Share {
  readonly min: number;
  readonly max: number;
  readonly wanted: number;
}
type Shares = ReadonlyMap<string, Share>;

/** How many more requests than its share an endpoint may have to bear. */
const overload = 0.2;
const zoneLabel = "topology.kubernetes.io/zone";
const excludedLabels = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
const deprecatedAnnotation = "service.kubernetes.io/topology-aware-hints";
const annotation = "service.kubernetes.io/topology-mode";
const disabled = (message: string): TopologyEvent => ({
  type: "Warning",
  reason: "TopologyAwareHintsDisabled",
  message,
});

export function wantsHints({ metadata: { annotations = {} } }: Seen<Service>): boolean {
  const mode = annotations[deprecatedAnnotation] ?? annotations[annotation];
  return mode === "Auto" || mode === "auto";
}

/** Each zone's share of the processors of ready nodes; undefined when there are fewer than two zones or a node doesn't tell. */
export function zoneRatios(nodes: Iterable<SeenNode>): ReadonlyMap<string, number> | undefined {
  const milli = new Map<string, number>();
  let total = 0;
  for (const node of nodes) {
    const { labels = {} } = node.metadata;
    if (excludedLabels.some((label) => label in labels) || nodeCondition(node, "Ready")?.status !== "True") continue;
    const cpu = quantityMilliValue(node.status?.allocatable?.cpu ?? "0");
    const zone = labels[zoneLabel];
    if (!zone || cpu === 0) return undefined;
    milli.set(zone, (milli.get(zone) ?? 0) + cpu);
    total += cpu;
  }
  return milli.size < 2 ? undefined : new Map([...milli].map(([zone, cpu]) => [zone, cpu / total]));
}

/** Remembers what was given, to tell when it changes and when nodes no longer fit it. */
export class TopologyHints {
  #ratios: ReadonlyMap<string, number> | undefined;
  /** Hints for each zone, by Service and family. */
  readonly #given = new Map<string, Map<AddressType, ReadonlyMap<string, number>>>();
  readonly #hinted = new Set<string>();

  /** Answers the Services that the nodes no longer fit. */
  setNodes(nodes: Iterable<SeenNode>): string[] {
    this.#ratios = zoneRatios(nodes);
    return [...this.#given]
      .filter(([, families]) => families.values().some((given) => isOverloaded(given, this.#ratios)))
      .map(([key]) => key);
  }

  forget(key: string): void {
    this.#given.delete(key);
    this.#hinted.delete(key);
  }

  /** The Service doesn't ask for hints (any more). */
  drop(key: string, type: AddressType): TopologyEvent | undefined {
    const wasHinted = this.#hinted.has(key);
    this.#remove(key, type);
    return wasHinted ? disabled(`Topology Aware Hints has been disabled, addressType: ${type}`) : undefined;
  }

  #remove(key: string, type: AddressType): void {
    const families = this.#given.get(key);
    families?.delete(type);
    if (families?.size === 0) this.#given.delete(key);
    this.#hinted.delete(key);
  }

  give(family: FamilyPlan): { readonly plan: SlicePlan; readonly event?: TopologyEvent } {
    const { key, type } = family;
    const all = [...family.plan.create, ...family.plan.update, ...family.unchanged];
    const ready = all.reduce((sum, { endpoints }) => sum + (endpoints ?? []).filter(isReady).length, 0);
    const refuse = (why: string) => {
      this.#remove(key, type);
      return { plan: withoutHints(family), event: disabled(`${why}, addressType: ${type}`) };
    };
    const shares = sharesOf(ready, this.#ratios);
    if (typeof shares === "string") return refuse(shares);

    const given = new Map<string, number>();
    const update = [...family.plan.update];
    for (const slice of family.unchanged) {
      const hints = hintsIn(slice, given, shares);
      if (!hints) update.push(slice as EndpointSlice);
      else for (const [zone, count] of hints) given.set(zone, (given.get(zone) ?? 0) + count);
    }
    // Where an endpoint's hint points: its own zone, until another needs it more.
    const zones = new Map<Endpoint, string>();
    for (const { endpoints } of [...family.plan.create, ...update]) {
      for (const endpoint of endpoints ?? []) {
        if (!isReady(endpoint)) continue;
        if (!endpoint.zone) return refuse("One or more endpoints do not have a zone specified");
        zones.set(endpoint, endpoint.zone);
        given.set(endpoint.zone, (given.get(endpoint.zone) ?? 0) + 1);
      }
    }
    redistribute(zones, given, shares);
    if (given.size === 0) return refuse("No hints allocated for zones");
    const wasHinted = this.#hinted.has(key);
    this.#hinted.add(key);
    this.#given.set(key, (this.#given.get(key) ?? new Map()).set(type, given));
    const hint = (slice: EndpointSlice): EndpointSlice => ({
      ...slice,
      endpoints: (slice.endpoints ?? []).map((endpoint) => {
        const { hints: _old, ...rest } = endpoint;
        const zone = zones.get(endpoint);
        return zone === undefined ? rest : { ...rest, hints: { forZones: [{ name: zone }] } };
      }),
    });
    const plan = { ...family.plan, create: family.plan.create.map(hint), update: update.map(hint) };
    if (wasHinted) return { plan };
    const message = `Topology Aware Hints has been enabled, addressType: ${type}`;
    return { plan, event: { type: "Normal", reason: "TopologyAwareHintsEnabled", message } };
  }
}

const isReady = ({ conditions }: Seen<Endpoint>): boolean => conditions?.ready === true;

/** How many endpoints each zone should have, or why that can't be. */
function sharesOf(count: number, ratios: ReadonlyMap<string, number> | undefined): Shares | string {
  if (!ratios) return "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes";
  const numbers = `(${count} endpoints, ${ratios.size} zones)`;
  if (ratios.size > count) return `Insufficient number of endpoints ${numbers}`;
  const mins = new Map([...ratios].map(([zone, ratio]) => [zone, Math.ceil((ratio * count) / (1 + overload))]));
  const spare = count - mins.values().reduce((sum, min) => sum + min, 0);
  if (spare < 0)
    return `Unable to allocate minimum required endpoints to each zone without exceeding overload threshold ${numbers}`;
  return new Map(
    [...ratios].map(([zone, ratio]) => {
      const min = mins.get(zone) ?? 0;
      return [zone, { min, max: min + spare, wanted: Math.max(ratio * count, min) }];
    }),
  );
}

/** The hints a slice has; undefined when some are missing, point nowhere, or are too many for a zone. */
function hintsIn(slice: Seen<EndpointSlice>, given: ReadonlyMap<string, number>, shares: Shares) {
  const hints = new Map<string, number>();
  for (const endpoint of slice.endpoints ?? []) {
    if (!isReady(endpoint)) continue;
    const { forZones = [] } = endpoint.hints ?? {};
    if (forZones.length === 0 || forZones.some(({ name }) => !shares.has(name))) return undefined;
    for (const { name } of forZones) hints.set(name, (hints.get(name) ?? 0) + 1);
  }
  const tooMany = [...hints].some(([zone, count]) => count + (given.get(zone) ?? 0) > (shares.get(zone)?.max ?? 0));
  return tooMany ? undefined : hints;
}

/** Moves hints from zones with too many to zones with too few, whole endpoints only; nobody moves for less than half a one. */
function redistribute(zones: Map<Endpoint, string>, given: Map<string, number>, shares: Shares): void {
  const surplus = new Map([...shares].map(([zone, { wanted }]) => [zone, (given.get(zone) ?? 0) - wanted]));
  const giving = new Map<string, number>();
  const receiving: string[] = [];
  for (;;) {
    const [most, least] = [extreme(surplus, 1), extreme(surplus, -1)];
    if (!most || !least || (most.amount < 1 && least.amount < 1) || most.amount < 0.5 || least.amount < 0.5) break;
    giving.set(most.zone, (giving.get(most.zone) ?? 0) + 1);
    surplus.set(most.zone, most.amount - 1);
    receiving.push(least.zone);
    surplus.set(least.zone, 1 - least.amount);
  }
  for (const [endpoint, zone] of zones) {
    const left = giving.get(zone) ?? 0;
    if (left === 0) continue;
    const target = receiving.shift();
    if (target === undefined) return;
    giving.set(zone, left - 1);
    zones.set(endpoint, target);
    given.set(zone, (given.get(zone) ?? 0) - 1);
    given.set(target, (given.get(target) ?? 0) + 1);
  }
}

/** The zone with the largest surplus, or with the largest need. */
function extreme(surplus: ReadonlyMap<string, number>, sign: 1 | -1): { zone: string; amount: number } | undefined {
  let best: { zone: string; amount: number } | undefined;
  for (const [zone, value] of surplus) {
    const amount = value * sign;
    if (amount > (best?.amount ?? 0)) best = { zone, amount };
  }
  return best;
}

function isOverloaded(given: ReadonlyMap<string, number>, ratios: ReadonlyMap<string, number> | undefined): boolean {
  if (given.size === 0) return false;
  if (!ratios) return true;
  const total = given.values().reduce((sum, count) => sum + count, 0);
  return [...ratios].some(([zone, ratio]) => {
    const has = given.get(zone);
    return has === undefined || has < Math.ceil((total * ratio) / (1 + overload));
  });
}

function withoutHints({ plan, unchanged }: FamilyPlan): SlicePlan {
  const bare = (slice: Seen<EndpointSlice>): EndpointSlice => ({
    ...(slice as EndpointSlice),
    endpoints: ((slice.endpoints ?? []) as readonly Endpoint[]).map(({ hints: _hints, ...endpoint }) => endpoint),
  });
  const hinted = unchanged.filter(({ endpoints }) => endpoints?.some(({ hints }) => hints !== undefined));
  return { ...plan, create: plan.create.map(bare), update: [...plan.update, ...hinted].map(bare) };
}
