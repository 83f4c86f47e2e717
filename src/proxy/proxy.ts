/**
 * The service proxy of one node. Informer events mark services; one flush turns all marked ones into one nft transaction, which
 * holds only what changed against the state we committed. The ruleset is never listed. A refused transaction is followed by a
 * whole new table.
 */
import type { ApplyScript, Clock, Logger } from "#base";
import type { Pod } from "#api";
import type { InformerSet } from "#client";
import type { DeepReadonly } from "#machinery";
import { backoffMs } from "#base";
import { type Fragment, fragmentOf } from "./core/fragment.ts";
import { hostPorts, mayHaveHostPorts } from "./core/host-port.ts";
import { baseScript, changeScript, type FragmentChange, removeScript } from "./core/script.ts";
import { type ServicePort, servicePorts } from "./core/service-port.ts";
import { forgetFlow, staleFlows } from "./nftables/conntrack.ts";

export interface ProxyOptions {
  readonly informers: InformerSet;
  readonly nodeName: string;
  readonly clusterCidr: string;
  readonly serviceCidr: string;
  readonly apply: ApplyScript;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Proxy {
  /** Until the signal aborts; the rules stay, so that connections live on through a restart. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when everything known so far is in the kernel. */
  settled(): Promise<void>;
}

interface Committed {
  readonly ports: readonly ServicePort[];
  readonly fragment: Fragment;
}

/** Services in one transaction: a cold start with thousands is cut into pieces that nft takes quickly. */
const servicesPerTransactionMax = 500;
/** Before the keys of pods, to tell them from services'. */
const podPrefix = "pod:";
const serviceLabel = "kubernetes.io/service-name";

/** Removes the table and with it every rule of ours. */
export const removeRules = (apply: ApplyScript): Promise<void> => apply(removeScript);

export function createProxy(options: ProxyOptions): Proxy {
  const { informers, nodeName, clusterCidr, apply, clock, log } = options;
  const services = informers.of("v1/services");
  const slices = informers.of("discovery.k8s.io/v1/endpointslices");
  const pods = informers.of("v1/pods", { fieldSelector: `spec.nodeName=${nodeName}` });
  slices.addIndex("proxy-service", (slice) => {
    const name = slice.metadata.labels?.[serviceLabel];
    return name ? [`${slice.metadata.namespace}/${name}`] : [];
  });

  const committed = new Map<string, Committed>();
  const marked = new Set<string>();
  let tableMade = false;
  let flushing: Promise<void> | undefined;
  let failures = 0;
  let withoutConntrack = false;
  let stopped = false;

  const mark = (key: string) => {
    marked.add(key);
    flushing ??= Promise.resolve().then(flush);
  };

  const desired = (key: string): readonly ServicePort[] => {
    if (key.startsWith(podPrefix)) {
      const pod = pods.get(key.slice(podPrefix.length));
      return pod ? hostPorts(pod) : [];
    }
    const service = services.get(key);
    return service ? servicePorts(service, slices.by("proxy-service", key), nodeName) : [];
  };

  async function flush(): Promise<void> {
    // Let the events of this turn of the loop come in first: they go into the same transaction.
    await new Promise<void>((next) => setImmediate(next));
    try {
      while (!stopped && (marked.size > 0 || !tableMade)) await commitSome();
      failures = 0;
    } catch (error) {
      failures++;
      const delayMs = backoffMs(failures, { initialMs: 100, maxMs: 30_000 });
      log.error("proxy: rules not committed; making the table anew", { error, retryMs: delayMs });
      tableMade = false;
      for (const key of committed.keys()) marked.add(key);
      committed.clear();
      clock.after(delayMs, () => {
        flushing ??= flush();
      });
    } finally {
      flushing = undefined;
    }
  }

  async function commitSome(): Promise<void> {
    const keys = [...marked].slice(0, servicesPerTransactionMax);
    for (const key of keys) marked.delete(key);
    const next = keys.map((key) => {
      const ports = desired(key);
      return { key, before: committed.get(key), after: { ports, fragment: fragmentOf(ports, { clusterCidr }) } };
    });
    const changes: FragmentChange[] = next.map(({ before, after }) => ({
      before: before?.fragment,
      after: after.fragment,
    }));
    const script = (tableMade ? "" : baseScript(options)) + changeScript(changes);
    try {
      if (script !== "") await apply(script);
    } catch (error) {
      for (const key of keys) marked.add(key);
      throw error;
    }
    tableMade = true;
    for (const { key, after } of next) {
      if (after.ports.length > 0) committed.set(key, after);
      else committed.delete(key);
    }
    for (const { before, after } of next) if (before) await forgetStale(before.ports, after.ports);
  }

  async function forgetStale(before: readonly ServicePort[], after: readonly ServicePort[]): Promise<void> {
    for (const flow of staleFlows(before, after)) {
      if (withoutConntrack) return;
      try {
        await forgetFlow(flow);
      } catch (error) {
        withoutConntrack = (error as NodeJS.ErrnoException).code === "ENOENT"; // execFile rejects with errno errors
        log.warn(
          withoutConntrack
            ? "proxy: no conntrack program: UDP clients of a removed endpoint go on sending to it until they pause (apt-get install conntrack)"
            : "proxy: stale UDP flow not removed",
          { error },
        );
      }
    }
  }

  return {
    async run(signal) {
      const markSlice = (slice: { metadata: { namespace?: string; labels?: Readonly<Record<string, string>> } }) => {
        const name = slice.metadata.labels?.[serviceLabel];
        if (name) mark(`${slice.metadata.namespace}/${name}`);
      };
      const markService = (service: { metadata: { namespace?: string; name?: string } }) =>
        mark(`${service.metadata.namespace}/${service.metadata.name}`);
      const markPod = (pod: DeepReadonly<Pod>) => {
        if (mayHaveHostPorts(pod)) mark(`${podPrefix}${pod.metadata.namespace}/${pod.metadata.name}`);
      };
      // Nothing is programmed before all are known: half the truth would cut connections.
      await Promise.all([services.synced(), slices.synced(), pods.synced()]);
      if (signal.aborted) return;
      const remove = [
        services.addHandler({ added: markService, updated: markService, deleted: markService }),
        slices.addHandler({
          added: markSlice,
          updated: (slice, old) => {
            markSlice(slice);
            markSlice(old);
          },
          deleted: markSlice,
        }),
        pods.addHandler({ added: markPod, updated: markPod, deleted: markPod }),
      ];
      flushing ??= Promise.resolve().then(flush);
      await new Promise<void>((done) => signal.addEventListener("abort", () => done(), { once: true }));
      stopped = true;
      for (const each of remove) each();
      await flushing;
    },
    async settled() {
      while (flushing || marked.size > 0) await (flushing ?? new Promise<void>((next) => setImmediate(next)));
    },
  };
}
