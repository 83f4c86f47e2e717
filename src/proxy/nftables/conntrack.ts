/**
 * UDP has no end: the kernel goes on sending a client's packets to the endpoint it once chose. When an endpoint or a
 * service without endpoints changes, the tracked flows to it must be forgotten, which only `conntrack` can do.
 */
import { execFile } from "node:child_process";
import type { ServicePort } from "../core/service-port.ts";

export interface StaleFlow {
  /** Where the client sent to. */
  readonly address?: string;
  readonly nodePort?: number;
  /** The endpoint that is gone; missing: flows that had none. */
  readonly endpoint?: string;
}

/** What to forget when `before` becomes `after`. */
export function staleFlows(before: readonly ServicePort[], after: readonly ServicePort[]): StaleFlow[] {
  const stale: StaleFlow[] = [];
  for (const old of before) {
    if (old.protocol !== "udp") continue;
    const now = after.find(({ id }) => id === old.id);
    const kept = addressesOf(now);
    const targets = [...old.clusterAddresses, ...old.externalAddresses].map((address) => ({ address }));
    const nodePorts = old.nodePort > 0 ? [{ nodePort: old.nodePort }] : [];
    for (const endpoint of addressesOf(old))
      if (!kept.has(endpoint)) stale.push(...[...targets, ...nodePorts].map((target) => ({ ...target, endpoint })));
    if (old.endpoints.length === 0 && kept.size > 0) stale.push(...targets, ...nodePorts);
  }
  return stale;
}

const addressesOf = (port: ServicePort | undefined): ReadonlySet<string> =>
  new Set([...(port?.endpoints ?? []), ...(port?.localEndpoints ?? [])].map(({ address }) => address));

/** Resolves when done; a machine without `conntrack` rejects with ENOENT. Finding nothing to delete is no failure. */
export function forgetFlow({ address, nodePort, endpoint }: StaleFlow): Promise<void> {
  const args = [
    ...["-D", "-f", "ipv4", "-p", "udp"],
    ...(address ? ["--orig-dst", address] : []),
    ...(nodePort ? ["--dport", String(nodePort)] : []),
    ...(endpoint ? ["--dst-nat", endpoint] : []),
  ];
  return new Promise((resolve, reject) => {
    execFile("conntrack", args, (error, _out, complaint) => {
      if (!error || /0 flow entries have been deleted/.test(complaint)) resolve();
      else reject(error);
    });
  });
}
