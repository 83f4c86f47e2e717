/** Which endpoint a client gets: in turn, or the one it had while it keeps coming back (`sessionAffinity: ClientIP`). Pure. */
import { endpointName, type ProxyEndpoint } from "../core/endpoints.ts";

/** Clients that are remembered for one port of a Service; more are somebody trying, and the longest silent goes first. */
export const clientsMax = 65_536;

export interface Balancer {
  /** New endpoints, in any order; affinity to those that stay is kept. */
  update(endpoints: readonly ProxyEndpoint[], affinitySeconds: number): void;
  /** Undefined: there is none. `failed`: the client's own one didn't answer, so it gets another. */
  next(client: string, nowMs: number, failed?: boolean): ProxyEndpoint | undefined;
  readonly size: number;
}

interface Remembered {
  readonly endpoint: ProxyEndpoint;
  readonly usedMs: number;
}

export function createBalancer(random: () => number = Math.random): Balancer {
  let endpoints: readonly ProxyEndpoint[] = [];
  let names = new Set<string>();
  let affinityMs = 0;
  let turn = 0;
  /** The longest silent first. */
  const clients = new Map<string, Remembered>();
  const forgetSilent = (nowMs: number) => {
    for (const [client, { usedMs }] of clients) {
      if (nowMs - usedMs < affinityMs && clients.size <= clientsMax) return;
      clients.delete(client);
    }
  };
  return {
    get size() {
      return endpoints.length;
    },
    update(next, affinitySeconds) {
      const nextNames = new Set(next.map(endpointName));
      const same = nextNames.size === names.size && [...nextNames].every((name) => names.has(name));
      affinityMs = affinitySeconds * 1000;
      if (affinityMs === 0) clients.clear();
      if (same) return;
      names = nextNames;
      // Shuffled, or all nodes would begin with the same one.
      endpoints = next
        .map((endpoint) => ({ endpoint, at: random() }))
        .sort((a, b) => a.at - b.at)
        .map(({ endpoint }) => endpoint);
      turn = 0;
      for (const [client, { endpoint }] of clients) if (!names.has(endpointName(endpoint))) clients.delete(client);
    },
    next(client, nowMs, failed = false) {
      if (endpoints.length === 0) return undefined;
      if (affinityMs > 0) forgetSilent(nowMs);
      const had = failed ? undefined : clients.get(client);
      const chosen = had?.endpoint ?? endpoints[turn++ % endpoints.length];
      if (chosen && affinityMs > 0) {
        // Last in order: it is the one that was heard of now.
        clients.delete(client);
        clients.set(client, { endpoint: chosen, usedMs: nowMs });
      }
      return chosen;
    },
  };
}
