/**
 * What the service proxy takes with many services. `node bench/proxy.ts [--tiny] [--services 10000]`
 * Services and slices come from memory; nft and the kernel are real, in a network namespace of this benchmark's own. Every address of an
 * endpoint is one of the namespace's, with one server for all of them in another thread.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { createNft, realClock, silentLogger } from "#base";
import type { KubernetesObject } from "#machinery";
import { createProxy, proxySettings } from "#proxy";
import { createFakeInformers } from "#testing";
import { printTable, quantile } from "./process-usage.ts";
import type { Connection, Order } from "./proxy/client.ts";

const { values: flags } = parseArgs({
  options: { tiny: { type: "boolean", default: false }, services: { type: "string", default: "10000" } },
});
const many = flags.tiny ? 50 : Number(flags.services);
const few = 10;
const insideVariable = "SAMPAN_BENCH_NAMESPACE";

if (process.env[insideVariable] !== "1") {
  const args = ["--net", process.execPath, "--expose-gc", import.meta.filename, ...process.argv.slice(2)];
  const { status } = spawnSync("unshare", args, { env: { ...process.env, [insideVariable]: "1" }, stdio: "inherit" });
  process.exit(status ?? 1);
}

for (const command of [
  "ip link set lo up",
  "ip link add node0 type bridge",
  "ip address add 192.0.2.1/24 dev node0",
  "ip link set node0 up",
  "ip route add 10.96.0.0/12 dev node0 src 192.0.2.1",
  "ip route add local 10.128.0.0/9 dev lo",
]) {
  const [program = "", ...args] = command.split(" ");
  execFileSync(program, args);
}

const two = (at: number) => `${at >> 8}.${at & 255}`;
const vip = (at: number) => `10.96.${two(at)}`;
const endpoint = (at: number, which: number) => `10.${128 + which}.${two(at)}`;
const named = (at: number) => ({ namespace: "ns", name: `service-${at}` });
const service = (at: number): KubernetesObject & object =>
  Object.assign(
    { metadata: named(at) },
    { spec: { clusterIP: vip(at), clusterIPs: [vip(at)], ports: [{ port: 80 }] } },
  );
const slice = (at: number, ...endpoints: readonly number[]): KubernetesObject =>
  Object.assign(
    { metadata: { ...named(at), labels: { "kubernetes.io/service-name": named(at).name } } },
    {
      addressType: "IPv4",
      ports: [{ name: "", port: 8080, protocol: "TCP" }],
      endpoints: endpoints.map((which) => ({
        ...{ addresses: [endpoint(at, which)], nodeName: `n${at % 1000}`, conditions: { ready: true } },
      })),
    },
  );
const services = "v1/services";
const slices = "discovery.k8s.io/v1/endpointslices";
const all = Array.from({ length: many }, (_, at) => at + 1);

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
const ms = (value: number) => `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;

const worker = new Worker(join(import.meta.dirname, "proxy", "client.ts"));
await once(worker, "message");
async function connections(order: Order): Promise<Connection[]> {
  worker.postMessage(order);
  return ((await once(worker, "message")) as [Connection[]])[0];
}

globalThis.gc?.();
const before = process.memoryUsage();
const informers = createFakeInformers();
for (const at of all) {
  informers.set(services, service(at));
  informers.set(slices, slice(at, 0, 1));
}
globalThis.gc?.();
const withObjects = process.memoryUsage();
const detectLocal = { ...proxySettings().detectLocal, clusterCidrs: ["10.128.0.0/9"] };
let transactions = 0;
const proxy = createProxy({
  ...{ informers, nodeName: "n1", clock: realClock, log: silentLogger },
  settings: proxySettings({ detectLocal, serviceCidrs: ["10.96.0.0/12"] }),
  apply: createNft(),
  observer: { committed: () => transactions++, failed: (error) => console.error(error), queued: () => undefined },
});
const stop = new AbortController();
const startedMs = nowMs();
const running = proxy.run(stop.signal);
await new Promise((next) => setImmediate(next));
await proxy.settled();
const coldMs = nowMs() - startedMs;
globalThis.gc?.();
const after = process.memoryUsage();
const peak = process.resourceUsage().maxRSS * 1024;

/** Until it is in the kernel. */
async function change(make: () => void): Promise<number> {
  const begunMs = nowMs();
  make();
  await proxy.settled();
  return nowMs() - begunMs;
}
const changes: number[] = [];
for (let round = 0; round < (flags.tiny ? 5 : 200); round++) {
  const at = 1 + ((round * 7919) % many);
  changes.push(await change(() => informers.set(slices, round % 2 === 0 ? slice(at, 0) : slice(at, 0, 1, 2))));
  informers.set(slices, slice(at, 0, 1));
  await proxy.settled();
}

const stale: number[] = [];
for (let round = 0; round < (flags.tiny ? 1 : 10); round++) {
  const at = 1 + round;
  const watched = connections({ addresses: [vip(at)] });
  await new Promise((next) => setTimeout(next, 50));
  const removedMs = nowMs();
  await change(() => informers.set(slices, slice(at, 1)));
  await new Promise((next) => setTimeout(next, 150));
  worker.postMessage({ addresses: [] });
  const gone = (await watched).filter((each) => each.endpoint === endpoint(at, 0));
  stale.push(Math.max(0, ...gone.map((each) => each.startedMs - removedMs)));
  await change(() => informers.set(slices, slice(at, 0, 1)));
}

/** A service that never rests: transactions it costs, and whether the last state is in force. */
const restlessMs = flags.tiny ? 100 : 2000;
const transactionsBefore = transactions;
const restless = nowMs();
let updates = 0;
while (nowMs() - restless < restlessMs) {
  informers.set(slices, slice(1, updates++ % 2, 2));
  await new Promise((next) => setTimeout(next, 10));
}
await change(() => informers.set(slices, slice(1, 3)));
const calmed = await connections({ addresses: [vip(1)], count: 20 });
const isRight = calmed.every((each) => each.endpoint === endpoint(1, 3));
const restlessTransactions = transactions - transactionsBefore;

/** Medians of connecting, with few and with all services in turn: the machine isn't always as fast. */
const latency: Record<"few" | "many", number[]> = { few: [], many: [] };
const addresses = all.slice(0, few).map(vip);
for (let round = 0; round < (flags.tiny ? 1 : 5); round++) {
  for (const size of ["few", "many"] as const) {
    const rest = all.slice(few);
    await change(() => {
      for (const at of rest)
        if (size === "few") informers.remove(services, service(at));
        else informers.set(services, service(at));
    });
    await connections({ addresses, count: flags.tiny ? 20 : 300 });
    const took = await connections({ addresses, count: flags.tiny ? 20 : 1500 });
    latency[size].push(
      quantile(
        took.map(({ tookMs }) => tookMs),
        0.5,
      ),
    );
  }
}
const [fewMs, manyMs] = [quantile(latency.few, 0.5), quantile(latency.many, 0.5)];

stop.abort();
await running;
await worker.terminate();

printTable([
  [`${many} services, 2 endpoints each`, "", "wanted"],
  ["from nothing to the last rule", ms(coldMs), "10 s"],
  [
    "one change, event to kernel (median, p99)",
    `${ms(quantile(changes, 0.5))}, ${ms(quantile(changes, 0.99))}`,
    "50 ms",
  ],
  ["last packet to a removed endpoint (worst)", ms(Math.max(...stale)), "100 ms"],
  ["memory: heap with its objects", mebibytes(after.heapUsed - before.heapUsed), ""],
  ["memory: the objects alone", mebibytes(withObjects.heapUsed - before.heapUsed), ""],
  ["memory: resident at most, above an empty process", mebibytes(peak - before.rss), "150 MiB"],
  [
    `one service changed ${Math.round(updates / (restlessMs / 1000))} times/s: transactions/s`,
    `${Math.round(restlessTransactions / (restlessMs / 1000))}, ${isRight ? "right" : "WRONG"} at the end`,
    "",
  ],
  [
    `connecting with ${few} and with ${many} services (medians)`,
    `${fewMs.toFixed(3)} ms, ${manyMs.toFixed(3)} ms (${Math.round((manyMs / fewMs - 1) * 100)} %)`,
    "10 %",
  ],
]);
