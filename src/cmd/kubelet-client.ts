/**
 * How a kubelet alone reaches the API server: as its kubeconfig says; without a usable one, by a bootstrap token until it has a certificate
 * of its own (and a kubeconfig that names it); with new certificates as the old ones come of age, without a restart; or not at all, when it
 * only runs its own pods. What is asked of the API server meanwhile waits.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Clock, Logger } from "#base";
import {
  type Client,
  createClient,
  createHttpsTransport,
  type HttpsTransportOptions,
  kubeconfigPaths,
  kubeconfigTarget,
  readKubeconfig,
} from "#client";
import { loadNodeCertificates } from "#kubelet";
import type { Transport } from "#machinery";
import { CommandError } from "./command.ts";

export interface KubeletClientOptions {
  readonly kubeconfig: string | undefined;
  readonly bootstrapKubeconfig: string | undefined;
  readonly certDir: string;
  readonly nodeName: string;
  /** Of an agent, whose connection is a steady one: when that of the kubeconfig doesn't answer, the next of these is asked. */
  readonly servers?: readonly string[];
  /** Ask for new client certificates. */
  readonly rotates: boolean;
  /** No API server is no mistake. */
  readonly mayStandAlone: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface KubeletClient {
  readonly client: Client;
  /** Whom it talks to; undefined: nobody. */
  readonly server: string | undefined;
  /** Bootstraps and rotates; rejects when the node can't get a certificate at all. */
  run(signal: AbortSignal): Promise<void>;
  close(): void;
}

const bootstrapWaitMs = 3_600_000;

export async function openKubeletClient(options: KubeletClientOptions): Promise<KubeletClient> {
  const { kubeconfig, bootstrapKubeconfig, certDir, clock, log, nodeName } = options;
  const transport = createSwitch();
  const client = createClient(transport);
  const subject = { commonName: `system:node:${nodeName}`, organizations: ["system:nodes"] };
  const use = (target: HttpsTransportOptions) => {
    transport.use(openTransport(target, options));
    return target;
  };

  async function rotate(target: HttpsTransportOptions, signal: AbortSignal): Promise<void> {
    if (!options.rotates) return;
    const { certificateStore, clientSigner, keepCertificate } = await loadNodeCertificates();
    const store = certificateStore(certDir, "kubelet-client");
    const onPair = ({ certificate, key }: { certificate: string; key: string }) =>
      void use({ ...target, cert: certificate, key });
    await keepCertificate(
      { store, signer: clientSigner, client, clock, log, subject: async () => subject, onPair },
      signal,
    );
  }

  async function bootstrap(from: HttpsTransportOptions, file: string, signal: AbortSignal): Promise<void> {
    const { certificateStore, clientSigner, createKey, requestCertificate, requestName } = await loadNodeCertificates();
    // Kept until there is a certificate for it, so that a restart asks for the same.
    const keyFile = path.join(certDir, "kubelet-client.key.tmp");
    await mkdir(certDir, { recursive: true, mode: 0o700 });
    const key = existsSync(keyFile) ? await readFile(keyFile, "utf8") : createKey();
    await writeFile(keyFile, key, { mode: 0o600 });
    const inner = openTransport(from, options);
    const wanted = { ...clientSigner, subject, key, name: requestName(key, subject), waitMs: bootstrapWaitMs };
    try {
      const ask = { ...wanted, client: createClient(inner), clock, log };
      const issued = await untilReached(() => requestCertificate(ask, signal), options, signal);
      const store = certificateStore(certDir, "kubelet-client");
      const pair = await store.update(issued, key);
      await rm(keyFile, { force: true });
      await writeKubeconfig(file, from, store.currentPath);
      log.info("the node has a certificate of its own", { kubeconfig: file });
      const target = use({ server: from.server, ...(from.ca ? { ca: from.ca } : {}), cert: pair.certificate, key });
      await rotate(target, signal);
    } finally {
      inner.close();
    }
  }

  const closing = { client, close: () => transport.close() };
  if (bootstrapKubeconfig !== undefined && !kubeconfig)
    throw new CommandError(
      "--bootstrap-kubeconfig needs --kubeconfig, the file that is written when there is a certificate",
    );
  if (bootstrapKubeconfig !== undefined && kubeconfig && !(await isUsable(kubeconfig, clock))) {
    const from = await targetOf("bootstrap-kubeconfig", [bootstrapKubeconfig]);
    const run = (signal: AbortSignal) => bootstrap(from, kubeconfig, signal);
    return { ...closing, server: from.server, run };
  }
  const files = kubeconfigPaths(process.env, kubeconfig);
  if (kubeconfig === undefined && options.mayStandAlone && !files.some((file) => existsSync(file)))
    return { ...closing, server: undefined, run: async () => undefined };
  const target = use(await targetOf("kubeconfig", files));
  return { ...closing, server: target.server, run: (signal) => rotate(target, signal) };
}

/** An agent's is steady. */
const openTransport = (target: HttpsTransportOptions, { servers, log }: KubeletClientOptions): Transport => {
  const others = servers?.filter((server) => server !== target.server);
  const onReach = (error: Error | undefined) =>
    error ? log.warn("the API server can't be reached", { error }) : log.info("the API server is reached again");
  const steady = others && { steady: { servers: others, onReach } };
  return createHttpsTransport({ ...target, ...steady, userAgent: "kubelet" });
};

async function targetOf(flag: string, files: readonly string[]): Promise<HttpsTransportOptions> {
  try {
    return (await kubeconfigTarget(await readKubeconfig(files, { mustExist: files.length === 1 }))).transport;
  } catch (error) {
    throw new CommandError(`--${flag}: ${(error as Error).message}`);
  }
}

/** Is there a certificate in it, and in force? */
export async function isUsable(file: string, clock: Clock): Promise<boolean> {
  if (!existsSync(file)) return false;
  const { readPair } = await loadNodeCertificates();
  try {
    const { transport } = await kubeconfigTarget(await readKubeconfig([file], { mustExist: true }));
    const pair = readPair(`${transport.cert}\n${transport.key}`);
    return pair !== undefined && pair.notAfter > clock.now();
  } catch {
    // Half written, or what it names is gone: it is made anew.
    return false;
  }
}

const reachRetryMs = 2000;

/** The API server may come later than the node. */
async function untilReached<T>(
  ask: () => Promise<T>,
  { clock, log }: Pick<KubeletClientOptions, "clock" | "log">,
  signal: AbortSignal,
): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const isUnreached = error instanceof Error && "code" in error && typeof error.code === "string";
      if (!isUnreached || signal.aborted) throw error;
      log.warn("the API server can't be asked for a certificate yet", { error });
      await new Promise<void>((resolve) => clock.after(reachRetryMs, resolve));
    }
  }
}

/** As upstream writes it. */
export async function writeKubeconfig(
  file: string,
  { server, ca }: HttpsTransportOptions,
  pair: string,
): Promise<void> {
  const content = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "default-cluster",
        cluster: { server, ...(ca ? { "certificate-authority-data": Buffer.from(ca).toString("base64") } : {}) },
      },
    ],
    contexts: [
      { name: "default-context", context: { cluster: "default-cluster", namespace: "default", user: "default-auth" } },
    ],
    "current-context": "default-context",
    preferences: {},
    users: [{ name: "default-auth", user: { "client-certificate": pair, "client-key": pair } }],
  };
  const { stringify } = await import("yaml");
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, stringify(content), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** A transport that becomes another one while it is used: what is under way ends, as when a connection breaks, and is done again. */
function createSwitch(): Transport & { use(next: Transport): void } {
  const closed = Promise.withResolvers<never>();
  closed.promise.catch(() => undefined);
  let first: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>();
  let current: Transport | undefined;
  const ready = async (signal: AbortSignal | undefined): Promise<Transport> => {
    if (!current && first) {
      const aborted = new Promise<never>((_, reject) =>
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true }),
      );
      await Promise.race([first.promise, closed.promise, aborted]);
    }
    if (!current) throw new Error("nobody is asked any more");
    return current;
  };
  return {
    request: async (request) => (await ready(request.signal)).request(request),
    watch: async (request, onEvent) => (await ready(request.signal)).watch(request, onEvent),
    use(next) {
      const before = current;
      current = next;
      first?.resolve();
      first = undefined;
      before?.close();
    },
    close() {
      closed.reject(new Error("the connection is closed"));
      current?.close();
    },
  };
}
