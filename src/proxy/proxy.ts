/**
 * The service proxy of one node, on nftables. Events mark keys; one flush turns all marked ones into one transaction, which holds
 * only what changed against what we committed. The ruleset is never listed. See nftables/committer.ts for what happens when the
 * kernel refuses one.
 */
import { type ApplyScript, backoffMs, type Clock, type Logger } from "#base";
import type { InformerSet } from "#client";
import { removeScript } from "./core/base.ts";
import { contextOf } from "./core/context.ts";
import { fragmentOf } from "./core/fragment.ts";
import type { ServicePort } from "./core/service-port.ts";
import { createSource, type Source } from "./core/source.ts";
import { type Change, type CommitResult, type Contexts, createCommitter } from "./nftables/committer.ts";
import { createFlowCleaner } from "./nftables/flow-cleaner.ts";
import { createLoopback } from "./nftables/loopback.ts";
import { createNftCheck, familyProblem } from "./nftables/problem.ts";
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
  let mustCommit = true;
  let flushing: Promise<void> | undefined;
  let failures = 0;
  let stopped = false;
  let wakeUp: (() => void) | undefined;

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
    // Let the events of this turn of the loop come in first: they go into the same transaction.
    await nextTurn();
    try {
      while (!stopped && (marked.size > 0 || mustCommit)) {
        const tookMs = await commitMarked();
        // At most half of the time is spent here, however often a service changes.
        if (marked.size > 0) await pause(Math.max(settings.minSyncPeriodMs, tookMs));
      }
      failures = 0;
    } catch (error) {
      observer?.failed(error);
      const retryMs = Math.min(backoffMs(++failures, { initialMs: 100, maxMs: 30_000 }), settings.syncPeriodMs);
      log.error("proxy: rules not committed; making the tables anew", { error, retryMs });
      committer.forget();
      mustCommit = true;
      clock.after(retryMs, start);
    } finally {
      flushing = undefined;
    }
  }

  const pause = (ms: number) =>
    new Promise<void>((done) => {
      wakeUp = done;
      clock.after(ms, done);
    });

  /** One transaction with everything marked; answers how long it took. */
  async function commitMarked(): Promise<number> {
    const begunMs = clock.now();
    const keys = [...marked];
    marked.clear();
    const since = triggers;
    triggers = [];
    mustCommit = false;
    const changes: Change[] = [];
    const ports = new Map<string, readonly ServicePort[]>();
    for (const [at, key] of keys.entries()) {
      if (at > 0 && at % keysPerTurnMax === 0) await nextTurn();
      const wanted = source.wanted(key);
      if (withIpv6 === undefined && wanted.ports.some(({ family }) => family === "IPv6")) withIpv6 = await hasIpv6();
      changes.push({
        owner: { name: key, rank: wanted.rank },
        fragments: {
          IPv4: fragmentOf(wanted.ports, contexts.IPv4),
          IPv6: fragmentOf(withIpv6 ? wanted.ports : [], contexts.IPv6),
        },
      });
      ports.set(key, wanted.ports);
    }
    const result = await committer.commit(changes, contexts).catch((error: unknown) => {
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
    if (committer.hasStale) clock.after(staleChainMs, cleanLater);
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

  async function hasIpv6(): Promise<boolean> {
    const problem = await familyProblem("IPv6", check);
    if (problem) log.warn("proxy: IPv6 services are left out", { error: problem });
    return problem === undefined;
  }

  function cleanLater(): void {
    if (stopped || !committer.hasStale) return;
    // In the same queue as commits: two at once would not know of each other.
    const before = flushing ?? Promise.resolve();
    flushing = before
      .then(() => committer.clean())
      .catch((error: unknown) => {
        log.warn("proxy: unused chains not deleted; making the tables anew", { error });
        committer.forget();
        mustCommit = true;
      })
      .finally(() => {
        flushing = undefined;
        if (marked.size > 0 || mustCommit) start();
      });
  }

  /** What may have changed without an event: somebody else's hand on our tables, the machine's addresses. */
  function look(): void {
    if (stopped) return;
    takeFacts();
    const looked = flushing || mustCommit ? Promise.resolve() : check(committer.probe(contexts));
    looked
      .catch((error: unknown) => {
        if (stopped || flushing) return;
        log.warn("proxy: somebody changed our tables; making them anew", { error });
        committer.forget();
        mustCommit = true;
        start();
      })
      .finally(() => clock.after(settings.syncPeriodMs, look));
  }

  function takeFacts(): void {
    const next = contextsOf(source, settings);
    if (JSON.stringify(next) === JSON.stringify(contexts)) return;
    contexts = next;
    committer.forget();
    mustCommit = true;
    for (const key of source.keys()) marked.add(key);
    start();
  }

  return {
    async run(signal) {
      // Nothing is programmed before all are known: half the truth would cut connections.
      await source.synced();
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
