/** `--leader-elect…`, under upstream's names, and running something only while leading. */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { type Clock, FlagError, type FlagSpecs, type FlagValues, type Logger, parseFlags } from "#base";
import { type Client, createEventRecorder, createLeaderElection } from "#client";

export const leaderFlags = {
  "leader-elect": {
    type: "bool",
    default: true as boolean,
    help: "Work only while holding a Lease, so that of several only one works.",
  },
  "leader-elect-lease-duration": {
    type: "duration",
    default: 15_000,
    value: "TIME",
    help: "How long others wait for a leader that is silent.",
  },
  "leader-elect-renew-deadline": {
    type: "duration",
    default: 10_000,
    value: "TIME",
    help: "How long a leader tries to renew before it gives up.",
  },
  "leader-elect-retry-period": { type: "duration", default: 2_000, value: "TIME", help: "How often each tries." },
  "leader-elect-resource-lock": { type: "string", default: "leases", choices: ["leases"], help: "Kind of the lock." },
  "leader-elect-resource-namespace": {
    type: "string",
    default: "kube-system",
    value: "NAMESPACE",
    help: "Where the lock is.",
  },
} as const satisfies FlagSpecs;

/** Only of parts alone: in `server` each has the name of its own. */
export const leaderNameFlag = (name: string) =>
  ({
    "leader-elect-resource-name": { type: "string", default: name, value: "NAME", help: "Name of the lock." },
  }) as const satisfies FlagSpecs;

export type LeaderValues = FlagValues<typeof leaderFlags>;

export const leaderDefaults: LeaderValues = parseFlags(leaderFlags, { args: [], env: {} }).values;

/** Others' clocks and requests may differ by this much: client-go's JitterFactor. */
const jitter = 1.2;
/** Beyond the lease's end, before health says that something hangs; as upstream. */
const overdueMs = 20_000;

export function checkLeaderFlags(values: LeaderValues): void {
  const {
    "leader-elect-lease-duration": lease,
    "leader-elect-renew-deadline": renew,
    "leader-elect-retry-period": retry,
  } = values;
  if (!values["leader-elect"]) return;
  if (lease < 1000) throw new FlagError("--leader-elect-lease-duration must be at least 1s");
  if (lease <= renew)
    throw new FlagError("--leader-elect-lease-duration must be greater than --leader-elect-renew-deadline");
  if (renew <= retry * jitter)
    throw new FlagError(`--leader-elect-renew-deadline must be greater than --leader-elect-retry-period * ${jitter}`);
  if (retry < 1) throw new FlagError("--leader-elect-retry-period must be greater than zero");
}

export interface ElectedOptions {
  /** Absent: leads all the time. */
  readonly values: LeaderValues | undefined;
  /** Of the Lease. */
  readonly name: string;
  /** Who leads, in events. */
  readonly component: string;
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** Runs while leading; resolves soon after its signal aborts. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
}

export interface Elected {
  /** Until the signal aborts, or leadership is lost: then the work isn't waited for. */
  run(signal: AbortSignal): Promise<"ended" | "lost">;
  /** The same, but stands by again when leadership is lost and the work has ended. */
  runAgain(signal: AbortSignal): Promise<void>;
  /** Health checks of the part's server. */
  readonly checks: ReadonlyMap<string, () => string | undefined>;
}

export function createElected({ values, name, component, client, clock, log, lead }: ElectedOptions): Elected {
  if (!values?.["leader-elect"])
    return { run: (signal) => lead(signal).then(() => "ended"), runAgain: lead, checks: new Map() };
  let work: Promise<void> = Promise.resolve();
  const election = createLeaderElection({
    client,
    namespace: values["leader-elect-resource-namespace"],
    name,
    identity: `${hostname().toLowerCase()}_${randomUUID()}`,
    leaseMs: values["leader-elect-lease-duration"],
    renewDeadlineMs: values["leader-elect-renew-deadline"],
    retryMs: values["leader-elect-retry-period"],
    events: createEventRecorder({ client, component, clock, log }),
    clock,
    log,
    lead(leading) {
      work = lead(leading);
      return work;
    },
  });
  const run: Elected["run"] = async (signal) => {
    const outcome = await election.run(signal);
    if (outcome === "lost") log.error("leaderelection lost");
    return outcome;
  };
  const late = `failed election to renew leadership on lease ${name}`;
  return {
    run,
    async runAgain(signal) {
      while (!signal.aborted) {
        await run(signal);
        await work; // a second one beside it would do everything twice
      }
    },
    checks: new Map([["leaderElection", () => (election.isOverdue(overdueMs) ? late : undefined)]]),
  };
}
