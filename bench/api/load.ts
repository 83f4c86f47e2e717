/** One client's questions to an API server, in phases; each is bounded in count and time, and says what it cost the server. */
import { Agent, type RequestOptions, request as httpsRequest } from "node:https";
import { cpuMsOf, quantile, residentMiB } from "../process-usage.ts";

export interface Load {
  readonly pods: number;
  /** Requests at a time. */
  readonly parallel: number;
  readonly watchers: number;
  /** Objects made under the watchers' eyes. */
  readonly events: number;
  readonly lists: number;
  /** A phase that takes longer ends with what it has done. */
  readonly phaseMsMax: number;
}

export interface ServerUnderLoad {
  readonly port: number;
  readonly token: string;
  readonly authority: Buffer;
  /** Whose processor time and memory are measured. */
  readonly pids: readonly number[];
}

export interface Measured {
  readonly what: string;
  /** Of the server, for one operation (an event, for watches). */
  readonly cpuMs: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the server, at the end. */
  readonly residentMiB: number;
}

/** So many labels that a selector picks one pod in fifty. */
const labels = 50;
const namespace = "/api/v1/namespaces/bench";
const pods = `${namespace}/pods`;
const configMaps = `${namespace}/configmaps`;

/** `pod`: one of them as the server answers it. */
export async function runLoad(server: ServerUnderLoad, load: Load): Promise<{ measured: Measured[]; pod: string }> {
  const client = new LoadClient(server, load.parallel);
  const measured: Measured[] = [];
  const phase = async (what: string, count: number, run: (index: number) => Promise<unknown>, parallel?: number) => {
    measured.push(await measure({ what, count, run, parallel: parallel ?? load.parallel, server, load }));
  };
  try {
    await client.call("POST", "/api/v1/namespaces", { metadata: { name: "bench" } });
    await client.call("POST", `${namespace}/serviceaccounts`, { metadata: { name: "default" } });
    await phase("create", load.pods, (index) => client.call("POST", pods, podOf(index)));
    const pod = (await client.call("GET", `${pods}/p-0`)).toString();
    await phase("get", load.pods * 4, (index) => client.call("GET", `${pods}/p-${index % load.pods}`));
    await phase(`list ${load.pods}`, load.lists, () => client.call("GET", pods), 1);
    const one = (index: number) => client.call("GET", `${pods}?labelSelector=app%3Da${index % labels}`);
    await phase(`list ${Math.max(1, load.pods / labels)} by label`, load.lists * 10, one, 4);
    const patch = (index: number) => ({ metadata: { labels: { revision: String(index) } } });
    await phase("merge patch", load.pods, (index) => client.call("PATCH", `${pods}/p-${index}`, patch(index)));
    measured.push(await watch(client, server, load));
    const path = (index: number) => `${pods}/p-${index}?gracePeriodSeconds=0`;
    await phase("delete", load.pods, (index) => client.call("DELETE", path(index)));
    return { measured, pod };
  } finally {
    client.close();
  }
}

class LoadClient {
  readonly #options: RequestOptions;
  readonly #agent: Agent;
  readonly #watchAgent: Agent;

  constructor({ port, token, authority }: ServerUnderLoad, parallel: number) {
    const headers = { authorization: `Bearer ${token}`, accept: "application/json" };
    this.#options = { host: "127.0.0.1", port, ca: authority, headers };
    this.#agent = new Agent({ keepAlive: true, maxSockets: parallel });
    this.#watchAgent = new Agent({ keepAlive: false });
  }

  call(method: string, path: string, body?: object): Promise<Buffer> {
    const data = body && JSON.stringify(body);
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const headers = {
      ...(this.#options.headers as Record<string, string>), // as above
      ...(data && { "content-type": type, "content-length": Buffer.byteLength(data) }),
    };
    return new Promise((resolve, reject) => {
      const request = httpsRequest({ ...this.#options, agent: this.#agent, method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const answer = Buffer.concat(chunks);
          if ((response.statusCode ?? 0) < 300) resolve(answer);
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${answer.toString().slice(0, 300)}`));
        });
      });
      request.on("error", reject);
      request.end(data);
    });
  }

  /** Resolves when the server has begun to answer. */
  watch(path: string, onLine: (line: string) => void): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const request = httpsRequest({ ...this.#options, agent: this.#watchAgent, path }, (response) => {
        let rest = "";
        response.setEncoding("utf8");
        response.on("data", (text: string) => {
          const lines = (rest + text).split("\n");
          rest = lines.pop() ?? "";
          for (const line of lines) onLine(line);
        });
        resolve(() => request.destroy());
      });
      request.on("error", reject);
      request.end();
    });
  }

  close(): void {
    this.#agent.destroy();
    this.#watchAgent.destroy();
  }
}

interface Phase {
  readonly what: string;
  readonly count: number;
  readonly parallel: number;
  readonly run: (index: number) => Promise<unknown>;
  readonly server: ServerUnderLoad;
  readonly load: Load;
}

async function measure({ what, count, parallel, run, server, load }: Phase): Promise<Measured> {
  const cpu = cpuMsOf(...server.pids);
  const { tookMs, ms } = await inParallel({ count, parallel, run, msMax: load.phaseMsMax });
  const cpuMs = (cpuMsOf(...server.pids) - cpu) / tookMs.length;
  return {
    what,
    cpuMs,
    perSecond: (tookMs.length / ms) * 1000,
    ...spread(tookMs),
    residentMiB: residentMiB(...server.pids),
  };
}

const spread = (tookMs: readonly number[]) => ({ p50Ms: quantile(tookMs, 0.5), p99Ms: quantile(tookMs, 0.99) });

async function inParallel({
  count,
  parallel,
  run,
  msMax,
}: Pick<Phase, "count" | "parallel" | "run"> & { msMax: number }): Promise<{ tookMs: number[]; ms: number }> {
  const tookMs: number[] = [];
  const start = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < count && performance.now() - start < msMax) {
      const index = next++;
      const asked = performance.now();
      await run(index);
      tookMs.push(performance.now() - asked);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return { tookMs, ms: performance.now() - start };
}

/** From the creation's start until each watcher has its event. */
async function watch(client: LoadClient, server: ServerUnderLoad, load: Load): Promise<Measured> {
  const { watchers, events, phaseMsMax } = load;
  const wanted = watchers * events;
  const sentAt = new Map<string, number>();
  const tookMs: number[] = [];
  const all = Promise.withResolvers<void>();
  const onLine = (line: string) => {
    const sent = sentAt.get(/"name":"(w-\d+)"/.exec(line)?.[1] ?? "");
    if (sent === undefined) return;
    tookMs.push(performance.now() - sent);
    if (tookMs.length === wanted) all.resolve();
  };
  const path = `${configMaps}?watch=1&timeoutSeconds=120`;
  const stops = await Promise.all(Array.from({ length: watchers }, () => client.watch(path, onLine)));
  const cpu = cpuMsOf(...server.pids);
  const start = performance.now();
  await inParallel({
    count: events,
    parallel: 8,
    msMax: phaseMsMax,
    run: (index) => {
      const name = `w-${index}`;
      sentAt.set(name, performance.now());
      return client.call("POST", configMaps, { metadata: { name }, data: { k: "v".repeat(500) } });
    },
  });
  const late = setTimeout(() => all.reject(new Error(`${tookMs.length} of ${wanted} events came`)), phaseMsMax);
  await all.promise;
  clearTimeout(late);
  const ms = performance.now() - start;
  const cpuMs = (cpuMsOf(...server.pids) - cpu) / wanted;
  const memory = residentMiB(...server.pids);
  for (const stop of stops) stop();
  const what = `event to ${watchers} watchers`;
  return { what, cpuMs, perSecond: (wanted / ms) * 1000, ...spread(tookMs), residentMiB: memory };
}

/** 3.4 kB when it is stored, defaulted, with its managed fields. */
export function podOf(index: number): object {
  const env = Array.from({ length: 8 }, (_, at) => ({ name: `VAR_${at}`, value: `value-${at}-${index}` }));
  const container = {
    name: "c",
    image: "registry.example/app:1",
    command: ["/bin/app", "--port=8080"],
    env,
    ports: [{ containerPort: 8080 }],
    resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { cpu: "200m", memory: "128Mi" } },
    readinessProbe: { httpGet: { path: "/healthz", port: 8080 } },
  };
  const metadata = {
    name: `p-${index}`,
    labels: { app: `a${index % labels}`, tier: "web" },
    annotations: { note: "x".repeat(200) },
  };
  const spec = { automountServiceAccountToken: false, nodeSelector: { never: "match" }, containers: [container] };
  return { apiVersion: "v1", kind: "Pod", metadata, spec };
}
