/** What parts that run alone share: a kubeconfig, logging, and running until they are told to stop. */
import {
  collectProcess,
  createLogger,
  type FlagSpecs,
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

/** Connects, runs what `start` makes beside its informers, and disconnects. */
export async function runPart(
  name: string,
  { flags, signal, err, out }: PartInvocation,
  start: (context: PartContext) => Promise<void> | Promise<void>[],
  serving?: ComponentValues,
): Promise<number> {
  const log = createLogger({ write: err, level: flags["log-level"] as LogLevel }); // one of the flag's choices
  const target = await readTarget(flags.kubeconfig);
  const metrics = new MetricRegistry();
  const endMetrics = serving ? collectProcess(metrics) : undefined;
  const plain = createHttpsTransport({ ...target.transport, userAgent: name });
  const { host } = new URL(target.transport.server);
  const transport = serving ? meteredTransport(plain, { metrics, host }) : plain;
  const client = createClient(transport);
  const informers = createInformers(client, { clock: realClock, log });
  const endServing = serving && (await serveComponent(serving, { name, metrics, client, clock: realClock, log }));
  try {
    // Asked for before they run, so that everything is listed once.
    const running = [start({ client, informers, log, metrics, signal })].flat();
    out(`${name} works against ${target.transport.server}\n`);
    await Promise.all([...running, informers.run(signal)]);
  } finally {
    await endServing?.();
    endMetrics?.();
    transport.close();
  }
  return 0;
}

async function readTarget(file: string | undefined) {
  try {
    return await kubeconfigTarget(
      await readKubeconfig(kubeconfigPaths(process.env, file), { mustExist: file !== undefined }),
    );
  } catch (error) {
    throw new CommandError(`--kubeconfig: ${(error as Error).message}`);
  }
}
