/**
 * How fast pods may be driven away from failed nodes. One node every ten seconds in each zone; none in a small zone of which most
 * has failed; and none at all when every node has: then it is the control plane that lost its network, and evicting everything
 * would make it worse. Upstream: ComputeZoneState, handleDisruption.
 */
import { nodeCondition, type SeenNode } from "../lib/nodes.ts";
import type { Eviction } from "./reconcile.ts";

const regionLabel = "topology.kubernetes.io/region";
const zoneLabel = "topology.kubernetes.io/zone";
const excludedLabel = "node.kubernetes.io/exclude-disruption";

/** A zone with more nodes than this is still evicted from, slowly, when most of it has failed. */
const largeZoneNodes = 50;
const unhealthyShare = 0.55;
const evictionMs = 10_000;
const slowEvictionMs = 100_000;

export function zoneOf({ metadata: { labels = {} } }: SeenNode): string {
  return `${labels[regionLabel] ?? ""}:${labels[zoneLabel] ?? ""}`;
}

export interface Disruption {
  /** No node of any zone is ready. */
  readonly isTotal: boolean;
  /** Between two nodes of a zone; Infinity: none. */
  readonly evictionMs: ReadonlyMap<string, number>;
}

export function assessDisruption(nodes: readonly SeenNode[]): Disruption {
  const zones = new Map<string, { ready: number; failed: number }>();
  for (const node of nodes) {
    if (excludedLabel in (node.metadata.labels ?? {})) continue;
    const zone = zones.get(zoneOf(node)) ?? { ready: 0, failed: 0 };
    if (nodeCondition(node, "Ready")?.status === "True") zone.ready++;
    else zone.failed++;
    zones.set(zoneOf(node), zone);
  }
  const isDown = ({ ready, failed }: { ready: number; failed: number }) => ready === 0 && failed > 0;
  const isTotal = zones.size > 0 && [...zones.values()].every(isDown);
  const pace = (zone: { ready: number; failed: number }) => {
    const size = zone.ready + zone.failed;
    const isPartial = !isDown(zone) && zone.failed > 2 && zone.failed / size >= unhealthyShare;
    if (!isPartial) return evictionMs;
    return size > largeZoneNodes ? slowEvictionMs : Number.POSITIVE_INFINITY;
  };
  return { isTotal, evictionMs: new Map([...zones].map(([name, zone]) => [name, pace(zone)])) };
}

/** Hands out turns: one node a zone at a time. */
export class EvictionTurns {
  readonly #last = new Map<string, number>();

  /** Whether this node may be tainted now, and if not, when to ask again. */
  ask(
    node: SeenNode,
    { disruption, now }: { disruption: Disruption; now: number },
  ): { eviction: Eviction; againMs?: number } {
    if (disruption.isTotal) return { eviction: "cancelled" };
    const zone = zoneOf(node);
    const pauseMs = disruption.evictionMs.get(zone) ?? evictionMs;
    if (pauseMs === Number.POSITIVE_INFINITY) return { eviction: "held", againMs: evictionMs };
    const waitMs = (this.#last.get(zone) ?? Number.NEGATIVE_INFINITY) + pauseMs - now;
    return waitMs > 0 ? { eviction: "held", againMs: waitMs } : { eviction: "allowed" };
  }

  take(node: SeenNode, now: number): void {
    this.#last.set(zoneOf(node), now);
  }
}
