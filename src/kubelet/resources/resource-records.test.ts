import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checksumOf, ResourceRecords } from "./resource-records.ts";

test("resource records: survive in upstream's file; a damaged one is refused", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "records-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "allocated_pods_state");
  const records = new ResourceRecords(file);
  const a = { ContainerResources: { c: { requests: { cpu: "1" } } }, PodLevelResources: null };
  await Promise.all([records.set("uid-a", a), records.setContainer("uid-b", "c", { limits: { memory: "1Gi" } })]);
  assert.deepEqual(new ResourceRecords(file).get("uid-a"), a);
  assert.deepEqual(new ResourceRecords(file).get("uid-b")?.ContainerResources, { c: { limits: { memory: "1Gi" } } });
  // As Go computes it.
  assert.equal(checksumOf('{"a":"b\\n"}'), 2372237088);
  await writeFile(file, (await readFile(file, "utf8")).replace("1Gi", "2Gi"));
  assert.throws(() => new ResourceRecords(file), /checkpoint is corrupted, please drain this node/);
});
