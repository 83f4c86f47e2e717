/**
 * One of several processes does the work: whoever holds a Lease and keeps renewing it. Semantics and times are client-go's: others wait
 * until the lease was not renewed for its whole duration by their own clock (so clocks need not agree), the holder stops
 * before that (renew deadline), and a holder that ends on purpose gives the lease up so that the next one need not wait.
 */
import type { Lease, LeaseSpec } from "#api";
import { type Clock, type Logger, realClock, silentLogger } from "#base";
import { type DeepReadonly, isStatusError } from "#machinery";
import { delay } from "./delay.ts";
import { microTime } from "./time.ts";
import type { Client, EventRecorder } from "./types.ts";

export interface LeaderElectionOptions {
  readonly client: Client;
  readonly namespace: string;
  readonly name: string;
  /** Unique among the candidates. */
  readonly identity: string;
  /** Runs while leading; must end soon after the signal aborts. When leadership is lost nobody waits for that. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
  readonly onNewLeader?: (identity: string) => void;
  readonly events?: EventRecorder;
  readonly leaseMs?: number;
  readonly renewDeadlineMs?: number;
  readonly retryMs?: number;
  readonly clock?: Clock;
  readonly log?: Logger;
}

/** Candidates try at intervals of up to (1 + this) times `retryMs`, so that they don't all ask at once. */
const jitter = 1.2;

export interface LeaderElection {
  /** Resolves when the signal aborted and the work has ended, or when leadership was lost; the caller decides whether to try again. */
  run(signal: AbortSignal): Promise<"ended" | "lost">;
  /** That we lead and have not renewed for this much longer than the lease lasts: something hangs. */
  isOverdue(toleranceMs: number): boolean;
}

export function createLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { client, namespace, name, identity, clock = realClock, log = silentLogger } = options;
  const { leaseMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000 } = options;
  const leases = client.resource("coordination.k8s.io/v1/leases", namespace);
  // The lease as last seen, and when by our clock its holder last showed itself.
  let seen: DeepReadonly<Lease> | undefined;
  let seenText = "";
  let seenAt = 0;
  let reported: string | undefined;

  const observe = (lease: DeepReadonly<Lease>) => {
    const text = JSON.stringify(lease.spec ?? {});
    if (text !== seenText) seenAt = clock.now();
    seenText = text;
    seen = lease;
    const holder = lease.spec?.holderIdentity ?? "";
    if (holder !== reported) options.onNewLeader?.(holder);
    reported = holder;
  };
  const isOurs = () => seen?.spec?.holderIdentity === identity;
  /** As long as its holder said, not as long as we would. */
  const isValid = () => seenAt + (seen?.spec?.leaseDurationSeconds ?? 0) * 1000 > clock.now();
  const write = async (spec: LeaseSpec) => {
    const metadata = { ...(seen ? seen.metadata : { name, namespace }) };
    // Metadata comes from the server and goes back unchanged; only the type says read-only.
    const lease = { kind: "Lease", apiVersion: "coordination.k8s.io/v1", metadata, spec } as Lease;
    observe(seen ? await leases.update(lease) : await leases.create(lease));
  };
  const renewal = (old: DeepReadonly<LeaseSpec> | undefined): LeaseSpec => {
    const now = microTime(clock.now());
    const keep = old?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.trunc(leaseMs / 1000),
      acquireTime: keep ? old?.acquireTime : now,
      renewTime: now,
      leaseTransitions: (old?.leaseTransitions ?? 0) + (old && !keep ? 1 : 0),
    };
  };

  /** True when the lease is ours for another `leaseMs`. */
  async function tryAcquireOrRenew(): Promise<boolean> {
    try {
      // The holder knows what is stored; if not, the lost lock says so and it reads.
      if (seen && isOurs() && isValid()) {
        try {
          await write(renewal(seen.spec));
          return true;
        } catch (error) {
          if (!isStatusError(error, "Conflict") && !isStatusError(error, "NotFound")) throw error;
        }
      }
      try {
        observe(await leases.get(name));
      } catch (error) {
        if (!isStatusError(error, "NotFound")) throw error;
        seen = undefined;
      }
      if (seen?.spec?.holderIdentity && isValid() && !isOurs()) return false;
      await write(renewal(seen?.spec));
      return true;
    } catch (error) {
      log.debug("leader election: can't take or renew the lease", { lease: `${namespace}/${name}`, error });
      return false;
    }
  }

  const record = (message: string) => {
    const about = {
      kind: "Lease",
      apiVersion: "coordination.k8s.io/v1",
      metadata: seen?.metadata ?? { name, namespace },
    };
    options.events?.event(about, { type: "Normal", reason: "LeaderElection", message: `${identity} ${message}` });
  };

  async function run(signal: AbortSignal): Promise<"ended" | "lost"> {
    log.info("attempting to acquire leader lease...", { lease: `${namespace}/${name}` });
    while (!(await tryAcquireOrRenew())) {
      await delay(clock, retryMs * (1 + jitter * Math.random()), signal);
      if (signal.aborted) return "ended";
    }
    if (signal.aborted) {
      await release();
      return "ended";
    }
    record("became leader");
    log.info("successfully acquired lease", { lease: `${namespace}/${name}`, identity });
    const leading = new AbortController();
    const stop = () => leading.abort();
    signal.addEventListener("abort", stop, { once: true });
    const work = options.lead(leading.signal).finally(stop);
    work.catch(() => undefined); // thrown below, unless nobody waits for it
    const hasLost = await renew(leading);
    signal.removeEventListener("abort", stop);
    record("stopped leading");
    if (hasLost) {
      log.info("failed to renew lease", { lease: `${namespace}/${name}`, identity });
      return "lost";
    }
    // The next one may only start when our work has ended.
    try {
      await work;
    } finally {
      await release();
    }
    return "ended";
  }

  /** True when the lease could not be renewed in time; `leading` is aborted afterwards. */
  async function renew(leading: AbortController): Promise<boolean> {
    const stopped = new Promise<false>((resolve) => {
      leading.signal.addEventListener("abort", () => resolve(false), { once: true });
    });
    let renewedAt = clock.now();
    let hasLost = false;
    const lose = () => {
      hasLost = true;
      leading.abort();
    };
    while (!leading.signal.aborted) {
      await delay(clock, retryMs, leading.signal);
      if (leading.signal.aborted) break;
      // A request that hangs must not keep us leading beyond the deadline.
      const cancelDeadline = clock.after(Math.max(0, renewedAt + renewDeadlineMs - clock.now()), lose);
      const startedAt = clock.now();
      if (await Promise.race([tryAcquireOrRenew(), stopped])) renewedAt = startedAt;
      cancelDeadline();
      if (!leading.signal.aborted && clock.now() - renewedAt >= renewDeadlineMs) lose();
    }
    return hasLost;
  }

  async function release(): Promise<void> {
    try {
      // A renewal may have been under way.
      observe(await leases.get(name));
      if (!isOurs()) return;
      const now = microTime(clock.now());
      const leaseTransitions = seen?.spec?.leaseTransitions;
      await write({ holderIdentity: "", leaseDurationSeconds: 1, acquireTime: now, renewTime: now, leaseTransitions });
    } catch (error) {
      log.warn("failed to release lease", { lease: `${namespace}/${name}`, error });
    }
  }

  return {
    run,
    isOverdue: (toleranceMs) => isOurs() && clock.now() - seenAt > leaseMs + toleranceMs,
  };
}
