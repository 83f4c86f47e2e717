/** The HTTPS server beside a part, for as long as it runs: flags under upstream's names, a certificate of its own if none is given. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { ComponentServer, HealthCheck, KeyPair } from "#apiserver";
import type { Clock, FlagSpecs, FlagValues, Logger, MetricRegistry } from "#base";
import type { Client } from "#client";
import { CommandError } from "./command.ts";
import { createComponentAuth } from "./component-auth.ts";
import { kubernetesVersion } from "./version.ts";

export const componentFlags = {
  "bind-address": { type: "string", default: "0.0.0.0", value: "IP", help: "Address of health and metrics." },
  "tls-cert-file": {
    type: "string",
    value: "FILE",
    help: "PEM certificate of that server (default: made at the start).",
  },
  "tls-private-key-file": { type: "string", value: "FILE", help: "PEM key of --tls-cert-file." },
  profiling: { type: "bool", default: true, help: "Serve profiles and the log level at /debug/." },
} as const satisfies FlagSpecs;

export const securePort = (standard: number) =>
  ({
    "secure-port": {
      type: "int",
      default: standard,
      min: 0,
      max: 65535,
      value: "PORT",
      help: "Port of health and metrics; 0: none.",
    },
  }) as const satisfies FlagSpecs;

export type ComponentValues = FlagValues<typeof componentFlags> & { readonly "secure-port": number };

export interface ComponentOptions {
  readonly name: string;
  readonly metrics: MetricRegistry;
  /** Beside `ping`. */
  readonly checks?: ReadonlyMap<string, HealthCheck>;
  readonly client: Client;
  /** PEM: authority of client certificates. */
  readonly clientCa?: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Resolves when it listens, with what ends it. What it needs is loaded at the first connection: a part that nobody looks at stays small.
 */
export async function serveComponent(values: ComponentValues, options: ComponentOptions): Promise<() => Promise<void>> {
  const { "secure-port": port, "bind-address": host } = values;
  if (port === 0) return async () => undefined;
  const { log } = options;
  const given = await readPair(values);
  let made: Promise<ComponentServer> | undefined;
  const door = createServer({ pauseOnConnect: true }, (socket) => {
    made ??= makeServer(values, { ...options, given });
    made.then(
      (server) => server.accept(socket),
      (error: unknown) => {
        log.error("health and metrics can't be served", { error });
        socket.destroy();
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) =>
      reject(new CommandError(`--secure-port ${port}: cannot listen on ${host}: ${error.code ?? error.message}`));
    door.once("error", failed).listen({ port, host }, () => {
      door.off("error", failed);
      resolve();
    });
  });
  return async () => {
    door.close();
    await (await made)?.close();
  };
}

async function makeServer(
  values: ComponentValues,
  { name, metrics, checks, client, clientCa, clock, log, given }: ComponentOptions & { given: KeyPair | undefined },
): Promise<ComponentServer> {
  const { createComponentServer, selfSignedPair } = await import("#apiserver");
  const { certificate: cert, key } = given ?? (await selfSignedPair("localhost", clock.now()));
  const flags = Object.entries(values).flatMap(([flag, value]) => (value === undefined ? [] : [[flag, String(value)]]));
  return createComponentServer({
    name,
    version: kubernetesVersion.slice(1).split(".", 2).join("."),
    flags: Object.fromEntries(flags) as Record<string, string>, // pairs of texts
    profiling: values.profiling,
    tls: { cert, key, ...(clientCa !== undefined && { clientCa }) },
    metrics,
    ...(checks && { checks }),
    auth: createComponentAuth(client, clock),
    clock,
    log,
  });
}

/** Undefined: none is given. */
async function readPair(values: ComponentValues): Promise<KeyPair | undefined> {
  const { "tls-cert-file": certificate, "tls-private-key-file": key } = values;
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined || key === undefined)
    throw new CommandError("--tls-cert-file and --tls-private-key-file belong together");
  try {
    return { certificate: await readFile(certificate, "utf8"), key: await readFile(key, "utf8") };
  } catch (error) {
    throw new CommandError(`--tls-cert-file, --tls-private-key-file: ${(error as Error).message}`);
  }
}

/** Of a part inside of `up`: on upstream's port, for this machine only. That the port is taken is no reason not to run. */
export async function serveInside(
  port: number,
  options: ComponentOptions & { readonly profiling: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { name, profiling, log } = options;
  const place = { "secure-port": port, "bind-address": "127.0.0.1", profiling };
  const none = { "tls-cert-file": undefined, "tls-private-key-file": undefined };
  try {
    const end = await serveComponent({ ...place, ...none }, options);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await end();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    log.warn("health and metrics are not served", { part: name, why: error.message });
  }
}
