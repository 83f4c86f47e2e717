/**
 * The service proxy of one node, on nftables. Events mark keys; one flush turns all marked ones into one transaction, which holds
 * only what changed against what we committed. The ruleset is never listed. See nftables/committer.ts for what happens when the
 * kernel refuses one.
 */
import { type ApplyScript, aborted, backoffMs, type Clock, type Logger } from "#base";
import type { InformerSet } from "#client";
import { removeScript } from "./core/base.ts";
import { contextOf } from "./core/context.ts";
import { fragmentOf } from "./core/fragment.ts";
import type { ServicePort } from "./core/service-port.ts";
import { createSource, type Source } from "./core/source.ts";
import { type Change, type CommitResult, type Contexts, createCommitter } from "./nftables/committer.ts";
import { createFlowCleaner } from "./nftables/flow-cleaner.ts";
import { createLoopback } from "./nftables/loopback.ts";
import { createNftCheck, familyProblem, sctpProblem } from "./nftables/problem.ts";
import { createHealthChecks } from "./core/health-checks.ts";
import type { ProxyObserver } from "./observer.ts";
import type { ProxySettings } from "./settings.ts";

export interface ProxyOptions {
  readonly informers: InformerSet;
  readonly nodeName: string;
  readonly settings: ProxySettings;
  /** Host ports of this node's pods are answered too; without it they are a CNI plugin's. */
  readonly hostPorts?: boolean;
  readonly apply: ApplyScript;
  /** Tries a transaction without effect: `nft -c`. */
  readonly check?: ApplyScript;
  readonly observer?: ProxyObserver;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Proxy {
  /** Until the signal aborts; the rules stay, so that connections live on through a restart. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when everything known so far is in the kernel, and stale flows are forgotten. */
  settled(): Promise<void>;
}

/** Keys worked out in one turn of the event loop: thousands at a start would hold up everything else. */
const keysPerTurnMax = 250;
/** A refused service is tried again on its own, later each time. */
const refusalBackoff = { initialMs: 1000, maxMs: 300_000 };
/** Kernels before 6.2 notice a while later that nothing goes to a chain any more; upstream waits as long. */
const staleChainMs = 1000;

/** Removes the tables and with them every rule of ours. */
export const removeRules = (apply: ApplyScript): Promise<void> =>
  // A kernel without IPv6 refuses to hear of it.
  apply(removeScript("IPv4") + removeScript("IPv6")).catch(() => apply(removeScript("IPv4")));

export function createProxy(options: ProxyOptions): Proxy {
  const { informers, nodeName, settings, apply, check = createNftCheck(), observer, clock, log } = options;
  const source = createSource({ informers, nodeName, settings, hostPorts: options.hostPorts ?? false });
  const committer = createCommitter(apply);
  const flows = createFlowCleaner(log, observer);
  const loopback = createLoopback(log);
  const health = createHealthChecks(observer);
  const marked = new Set<string>();
  const services = new Set<string>();
  const refusals = new Map<string, number>();
  const startedMs = clock.now();
  let triggers: number[] = [];
  let contexts = contextsOf(source, settings);
  let withIpv6: boolean | undefined;
  let withSctp: boolean | undefined;
  /** Set by whoever finds that the tables are not what they should be; the next transaction makes them anew. */
  let mustRemake = true;
  let mustClean = false;
  /** Whether the time for it is set. */
  let cleaning = false;
  let flushing: Promise<void> | undefined;
  let failures = 0;
  /** Nothing is tried until the time after a failure is over. */
  let isWaiting = false;
  let mayCommitAtMs = Number.NEGATIVE_INFINITY;
  /** Attempts so far, to notice one that came in between. */
  let commits = 0;
  let stopped = false;
  let wakeUp: (() => void) | undefined;

  const start = () => {
    if (!isWaiting) flushing ??= flush();
  };
  const remake = () => {
    mustRemake = true;
    start();
  };
  const mark = (key: string, trigger?: number) => {
    if (marked.size === 0) observer?.queued();
    marked.add(key);
    if (trigger !== undefined && trigger > startedMs) triggers.push(trigger);
    start();
  };

  async function flush(): Promise<void> {
    // Let the events of this turn of the loop come in first: they go into the same transaction.
    await nextTurn();
    try {
      while (!stopped && (marked.size > 0 || mustRemake || mustClean)) {
        await pause(mayCommitAtMs - clock.now());
        if (stopped) break;
        mayCommitAtMs = clock.now() + settings.minSyncPeriodMs;
        const tookMs = marked.size > 0 || mustRemake ? await commitMarked() : 0;
        if (mustClean) await cleanUp();
        // At most half of the time is spent here, however often a service changes.
        if (marked.size > 0) await pause(tookMs);
      }
      failures = 0;
    } catch (error) {
      observer?.failed(error);
      const retryMs = Math.min(backoffMs(++failures, { initialMs: 100, maxMs: 30_000 }), settings.syncPeriodMs);
      log.error("proxy: rules not committed; making the tables anew", { error, retryMs });
      mustRemake = true;
      isWaiting = true;
      clock.after(retryMs, () => {
        isWaiting = false;
        start();
      });
    } finally {
      flushing = undefined;
    }
  }

  const pause = (ms: number) =>
    ms > 0
      ? new Promise<void>((done) => {
          wakeUp = done;
          clock.after(ms, done);
        })
      : undefined;

  /** One transaction with everything marked; answers how long it took. */
  async function commitMarked(): Promise<number> {
    const begunMs = clock.now();
    const keys = [...marked];
    marked.clear();
    const since = triggers;
    triggers = [];
    if (mustRemake) committer.forget();
    mustRemake = false;
    const used = contexts;
    const changes: Change[] = [];
    const ports = new Map<string, readonly ServicePort[]>();
    for (const [at, key] of keys.entries()) {
      if (at > 0 && at % keysPerTurnMax === 0) await nextTurn();
      const wanted = withoutSctp(source.wanted(key));
      if (withIpv6 === undefined && wanted.ports.some(({ family }) => family === "IPv6")) withIpv6 = await hasIpv6();
      changes.push({
        owner: { name: key, rank: wanted.rank },
        fragments: {
          IPv4: fragmentOf(wanted.ports, used.IPv4),
          IPv6: fragmentOf(withIpv6 ? wanted.ports : [], used.IPv6),
        },
      });
      ports.set(key, wanted.ports);
    }
    commits++;
    const result = await committer.commit(changes, used).catch((error: unknown) => {
      for (const key of keys) marked.add(key);
      triggers.push(...since);
      throw error;
    });
    const durationMs = clock.now() - begunMs;
    for (const key of tell(result)) ports.delete(key);
    for (const [key, now] of ports) {
      refusals.delete(key);
      if (now.length > 0) services.add(key);
      else services.delete(key);
    }
    if (result.kind !== "none")
      observer?.committed({ services: services.size, durationMs, kind: result.kind, triggers: since });
    else observer?.unchanged?.();
    health.update(ports);
    flows.update(ports);
    if (options.hostPorts) loopback.update(ports);
    if (committer.hasStale && !cleaning) {
      cleaning = true;
      clock.after(staleChainMs, () => {
        cleaning = false;
        mustClean = true;
        start();
      });
    }
    return durationMs;
  }

  /** Of what was refused; answers its keys. */
  function tell({ error, refused }: CommitResult): readonly string[] {
    if (error !== undefined) {
      observer?.failed(error);
      log.warn("proxy: a transaction was refused; the tables are made anew", { error });
    }
    return refused.map(({ change: { owner }, error: why }) => {
      const count = (refusals.get(owner.name) ?? 0) + 1;
      refusals.set(owner.name, count);
      const retryMs = backoffMs(count, refusalBackoff);
      log.error("proxy: rules of one service refused; the others are in force", {
        service: owner.name,
        error: why,
        retryMs,
      });
      clock.after(retryMs, () => {
        if (refusals.has(owner.name) && !stopped) mark(owner.name);
      });
      return owner.name;
    });
  }

  /** What the kernel can't translate is left out, once said. */
  function withoutSctp<T extends { readonly ports: readonly ServicePort[] }>(wanted: T): T {
    if (withSctp || !wanted.ports.some(({ protocol }) => protocol === "sctp")) return wanted;
    if (withSctp === undefined) {
      const problem = sctpProblem();
      withSctp = problem === undefined;
      if (problem) log.warn("proxy: SCTP ports are left out", { error: problem });
    }
    return withSctp ? wanted : { ...wanted, ports: wanted.ports.filter(({ protocol }) => protocol !== "sctp") };
  }

  async function hasIpv6(): Promise<boolean> {
    const problem = await familyProblem("IPv6", check);
    if (problem) log.warn("proxy: IPv6 services are left out", { error: problem });
    return problem === undefined;
  }

  async function cleanUp(): Promise<void> {
    mustClean = false;
    commits++;
    try {
      await committer.clean();
    } catch (error) {
      log.warn("proxy: unused chains not deleted; making the tables anew", { error });
      mustRemake = true;
    }
  }

  /** What may have changed without an event: somebody else's hand on our tables, the machine's addresses. */
  function look(): void {
    if (stopped) return;
    takeFacts();
    const before = commits;
    const looked = flushing || mustRemake ? Promise.resolve() : check(committer.probe(contexts));
    looked
      .catch((error: unknown) => {
        // Refused because of what we did meanwhile: looked for in vain, not taken away.
        if (stopped || flushing || commits !== before) return;
        log.warn("proxy: somebody changed our tables; making them anew", { error });
        remake();
      })
      .finally(() => clock.after(settings.syncPeriodMs, look));
  }

  function takeFacts(): void {
    const next = contextsOf(source, settings);
    if (JSON.stringify(next) === JSON.stringify(contexts)) return;
    contexts = next;
    for (const key of source.keys()) marked.add(key);
    remake();
  }

  return {
    async run(signal) {
      // Nothing is programmed before all are known: half the truth would cut connections.
      await Promise.race([source.synced(), aborted(signal)]);
      if (signal.aborted) return;
      contexts = contextsOf(source, settings);
      const unwatch = source.watch({
        changed: mark,
        factsChanged() {
          takeFacts();
          for (const key of source.keys()) mark(key);
        },
      });
      start();
      clock.after(settings.syncPeriodMs, look);
      await new Promise<void>((done) => signal.addEventListener("abort", () => done(), { once: true }));
      stopped = true;
      unwatch();
      wakeUp?.();
      await flushing;
      await Promise.all([flows.settled(), loopback.settled()]);
    },
    async settled() {
      while (flushing || marked.size > 0) await (flushing ?? nextTurn());
      await Promise.all([flows.settled(), loopback.settled()]);
    },
  };
}

const nextTurn = () => new Promise<void>((next) => setImmediate(next));

const contextsOf = (source: Source, settings: ProxySettings): Contexts => ({
  IPv4: contextOf("IPv4", settings, source.facts()),
  IPv6: contextOf("IPv6", settings, source.facts()),
});
