/**
 * What definitions of custom resources cost while they are served and nobody uses them. `node bench/definitions.ts [--tiny] [--count 1000]`
 * Each is as large as those of cert-manager are on average, 78 kB. Memory is looked at before, after they were made, and after a restart.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { realClock } from "#base";
import { openSqliteStore } from "#store";
import { startTestServer, type TestServer } from "../src/apiserver/test-server.ts";
import { printTable } from "./process-usage.ts";

const { values: flags } = parseArgs({
  options: { tiny: { type: "boolean", default: false }, count: { type: "string" } },
});
const count = Number(flags.count ?? (flags.tiny ? 20 : 1_000));
/** Let go what was only looked at. */
const settleMs = flags.tiny ? 10 : 1_000;
setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const words =
  "What this field says of the object it stands in, and what becomes of the object when somebody changes it.";

/** Some 150 fields, three levels deep. */
function schemaOf(depth: number): object {
  if (depth === 0)
    return { description: words, type: "string", maxLength: 253, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" };
  const properties = Object.fromEntries(Array.from({ length: 7 }, (_, i) => [`field${i}`, schemaOf(depth - 1)]));
  return { description: words, type: "object", required: ["field0"], properties };
}

const definitionOf = (index: number): object => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `things.group${index}.example.com` },
  spec: {
    group: `group${index}.example.com`,
    scope: "Namespaced",
    names: { plural: "things", kind: "Thing", shortNames: ["th"], categories: ["all"] },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        subresources: { status: {} },
        additionalPrinterColumns: [{ name: "First", type: "string", jsonPath: ".spec.field0.field0" }],
        schema: {
          openAPIV3Schema: { type: "object", properties: { spec: schemaOf(3), status: { type: "object" } } },
        },
      },
    ],
  },
});

const served = ({ server }: TestServer): number => [...server.table.all()].filter(({ custom }) => custom).length;

interface Memory {
  readonly heap: number;
  readonly outside: number;
}

async function memory(): Promise<Memory> {
  await setTimeout(settleMs);
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heap: heapUsed, outside: arrayBuffers };
}

const folder = mkdtempSync(join(tmpdir(), "bench-definitions-"));
const open = async () =>
  startTestServer({ store: await openSqliteStore({ path: join(folder, "store"), clock: realClock }) });
try {
  let api = await open();
  const before = await memory();
  const started = performance.now();
  const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  for (let i = 0; i < count; i++) await api.call("POST", path, definitionOf(i));
  while (served(api) < count) await setTimeout(1);
  const madeMs = performance.now() - started;
  const after = await memory();
  await api.close();
  const reopened = performance.now();
  api = await open();
  const openedMs = performance.now() - reopened;
  const again = await memory();
  await api.close();
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const row = (when: string, { heap, outside }: Memory, tookMs?: number) => [
    when,
    tookMs === undefined ? "" : `${(tookMs / 1_000).toFixed(1)} s`,
    megabytes(heap),
    megabytes(outside),
    tookMs === undefined ? "" : `${((heap + outside - before.heap - before.outside) / count / 1e3).toFixed(0)} kB`,
  ];
  printTable([
    ["", "took", "heap", "outside", "each"],
    row("before", before),
    row(`${count} made`, after, madeMs),
    row("after a restart", again, openedMs),
  ]);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
