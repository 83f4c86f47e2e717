/**
 * The proxy of the founding talk, for machines without nftables: each port of a Service is a portal, a socket of this process, that carries
 * bytes to an endpoint. Services' addresses are made this machine's own by routes (local-routes.ts), because nothing here can rewrite packets.
 * What follows from that, as in Kubernetes 1.0: endpoints see the node's address instead of the client's; traffic that a policy drops
 * elsewhere is refused; a program of this machine that listens on all addresses keeps a Service from having the same port.
 */
import { aborted, backoffMs, type Clock, type Logger, preciseNow } from "#base";
import type { InformerSet } from "#client";
import { contextOf } from "../core/context.ts";
import { createHealthChecks } from "../core/health-checks.ts";
import type { ServicePort } from "../core/service-port.ts";
import { createSource } from "../core/source.ts";
import type { ProxyObserver } from "../observer.ts";
import type { Proxy as ServiceProxy } from "../proxy.ts";
import type { ProxySettings } from "../settings.ts";
import { createConnections, descriptorsMax } from "./connections.ts";
import { rangesOf } from "./gate.ts";
import { createListeners, serviceKey } from "./listeners.ts";
import { type ChangeRoutes, createLocalRoutes } from "./local-routes.ts";
import { type Portal, portalsOf } from "./portal.ts";

export interface UserspaceOptions {
  readonly informers: InformerSet;
  readonly nodeName: string;
  readonly settings: ProxySettings;
  /** Host ports of this node's pods are answered too; without it they are a CNI plugin's. */
  readonly hostPorts?: boolean;
  readonly changeRoutes: ChangeRoutes;
  readonly observer?: ProxyObserver;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Known {
  readonly rank: string;
  readonly ports: readonly ServicePort[];
  readonly portals: readonly Portal[];
}

export function createUserspaceProxy(options: UserspaceOptions): ServiceProxy {
  const { informers, nodeName, settings, observer, clock, log } = options;
  const source = createSource({ informers, nodeName, settings, hostPorts: options.hostPorts ?? false });
  const routes = createLocalRoutes(options.changeRoutes);
  const health = createHealthChecks(observer);
  const listeners = createListeners({
    connections: createConnections(descriptorsMax(), { clock, log }),
    nodePortHosts: (family) => contextOf(family, settings, source.facts()).nodePortAddresses,
    pods: () =>
      rangesOf(settings.detectLocal.mode === "NodeCIDR" ? source.facts().podCidrs : settings.detectLocal.clusterCidrs),
    clock,
    log,
  });
  const precise = preciseNow(clock);
  const startedMs = clock.now();
  const known = new Map<string, Known>();
  const marked = new Set<string>();
  let triggers: number[] = [];
  let flushing: Promise<void> | undefined;
  let failures = 0;
  let isFirst = true;
  let stopped = false;

  const start = () => {
    flushing ??= flush();
  };
  const mark = (key: string, trigger?: number) => {
    if (marked.size === 0) observer?.queued();
    marked.add(key);
    if (trigger !== undefined && trigger > startedMs) triggers.push(trigger);
    start();
  };

  async function flush(): Promise<void> {
    // Let the events of this turn of the loop come in first.
    await new Promise<void>((next) => setImmediate(next));
    try {
      do await commit();
      while (marked.size > 0 && !stopped);
      failures = 0;
    } catch (error) {
      observer?.failed(error);
      const retryMs = Math.min(backoffMs(++failures, { initialMs: 100, maxMs: 30_000 }), settings.syncPeriodMs);
      log.error("proxy: addresses of Services are not this machine's", { error, retryMs });
      clock.after(retryMs, () => {
        if (!stopped) start();
      });
    } finally {
      flushing = undefined;
    }
  }

  async function commit(): Promise<void> {
    const begunMs = precise();
    const since = triggers;
    triggers = [];
    const ports = new Map([...marked].map((key) => [key, learn(key)]));
    marked.clear();
    const inOrder = [...known.values()].sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0));
    const problems = await routes.want(source.facts().serviceCidrs, addressesOf(inOrder));
    await listeners.want(inOrder.flatMap(({ portals }) => portals));
    if (problems.length > 0) throw new Error(problems.slice(0, 3).join("; "));
    const kind = isFirst ? "full" : "partial";
    isFirst = false;
    observer?.committed({ services: known.size, durationMs: precise() - begunMs, kind, triggers: since });
    health.update(ports);
  }

  function learn(key: string): readonly ServicePort[] {
    const { rank, ports } = source.wanted(key);
    const now = new Set(ports.map(serviceKey));
    for (const before of known.get(key)?.ports ?? [])
      if (!now.has(serviceKey(before))) listeners.update(serviceKey(before), undefined);
    for (const port of ports) listeners.update(serviceKey(port), port);
    if (ports.length > 0) known.set(key, { rank, ports, portals: ports.flatMap(portalsOf) });
    else known.delete(key);
    return ports;
  }

  return {
    async run(signal) {
      // Nothing is opened before all are known: half the truth would refuse connections.
      await Promise.race([source.synced(), aborted(signal)]);
      if (signal.aborted) return;
      const unwatch = source.watch({
        changed: mark,
        factsChanged() {
          for (const key of source.keys()) mark(key);
        },
      });
      start();
      // Addresses of this machine come and go without an event of the cluster.
      let cancel: (() => void) | undefined;
      const look = () => {
        cancel = clock.after(settings.syncPeriodMs, () => {
          start();
          look();
        });
      };
      look();
      await new Promise<void>((done) => signal.addEventListener("abort", () => done(), { once: true }));
      stopped = true;
      cancel?.();
      unwatch();
      await flushing;
      listeners.close();
    },
    async settled() {
      while (flushing || marked.size > 0) await (flushing ?? new Promise<void>((next) => setImmediate(next)));
    },
  };
}

function* addressesOf(known: Iterable<Known>): Generator<string> {
  for (const { ports } of known)
    for (const { clusterAddress, externalAddresses, balancerAddresses } of ports) {
      if (clusterAddress) yield clusterAddress;
      yield* externalAddresses;
      yield* balancerAddresses;
    }
}
