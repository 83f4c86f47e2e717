/**
 * How fast pods may be driven away from failed nodes. One node every ten seconds in each zone; none in a small zone of which most
 * has failed; and none at all when every node has: then it is the control plane that lost its network, and evicting everything
 * would make it worse. Upstream: ComputeZoneState, handleDisruption.
 */
import { nodeCondition, type SeenNode } from "../lib/nodes.ts";
import type { EvictionPace } from "../lib/controller.ts";
import type { Eviction } from "./reconcile.ts";

const regionLabel = "topology.kubernetes.io/region";
const zoneLabel = "topology.kubernetes.io/zone";
const excludedLabel = "node.kubernetes.io/exclude-disruption";

export const usualPace: EvictionPace = {
  perSecond: 0.1,
  perSecondWhenMostFailed: 0.01,
  largeZoneNodes: 50,
  unhealthyShare: 0.55,
};
/** How soon a node is looked at again whose zone is left alone. */
const heldMs = 10_000;
const pauseMs = (perSecond: number) => (perSecond > 0 ? 1000 / perSecond : Number.POSITIVE_INFINITY);

export function zoneOf({ metadata: { labels = {} } }: SeenNode): string {
  return `${labels[regionLabel] ?? ""}:${labels[zoneLabel] ?? ""}`;
}

export interface Disruption {
  /** No node of any zone is ready. */
  readonly isTotal: boolean;
  /** Between two nodes of a zone; Infinity: none. */
  readonly evictionMs: ReadonlyMap<string, number>;
}

export function assessDisruption(nodes: readonly SeenNode[], usual = usualPace): Disruption {
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
    const isPartial = !isDown(zone) && zone.failed > 2 && zone.failed / size >= usual.unhealthyShare;
    if (!isPartial) return pauseMs(usual.perSecond);
    return size > usual.largeZoneNodes ? pauseMs(usual.perSecondWhenMostFailed) : Number.POSITIVE_INFINITY;
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
    const betweenMs = disruption.evictionMs.get(zone) ?? heldMs;
    if (betweenMs === Number.POSITIVE_INFINITY) return { eviction: "held", againMs: heldMs };
    const waitMs = (this.#last.get(zone) ?? Number.NEGATIVE_INFINITY) + betweenMs - now;
    return waitMs > 0 ? { eviction: "held", againMs: waitMs } : { eviction: "allowed" };
  }

  take(node: SeenNode, now: number): void {
    this.#last.set(zoneOf(node), now);
  }
}
