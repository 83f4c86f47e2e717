/**
 * Health-check node ports: a load balancer outside of the cluster asks each node whether it has endpoints of a Service whose traffic stays
 * on the node (`externalTrafficPolicy: Local`). One small HTTP server a Service, only while there is one.
 */
import type { Server } from "node:http";
import type { Clock, Logger } from "#base";
import { closeServer, listen, type Respond, respondWith } from "./health-server.ts";

export interface ServiceHealthOptions {
  /** Where node ports are served. */
  readonly hosts: () => readonly string[];
  /** Of the proxy itself: a node whose rules are stale had better get nothing new. */
  readonly healthy: () => boolean;
  /** The port is somebody else's: told to the Service's events. */
  readonly failed: (service: ServiceName, port: number, why: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}

export interface ServiceHealth {
  /** The port of a Service (0: none any more) and its ready endpoints on this node. */
  set(key: string, port: number, localEndpoints: number): void;
  /** All that was asked for listens, or has failed. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

interface Entry {
  readonly port: number;
  localEndpoints: number;
  servers: Promise<readonly Server[]>;
}

/** How long until a port that is taken is tried again: whoever had it may be on its way out. */
const againMs = 30_000;

export function createServiceHealth({ hosts, healthy, failed, clock, log }: ServiceHealthOptions): ServiceHealth {
  const entries = new Map<string, Entry>();
  /** A port goes from one Service to another only when the first one has let go of it. */
  let closing: Promise<unknown> = Promise.resolve();
  let closed = false;

  const answer = (key: string): Respond => {
    const { namespace, name } = nameOf(key);
    return (_request, response) => {
      const localEndpoints = entries.get(key)?.localEndpoints ?? 0;
      const serviceProxyHealthy = healthy();
      respondWith(response, localEndpoints > 0 && serviceProxyHealthy ? 200 : 503, {
        type: "application/json",
        body: JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy }, undefined, "\t"),
        headers: { "x-load-balancing-endpoint-weight": String(localEndpoints) },
      });
    };
  };

  async function open(key: string, entry: Entry): Promise<readonly Server[]> {
    await closing;
    const { port } = entry;
    const servers: Server[] = [];
    const tryAgain = () =>
      clock.after(againMs, () => {
        if (entries.get(key) === entry) entry.servers = open(key, entry);
      });
    try {
      for (const host of hosts())
        servers.push(await listen({ host, port, ipv6Only: host.includes(":") }, answer(key), log));
    } catch (error) {
      await Promise.all(servers.map(closeServer));
      const why = (error as Error).message; // listen rejects with errors
      log.warn("a health-check node port is not served", { service: key, port, why, retryMs: againMs });
      failed(nameOf(key), port, why);
      tryAgain();
      return [];
    }
    // The node hasn't said yet which addresses it has.
    if (servers.length === 0) tryAgain();
    return servers;
  }

  const drop = (key: string, { servers }: Entry) => {
    entries.delete(key);
    closing = Promise.all([closing, servers.then((all) => Promise.all(all.map(closeServer)))]);
  };

  return {
    set(key, port, localEndpoints) {
      const entry = entries.get(key);
      if (entry && entry.port === port) {
        entry.localEndpoints = localEndpoints;
        return;
      }
      if (entry) drop(key, entry);
      if (port === 0 || closed) return;
      const made: Entry = { port, localEndpoints, servers: Promise.resolve([]) };
      entries.set(key, made);
      made.servers = open(key, made);
    },
    async settled() {
      await closing;
      for (const { servers } of entries.values()) await servers;
    },
    async close() {
      closed = true;
      for (const [key, entry] of entries) drop(key, entry);
      await closing;
    },
  };
}

function nameOf(key: string): ServiceName {
  const [namespace = "", name = ""] = key.split("/");
  return { namespace, name };
}
