/**
 * How soon `up` is there and what it takes to stand idle. `node bench/startup.ts [--tiny]`, after `node tools/bundle.ts`
 * The bundled program with real containers, in a network and mount namespace of its own without a route out, seen by a client over TLS.
 * "Cold" has neither a data folder nor V8's compile cache; the operating system may still have the files in memory.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { whyNoCluster } from "#testing";
import { cpuMsOf, printTable, quantile, residentMiB } from "./process-usage.ts";
import { Cluster, image, sampan, type Start } from "./startup/cluster.ts";

const { values: flags } = parseArgs({
  options: { tiny: { type: "boolean", default: false }, inside: { type: "boolean", default: false } },
});
const rounds = flags.tiny ? 1 : 5;
const podCount = flags.tiny ? 1 : 21;
const settleMs = flags.tiny ? 0 : 30_000;
const idleMs = flags.tiny ? 200 : 20_000;

if (flags.inside) await run();
else process.exitCode = enterNamespaces();

/** This script again, where a cluster of its own disturbs nobody. */
function enterNamespaces(): number {
  const why = whyNoCluster();
  if (why) {
    process.stdout.write(`skipped: ${why}\n`);
    return 0;
  }
  const shell = 'ip link set lo up && exec "$@"';
  const again = [process.execPath, import.meta.filename, ...process.argv.slice(2), "--inside"];
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  const { status } = spawnSync("unshare", ["--net", "--mount", "sh", "-c", shell, "sh", ...again], {
    stdio: "inherit",
    env,
  });
  return status ?? 1;
}

async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "bench-startup-"));
  const archive = join(folder, "image.tar");
  const cluster = new Cluster(folder, archive);
  try {
    await sampan("image", "pack", image, "--file", "/bin/sleep:/bin/sleep", "--cmd", "/bin/sleep 3600", "-o", archive);
    const starts: Record<"cold" | "fresh" | "again", Start[]> = { cold: [], fresh: [], again: [] };
    for (let round = 0; round < rounds; round++) {
      // An image store that is kept is no fresh one: each round begins with nothing.
      await cluster.remove();
      rmSync(cluster.compileCache, { recursive: true, force: true });
      starts.cold.push(await cluster.start("cold"));
      await cluster.remove();
      starts.fresh.push(await cluster.start("fresh"));
      await cluster.stop();
      starts.again.push(await cluster.start("again"));
    }
    const podsMs = await cluster.pods(podCount);
    await sleep(settleMs);
    const memory = residentMiB(cluster.pid);
    const cpu = cpuMsOf(cluster.pid);
    await sleep(idleMs);
    const idleCpu = ((cpuMsOf(cluster.pid) - cpu) / idleMs) * 100;
    print(starts);
    process.stdout.write(`\nwarm pod, create to Ready: median ${quantile(podsMs, 0.5).toFixed(0)} ms, `);
    process.stdout.write(`p90 ${quantile(podsMs, 0.9).toFixed(0)} ms (${podsMs.length} pods, one after the other)\n`);
    process.stdout.write(`idle: ${memory.toFixed(0)} MiB resident, ${idleCpu.toFixed(1)} % of a core\n`);
  } finally {
    await cluster.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

function print(starts: Readonly<Record<string, readonly Start[]>>): void {
  const rows = [["from the start of the process until", "/readyz", "node Ready", "pod Running"]];
  for (const [what, all] of Object.entries(starts)) {
    const median = (of: (start: Start) => number) => `${(quantile(all.map(of), 0.5) / 1000).toFixed(2)} s`;
    rows.push([
      `${what} (median of ${all.length})`,
      median(({ readyzMs }) => readyzMs),
      median(({ nodeReadyMs }) => nodeReadyMs),
      median(({ podRunningMs }) => podRunningMs),
    ]);
  }
  printTable(rows);
}
