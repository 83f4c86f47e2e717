/**
 * What a node makes of it when parts of it die: the node's program, the container runtime, the shim or sandbox of one pod, the whole
 * machine. Afterwards everything is as it should be, nothing runs twice and nothing is left. And probes and hooks over the network.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import type { ContainerStatus, Pod } from "#api";
import type { ClusterApi, TestCluster } from "#testing";
import { connectApi } from "#testing";
import { containerOf, idle, podOf, startNodeCluster, whyNoPods } from "./conformance/node-pods.ts";

const isReady = (pod: Pod | undefined) =>
  pod?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
const statusOf = (pod: Pod, name = "c") =>
  pod.status?.containerStatuses?.find((one) => one.name === name) as ContainerStatus; // tests ask for what is there
const always = { restartPolicy: "Always" };
const probe = (command: string) => ({ exec: { command: ["/bin/sh", "-c", command] }, periodSeconds: 1 });

/** HTTPS and gRPC health on the node's address, as containers of the host's network would serve them; prints what it is asked. */
const serverScript = (keys: string) => `
import { createServer } from "node:https";
import { readFileSync } from "node:fs";
import grpc from ${JSON.stringify(createRequire(import.meta.url).resolve("@grpc/grpc-js"))};
const [key, cert] = ["key.pem", "cert.pem"].map((name) => readFileSync(${JSON.stringify(keys)} + "/" + name));
createServer({ key, cert }, (request, response) => {
  console.log("https", request.url, request.headers["user-agent"], request.headers["x-a"]);
  response.writeHead(request.url === "/bad" ? 500 : 200).end("hello");
}).listen(8443);
const bytes = (it) => it;
const check = { path: "/grpc.health.v1.Health/Check", requestStream: false, responseStream: false, requestSerialize: bytes,
  requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes };
const health = new grpc.Server();
health.addService({ check }, {
  check(call, answer) {
    const service = call.request.subarray(2).toString();
    console.log("grpc", service, call.metadata.get("user-agent")[0]);
    answer(null, Buffer.from([8, service === "down" ? 2 : 1]));
  },
});
health.bindAsync("0.0.0.0:5000", grpc.ServerCredentials.createInsecure(), () => console.log("listening"));
`;

/** Some end with others that were ended before. */
function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // signals fail with errno errors
  }
}

suite("faults of a node", { skip: whyNoPods ?? false }, () => {
  let cluster: TestCluster;
  let api: ClusterApi;
  let folder: string;
  before(async () => {
    ({ cluster, api } = await startNodeCluster());
    const [name = ""] = readdirSync(join(cluster.dataDir, "nodes"));
    folder = join(cluster.dataDir, "nodes", name);
  });
  after(async () => {
    await api?.close();
    await cluster?.close();
  });

  const create = (pod: object) => api.call("POST", `${api.base}/pods`, pod);
  const exec = (pod: string, ...command: string[]) => cluster.kubectl("exec", pod, "-c", "c", "--", ...command);
  const events = async (pod: string) => {
    const { items } = await api.call("GET", `${api.base}/events?fieldSelector=involvedObject.name=${pod}`);
    return items.map(({ reason, message }) => `${reason}: ${message}`);
  };
  const said = (pod: string, text: RegExp) =>
    cluster.until(async () => (await events(pod)).find((one) => text.test(one)), `${pod} says ${text}`);
  const restarts = async (pod: string) => statusOf(await api.pod(pod, (one) => one !== undefined)).restartCount;
  const containerdPid = () => Number(readFileSync(join(folder, "containerd/containerd.pid"), "utf8"));
  const ctr = (...args: string[]) =>
    cluster.run("ctr", "-a", join(folder, "containerd/containerd.sock"), "-n", "k8s.io", ...args);
  /** Pids of all processes that containers of this node have, by id. */
  const tasks = async () =>
    new Map(
      (await ctr("tasks", "ls")).split("\n").flatMap((line) => {
        const [id = "", pid, status] = line.split(/\s+/);
        return status === "RUNNING" ? [[id, Number(pid)] as const] : [];
      }),
    );
  const sandboxOf = async (pod: string) => {
    const filter = `labels."io.kubernetes.pod.name"==${pod},labels."io.cri-containerd.kind"==sandbox`;
    return (await ctr("containers", "ls", "-q", filter)).trim();
  };
  /** Pids of shims: of this sandbox, or of all. */
  const shims = (sandbox = "") =>
    readdirSync("/proc")
      .map(Number)
      .filter((pid) => {
        try {
          const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
          return (
            /shim/.test(command[0] ?? "") &&
            command.includes(join(folder, "containerd/containerd.sock")) &&
            command.join(" ").includes(`-id ${sandbox}`)
          );
        } catch {
          return false; // it has ended, or is none
        }
      });
  /** After a new process of the program: the way to the old one's API is gone. */
  const again = async () => {
    await api.close();
    await cluster.start();
    api = await connectApi(cluster);
  };

  test("probes and hooks over HTTPS, gRPC, TCP and named ports reach who they are meant for", async (t) => {
    const keys = ["-keyout", join(cluster.directory, "key.pem"), "-out", join(cluster.directory, "cert.pem")];
    execFileSync(
      "openssl",
      ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=x", ...keys],
      {
        stdio: "pipe",
      },
    );
    const script = join(cluster.directory, "server.mjs");
    writeFileSync(script, serverScript(cluster.directory));
    const into = `--net=/proc/${cluster.process.pid}/ns/net`;
    const served = spawn("nsenter", [into, process.execPath, script], { stdio: ["ignore", "pipe", "inherit"] });
    t.after(() => served.kill());
    let log = "";
    served.stdout.on("data", (text: Buffer) => {
      log += text;
    });
    await once(served.stdout, "data");
    const onHost = { ...always, hostNetwork: true };
    const https = { port: 8443, scheme: "HTTPS", httpHeaders: [{ name: "X-A", value: "b" }] };
    const quick = { periodSeconds: 1, failureThreshold: 1 };
    await create(
      podOf("asked", idle, {
        spec: onHost,
        container: {
          readinessProbe: { httpGet: { ...https, path: "/ready?x=1" }, ...quick },
          livenessProbe: { grpc: { port: 5000, service: "up" }, ...quick },
          startupProbe: { tcpSocket: { port: 5000 }, ...quick },
          lifecycle: {
            postStart: { httpGet: { ...https, path: "/started" } },
            preStop: { httpGet: { ...https, path: "/stopping" } },
          },
        },
      }),
    );
    await create(
      podOf("down", idle, {
        spec: onHost,
        container: { readinessProbe: { grpc: { port: 5000, service: "down" }, ...quick } },
      }),
    );
    await create(
      podOf("bad", idle, {
        spec: onHost,
        container: { readinessProbe: { httpGet: { ...https, path: "/bad" }, ...quick } },
      }),
    );
    const web = "mkdir /www; echo hi > /www/index.html; /bin/busybox httpd -f -p 8080 -h /www";
    const ports = [{ name: "web", containerPort: 8080 }];
    const readinessProbe = { httpGet: { port: "web", path: "/index.html" }, periodSeconds: 1 };
    await create(podOf("web", web, { spec: always, container: { ports, readinessProbe } }));
    await api.pod("asked", isReady);
    await api.pod("web", isReady);
    await said("down", /^Unhealthy: Readiness probe failed: service unhealthy \(responded with "NOT_SERVING"\)$/);
    await said("bad", /^Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 500$/);
    await cluster.until(async () => /grpc up kube-probe\/1\.36/.test(log) || undefined, "a liveness probe");
    await api.call("DELETE", `${api.base}/pods/asked`);
    await cluster.until(async () => /https \/stopping/.test(log) || undefined, "the preStop hook");
    assert.match(log, /^https \/started kube-lifecycle\/1\.36 b$/m);
    assert.match(log, /^https \/ready\?x=1 kube-probe\/1\.36 b$/m);
    for (const name of ["down", "bad", "web"]) await api.call("DELETE", `${api.base}/pods/${name}`);
  });

  test("kill -9 of the node's program: containers, readiness and probes go on", async () => {
    const counting = probe("echo x >> /count");
    await create(
      podOf("steady", idle, { spec: always, container: { livenessProbe: counting, readinessProbe: probe("true") } }),
    );
    const before = await api.pod("steady", isReady);
    await cluster.stop("SIGKILL");
    await again();
    const count = async () => (await exec("steady", "/bin/busybox", "cat", "/count")).length;
    const now = await count();
    await cluster.until(async () => (await count()) > now || undefined, "another liveness probe");
    const pod = await api.pod("steady", (one) => one !== undefined);
    assert.deepEqual(pod.status?.containerStatuses, before.status?.containerStatuses);
    const readyAt = (one: Pod) => one.status?.conditions?.find(({ type }) => type === "Ready")?.lastTransitionTime;
    assert.equal(readyAt(pod), readyAt(before));
  });

  test("kill -9 of the runtime: it is started again, containers go on, new ones start", async () => {
    const before = await api.pod("steady", isReady);
    const pid = containerdPid();
    process.kill(pid, "SIGKILL");
    await cluster.until(async () => containerdPid() !== pid || undefined, "another containerd");
    await create(podOf("fresh", idle, { spec: always }));
    await api.pod("fresh", isReady);
    const pod = await api.pod("steady", isReady);
    assert.deepEqual(pod.status?.containerStatuses, before.status?.containerStatuses);
  });

  test("a sandbox or a shim that dies: the pod gets another sandbox; one that must not run twice has failed", async () => {
    const volumeMounts = [{ name: "work", mountPath: "/work" }];
    await create({
      metadata: { name: "again" },
      spec: {
        terminationGracePeriodSeconds: 0,
        volumes: [{ name: "work", emptyDir: {} }],
        initContainers: [containerOf("i", "echo >> /work/ran", { volumeMounts })],
        containers: [containerOf("c", idle, { volumeMounts })],
      },
    });
    await create(podOf("once", idle));
    await api.pod("again", isReady);
    await api.pod("once", isReady);
    for (const pid of shims(await sandboxOf("once"))) kill(pid);
    const sandbox = await sandboxOf("again");
    process.kill((await tasks()).get(sandbox) ?? 0, "SIGKILL");
    const isAgain = (pod: Pod | undefined) => isReady(pod) && pod !== undefined && statusOf(pod).restartCount === 1;
    const pod = await api.pod("again", isAgain);
    assert.equal(pod.status?.initContainerStatuses?.[0]?.restartCount, 1);
    assert.equal((await exec("again", "/bin/busybox", "wc", "-l", "/work/ran")).trim(), "2 /work/ran");
    await said("again", /^SandboxChanged: /);
    const failed = await api.pod("once", (one) => one?.status?.phase === "Failed");
    assert.equal(statusOf(failed).restartCount, 0);
  });

  test("death of the machine: after it every pod runs again, once, and nothing of before is left", async () => {
    const names = ["again", "fresh", "steady"];
    const before = new Map(await Promise.all(names.map(async (name) => [name, await restarts(name)] as const)));
    const running = [...(await tasks()).values()];
    await cluster.stop("SIGKILL");
    for (const pid of [containerdPid(), ...shims(), ...running]) kill(pid);
    // What a new start of the machine doesn't have: mounts, interfaces, groups; and it has another id.
    const mounts = (await cluster.run("cat", "/proc/self/mounts")).split("\n").map((line) => line.split(" ")[1] ?? "");
    for (const mount of mounts.filter((one) => one.startsWith(cluster.dataDir)).reverse())
      await cluster.run("umount", "-l", mount);
    const links = (await cluster.run("ip", "-o", "link")).matchAll(/^\d+: ([^:@]+)/gm);
    for (const [, name = ""] of links)
      if (name.startsWith("veth") || name === "sampan0")
        await cluster.run("ip", "link", "del", name).catch(() => undefined);
    const bootId = join(cluster.directory, "boot_id");
    writeFileSync(bootId, "11111111-2222-4333-8444-555555555555\n");
    await cluster.run("mount", "--bind", bootId, "/proc/sys/kernel/random/boot_id");
    await again();
    for (const name of names) {
      const pod = await api.pod(
        name,
        (one) => isReady(one) && one !== undefined && statusOf(one).restartCount > (before.get(name) ?? 0),
      );
      assert.equal(statusOf(pod).restartCount, (before.get(name) ?? 0) + 1, name);
    }
    const pods = (await api.call("GET", `${api.base}/pods`)).items.length;
    assert.equal(pods, names.length + 1);
    // A sandbox and a container each.
    assert.equal((await tasks()).size, names.length * 2);
    assert.equal(shims().length, names.length);
    assert.equal((await cluster.run("ip", "-o", "link")).match(/: veth/g)?.length, names.length);
    for (const name of [...names, "once"]) await api.call("DELETE", `${api.base}/pods/${name}`);
    for (const name of [...names, "once"]) await api.pod(name, (one) => one === undefined);
    await cluster.until(async () => shims().length === 0 || undefined, "no shims");
    const interfaces = async () => (await cluster.run("ip", "-o", "link")).match(/: veth/g) ?? [];
    await cluster.until(async () => (await interfaces()).length === 0 || undefined, "no interfaces of pods");
    const folders = () => readdirSync(join(folder, "kubelet/pods")).length;
    await cluster.until(async () => folders() === 0 || undefined, "no folders of pods");
  });
});
