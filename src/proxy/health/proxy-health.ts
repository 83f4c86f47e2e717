/**
 * Whether rules keep up with the cluster, by family of addresses, as upstream tells it: a change that has been waiting for longer than two
 * periods of synchronization makes a proxy ill; before its first transaction it is neither. Pure but for the clock.
 */
import type { Node } from "#api";
import type { Clock } from "#base";
import type { DeepReadonly } from "#machinery";
import type { Family } from "../core/endpoints.ts";

interface FamilyHealth {
  readonly lastUpdated: string;
  readonly healthy: boolean;
}

/** The body of `/healthz` and `/livez`, in upstream's order. */
export interface HealthBody {
  lastUpdated: string;
  readonly currentTime: string;
  /** Of `/healthz` only. */
  readonly nodeEligible?: boolean;
  readonly healthy: boolean;
  readonly status?: Readonly<Partial<Record<Family, FamilyHealth>>>;
}

/** The autoscaler's, on a node that it is about to remove. */
const toBeDeletedTaint = "ToBeDeletedByClusterAutoscaler";
/** A moment that never was, as Go prints it. */
const never = "0001-01-01T00:00:00Z";

/** Load balancers had better not send new connections to a node that is going away. */
export const nodeEligible = (node: DeepReadonly<Node> | undefined): boolean =>
  node !== undefined &&
  node.metadata.deletionTimestamp === undefined &&
  !node.spec?.taints?.some(({ key }) => key === toBeDeletedTaint);

export interface ProxyHealth {
  /** Something changed that has yet to become rules. */
  queued(family: Family): void;
  /** What was known is in the kernel. */
  updated(family: Family): void;
  healthy(): boolean;
  /** `eligible`: undefined where nobody asks. */
  body(eligible?: boolean): HealthBody;
}

export function createProxyHealth(clock: Clock, timeoutMs: number): ProxyHealth {
  const updatedAt = new Map<Family, number>();
  const pendingSince = new Map<Family, number>();
  const late = (family: Family, now: number) =>
    now - (pendingSince.get(family) ?? now) >= timeoutMs && pendingSince.has(family);
  const healthy = () => {
    const now = clock.now();
    return ![...updatedAt.keys()].some((family) => late(family, now));
  };
  return {
    queued(family) {
      if (!pendingSince.has(family)) pendingSince.set(family, clock.now());
    },
    updated(family) {
      pendingSince.delete(family);
      updatedAt.set(family, clock.now());
    },
    healthy,
    body(eligible) {
      const now = clock.now();
      const families = [...updatedAt].sort(([a], [b]) => (a < b ? -1 : 1));
      const last = Math.max(...updatedAt.values());
      // Who asks while all is well is told of now, as by older proxies that synchronized again and again.
      const fine = healthy() && eligible !== false;
      return {
        lastUpdated: fine ? printTime(now) : updatedAt.size > 0 ? printTime(last) : never,
        currentTime: printTime(now),
        ...(eligible !== undefined && { nodeEligible: eligible }),
        healthy: healthy(),
        ...(families.length > 0 && {
          status: Object.fromEntries(
            families.map(([family, at]) => [family, { lastUpdated: printTime(at), healthy: !late(family, now) }]),
          ),
        }),
      };
    },
  };
}

/** As Go does: no zeros at the end of a fraction. */
const printTime = (ms: number): string => new Date(ms).toISOString().replace(/\.?0*Z$/, "Z");
