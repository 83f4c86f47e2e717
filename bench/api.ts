/**
 * What requests cost the API server. `node bench/api.ts [--tiny]`, after `node tools/bundle.ts`
 * The bundled `sampan apiserver` over TLS, asked by a client in this process; beside it the same questions to a bare Node.js server that
 * answers constant bytes of the same size: what TLS and HTTP cost whoever answers. CPU is the server's, all threads, for one operation.
 * With `--kube-apiserver PROGRAM --etcd PROGRAM` those two are asked as well, and count together.
 */
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { startKubeApiServer } from "./api/kube-apiserver.ts";
import { type Load, type Measured, runLoad } from "./api/load.ts";
import { Children, freePort } from "./children.ts";
import { printTable } from "./process-usage.ts";

const { values: flags } = parseArgs({
  options: {
    tiny: { type: "boolean", default: false },
    "kube-apiserver": { type: "string" },
    etcd: { type: "string", default: "etcd" },
    program: { type: "string", default: resolve(import.meta.dirname, "../dist/sampan.js") },
  },
});
const load: Load = flags.tiny
  ? { pods: 40, parallel: 8, watchers: 5, events: 10, lists: 2, phaseMsMax: 5_000 }
  : { pods: 3_000, parallel: 32, watchers: 100, events: 200, lists: 20, phaseMsMax: 60_000 };
const token = "bench";

const folder = mkdtempSync(join(tmpdir(), "bench-api-"));
const children = new Children();
try {
  const port = await freePort();
  const tokens = join(folder, "tokens.csv");
  const dataDir = join(folder, "data");
  writeFileSync(tokens, `${token},bench,bench,"system:masters"\n`);
  const { pid = 0 } = await children.start(
    /^serving on /m,
    [flags.program, "apiserver", "--data-dir", dataDir, "--bind-address", "127.0.0.1"].concat([
      "--secure-port",
      String(port),
      "--token-auth-file",
      tokens,
    ]),
  );
  const authority = readFileSync(join(dataDir, "pki/ca.crt"));
  const ours = await runLoad({ port, token, authority, pids: [pid] }, load);
  // The same objects, as constant bytes, under the same certificate.
  const sample = join(folder, "pod.json");
  writeFileSync(sample, ours.pod);
  const floorPort = await freePort();
  const { pid: floorPid = 0 } = await children.start(
    /^listening$/m,
    [join(import.meta.dirname, "api/floor.ts"), sample, String(load.pods), String(floorPort)].concat([
      join(dataDir, "pki/apiserver.key"),
      join(dataDir, "pki/apiserver.crt"),
    ]),
  );
  const floor = await runLoad({ port: floorPort, token, authority, pids: [floorPid] }, load);
  process.stdout.write(
    `${load.pods} pods of ${Buffer.byteLength(ours.pod)} bytes, ${load.parallel} requests at a time, ${load.watchers} watchers\n\n`,
  );
  print(ours.measured, floor.measured, await upstream());
} finally {
  await children.endAll();
  rmSync(folder, { recursive: true, force: true });
}

async function upstream(): Promise<readonly Measured[]> {
  const apiserver = flags["kube-apiserver"];
  if (!apiserver) return [];
  await children.endAll();
  const output = openSync(join(folder, "upstream.log"), "a");
  const run = (program: string, args: readonly string[]) =>
    children.run(program, args, ["ignore", output, output]).pid ?? 0;
  const tokens = join(folder, "tokens.csv");
  const server = await startKubeApiServer({ apiserver, etcd: flags.etcd, folder, tokens, token, start: run, freePort });
  return (await runLoad({ ...server, token }, load)).measured;
}

function print(ours: readonly Measured[], floor: readonly Measured[], upstream: readonly Measured[]): void {
  const sides = [
    ["", ours],
    ["bare", floor],
    ...(upstream.length > 0 ? ([["upstream", upstream]] as const) : []),
  ] as const;
  const measures: readonly [name: string, print: (each: Measured) => string][] = [
    ["CPU", ({ cpuMs }) => (cpuMs < 0.1 ? `${(cpuMs * 1000).toFixed(1)} µs` : `${cpuMs.toFixed(3)} ms`)],
    ["a second", ({ perSecond }) => Math.round(perSecond).toLocaleString("en")],
    ["p99", ({ p99Ms }) => `${p99Ms.toFixed(1)} ms`],
    ["RSS", (each) => `${each.residentMiB.toFixed(0)} MiB`],
  ];
  const head = measures.flatMap(([name]) => sides.map(([side]) => side || name));
  const rows = ours.map(({ what }, at) => [
    what,
    // The same load has the same rows.
    ...measures.flatMap(([, print]) => sides.map(([, measured]) => print(measured[at]!))),
  ]);
  printTable([["", ...head], ...rows]);
}
