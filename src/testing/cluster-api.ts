/**
 * The API of a test cluster without a process for each request: `kubectl proxy` brings it out of the cluster's namespace through a Unix
 * socket. One watch of a namespace's pods serves all who wait for one.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import type { Event, Pod } from "#api";
import type { KubernetesObject } from "#machinery";
import type { TestCluster } from "./cluster.ts";

/** Answers as tests look at them. */
export type LooseObject = KubernetesObject & Record<string, unknown> & { readonly items: readonly LooseObject[] };

export interface ClusterApi {
  readonly socket: string;
  /** Rejects with `{ code, message }` of the Status. */
  call(method: string, target: string, body?: object, contentType?: string): Promise<LooseObject>;
  text(target: string): Promise<string>;
  /** The pod once `fits`; `undefined`: it isn't there. Rejects after two minutes, telling how it is and what was said about it. */
  pod(name: string, fits: (pod: Pod | undefined) => boolean | undefined): Promise<Pod>;
  /** Makes the pod, waits for its end and reads the log of its first container. */
  run(pod: object): Promise<{ pod: Pod; log: string }>;
  /** The pods' namespace. */
  readonly base: string;
  close(): Promise<void>;
}

/** Busy machines take long to start containers. */
const waitMsMax = 120_000;

export async function connectApi(cluster: TestCluster, namespace = "default"): Promise<ClusterApi> {
  const socket = join(cluster.directory, `api-${namespace}.sock`);
  const proxy = await startProxy(cluster, socket);
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const base = `/api/v1/namespaces/${namespace}`;

  async function send(method: string, path: string, body?: object, contentType = "application/json") {
    const bytes = Buffer.from(body ? JSON.stringify(body) : "");
    const headers = { "content-type": contentType, "content-length": bytes.length };
    const sent = request({ socketPath: socket, agent, method, path, headers });
    const answered = once(sent, "response");
    sent.end(bytes);
    const [answer] = (await answered) as [import("node:http").IncomingMessage];
    return { status: answer.statusCode ?? 0, text: await text(answer) };
  }
  async function call(method: string, target: string, body?: object, contentType?: string): Promise<LooseObject> {
    const answer = await send(method, target, body, contentType);
    const object = JSON.parse(answer.text) as LooseObject; // tests look at what they expect
    if (answer.status < 400) return object;
    throw Object.assign(new Error(String(object.message)), { code: answer.status });
  }

  const pods = new Map<string, Pod>();
  const waiters = new Set<() => void>();
  const watching = request({ socketPath: socket, path: `${base}/pods?watch=1` });
  const ignore = () => undefined; // `close` ends it
  watching.on("error", ignore);
  watching.on("response", (answer) => {
    answer.on("error", ignore);
    createInterface(answer)
      .on("error", ignore)
      .on("line", (line) => {
        const { type, object } = JSON.parse(line) as { type: string; object: Pod };
        const name = object.metadata.name ?? "";
        if (type === "DELETED") pods.delete(name);
        else pods.set(name, object);
        for (const look of waiters) look();
      });
  });
  watching.end();

  async function pod(name: string, fits: (pod: Pod | undefined) => boolean | undefined): Promise<Pod> {
    const found = await new Promise<boolean>((resolve) => {
      const done = (answer: boolean) => {
        clearTimeout(timer);
        waiters.delete(look);
        resolve(answer);
      };
      const look = () => fits(pods.get(name)) && done(true);
      const timer = setTimeout(() => done(false), waitMsMax);
      waiters.add(look);
      look();
    });
    if (found) return pods.get(name) as Pod; // what was waited for; nobody reads one that was to be gone
    const { items } = await call("GET", `${base}/events?fieldSelector=involvedObject.name=${name}`);
    const said = (items as unknown as Event[]).map(({ reason, message }) => `${reason}: ${message}`);
    throw new Error(`pod ${name}: ${JSON.stringify(pods.get(name)?.status, null, 1)}\n${said.join("\n")}`);
  }

  const api: ClusterApi = {
    socket,
    base,
    call,
    text: async (target) => (await send("GET", target)).text,
    pod,
    async run(body) {
      const name = (await call("POST", `${base}/pods`, body)).metadata?.name ?? "";
      const ended = await pod(name, (one) => /Succeeded|Failed/.test(one?.status?.phase ?? ""));
      const [first] = ended.spec?.containers ?? [];
      return { pod: ended, log: await api.text(`${base}/pods/${name}/log?container=${first?.name}`) };
    },
    async close() {
      watching.destroy();
      agent.destroy();
      if (proxy.exitCode !== null) return;
      const ended = once(proxy, "exit");
      proxy.kill();
      await ended;
    },
  };
  return api;
}

async function startProxy({ process: up, dataDir }: TestCluster, socket: string): Promise<ChildProcess> {
  const into = [`--net=/proc/${up.pid}/ns/net`, `--mount=/proc/${up.pid}/ns/mnt`];
  const kubeconfig = join(dataDir, "admin.kubeconfig");
  const child = spawn(
    "nsenter",
    [...into, "kubectl", "proxy", `--kubeconfig=${kubeconfig}`, `--unix-socket=${socket}`, "--disable-filter"],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  await once(child.stdout, "data");
  return child;
}
