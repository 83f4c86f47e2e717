/** The controllers and the scheduler beside an API server in the same process: what `up` and `server` share. */
import { hostname } from "node:os";
import { createRequestSigner } from "#apiserver";
import { type Logger, MetricRegistry, realClock } from "#base";
import { type Client, createInformers, type InformerSet } from "#client";
import { type ControllerOptions, createControllers, parsePool } from "#controllers";
import { createScheduler, type SchedulerConfiguration } from "#scheduler";
import { serveInside } from "./component-server.ts";
import type { ControlPlane } from "./control-plane.ts";
import { CommandError } from "./command.ts";
import { chooseControllers, type ControllerValues } from "./controller-flags.ts";
import { checkLeaderFlags, createElected, type LeaderValues } from "./leader-flags.ts";
import type { Parts } from "./parts.ts";
import { signersOf } from "./signing-flags.ts";

export interface LoopValues extends ControllerValues {
  readonly "cluster-cidr": string;
  readonly "service-cidr": string;
  readonly profiling: boolean;
}

export interface LoopOptions {
  readonly values: LoopValues;
  /** What `values` say about controllers, with what they name read. */
  readonly options: ControllerOptions;
  /** Absent: nobody else could work on this store. */
  readonly election?: LeaderValues;
  readonly scheduler?: Partial<SchedulerConfiguration>;
  readonly log: Logger;
}

export function startLoops(
  plane: ControlPlane,
  { values, election, scheduler, log, options }: LoopOptions,
  { parts, signal }: { readonly parts: Parts; readonly signal: AbortSignal },
): void {
  const { authority } = plane.pki;
  if (election) checkLeaderFlags(election);
  refuseOverlap(values);
  const start = (name: string, port: number, work: (loop: LoopContext, signal: AbortSignal) => Promise<void>) => {
    const client = plane.client({ name: `system:${name}`, groups: [], userAgent: name });
    const metrics = new MetricRegistry();
    const ownLog = log.with({ part: name === "kube-scheduler" ? "scheduler" : "controllers" });
    const lead = async (leading: AbortSignal) => {
      const informers = createInformers(client, { clock: realClock, log });
      // Asked for before they run, so that everything is listed once.
      const working = work({ client, informers, metrics, log: ownLog }, leading);
      await Promise.all([working, informers.run(leading)]);
    };
    const elected = createElected({
      ...{ values: election, name, component: name, client, clock: realClock, log: ownLog, lead },
    });
    const { checks } = elected;
    const serving = { name, metrics, checks, client, clientCa: authority.certificate, profiling: values.profiling };
    parts.add(`${name}'s server`, serveInside(port, { ...serving, clock: realClock, log }, signal));
    parts.add(name === "kube-scheduler" ? "scheduler" : "controllers", elected.runAgain(signal));
  };
  start("kube-controller-manager", 10257, ({ client, informers, metrics, log: ownLog }, leading) =>
    createControllers({
      informers,
      clientFor: (account) => (account === undefined ? client : accountClient(plane, account)),
      clock: realClock,
      log: ownLog,
      metrics,
      // Machines may join: `kubeadm` sets a cluster up so too.
      controllers: chooseControllers(values.controllers, { optional: true }),
      options: {
        ...(values["allocate-node-cidrs"] && { clusterCidrs: values["cluster-cidr"].split(",") }),
        serviceCidrs: values["service-cidr"].split(","),
        rootCa: authority.certificate,
        legacyToken: plane.legacyToken,
        // One server only: what controllers see is what there is, so a namespace need not wait for other servers' caches.
        namespaceDelayMs: 0,
        ...options,
        signers:
          options.signers && options.signers.size > 0
            ? options.signers
            : signersOf(createRequestSigner(authority), values["cluster-signing-duration"]),
      },
    }).run(leading),
  );
  start("kube-scheduler", 10259, ({ client, informers, metrics, log: ownLog }, leading) =>
    createScheduler({ client, informers, metrics, clock: realClock, log: ownLog, host: hostname(), ...scheduler }).run(
      leading,
    ),
  );
}

/** What is a pod or a Service already can't be a balancer, too. */
function refuseOverlap(values: LoopValues): void {
  const pool = parsePool(values["load-balancer-pool"]);
  for (const flag of ["cluster-cidr", "service-cidr"] as const)
    for (const range of values[flag].split(",")) {
      const found = pool.overlap(range);
      if (found !== undefined)
        throw new CommandError(`--load-balancer-pool ${found} and --${flag} ${range} share addresses`);
    }
}

interface LoopContext {
  readonly client: Client;
  readonly informers: InformerSet;
  readonly metrics: MetricRegistry;
  readonly log: Logger;
}

const accountClient = (plane: ControlPlane, account: string): Client =>
  plane.client({
    name: `system:serviceaccount:kube-system:${account}`,
    groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system"],
    userAgent: "kube-controller-manager",
  });
