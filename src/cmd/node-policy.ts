/**
 * Network policies as a part of a node. As long as there is none on the cluster this is one watch that says nothing: no module, no table,
 * no list of pods.
 */
import { readFile } from "node:fs/promises";
import type { NetworkPolicy, Pod } from "#api";
import { type ApplyScript, aborted, type Clock, createNft, type Logger } from "#base";
import type { Informer } from "#client";
import type { DeepReadonly } from "#machinery";
import type { RunningPolicies } from "#network-policy";
import type { NodePart } from "./node-context.ts";

/** How long a pod waits for its policies at most: static pods start without an API server too. */
const waitMsMax = 5_000;
/** The table of an earlier run that has no policies any more: out of the way of the start. */
const cleanUpMs = 1_000;

export interface NodePolicies {
  readonly run: NodePart;
  /** Before the containers of a pod that has got its addresses are started: resolves when its policies hold. */
  podStarts(pod: DeepReadonly<Pod>, addresses: readonly string[]): Promise<void> | undefined;
}

export function createNodePolicies(clock: Clock, apply: ApplyScript = createNft()): NodePolicies {
  let running: RunningPolicies | undefined;
  /** Whether there are policies; while that changes, pods wait. */
  let isKnown = false;
  let known = Promise.withResolvers<void>();
  const tell = () => {
    isKnown = true;
    known.resolve();
  };
  const doubt = () => {
    if (isKnown) known = Promise.withResolvers<void>();
    isKnown = false;
  };

  const run: NodePart = async ({ informers, nodeName, settings, client, network, log: all }, signal) => {
    const log = all.with({ part: "network-policy" });
    const policies = informers.of("networking.k8s.io/v1/networkpolicies");
    const removeTable = async () => {
      const { removePolicies } = await import("#network-policy");
      await removePolicies(apply).catch((error: unknown) =>
        log.error("network policies: rules not removed", { error }),
      );
    };
    const stopped = aborted(signal);
    await Promise.race([policies.synced(), stopped]);
    let cleaning: Promise<void> | undefined;
    const cleanUp = () => {
      cleaning = removeTable();
    };
    const cancelCleanUp = policies.list().length > 0 ? undefined : clock.after(cleanUpMs, cleanUp);
    while (!signal.aborted) {
      if (policies.list().length === 0) tell();
      await exists(policies, true, signal);
      doubt();
      cancelCleanUp?.();
      await Promise.race([Promise.all([cleaning, network]), stopped]);
      if (signal.aborted) break;
      const [{ runPolicies }, { bridge }] = await Promise.all([import("#network-policy"), network]);
      await warnOfBridges(log);
      const stop = new AbortController();
      const { clusterCidr } = settings;
      running = runPolicies(
        {
          policies,
          slices: informers.of("discovery.k8s.io/v1/endpointslices"),
          transport: client.transport,
          nodeName,
          families: clusterCidr.includes(":") ? ["IPv4", "IPv6"] : ["IPv4"],
          bridge,
          apply,
          clock,
          log,
        },
        AbortSignal.any([signal, stop.signal]),
      );
      tell();
      await exists(policies, false, signal);
      doubt();
      const ended = running;
      running = undefined;
      stop.abort();
      await ended.done;
      // When only Sampan ends, they stay.
      if (!signal.aborted) await removeTable();
    }
    tell();
  };

  return {
    run,
    podStarts(pod, addresses) {
      if (isKnown && !running) return undefined;
      const committed = known.promise.then(async () => {
        const now = running;
        await now?.begun;
        await now?.enforcer.podStarts(pod, addresses);
      });
      return new Promise((done, fail) => {
        const cancel = clock.after(waitMsMax, done);
        committed.finally(cancel).then(done, fail);
      });
    },
  };
}

/** Between pods of one node packets go over a bridge, where rules don't look unless the kernel is told to. */
async function warnOfBridges(log: Logger): Promise<void> {
  const file = "/proc/sys/net/bridge/bridge-nf-call-iptables";
  const value = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => error.code ?? "");
  if (value.trim() !== "1")
    log.warn("network policies: pods of this node reach each other whatever policies say (modprobe br_netfilter)", {
      file,
      value: value.trim(),
    });
}

/** Resolves when there is a policy, or is none any more. */
async function exists(policies: Informer<NetworkPolicy>, wanted: boolean, signal: AbortSignal): Promise<void> {
  let remove = (): void => undefined;
  await new Promise<void>((done) => {
    const look = () => policies.list().length > 0 === wanted && done();
    remove = policies.addHandler({ added: look, deleted: look });
    signal.addEventListener("abort", () => done(), { once: true });
    if (signal.aborted) done();
    look();
  });
  remove();
}
