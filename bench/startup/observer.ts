/** A client of a cluster that comes up: hears through watches when it is ready, and when its pods are. */
import { readFileSync } from "node:fs";
import { get } from "node:https";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Node, Pod } from "#api";
import { type Client, createClient, createHttpsTransport, createInformers, type Informer } from "#client";
import { type DeepReadonly, StatusError } from "#machinery";

/** Often enough for the figures, seldom enough not to be one of them. */
const lookMs = 5;
const waitMsMax = 60_000;
const origin = "https://127.0.0.1:6443";

export class Observer {
  readonly #client: Client;
  readonly #stop = new AbortController();
  readonly #nodes: Informer<Node>;
  readonly #pods: Informer<Pod>;

  /** Waits for /readyz to say 200. */
  static async whenReady(dataDir: string): Promise<Observer> {
    const end = performance.now() + waitMsMax;
    while (!(await isReady(dataDir))) {
      if (performance.now() > end) throw new Error(`/readyz isn't 200 within ${waitMsMax} ms`);
      await sleep(lookMs);
    }
    return new Observer(dataDir);
  }

  private constructor(dataDir: string) {
    const read = (name: string) => readFileSync(join(dataDir, "pki", name), "utf8");
    const transport = createHttpsTransport({
      server: origin,
      ca: read("ca.crt"),
      cert: read("admin.crt"),
      key: read("admin.key"),
    });
    this.#client = createClient(transport);
    const informers = createInformers(this.#client);
    this.#nodes = informers.of("v1/nodes");
    this.#pods = informers.of("v1/pods", { namespace: "default" });
    void informers.run(this.#stop.signal);
  }

  async nodeReady(): Promise<void> {
    await until(this.#nodes, (node) => node !== undefined && isTrue(node.status?.conditions, "Ready"), "node Ready");
  }

  async pod(name: string, wanted: "Running" | "Ready" | "gone"): Promise<void> {
    const look = (pod: DeepReadonly<Pod> | undefined) => {
      if (wanted === "gone") return pod === undefined;
      return wanted === "Ready" ? isTrue(pod?.status?.conditions, "Ready") : pod?.status?.phase === "Running";
    };
    await until(this.#pods, look, `pod ${name} ${wanted}`, `default/${name}`);
  }

  /** As soon as the server takes it: a new cluster has no service account yet, and for a moment no namespace. */
  async createPod(name: string, image: string): Promise<void> {
    const container = { name: "c", image, imagePullPolicy: "IfNotPresent" };
    const pod: Pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: { terminationGracePeriodSeconds: 0, containers: [container] },
    };
    const end = performance.now() + waitMsMax;
    for (;;) {
      try {
        await this.#client.resource("v1/pods", "default").create(pod);
        return;
      } catch (error) {
        const early = error instanceof StatusError && (error.code === 403 || error.code === 404);
        if (!early || performance.now() > end) throw error;
      }
      await sleep(lookMs);
    }
  }

  async removePod(name: string): Promise<void> {
    await this.#client.resource("v1/pods", "default").delete(name, { gracePeriodSeconds: 0 });
    await this.pod(name, "gone");
  }

  close(): void {
    this.#stop.abort();
    this.#client.transport.close();
  }
}

function isReady(dataDir: string): Promise<boolean> {
  let ca: Buffer;
  try {
    ca = readFileSync(join(dataDir, "pki/ca.crt"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Promise.resolve(false); // fs throws errno errors
    throw error;
  }
  return new Promise((resolve) => {
    const request = get(`${origin}/readyz`, { ca, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    // Nobody listens there yet.
    request.on("error", () => resolve(false));
  });
}

const isTrue = (conditions: readonly { type: string; status: string }[] | undefined, type: string): boolean =>
  conditions?.some((each) => each.type === type && each.status === "True") ?? false;

/** Resolves when `look` says so of the object with this key, or of any. */
function until<T extends { metadata?: { name?: string; namespace?: string } }>(
  informer: Informer<T>,
  look: (object: DeepReadonly<T> | undefined) => boolean,
  what: string,
  key?: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = () => {
      if (!look(key === undefined ? informer.list()[0] : informer.get(key))) return;
      clearTimeout(late);
      remove();
      resolve();
    };
    const late = setTimeout(() => {
      remove();
      reject(new Error(`not within ${waitMsMax} ms: ${what}`));
    }, waitMsMax);
    const remove = informer.addHandler({ added: check, updated: check, deleted: check });
    if (informer.hasSynced()) queueMicrotask(check);
  });
}
