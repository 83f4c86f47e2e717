/**
 * What the embedded store can do on this machine's disk. `node bench/store.ts [--tiny] [--folder DIR]`
 * --tiny: a second's worth, to see that it runs. The folder decides which disk is measured; it is made and removed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openSqliteStore, type SqliteStoreOptions, type Store } from "#store";

const { values: flags } = parseArgs({
  options: { tiny: { type: "boolean", default: false }, folder: { type: "string", default: tmpdir() } },
});
const measureMs = flags.tiny ? 20 : 1500;
const rangeKeys = flags.tiny ? 500 : 10_000;
/** A pod's size on the wire. */
const value = new Uint8Array(3400).fill(120);

interface Row {
  readonly what: string;
  readonly result: string;
  /** CPU time of the whole process for each operation. */
  readonly cpuMs?: number;
  /** The longest time that the event loop did not turn. */
  readonly stallMs: number;
}

const folder = mkdtempSync(join(flags.folder, "bench-store-"));
try {
  const rows: Row[] = [];
  for (const commitIn of ["thread", "inline"] as const) {
    for (const writers of [1, 8, 32, 256])
      rows.push(await withStore({ commitIn }, (store) => writes(store, writers, commitIn)));
  }
  rows.push(await withStore({}, updates));
  rows.push(...(await withStore({}, reads)));
  rows.push(await withStore({}, watches));
  rows.push(...(await reopening()));
  print(rows);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function withStore<Result>(
  options: Omit<SqliteStoreOptions, "path">,
  run: (store: Store) => Promise<Result>,
): Promise<Result> {
  const path = join(folder, `${Math.random()}.db`);
  const store = await openSqliteStore({ ...options, path });
  try {
    return await run(store);
  } finally {
    await store.close();
    for (const suffix of ["", "-lock"]) rmSync(path + suffix);
  }
}

/** Runs and says how long it took, what it cost, and how long the event loop stood still. */
async function measure<Result>(
  run: () => Promise<Result>,
): Promise<{ result: Result; ms: number; cpuMs: number; stallMs: number }> {
  let last = performance.now();
  let stallMs = 0;
  let running = true;
  const turn = () => {
    const now = performance.now();
    stallMs = Math.max(stallMs, now - last);
    last = now;
    if (running) setTimeout(turn, 1);
  };
  turn();
  const cpu = process.cpuUsage();
  const start = performance.now();
  const result = await run();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  running = false;
  return { result, ms, cpuMs: (user + system) / 1000, stallMs };
}

async function writes(store: Store, writers: number, where: string): Promise<Row> {
  const run = async (forMs: number, prefix: string) => {
    const until = performance.now() + forMs;
    let count = 0;
    const writer = async (id: number) => {
      for (let n = 0; performance.now() < until; n++) {
        const key = `/registry/pods/${prefix}-${id % 16}/web-${id}-${n}`;
        await store.transact({ compare: [{ key, modRevision: 0 }], operations: [{ type: "put", key, value }] });
        count++;
      }
    };
    await Promise.all(Array.from({ length: writers }, (_, id) => writer(id)));
    return count;
  };
  await run(measureMs / 5, "warm");
  const { result: count, ms, cpuMs, stallMs } = await measure(() => run(measureMs, "measured"));
  const what = `creates, ${writers} writer${writers > 1 ? "s" : ""}, commits in ${where === "thread" ? "a thread" : "the main thread"}`;
  return { what, result: `${perSecond(count, ms)} writes/s`, cpuMs: cpuMs / count, stallMs };
}

async function updates(store: Store): Promise<Row> {
  const keys = Array.from({ length: 32 }, (_, i) => `/registry/leases/node-${i}`);
  const revisions = await Promise.all(keys.map((key) => put(store, key)));
  const until = performance.now() + measureMs;
  const { result, ms, cpuMs, stallMs } = await measure(async () => {
    let count = 0;
    const writer = async (key: string, from: number) => {
      let modRevision = from;
      while (performance.now() < until) {
        const { revision } = await store.transact({
          compare: [{ key, modRevision }],
          operations: [{ type: "put", key, value }],
        });
        modRevision = revision;
        count++;
      }
    };
    await Promise.all(keys.map((key, i) => writer(key, revisions[i] ?? 0)));
    return count;
  });
  return {
    what: "updates with compare, 32 writers",
    result: `${perSecond(result, ms)} writes/s`,
    cpuMs: cpuMs / result,
    stallMs,
  };
}

async function reads(store: Store): Promise<Row[]> {
  await fill(store);
  const old = store.revision();
  await Promise.all(Array.from({ length: rangeKeys }, (_, i) => put(store, `/registry/pods/default/web-${i}`)));
  const all = { start: "/registry/pods/", end: "/registry/pods0" };
  const rows: Row[] = [];
  for (const [what, request] of [
    [`range of ${rangeKeys} keys`, all],
    ["the same at a revision with as many changes since", { ...all, revision: old }],
    ["a page of 500 of it at that revision", { ...all, revision: old, limit: 500 }],
    ["count of it", { ...all, countOnly: true }],
  ] as const) {
    const { ms, cpuMs, stallMs } = await measure(() => store.range(request));
    rows.push({ what, result: `${ms.toFixed(1)} ms`, cpuMs, stallMs });
  }
  const { ms, cpuMs, stallMs } = await measure(() => store.compact(store.revision()));
  rows.push({ what: `compaction of ${rangeKeys} revisions`, result: `${ms.toFixed(1)} ms`, cpuMs, stallMs });
  return rows;
}

async function watches(store: Store): Promise<Row> {
  const events = rangeKeys;
  let seen = 0;
  for (let i = 0; i < 100; i++) {
    const start = i === 0 ? "/registry/pods/" : `/registry/kind${i}/`;
    store.watch({
      start,
      end: `${start.slice(0, -1)}0`,
      onEvents: (batch) => {
        seen += batch.length;
      },
      onEnd: () => undefined,
    });
  }
  await fill(store);
  // History is delivered without commits in between, so this is what delivery itself costs.
  const { ms, cpuMs, stallMs } = await measure(
    () =>
      new Promise<void>((resolve) => {
        let received = 0;
        store.watch({
          start: "/registry/pods/",
          end: "/registry/pods0",
          fromRevision: 2,
          onEvents: (batch) => {
            received += batch.length;
            if (received === events) resolve();
          },
          onEnd: () => undefined,
        });
      }),
  );
  const live = seen === events ? "" : `, and only ${seen} live`;
  return {
    what: `watch from history, ${events} events`,
    result: `${perSecond(events, ms)} events/s${live}`,
    cpuMs: cpuMs / events,
    stallMs,
  };
}

async function reopening(): Promise<Row[]> {
  const path = join(folder, "reopened.db");
  const first = await openSqliteStore({ path });
  await fill(first);
  await first.close();
  const { result: store, ms, cpuMs, stallMs } = await measure(() => openSqliteStore({ path }));
  const bytes = (await store.size()).bytes;
  await store.close();
  return [
    {
      what: `open with ${rangeKeys} keys, ${(bytes / 1e6).toFixed(0)} MB`,
      result: `${ms.toFixed(1)} ms`,
      cpuMs,
      stallMs,
    },
  ];
}

async function fill(store: Store): Promise<void> {
  for (let from = 0; from < rangeKeys; from += 1000) {
    const count = Math.min(1000, rangeKeys - from);
    await Promise.all(Array.from({ length: count }, (_, i) => put(store, `/registry/pods/default/web-${from + i}`)));
  }
}

async function put(store: Store, key: string): Promise<number> {
  return (await store.transact({ compare: [], operations: [{ type: "put", key, value }] })).revision;
}

function perSecond(count: number, ms: number): string {
  return Math.round((count / ms) * 1000).toLocaleString("en");
}

function print(rows: readonly Row[]): void {
  process.stdout.write(`values of ${value.length} bytes; CPU is that of the whole process, for one operation\n\n`);
  const lines = [["", "", "CPU", "longest stall"]];
  for (const { what, result, cpuMs, stallMs } of rows) {
    lines.push([what, result, cpuMs === undefined ? "" : `${cpuMs.toFixed(3)} ms`, `${stallMs.toFixed(1)} ms`]);
  }
  const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  for (const line of lines) {
    const cells = line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    process.stdout.write(`${cells.join("  ")}\n`);
  }
}
