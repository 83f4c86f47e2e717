/**
 * Ingresses, served beside a node: in a thread of its own, so that neither the API server nor the node waits for requests that only pass through.
 * It acts by a certificate of its own over the API server's port, as it would on another machine. Until there is the first Ingress all that is here
 * is one watch; the thread goes with the last.
 */
import { Worker } from "node:worker_threads";
import { type Logger, realClock } from "#base";
import { type Client, createInformers, delay } from "#client";
import type { readIngressFlags } from "./ingress-flags.ts";

/** What the thread is told; plain data. */
export interface IngressThread extends ReturnType<typeof readIngressFlags> {
  readonly identity: string;
  readonly addresses: readonly string[];
  readonly transport: { readonly server: string; readonly ca: string; readonly cert: string; readonly key: string };
  readonly logLevel: string | undefined;
}

export interface NodeIngressOptions extends ReturnType<typeof readIngressFlags> {
  /** For the watch. */
  readonly client: Client;
  readonly nodeName: string;
  readonly addresses: readonly string[];
  /** How the thread reaches the API server, in the role `sampan:ingress`. */
  readonly credentials: () => Promise<IngressThread["transport"]>;
  readonly log: Logger;
}

/** Between two threads, when one failed. */
const restartMs = 1_000;
/** Buffers of connections aren't on this heap. */
const heapMegabytes = { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 512 };

export async function runNodeIngress(options: NodeIngressOptions, signal: AbortSignal): Promise<void> {
  const { client, ports, trustedProxies, nodeName: identity, addresses, credentials, log } = options;
  if (ports.http === 0 && ports.https === 0) return;
  const informers = createInformers(client, { clock: realClock, log });
  const ingresses = informers.of("networking.k8s.io/v1/ingresses");
  const running = informers.run(signal);
  let changed = Promise.withResolvers<void>();
  const note = () => changed.resolve();
  ingresses.addHandler({ added: note, deleted: note });
  signal.addEventListener("abort", note, { once: true });
  let thread: { readonly end: () => Promise<void> } | undefined;
  while (!signal.aborted) {
    changed = Promise.withResolvers();
    const isWanted = ingresses.list().length > 0;
    if (isWanted && !thread) {
      const logLevel = log.threshold?.level;
      const data = { ports, trustedProxies, identity, addresses, transport: await credentials(), logLevel };
      thread = startThread(data, () => {
        thread = undefined;
        log.error("ingress: its thread ended; it is started again", { afterMs: restartMs });
        void delay(realClock, restartMs, signal).then(note);
      });
    } else if (!isWanted && thread) {
      const { end } = thread;
      thread = undefined;
      await end();
    }
    if (!signal.aborted) await changed.promise;
  }
  await thread?.end();
  await running;
}

function startThread(data: IngressThread, onFailure: () => void): { end(): Promise<void> } {
  // Bundled, the thread's program is a file of its own beside the bundle.
  const program = import.meta.url.endsWith(".ts") ? "./ingress-worker.ts" : "./ingress-worker.js";
  const worker = new Worker(new URL(program, import.meta.url), {
    ...{ name: "ingress", workerData: data, resourceLimits: heapMegabytes },
    execArgv: [], // Not the main thread's --test or --import.
  });
  let isEnding = false;
  worker.on("error", (error) => process.stderr.write(`ingress: ${error instanceof Error ? error.stack : error}\n`));
  const ended = new Promise<void>((done) =>
    worker.once("exit", () => {
      if (!isEnding) onFailure();
      done();
    }),
  );
  return {
    end() {
      isEnding = true;
      worker.postMessage("end");
      return ended;
    },
  };
}
