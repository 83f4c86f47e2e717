/**
 * Requests while a Deployment is rolled out: none may fail. `node bench/rolling.ts [--tiny]` as root, after `node tools/bundle.ts`; needs Debian's
 * wrk, haproxy and busybox-static. The bundled `up` with real containers in namespaces of its own, with a pool of addresses for load balancers;
 * pods answer over HTTP, have a readiness probe and sleep before they end. Every way to them has a wrk of its own that asks all the while: by
 * cluster address from the node, by node port, load balancer's address and Ingress from a machine on the same segment, and through a `sampan lb` on a
 * machine that isn't part of the cluster.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";
import { printTable } from "./process-usage.ts";

const isTiny = process.argv.includes("--tiny");
const [replicas, rolls] = isTiny ? [2, 1] : [4, 3];
const image = "demo/rolling:1";
/** Each: time for proxies and balancers to hear of the end, and for what is under way. */
const sleepSeconds = 2;
/** Of each wrk's connections: 50 ms between two requests, or they would take the machine from the cluster. */
const [connections, delayMs] = [4, 50];

const segment = { node: "192.168.50.1", client: "192.168.50.2", pool: "192.168.50.16/28" };
const outside = { node: "192.168.51.1", machine: "192.168.51.2" };

interface Way {
  readonly name: string;
  readonly url: string;
  /** Where it is asked from; absent: on the node. */
  readonly from?: Machine;
}

interface Machine {
  readonly pid: number;
  close(): void;
}

const why = whyNoCluster();
if (why) process.stdout.write(`skipped: ${why}\n`);
else await run();

async function run(): Promise<void> {
  const cluster = await startTestCluster("--load-balancer-pool", segment.pool);
  const machines: Machine[] = [];
  const children: ChildProcess[] = [];
  try {
    const client = await joinMachine(cluster, "seg0", segment.node, segment.client);
    const balancer = await joinMachine(cluster, "out0", outside.node, outside.machine);
    machines.push(client, balancer);
    const ways = await deploy(cluster, client);
    children.push(await startBalancer(cluster, balancer));
    ways.push({ name: "haproxy of sampan lb", url: `http://${outside.machine}:8080/`, from: balancer });
    for (const way of ways) await cluster.until(async () => answers(cluster, way), `${way.name}: ${way.url}`);
    const script = path.join(cluster.directory, "slowly.lua");
    writeFileSync(script, `function delay() return ${delayMs} end\n`);
    const asking = ways.map((way) => ask(cluster, way, script));
    for (let roll = 0; roll < rolls; roll++) {
      await cluster.kubectl("rollout", "restart", "deployment/web");
      await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    }
    // Pods of the last roll end as well.
    const ended = async () => (await podCount(cluster)) === replicas || undefined;
    await cluster.until(ended, "the old pods are gone");
    const found = await Promise.all(asking.map((each) => each()));
    process.stdout.write(`${rolls} × a Deployment of ${replicas} rolled out\n\n`);
    printTable([
      ["", "requests", "failed", "99 % within"],
      ...found.map(({ requests, failed, p99 }, at) => [ways[at]?.name ?? "", String(requests), String(failed), p99]),
    ]);
  } finally {
    for (const child of children) {
      if (child.exitCode !== null) continue;
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    for (const machine of machines) machine.close();
    await cluster.close();
  }
}

/** A network namespace on a cable of its own to the node. */
async function joinMachine(cluster: TestCluster, cable: string, node: string, own: string): Promise<Machine> {
  const script = "ip link set lo up && echo up && exec sleep infinity";
  const child = spawn("unshare", ["--net", "sh", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const pid = child.pid ?? 0;
  const inside = (...command: string[]) => cluster.run("nsenter", `--net=/proc/${pid}/ns/net`, "ip", ...command);
  await cluster.run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", String(pid));
  await cluster.run("ip", "address", "add", `${node}/24`, "dev", cable);
  await cluster.run("ip", "link", "set", cable, "up");
  await inside("address", "add", `${own}/24`, "dev", "eth0");
  await inside("link", "set", "eth0", "up");
  await inside("route", "add", "default", "via", node);
  return { pid, close: () => void child.kill("SIGKILL") };
}

async function deploy(cluster: TestCluster, client: Machine): Promise<Way[]> {
  const files = ["--file", "/bin/busybox:/bin/busybox", "--file", `${import.meta.filename}:/www/index.html`];
  await cluster.sampan("image", "pack", image, ...files, "--cmd", "/bin/busybox httpd -f -p 80 -h /www");
  const probe = { httpGet: { path: "/", port: 80 }, periodSeconds: 1 };
  const container = {
    ...{ name: "web", image, imagePullPolicy: "IfNotPresent", ports: [{ containerPort: 80 }] },
    ...{ readinessProbe: probe, lifecycle: { preStop: { sleep: { seconds: sleepSeconds } } } },
  };
  const labels = { app: "web" };
  const service = (name: string, spec: object) => ({
    ...{ apiVersion: "v1", kind: "Service", metadata: { name } },
    spec: { selector: labels, ports: [{ port: 8080, targetPort: 80 }], ...spec },
  });
  const deployment = {
    ...{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web" } },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      strategy: { rollingUpdate: { maxUnavailable: 0 } },
      template: {
        metadata: { labels },
        spec: { containers: [container], terminationGracePeriodSeconds: 2 * sleepSeconds },
      },
    },
  };
  const ingress = {
    ...{ apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name: "web" } },
    spec: { defaultBackend: { service: { name: "web", port: { number: 8080 } } } },
  };
  const items = [deployment, service("web", { type: "LoadBalancer" }), ingress];
  await cluster.kubectlInput(JSON.stringify({ apiVersion: "v1", kind: "List", items }), "create");
  await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
  const { spec, address } = await cluster.until(async () => {
    const found = JSON.parse(await cluster.kubectl("get", "service", "web", "-o", "json")) as Balanced;
    const given = found.status.loadBalancer.ingress?.[0]?.ip;
    return given === undefined ? undefined : { spec: found.spec, address: given };
  }, "the Service has an address");
  const node = (await cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}")).trim();
  return [
    { name: "cluster address, on the node", url: `http://${spec.clusterIP}:8080/` },
    { name: "node port, from a neighbour", url: `http://${node}:${spec.ports[0]?.nodePort}/`, from: client },
    { name: "load balancer, from a neighbour", url: `http://${address}:8080/`, from: client },
    { name: "Ingress, from a neighbour", url: `http://${node}/`, from: client },
  ];
}

interface Balanced {
  readonly spec: { readonly clusterIP: string; readonly ports: readonly { readonly nodePort: number }[] };
  readonly status: { readonly loadBalancer: { readonly ingress?: readonly { readonly ip: string }[] } };
}

/** On its machine the API server is at the node's address. */
async function startBalancer(cluster: TestCluster, { pid }: Machine): Promise<ChildProcess> {
  const kubeconfig = path.join(cluster.directory, "outside.kubeconfig");
  const given = readFileSync(path.join(cluster.dataDir, "admin.kubeconfig"), "utf8");
  writeFileSync(
    kubeconfig,
    given.replace(/( +)server: https:\/\/127.0.0.1/, `$1tls-server-name: localhost\n$1server: https://${outside.node}`),
  );
  const program = path.resolve(import.meta.dirname, "../dist/sampan.js");
  const flags = ["--kubeconfig", kubeconfig, "--run-dir", path.join(cluster.directory, "lb"), "--apiserver-port", "0"];
  const command = [`--net=/proc/${pid}/ns/net`, process.execPath, program, "lb", ...flags];
  return spawn("nsenter", command, { stdio: ["ignore", "ignore", "inherit"] });
}

function enter({ from }: Way): string[] {
  return from ? ["nsenter", `--net=/proc/${from.pid}/ns/net`] : [];
}

async function answers(cluster: TestCluster, way: Way): Promise<true | undefined> {
  const program =
    "fetch(process.argv[1], { signal: AbortSignal.timeout(2000) }).then((r) => process.exit(r.ok ? 0 : 1))";
  const command = [...enter(way), process.execPath, "-e", program, way.url];
  return cluster.run(...command).then(
    () => true,
    () => undefined, // not yet
  );
}

interface Outcome {
  readonly requests: number;
  readonly failed: number;
  readonly p99: string;
}

/** Asks until it is told to stop; then says how that went. */
function ask(cluster: TestCluster, way: Way, script: string): () => Promise<Outcome> {
  const flags = ["-t1", `-c${connections}`, "-d10m", "--timeout", "5s", "--latency", "-s", script, way.url];
  const namespace = way.from ? `/proc/${way.from.pid}/ns/net` : `/proc/${cluster.process.pid}/ns/net`;
  const child = spawn("nsenter", [`--net=${namespace}`, "wrk", ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  const ended = once(child, "close");
  return async () => {
    child.kill("SIGINT");
    await ended;
    const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(said)?.slice(1) ?? [];
    const refused = /Non-2xx or 3xx responses: (\d+)/.exec(said)?.[1] ?? 0;
    const requests = Number(/(\d+) requests in/.exec(said)?.[1] ?? 0);
    if (requests === 0) throw new Error(`wrk counted nothing at ${way.url}:\n${said}`);
    const failed = [...errors, refused].map(Number).reduce((sum, each) => sum + each, 0);
    return { requests, failed, p99: /99% +(\S+)/.exec(said)?.[1] ?? "" };
  };
}

async function podCount(cluster: TestCluster): Promise<number> {
  return (await cluster.kubectl("get", "pods", "-o", "name")).trim().split("\n").length;
}
