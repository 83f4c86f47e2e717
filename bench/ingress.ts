/**
 * What a request through an Ingress costs. `node bench/ingress.ts [--tiny]` as root, after `node tools/bundle.ts`; needs Debian's wrk and haproxy.
 * The bundled `sampan apiserver` and `sampan ingress`, in a network namespace of their own, before haproxy, which answers a constant text as one
 * endpoint of a Service; wrk asks haproxy, then the Ingress, by HTTP and by HTTPS. CPU is that of `sampan ingress` for one request.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createClient, createHttpsTransport } from "#client";
import { Children } from "./children.ts";
import { cpuMsOf, printTable, residentMiB } from "./process-usage.ts";

const program = resolve(import.meta.dirname, "../dist/sampan.js");
const isTiny = process.argv.includes("--tiny");
const [seconds, connections, ingressCount] = isTiny ? [1, 4, 20] : [8, 64, 5_000];
const insideVariable = "BENCH_INGRESS_NAMESPACE";
/** Not loopback: endpoints mustn't be. */
const address = "192.0.2.1";
const ports = { api: 6443, backend: 8080, http: 80, https: 443 };

if (process.env[insideVariable] !== "1") {
  const again = ["--net", "--kill-child", process.execPath, import.meta.filename, ...process.argv.slice(2)];
  const { status } = spawnSync("unshare", again, { stdio: "inherit", env: { ...process.env, [insideVariable]: "1" } });
  process.exit(status ?? 1);
}

execFileSync("ip", ["link", "set", "lo", "up"]);
execFileSync("ip", ["address", "add", `${address}/32`, "dev", "lo"]);
const folder = mkdtempSync(join(tmpdir(), "bench-ingress-"));
const children = new Children();
try {
  const at = (name: string) => join(folder, name);
  writeFileSync(
    at("haproxy.cfg"),
    `global\n nbthread 1\ndefaults\n mode http\n timeout client 60s\n timeout server 60s\n timeout connect 5s
frontend f\n bind ${address}:${ports.backend}\n http-request return status 200 content-type text/plain string hello\n`,
  );
  children.run("haproxy", ["-f", at("haproxy.cfg"), "-db"], "ignore");
  writeFileSync(at("tokens.csv"), 'admin,admin,1,"system:masters"\ningress,system:ingress,2\n');
  const api = [
    "apiserver",
    "--data-dir",
    at("data"),
    "--bind-address",
    "127.0.0.1",
    "--secure-port",
    String(ports.api),
  ];
  await children.start(/^serving on /m, [program, ...api, "--token-auth-file", at("tokens.csv")]);
  const server = `https://127.0.0.1:${ports.api}`;
  const cluster = { name: "c", cluster: { server, "certificate-authority": at("data/pki/ca.crt") } };
  const user = { name: "u", user: { token: "ingress" } };
  const contexts = [{ name: "x", context: { cluster: "c", user: "u" } }];
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [cluster],
    users: [user],
    contexts,
    "current-context": "x",
  };
  writeFileSync(at("kubeconfig"), JSON.stringify(config));
  await createObjects(server);
  const flags = ["--kubeconfig", at("kubeconfig"), "--publish-address", address];
  const { pid = 0 } = await children.start(/^ingress listens on 80 and 443$/m, [program, "ingress", ...flags]);
  const targets: [string, string][] = [
    ["haproxy, asked directly", `http://${address}:${ports.backend}/`],
    ["through an Ingress", `http://${address}/`],
    ["through an Ingress, by TLS", `https://${address}/`],
  ];
  const rows = targets.map(([name, url], i) => {
    const before = cpuMsOf(pid);
    const { requests, rate, p99 } = wrk(url);
    const cpu = i === 0 ? "" : `${((1000 * (cpuMsOf(pid) - before)) / requests).toFixed(0)} µs`;
    return [name, `${rate.toFixed(0)}/s`, p99, cpu];
  });
  process.stdout.write(`${ingressCount} Ingresses, ${connections} connections, ${residentMiB(pid).toFixed(0)} MiB\n\n`);
  printTable([["", "requests", "99 % within", "CPU each"], ...rows]);
} finally {
  await children.endAll();
  rmSync(folder, { recursive: true, force: true });
}

async function createObjects(server: string): Promise<void> {
  const transport = createHttpsTransport({ server, token: "admin", insecure: true });
  const client = createClient(transport);
  const port = { name: "web", port: 80, protocol: "TCP" };
  await client.resource("networking.k8s.io/v1/ingressclasses").create({
    metadata: { name: "sampan" },
    spec: { controller: "sampan.dev/ingress" },
  });
  await client.resource("v1/services", "default").create({ metadata: { name: "web" }, spec: { ports: [port] } });
  await client.resource("discovery.k8s.io/v1/endpointslices", "default").create({
    metadata: { name: "web-1", labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    ports: [{ ...port, port: ports.backend }],
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
  });
  const ingresses = client.resource("networking.k8s.io/v1/ingresses", "default");
  const paths = ["/", "/a", "/a/b"].map((path) => ({
    path,
    pathType: "Prefix",
    backend: { service: { name: "web", port: { number: 80 } } },
  }));
  const create = (host: string | undefined, i: number) =>
    ingresses.create({
      metadata: { name: `i${i}` },
      spec: { ingressClassName: "sampan", rules: [{ ...(host && { host }), http: { paths } }] },
    });
  await create(undefined, 0);
  const width = 50;
  for (let i = 1; i < ingressCount; i += width)
    await Promise.all(
      Array.from({ length: Math.min(width, ingressCount - i) }, (_, j) => create(`h${i + j}.example`, i + j)),
    );
  transport.close();
}

function wrk(url: string): { requests: number; rate: number; p99: string } {
  const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency", url];
  const text = execFileSync("wrk", args, { encoding: "utf8" });
  const bad = /Non-2xx or 3xx responses: .*|Socket errors: .*/.exec(text);
  if (bad) throw new Error(`${url}: ${bad[0]}`);
  return {
    requests: Number(/(\d+) requests in/.exec(text)?.[1]),
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
    p99: /99%\s+(\S+)/.exec(text)?.[1] ?? "",
  };
}
