/** What parts that run alone share: a kubeconfig, logging, and running until they are told to stop. */
import {
  collectProcess,
  createLogger,
  type FlagSpecs,
  type FlagValues,
  type Logger,
  type LogLevel,
  MetricRegistry,
  realClock,
} from "#base";
import {
  type Client,
  createClient,
  createHttpsTransport,
  createInformers,
  type InformerSet,
  kubeconfigPaths,
  kubeconfigTarget,
  meteredTransport,
  readKubeconfig,
} from "#client";
import { CommandError } from "./command.ts";
import { type ComponentValues, serveComponent } from "./component-server.ts";
import { readConfigFile } from "./config-file.ts";
import { text } from "./flag-spec.ts";
import { checkLeaderFlags, createElected, type Elected, type LeaderValues } from "./leader-flags.ts";
import { inClusterConfig } from "./in-cluster.ts";
import { placeFlags } from "./settings.ts";

export const partFlags = {
  config: placeFlags.config,
  kubeconfig: {
    type: "string",
    value: "FILE",
    help: "How to reach the API server (default: $KUBECONFIG, then ~/.kube/config).",
  },
  "log-level": placeFlags["log-level"],
} as const satisfies FlagSpecs;

/** Of parts with a server of their own: whom it asks about callers. */
export const delegatedFlags = {
  "authentication-kubeconfig": text("FILE", "Kubeconfig for asking who a caller is (default: --kubeconfig)."),
  "authorization-kubeconfig": text("FILE", "The same, for what callers may do."),
  "client-ca-file": text("FILE", "PEM authority of callers with certificates."),
} as const satisfies FlagSpecs;
type DelegatedValues = FlagValues<typeof delegatedFlags>;

export interface PartContext {
  readonly client: Client;
  readonly informers: InformerSet;
  readonly log: Logger;
  /** Shown by the part's own server, if it has one. */
  readonly metrics: MetricRegistry;
  readonly signal: AbortSignal;
}

interface PartInvocation {
  readonly flags: { readonly kubeconfig: string | undefined; readonly "log-level": string };
  readonly signal: AbortSignal;
  readonly err: (text: string) => void;
  readonly out: (text: string) => void;
}

export interface PartServing {
  /** Of the part's own server of health and metrics. */
  readonly serving?: ComponentValues & DelegatedValues;
  /** Absent: several may work beside each other. */
  readonly election?: LeaderValues & { readonly "leader-elect-resource-name": string };
  /** Of a part with servers of its own kind: requests are counted too. */
  readonly metered?: boolean;
  /** The API server's address, instead of the kubeconfig's. */
  readonly master?: string;
}

/** Connects, runs what `start` makes beside its informers, while leading if there is an election, and disconnects. */
export async function runPart(
  name: string,
  { flags, signal, err, out }: PartInvocation,
  start: (context: PartContext) => Promise<void> | Promise<void>[],
  { serving, election, metered = serving !== undefined, master }: PartServing = {},
): Promise<number> {
  const log = createLogger({ write: err, level: flags["log-level"] as LogLevel }); // one of the flag's choices
  if (election) checkLeaderFlags(election);
  const target = await readTarget("kubeconfig", flags.kubeconfig, master);
  const metrics = new MetricRegistry();
  const endMetrics = serving ? collectProcess(metrics) : undefined;
  const plain = createHttpsTransport({ ...target.transport, userAgent: name });
  const { host } = new URL(target.transport.server);
  const transport = metered ? meteredTransport(plain, { metrics, host }) : plain;
  const client = createClient(transport);
  const lead = async (leading: AbortSignal) => {
    const informers = createInformers(client, { clock: realClock, log });
    // Asked for before they run, so that everything is listed once.
    const running = [start({ client, informers, log, metrics, signal: leading })].flat();
    out(`${name} works against ${target.transport.server}\n`);
    await Promise.all([...running, informers.run(leading)]);
  };
  const elected = createElected({
    ...{ values: election, name: election?.["leader-elect-resource-name"] ?? name, component: name, lead },
    ...{ client, clock: realClock, log },
  });
  const endServing = serving && (await servePart(name, serving, { metrics, client, elected, log }));
  try {
    if (election?.["leader-elect"]) out(`${name} stands by at ${target.transport.server}\n`);
    // Lost: another one works from now on, so nothing of ours may go on, not even what is under way.
    return (await elected.run(signal)) === "ended" ? 0 : 1;
  } finally {
    await endServing?.();
    endMetrics?.();
    transport.close();
  }
}

async function servePart(
  name: string,
  values: ComponentValues & DelegatedValues,
  context: { metrics: MetricRegistry; client: Client; elected: Elected; log: Logger },
): Promise<() => Promise<void>> {
  const { metrics, elected, log } = context;
  const clientCa = await readConfigFile("client-ca-file", values["client-ca-file"], (pem) => pem);
  const reviewer = await reviewerOf(name, values);
  const end = await serveComponent(values, {
    ...{ name, metrics, checks: elected.checks, client: reviewer?.client ?? context.client, clock: realClock, log },
    ...(clientCa !== undefined && { clientCa }),
  });
  return async () => {
    await end();
    reviewer?.close();
  };
}

/** Who is asked about callers, when that isn't the API server itself that the part works against. */
async function reviewerOf(
  name: string,
  values: DelegatedValues,
): Promise<{ client: Client; close(): void } | undefined> {
  const { "authentication-kubeconfig": authentication, "authorization-kubeconfig": authorization } = values;
  const file = authentication ?? authorization;
  if (file === undefined) return undefined;
  if ((authorization ?? file) !== file)
    throw new CommandError("--authentication-kubeconfig and --authorization-kubeconfig must be the same file");
  const { transport } = await readTarget("authentication-kubeconfig", file);
  const opened = createHttpsTransport({ ...transport, userAgent: name });
  return { client: createClient(opened), close: () => opened.close() };
}

async function readTarget(flag: string, file: string | undefined, master?: string) {
  try {
    const config = await readKubeconfig(kubeconfigPaths(process.env, file), { mustExist: file !== undefined });
    if (master !== undefined && config.currentContext === "") return { transport: { server: master } };
    const inCluster = file === undefined && config.contexts.size === 0 ? inClusterConfig(process.env) : undefined;
    const target = await kubeconfigTarget(inCluster ?? config);
    return { transport: { ...target.transport, ...(master !== undefined && { server: master }) } };
  } catch (error) {
    throw new CommandError(`--${flag}: ${(error as Error).message}`);
  }
}
