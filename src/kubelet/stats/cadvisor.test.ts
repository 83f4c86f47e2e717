/** What collectors get of one pod: cadvisor's metrics, and the documents of Kubernetes 1.0, from files as the kernel writes them. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { test, type TestContext } from "node:test";
import { FakeClock, silentLogger } from "#base";
import { defaultConfiguration } from "../config/configuration.ts";
import type { PodRuntime, PodView } from "../core/types.ts";
import type { KubeletHost } from "../host.ts";
import { createCgroups } from "../node/cgroups.ts";
import type { MachineFacts } from "../node/machine.ts";
import type { Exchange } from "../server/exchange.ts";
import { printCadvisorMetrics } from "./cadvisor-metrics.ts";
import { machineInfo, serveContainerInfo } from "./container-info.ts";
import { readDetail } from "./group-detail.ts";
import { createSampler } from "./sampler.ts";

async function write(root: string, tree: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(tree)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
}

const controllers = ["cpu", "cpuacct", "memory", "blkio", "pids"] as const;
const v1 = (group: string): Record<string, string> => ({
  [`cpuacct${group}/cpuacct.usage`]: "1500000000\n",
  [`cpuacct${group}/cpuacct.stat`]: "user 120\nsystem 25\n",
  [`cpu${group}/cpu.shares`]: "102\n",
  [`cpu${group}/cpu.cfs_period_us`]: "100000\n",
  [`cpu${group}/cpu.cfs_quota_us`]: "20000\n",
  [`cpu${group}/cpu.stat`]: "nr_periods 9\nnr_throttled 4\nthrottled_time 2500000000\nnr_bursts 0\nburst_time 0\n",
  [`cpu${group}/cgroup.procs`]: "",
  [`memory${group}/memory.usage_in_bytes`]: "1000\n",
  [`memory${group}/memory.max_usage_in_bytes`]: "2000\n",
  [`memory${group}/memory.failcnt`]: "3\n",
  [`memory${group}/memory.stat`]: "pgfault 70\npgmajfault 8\ntotal_cache 400\ntotal_inactive_file 300\ntotal_rss 250\n",
  [`memory${group}/memory.limit_in_bytes`]: "9223372036854771712\n",
  [`memory${group}/memory.oom_control`]: "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
  [`memory${group}/cgroup.procs`]: "",
  [`memory${group}/cgroup.clone_children`]: "0\n",
  [`blkio${group}/blkio.throttle.io_service_bytes_recursive`]: "8:0 Read 4096\n8:0 Write 512\nTotal 4608\n",
  [`blkio${group}/blkio.throttle.io_serviced_recursive`]: "8:0 Read 2\n8:0 Write 1\nTotal 3\n",
  [`pids${group}/pids.current`]: "5\n",
  [`pids${group}/pids.max`]: "max\n",
});

const pod: PodView = {
  metadata: { name: "web", namespace: "ns", uid: "u1" },
  spec: { containers: [{ name: "c", image: "i" }] },
};
const machine = { memoryBytes: 4000, swapBytes: 0, machineId: "m", systemUuid: "s", bootId: "b" } as MachineFacts; // what is read of it

async function createNode(context: TestContext) {
  const root = await mkdtemp(join(tmpdir(), "sampan-cadvisor-"));
  context.after(() => rm(root, { recursive: true }));
  const at = "/kube/besteffort/podu1";
  for (const group of ["", "/kube", "/kube/besteffort", at, `${at}/c1`, `${at}/s1`]) await write(root, v1(group));
  const mounts = new Map(controllers.map((name) => [name as string, join(root, name)]));
  const hierarchy = { version: 1 as const, mounts, all: [...mounts.values()] };
  const cgroups = await createCgroups({ root: "/kube", log: silentLogger, hierarchy, config: defaultConfiguration() });
  const runtime = {
    uid: "u1",
    sandboxes: [{ id: "s1", ready: true, createdAt: 1000 }],
    containers: [{ id: "c1", name: "c", image: "demo:1", state: "running", createdAt: 2000, startedAt: 2500 }],
  } as unknown as PodRuntime; // what is read of it
  const host = {
    pods: () => [pod],
    runtimes: () => new Map([["u1", runtime]]),
    findPod: (namespace: string, name: string, uid = "") =>
      namespace === "ns" && name === "web" && ["", "u1"].includes(uid) ? { pod, runtime, status: {} } : undefined,
  } as unknown as KubeletHost; // what is asked of it
  return { hierarchy, cgroups, host, machine, sampler: createSampler({ host, cgroups, clock: new FakeClock(10_000) }) };
}

test("cadvisor's metrics: a line for each group, labels of what it belongs to", async (context) => {
  const node = await createNode(context);
  const text = await printCadvisorMetrics(await node.sampler.look(), node);
  const lines = (name: string) => text.split("\n").filter((line) => line.startsWith(`${name}{`));
  const at = "/kube/besteffort/podu1";
  const labels = (id: string, rest: string) => `{container="${id.endsWith("c1") ? "c" : ""}",id="${id}",${rest}}`;
  assert.deepEqual(lines("container_cpu_cfs_throttled_seconds_total").slice(-3), [
    `container_cpu_cfs_throttled_seconds_total${labels(at, 'image="",name="",namespace="ns",pod="web"')} 2.5 10000`,
    `container_cpu_cfs_throttled_seconds_total${labels(`${at}/s1`, 'image="sampan.local/pause:1",name="s1",namespace="ns",pod="web"')} 2.5 10000`,
    `container_cpu_cfs_throttled_seconds_total${labels(`${at}/c1`, 'image="demo:1",name="c1",namespace="ns",pod="web"')} 2.5 10000`,
  ]);
  const ids = lines("container_memory_working_set_bytes").map((line) => /id="([^"]*)"/.exec(line)?.[1]);
  assert.deepEqual(ids, ["/", "/kube", "/kube/besteffort", at, `${at}/s1`, `${at}/c1`]);
  const ofContainer = (name: string) => lines(name).filter((line) => line.includes('container="c"'));
  const value = (name: string) => ofContainer(name).map((line) => line.replace(/^.*\} /, ""));
  for (const [name, expected] of [
    ["container_cpu_user_seconds_total", "1.2 10000"],
    ["container_memory_failcnt", "3 10000"],
    ["container_oom_events_total", "2 10000"],
    ["container_spec_cpu_shares", "102"],
    ["container_spec_memory_limit_bytes", "0"],
    ["container_threads", "5 10000"],
    ["container_threads_max", "0 10000"],
    ["container_fs_reads_bytes_total", "4096 10000"],
    ["container_fs_writes_total", "1 10000"],
  ] as const)
    assert.deepEqual(value(name), [expected], name);
  assert.match(lines("container_spec_memory_limit_bytes")[0] ?? "", /id="\/".* 4000$/);
  assert.deepEqual(
    lines("container_network_receive_bytes_total").filter((line) => line.includes('pod="web"')),
    [],
  );
  // A collector refuses what says the same thing twice.
  const names = text
    .split("\n")
    .map((line) => line.replace(/\} .*$/, "}"))
    .filter((line) => line && !line.startsWith("#"));
  assert.equal(new Set(names).size, names.length);
  assert.match(text, /^machine_memory_bytes\{boot_id="b",machine_id="m",system_uuid="s"\} 4000$/m);
});

test("group details: v2 has other files for the same things", async (context) => {
  const root = await mkdtemp(join(tmpdir(), "sampan-detail-"));
  context.after(() => rm(root, { recursive: true }));
  await write(root, {
    "g/cpu.stat":
      "usage_usec 5\nuser_usec 2000000\nsystem_usec 1000000\nnr_periods 3\nnr_throttled 1\nthrottled_usec 500000\n",
    "g/cpu.weight": "79\n",
    "g/cpu.max": "20000 100000\n",
    "g/memory.stat": "kernel 77\n",
    "g/memory.max": "max\n",
    "g/memory.peak": "9\n",
    "g/memory.events": "max 4\noom_kill 1\n",
    "g/io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
    "g/pids.current": "6\n",
    "g/pids.max": "99\n",
    "g/cgroup.events": "populated 1\n",
  });
  const found = readDetail({ version: 2, mounts: new Map([["cpu", root]]), all: [root] }, "/g");
  const { cpu, memory, io, processes } = found ?? {};
  assert.deepEqual(
    [cpu?.userSeconds, cpu?.throttledSeconds, cpu?.shares, cpu?.quotaUs, cpu?.periodUs],
    [2, 0.5, 2046, 20_000, 100_000],
  );
  assert.deepEqual([memory?.kernelBytes, memory?.maxBytes, memory?.failures, memory?.oomKills], [77, 9, 4, 1]);
  assert.deepEqual(io?.bytes, [{ major: 8, minor: 0, amounts: { Read: 10, Write: 20 } }]);
  assert.deepEqual([processes?.threads, processes?.threadsMax], [6, 99]);
  assert.equal(readDetail({ version: 2, mounts: new Map([["cpu", root]]), all: [root] }, "/none"), undefined);
});

test("the endpoints of 1.0: the machine, groups by name, containers by pod", async (context) => {
  const node = await createNode(context);
  const ask = async (path: string, body = "") => {
    let answer: [code: number, text: string] = [0, ""];
    const response = {
      writeHead(code: number) {
        answer = [code, ""];
        return response;
      },
      end(text = "") {
        answer = [answer[0], String(text)];
        return response;
      },
    };
    const exchange = {
      request: Readable.from(body ? [body] : []) as unknown as IncomingMessage, // its body is read
      response,
      parts: path.split("/").filter(Boolean),
    } as unknown as Exchange; // what is used of it
    await serveContainerInfo(exchange, node);
    return { code: answer[0], text: answer[1] };
  };
  const json = async (path: string, body?: string) => JSON.parse((await ask(path, body)).text);
  const whole = await json("/stats/");
  assert.deepEqual([whole.name, whole.spec.memory.limit, whole.stats.length], ["/", 4000, 1]);
  assert.deepEqual(whole.subcontainers, [{ name: "/kube" }]);
  const container = await json("/stats/ns/web/u1/c", '{"num_stats": 1}');
  assert.deepEqual(container.aliases, ["k8s_c_web_ns", "c1"]);
  const [{ cpu, memory, timestamp }] = container.stats;
  assert.deepEqual(
    [timestamp, cpu.usage.total, cpu.usage.user],
    ["1970-01-01T00:00:10Z", 1_500_000_000, 1_200_000_000],
  );
  assert.deepEqual([memory.usage, memory.working_set, memory.hierarchical_data.pgfault], [1000, 700, 70]);
  assert.equal(container.spec.image, "demo:1");
  assert.deepEqual((await json("/stats/ns/web/u1/c", '{"num_stats": 0}')).stats, []);
  assert.deepEqual(Object.keys(await json("/stats/container/", '{"containerName": "/kube"}')), ["/kube"]);
  const all = await json("/stats/container", '{"containerName": "/kube", "subcontainers": true}');
  assert.equal(Object.keys(all).length, 5);
  for (const [path, code, text] of [
    ["/stats/other", 404, 'unknown stats request type "other"\n'],
    ["/stats/ns/nobody/u1/c", 404, "Pod does not exist\n"],
    ["/stats/web/c", 404, "Pod does not exist\n"],
    ["/stats/ns/web/u1/d", 404, "no matching container\n"],
    ["/stats/ns/web/c", 404, "Unknown resource: [stats ns web c]\n"],
  ] as const)
    assert.deepEqual(await ask(path), { code, text }, path);
  assert.equal((await ask("/stats/", "{")).code, 500);
  const { num_cores: cores, memory_capacity: capacity, machine_id: id } = machineInfo(node);
  assert.ok(cores > 0);
  assert.deepEqual([capacity, id], [4000, "m"]);
});
