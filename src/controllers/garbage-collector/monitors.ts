/**
 * Follows the metadata of every resource that can be deleted, custom ones as soon as they are served. Objects go into the graph
 * and are let go at once: a copy of everything would be the largest cache in the process.
 */
import type { Clock, Logger } from "#base";
import { type Client, resourcePath, runReflector } from "#client";
import { type DiscoveredResource, discover } from "../lib/discovery.ts";
import { uidOf } from "../lib/objects.ts";
import type { DependencyGraph } from "./graph.ts";

/** Written all the time, own nothing, and expire. */
const ignored = new Set(["/events", "events.k8s.io/events"]);
/** How long a new resource's first list may hold up the collector. */
const syncMsMax = 30_000;

interface Monitor {
  readonly resource: DiscoveredResource;
  readonly stop: AbortController;
  readonly synced: Promise<void>;
  readonly ended: Promise<void>;
}

export interface ResourceKind {
  readonly resource: DiscoveredResource;
}

export interface Monitors {
  /** Follows what is served now. Throws after doing what can be done when a part can't be discovered. */
  sync(): Promise<void>;
  /** Resolves when everything followed has been listed once, or could not be for too long. */
  ready(): Promise<void>;
  /** Which resource has objects of this kind. */
  resourceOf(apiVersion: string, kind: string): DiscoveredResource | undefined;
  close(): Promise<void>;
}

export interface MonitorsOptions {
  readonly client: Client;
  readonly graph: DependencyGraph;
  readonly clock: Clock;
  readonly log: Logger;
}

export const apiVersionOf = ({ group, version }: DiscoveredResource): string =>
  group === "" ? version : `${group}/${version}`;

export function createMonitors({ client, graph, clock, log }: MonitorsOptions): Monitors {
  const monitors = new Map<string, Monitor>();
  const kinds = new Map<string, DiscoveredResource>();
  let ready: Promise<unknown> = Promise.resolve();

  function start(resource: DiscoveredResource): Monitor {
    const kind = { apiVersion: apiVersionOf(resource), kind: resource.kind };
    const stop = new AbortController();
    const synced = Promise.withResolvers<void>();
    const ended = runReflector(
      {
        transport: client.transport,
        path: resourcePath(resource),
        metadataOnly: true,
        clock,
        log,
        sink: {
          async replace(items) {
            const uids = new Set(items.map(uidOf));
            for (const { identity } of [...graph.ofKind(kind)]) if (!uids.has(identity.uid)) graph.remove(identity.uid);
            for (const item of items) graph.upsert(item, kind);
            synced.resolve();
          },
          upsert: (object) => graph.upsert(object, kind),
          remove: (object) => graph.remove(uidOf(object)),
        },
      },
      stop.signal,
    );
    return { resource, stop, synced: synced.promise, ended };
  }

  return {
    async sync() {
      const { resources, failures } = await discover(client);
      const wanted = new Map<string, DiscoveredResource>();
      for (const resource of resources) {
        const { group, resource: name, verbs, preferred } = resource;
        kinds.set(`${apiVersionOf(resource)} ${resource.kind}`, resource);
        if (!preferred || ignored.has(`${group}/${name}`)) continue;
        if (["delete", "list", "watch"].every((verb) => verbs.includes(verb))) {
          wanted.set(`${apiVersionOf(resource)} ${name} ${resource.kind} ${resource.namespaced}`, resource);
        }
      }
      for (const [id, monitor] of monitors) {
        // What can't be discovered just now is still there as far as anyone knows.
        if (wanted.has(id) || failures.has(apiVersionOf(monitor.resource))) continue;
        monitors.delete(id);
        monitor.stop.abort();
        const kind = { apiVersion: apiVersionOf(monitor.resource), kind: monitor.resource.kind };
        for (const { identity } of [...graph.ofKind(kind)]) graph.remove(identity.uid);
        log.debug("no longer follows a resource", { resource: id });
      }
      const added: Monitor[] = [];
      for (const [id, resource] of wanted) {
        if (monitors.has(id)) continue;
        const monitor = start(resource);
        monitors.set(id, monitor);
        added.push(monitor);
      }
      if (added.length > 0) {
        let cancel: () => void = () => undefined;
        const overdue = new Promise<void>((resolve) => {
          cancel = clock.after(syncMsMax, resolve);
        });
        const all = Promise.all(added.map(({ synced, ended }) => Promise.race([synced, ended])));
        ready = Promise.race([all, overdue]).then(cancel);
      }
      if (failures.size > 0) {
        throw new Error(
          `some groups can't be discovered: ${[...failures].map((entry) => entry.join(": ")).join(", ")}`,
        );
      }
    },
    async ready() {
      await ready;
    },
    resourceOf: (apiVersion, kind) => kinds.get(`${apiVersion} ${kind}`),
    async close() {
      const running = [...monitors.values()];
      monitors.clear();
      for (const { stop } of running) stop.abort();
      await Promise.all(running.map(({ ended }) => ended));
    },
  };
}
