/**
 * How fast names are answered, and what that takes. `node bench/dns.ts [--tiny] [--services 10000] [--program FILE]`, after
 * `node tools/bundle.ts`. The bundled `sampan apiserver` holds Services with two endpoints each, the bundled `sampan dns` answers for them on loopback,
 * and Debian's dnsperf asks in the mix of a pod with search domains.
 */
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { Children, freePort } from "./children.ts";
import { cpuMsOf, printTable, quantile, residentMiB } from "./process-usage.ts";

const { values: flags } = parseArgs({
  options: {
    tiny: { type: "boolean", default: false },
    services: { type: "string" },
    program: { type: "string", default: resolve(import.meta.dirname, "../dist/sampan.js") },
  },
});
const count = Number(flags.services ?? (flags.tiny ? 20 : 10_000));
const seconds = flags.tiny ? 1 : 5;
const halfRate = flags.tiny ? 200 : 15_000;
const token = "bench";
const domain = "svc.cluster.local";

const folder = mkdtempSync(join(tmpdir(), "bench-dns-"));
const children = new Children();
const agent = new Agent({ keepAlive: true, maxSockets: 16 });
const port = await freePort();
const dnsPort = await freePort();
const rows: [string, string][] = [];
try {
  const tokens = join(folder, "tokens.csv");
  writeFileSync(tokens, `${token},bench,bench,"system:masters"\n`);
  const data = join(folder, "data");
  await children.start(
    /^serving on /m,
    [flags.program, "apiserver", "--data-dir", data, "--bind-address", "127.0.0.1"].concat([
      ...["--secure-port", String(port), "--token-auth-file", tokens],
    ]),
  );
  const ca = readFileSync(join(data, "pki/ca.crt"));
  const ask = askOf(ca);
  await ask("/api/v1/namespaces", { metadata: { name: "bench" } });
  const dns = await startDns();
  const empty = residentMiB(dns.pid ?? 0);
  await children.end(dns);
  await inParallel(count, (index) => makeService(ask, index));
  const { pid = 0 } = await startDns();
  const filled = residentMiB(pid);
  rows.push(["resident without Services", mib(empty)], [`resident with ${count} Services`, mib(filled)]);

  const fresh: number[] = [];
  for (let i = 0; i < (flags.tiny ? 3 : 50); i++) {
    await makeService(ask, count + i);
    const made = performance.now();
    await until(`web-${count + i}.bench.${domain}`);
    fresh.push(performance.now() - made);
  }
  rows.push([
    "a new Service is answered after",
    `${quantile(fresh, 0.5).toFixed(1)} ms, 99 %: ${quantile(fresh, 0.99).toFixed(1)} ms`,
  ]);

  const files = { "one name": [nameOf(1)], "all names": Array.from({ length: count }, (_, i) => nameOf(i)) };
  const mixed = files["all names"].flatMap((name) => [
    name,
    name.replace(" A", " AAAA"),
    `example.org.bench.${domain} A`,
  ]);
  for (const [what, names] of Object.entries({ ...files, "A, AAAA and misses": mixed })) {
    if (flags.tiny && names !== mixed) continue;
    const full = await perf(names);
    const cpu = full.cpuMs / full.answers;
    rows.push([
      `${what}: answers/s`,
      `${Math.round(full.rate)}, of one core ${Math.round(1000 / cpu)}; lost ${full.lost}`,
    ]);
    const half = await perf(names, halfRate);
    rows.push([
      `${what}: at ${Math.round(half.rate)}/s`,
      `50 %: ${half.p50} ms, 99 %: ${half.p99} ms; lost ${half.lost}`,
    ]);
  }
  rows.push(["resident after that", mib(residentMiB(pid))]);
  printTable(rows);

  async function perf(names: readonly string[], rate?: number) {
    const file = join(folder, "names.txt");
    writeFileSync(file, `${names.join("\n")}\n`);
    const before = cpuMsOf(pid);
    const { stdout } = await promisify(execFile)(
      "dnsperf",
      [
        "-s",
        "127.0.0.1",
        "-p",
        String(dnsPort),
        "-d",
        file,
        "-l",
        String(seconds),
        "-c",
        "8",
        "-q",
        "100",
        "-t",
        "2",
      ].concat(rate === undefined ? [] : ["-Q", String(rate), "-v"]),
      { maxBuffer: 1 << 28 },
    );
    const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1] ?? Number.NaN);
    const latencies = [...stdout.matchAll(/^> \S+ .* (\d+\.\d+)$/gm)].map(([, text]) => 1000 * Number(text));
    return {
      rate: number(/Queries per second:\s+([\d.]+)/),
      answers: number(/Queries completed:\s+(\d+)/),
      lost: number(/Queries lost:\s+(\d+)/),
      cpuMs: cpuMsOf(pid) - before,
      p50: quantile(latencies, 0.5).toFixed(2),
      p99: quantile(latencies, 0.99).toFixed(2),
    };
  }
} finally {
  agent.destroy();
  await children.endAll();
  rmSync(folder, { recursive: true, force: true });
}

function startDns() {
  const kubeconfig = join(folder, "data/admin.kubeconfig");
  if (!existsSync(kubeconfig)) throw new Error("the API server made no kubeconfig");
  const args = ["dns", "--kubeconfig", kubeconfig, "--port", String(dnsPort)];
  return children.start(/^answering on /m, [flags.program, ...args]);
}

function mib(value: number): string {
  return `${value.toFixed(1)} MiB`;
}

function nameOf(index: number): string {
  return `web-${index}.bench.${domain} A`;
}

type Ask = (path: string, body: object) => Promise<void>;

function askOf(ca: Buffer): Ask {
  return (path, body) =>
    new Promise((done, fail) => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const sent = request({ host: "127.0.0.1", port, path, method: "POST", headers, ca, agent }, (answer) => {
        answer
          .resume()
          .on("end", () => (answer.statusCode === 201 ? done() : fail(new Error(`${path}: ${answer.statusCode}`))));
      });
      sent.on("error", fail).end(JSON.stringify(body));
    });
}

async function makeService(ask: Ask, index: number): Promise<void> {
  const name = `web-${index}`;
  const ports = [{ name: "http", port: 80, protocol: "TCP" }];
  const address = (last: number) => `10.${128 + (index >> 14)}.${(index >> 6) & 255}.${((index & 63) << 2) + last}`;
  await ask("/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices", {
    metadata: { name: `${name}-a`, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    endpoints: [1, 2].map((last) => ({
      addresses: [address(last)],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${index % 100}`,
      targetRef: { kind: "Pod", namespace: "bench", name: `${name}-${last}`, uid: crypto.randomUUID() },
    })),
    ports,
  });
  await ask("/api/v1/namespaces/bench/services", {
    metadata: { name, labels: { app: name } },
    spec: { selector: { app: name }, ports },
  });
}

async function inParallel(total: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < total) await work(next++);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

/** Asks until there is an address. */
async function until(name: string): Promise<void> {
  const socket = createSocket("udp4");
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const message = Buffer.concat([
    Buffer.from("000101000001000000000000", "hex"),
    ...labels,
    Buffer.from("0000010001", "hex"),
  ]);
  await new Promise<void>((done) => {
    const ask = () => socket.send(message, dnsPort, "127.0.0.1");
    socket.on("message", (answer) => (answer.readUInt16BE(6) > 0 ? done() : ask()));
    ask();
  });
  socket.close();
}
