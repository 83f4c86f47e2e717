/** The sockets of all portals: what is wanted is opened, what isn't any more is closed, what can't be had is tried again. */
import type { Server } from "node:net";
import type { Clock, Logger } from "#base";
import type { Family, ProxyEndpoint } from "../core/endpoints.ts";
import type { ServicePort } from "../core/service-port.ts";
import { type Balancer, createBalancer } from "./balancer.ts";
import type { Connections } from "./connections.ts";
import { machineAddresses, plainAddress, type Ranges, rangesOf } from "./gate.ts";
import type { Portal, Reach } from "./portal.ts";
import { listenTcp, socketsPerConnection } from "./tcp-portal.ts";
import { listenUdp, type UdpPortal } from "./udp-portal.ts";

export interface ListenersOptions {
  readonly connections: Connections;
  /** Where node ports answer; undefined: at every address of this machine. */
  readonly nodePortHosts: (family: Family) => readonly string[] | undefined;
  /** Pods of this cluster. */
  readonly pods: () => Ranges;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Listeners {
  /** These and no others. Resolves when each listens or has failed. */
  want(portals: Iterable<Portal>): Promise<void>;
  /** Endpoints of a port changed; undefined: it is gone. */
  update(key: string, service: ServicePort | undefined): void;
  close(): void;
}

interface Opened {
  portal: Portal;
  admitted: Ranges | undefined;
  socket: Server | UdpPortal | undefined;
  closed: boolean;
}

export const serviceKey = ({ family, id }: ServicePort): string => `${family} ${id}`;

/** Until a port that is taken is tried again. */
const againMs = 5_000;
/** Many at once would keep the event loop from all else. */
const openingMax = 256;

export function createListeners({ connections, nodePortHosts, clock, log, ...options }: ListenersOptions): Listeners {
  const opened = new Map<string, Opened>();
  const balancers = new Map<string, Record<Reach, Balancer>>();
  const complained = new Set<string>();
  let own = machineAddresses();
  let pods = options.pods();
  let again: (() => void) | undefined;
  let wanted: readonly Portal[] = [];

  /** What this machine says to an address that a route made its own comes from that address. */
  const isOwn = ({ portal }: Opened, client: string) => own.has(client) || client === portal.address;
  const reachOf = (at: Opened, client: string): Reach =>
    at.portal.inside === at.portal.outside || isOwn(at, client) || pods.has(client)
      ? at.portal.inside
      : at.portal.outside;
  const mayFrom = (at: Opened, ranges: Ranges, client: string) =>
    client === at.portal.address ? [...own].some((address) => ranges.has(address)) : ranges.has(client);
  const pick = (at: Opened, from: string, failed = false): ProxyEndpoint | undefined => {
    const client = plainAddress(from);
    return balancers.get(serviceKey(at.portal.service))?.[reachOf(at, client)].next(client, clock.now(), failed);
  };
  const admits = (at: Opened, from: string, to?: string): boolean => {
    const client = plainAddress(from);
    if (at.admitted && !mayFrom(at, at.admitted, client)) return false;
    // A socket for all addresses gets what is for portals as well.
    if (at.portal.address === undefined && to !== undefined && !own.has(plainAddress(to))) return false;
    return (balancers.get(serviceKey(at.portal.service))?.[reachOf(at, client)].size ?? 0) > 0;
  };

  async function open(key: string, host: string, at: Opened): Promise<void> {
    const { protocol, port, family, service } = at.portal;
    const room = (count: number) => ({ take: () => connections.take(count), give: () => connections.give(count) });
    try {
      if (!connections.take(1)) throw new Error("too many sockets");
      const socket =
        protocol === "tcp"
          ? await listenTcp({
              ...{ host, port, ...room(socketsPerConnection) },
              admits: (client, to) => admits(at, client, to),
              next: (client, failed) => pick(at, client, failed),
              unreachable: (why) => log.info("no endpoint answered", { service: service.id, why }),
            })
          : await listenUdp({
              ...{ host, port, family, clock, ...room(1) },
              admits: (client) => admits(at, client),
              next: (client) => pick(at, client),
            });
      at.socket = socket;
      complained.delete(key);
      if (at.closed) close(at);
    } catch (error) {
      connections.give(1);
      opened.delete(key);
      const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message; // sockets reject with errno errors
      if (!complained.has(key) && !at.closed)
        log.warn("a Service's port can't be listened for", { service: service.id, host, port, why, retryMs: againMs });
      complained.add(key);
      again ??= clock.after(againMs, () => {
        again = undefined;
        void want(wanted);
      });
    }
  }

  function close(at: Opened): void {
    at.closed = true;
    if (!at.socket) return;
    // Connections that are there go on.
    at.socket.close();
    at.socket = undefined;
    connections.give(1);
  }

  async function want(portals: readonly Portal[]): Promise<void> {
    wanted = portals;
    own = machineAddresses();
    pods = options.pods();
    const hosts = { IPv4: nodePortHosts("IPv4"), IPv6: nodePortHosts("IPv6") };
    const next = new Map<string, { portal: Portal; host: string }>();
    for (const portal of portals)
      for (const host of hostsOf(portal, hosts[portal.family], own)) {
        const key = `${portal.key} ${host}`;
        // Of two Services that want the same, the one that came first keeps it.
        if (!next.has(key) || opened.get(key)?.portal.service.id === portal.service.id) next.set(key, { portal, host });
      }
    for (const [key, at] of opened) {
      const portal = next.get(key)?.portal;
      if (!portal) {
        opened.delete(key);
        close(at);
      } else if (at.portal !== portal) assign(at, portal);
    }
    const missing = [...next].filter(([key]) => !opened.has(key));
    for (let from = 0; from < missing.length; from += openingMax)
      await Promise.all(
        missing.slice(from, from + openingMax).map(([key, { portal, host }]) => {
          const at: Opened = { portal, admitted: undefined, socket: undefined, closed: false };
          assign(at, portal);
          opened.set(key, at);
          return open(key, host, at);
        }),
      );
  }

  return {
    want: (portals) => want([...portals]),
    update(key, service) {
      if (!service) {
        balancers.delete(key);
        return;
      }
      const both = balancers.get(key) ?? { cluster: createBalancer(), local: createBalancer() };
      balancers.set(key, both);
      both.cluster.update(service.clusterEndpoints, service.affinitySeconds);
      both.local.update(service.localEndpoints, service.affinitySeconds);
    },
    close() {
      again?.();
      for (const at of opened.values()) close(at);
      opened.clear();
    },
  };
}

function assign(at: Opened, portal: Portal): void {
  at.portal = portal;
  at.admitted = portal.sourceRanges.length > 0 ? rangesOf(portal.sourceRanges) : undefined;
  const { clusterEndpoints, localEndpoints } = portal.service;
  if (at.socket && "keepOnly" in at.socket) at.socket.keepOnly([...clusterEndpoints, ...localEndpoints]);
}

/** TCP can listen on all addresses at once and still knows which one was meant; an answer by UDP would come from another. */
function hostsOf(
  { address, family, protocol }: Portal,
  hosts: readonly string[] | undefined,
  own: ReadonlySet<string>,
) {
  if (address !== undefined) return [address];
  if (!hosts && protocol === "tcp") return [family === "IPv6" ? "::" : "0.0.0.0"];
  return [...(hosts ?? own)].filter((host) => host.includes(":") === (family === "IPv6") && !host.startsWith("fe80:"));
}
