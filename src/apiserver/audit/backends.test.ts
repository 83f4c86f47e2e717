/** What audit events go through on their way out: buffer, truncation, file and webhook. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { FakeClock, silentLogger } from "#base";
import type { AuditSink } from "./backend.ts";
import { type BatchOptions, bufferedSink } from "./buffer.ts";
import { type AuditEvent, encodeEvent, printLegacy } from "./event.ts";
import { openLogFile } from "./log-file.ts";
import { logSink } from "./log-sink.ts";
import { createAuditor, validateAuditOptions } from "./options.ts";
import { parseAuditPolicy } from "./policy.ts";
import { truncatingSink } from "./truncate.ts";
import { webhookSink } from "./webhook-sink.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "audit-"));
});
after(() => rm(folder, { recursive: true }));

const event = (auditID: string, more: Partial<AuditEvent> = {}): AuditEvent => ({
  level: "Request",
  auditID,
  stage: "ResponseComplete",
  requestURI: "/api",
  verb: "get",
  user: { username: "tim", groups: ["a", "b"] },
  impersonatedUser: undefined,
  authenticationMetadata: undefined,
  sourceIPs: ["127.0.0.1"],
  userAgent: "me",
  objectRef: undefined,
  responseStatus: { code: 200 },
  requestObject: undefined,
  responseObject: undefined,
  requestReceivedTimestamp: Date.UTC(2026, 0, 2, 3, 4, 5, 60),
  stageTimestamp: Date.UTC(2026, 0, 2, 3, 4, 5, 61),
  annotations: { b: "2", a: "1" },
  ...more,
});

/** Keeps what it is given, batch by batch. */
function memorySink() {
  const batches: string[][] = [];
  const sink: AuditSink = {
    take(events) {
      batches.push(events.map(({ auditID }) => auditID));
      return true;
    },
    close: async () => undefined,
  };
  return { sink, batches };
}

const lost: string[] = [];
const onLost = (plugin: string, why: string, events: readonly AuditEvent[]) => {
  lost.push(`${plugin}: ${why}: ${events.map(({ auditID }) => auditID).join()}`);
};

test("audit event: as JSON and as a line of old", () => {
  const text = encodeEvent(event("x", { requestObject: '{"kind":"Pod"}' }));
  assert.equal(
    text,
    '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"x","stage":"ResponseComplete",' +
      '"requestURI":"/api","verb":"get","user":{"username":"tim","groups":["a","b"]},"sourceIPs":["127.0.0.1"],' +
      '"userAgent":"me","responseStatus":{"metadata":{},"code":200},"requestObject":{"kind":"Pod"},' +
      '"requestReceivedTimestamp":"2026-01-02T03:04:05.060000Z","stageTimestamp":"2026-01-02T03:04:05.061000Z",' +
      '"annotations":{"a":"1","b":"2"}}',
  );
  assert.equal(
    printLegacy(event("x", { objectRef: { namespace: "ns" }, impersonatedUser: { username: "bob" } })),
    '2026-01-02T03:04:05.06Z AUDIT: id="x" stage="ResponseComplete" ip="127.0.0.1" method="get" user="tim" ' +
      'groups="\\"a\\",\\"b\\"" as="bob" asgroups="<lookup>" user-agent="me" namespace="ns" uri="/api" response="200"',
  );
});

const batch: BatchOptions = {
  bufferEventsMax: 5,
  batchEventsMax: 2,
  batchWaitMs: 1_000,
  throttle: undefined,
  parallel: true,
};

test("audit buffer: full batches leave at once, others after a while, all at the end", async () => {
  const clock = new FakeClock();
  const { sink, batches } = memorySink();
  const buffer = bufferedSink(sink, batch, { clock, onLost });
  for (const id of ["1", "2", "3"]) buffer.take([event(id)]);
  assert.deepEqual(batches, [["1", "2"]]);
  clock.advance(1_000);
  assert.deepEqual(batches, [["1", "2"], ["3"]]);
  buffer.take([event("4")]);
  await buffer.close();
  assert.deepEqual(batches.at(-1), ["4"]);
  buffer.take([event("5")]);
  assert.equal(lost.pop(), "buffered: audit backend shut down: 5");
});

test("audit buffer: batches keep to their rate; what the buffer can't hold is told", async () => {
  const clock = new FakeClock();
  const { sink, batches } = memorySink();
  const options = { ...batch, throttle: { perSecond: 1, burst: 1 } };
  const buffer = bufferedSink(sink, options, { clock, onLost });
  for (const id of "12345678") buffer.take([event(id)]);
  assert.deepEqual(batches, [["1", "2"]]);
  assert.equal(lost.pop(), "buffered: audit buffer queue blocked: 8");
  clock.advance(1_000);
  assert.deepEqual(batches.at(-1), ["3", "4"]);
  await buffer.close();
  assert.deepEqual(batches.flat().join(""), "1234567", "the end doesn't wait for the rate");
});

test("audit truncation: bodies go first, then the event; batches are split", () => {
  const { sink, batches } = memorySink();
  const taken: AuditEvent[] = [];
  const small = encodeEvent(event("1")).length + 1;
  const keep: AuditSink = {
    ...sink,
    take(events) {
      taken.push(...events);
      return sink.take(events);
    },
  };
  const bounds = { eventBytesMax: small + 100, batchBytesMax: 2 * small };
  const truncating = truncatingSink(keep, bounds, onLost);
  const body = JSON.stringify({ data: "x".repeat(1_000) });
  truncating.take([event("1"), event("2"), event("3", { requestObject: body })]);
  assert.deepEqual(batches, [["1", "2"], ["3"]]);
  assert.equal(taken[2]?.requestObject, undefined);
  assert.equal(taken[2]?.annotations?.["audit.k8s.io/truncated"], "true");
  truncating.take([event("4", { userAgent: "x".repeat(1_000) })]);
  assert.equal(lost.pop(), "truncate: event is too large even after truncating: 4");
});

test("audit file: turned over when full; old ones are compressed and go by number and age", async () => {
  const clock = new FakeClock(Date.UTC(2026, 0, 10));
  const file = path.join(folder, "deep", "audit.log");
  const day = 24 * 3600 * 1000;
  const options = { file, bytesMax: 10, backupsMax: 2, ageMsMax: 5 * day, compress: true, clock, log: silentLogger };
  const writer = openLogFile(options);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  for (const text of ["one......\n", "two......\n", "three....\n", "four.....\n"]) {
    writer.write(text);
    clock.advance(1_000);
  }
  await writer.close();
  assert.equal(await readFile(file, "utf8"), "four.....\n");
  const old = (await readdir(path.dirname(file))).filter((name) => name !== "audit.log").sort();
  assert.deepEqual(old, ["audit-2026-01-10T00-00-02.000.log.gz", "audit-2026-01-10T00-00-03.000.log.gz"]);
  const text = gunzipSync(await readFile(path.join(path.dirname(file), old[1] ?? ""))).toString();
  assert.equal(text, "three....\n");
  await writeFile(path.join(path.dirname(file), "audit-2026-01-01T00-00-00.000.log"), "ancient");
  clock.advance(6 * day);
  const again = openLogFile(options);
  again.write("five.....\n");
  await again.close();
  assert.deepEqual((await readdir(path.dirname(file))).sort(), ["audit-2026-01-16T00-00-04.000.log.gz", "audit.log"]);
});

test("audit file: a disk that fails loses the event and says so", () => {
  const writer = {
    write() {
      throw new Error("no space left on device");
    },
    close: async () => undefined,
  };
  assert.equal(logSink(writer, "json", onLost).take([event("9")]), false);
  assert.equal(lost.pop(), "log: no space left on device: 9");
});

test("audit webhook: a failed batch is tried again with growing pauses, five times at most", async () => {
  const clock = new FakeClock();
  const bodies: string[] = [];
  let failures = 2;
  const sink = webhookSink({
    initialBackoffMs: 1_000,
    clock,
    onLost,
    async post(body) {
      bodies.push(body);
      if (failures-- > 0) throw new Error("connection refused");
    },
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const result = sink.take([event("1"), event("2")]);
  await turn();
  clock.advance(1_200);
  await turn();
  clock.advance(1_800);
  assert.equal(await result, true);
  assert.equal(bodies.length, 3);
  const list = JSON.parse(bodies[2] ?? "");
  assert.deepEqual([list.kind, list.apiVersion, list.items.length], ["EventList", "audit.k8s.io/v1", 2]);
  assert.equal(list.items[0].kind, undefined);
  failures = 100;
  const lostResult = sink.take([event("3")]);
  await turn();
  sink.hurry?.();
  for (let i = 0; i < 5; i++) {
    await turn();
    clock.advance(200);
  }
  assert.equal(await lostResult, false);
  assert.equal(lost.pop(), "webhook: connection refused: 3");
  await sink.close();
});

const delivery = {
  mode: "blocking",
  batchBufferSize: 10,
  batchMaxSize: 1,
  batchMaxWaitMs: 0,
  batchThrottleEnable: false,
  batchThrottleQps: 10,
  batchThrottleBurst: 15,
  truncateEnabled: false,
  truncateMaxBatchSize: 1_000,
  truncateMaxEventSize: 100,
  version: "audit.k8s.io/v1",
};
const log = {
  ...delivery,
  path: "-",
  format: "json",
  maxAgeDays: 0,
  maxBackups: 0,
  maxSizeMegabytes: 0,
  compress: false,
};

test("audit options: complaints are upstream's", () => {
  const complaints = (more: object) => validateAuditOptions({ log: { ...log, ...more }, webhook: undefined });
  assert.deepEqual(complaints({}), []);
  assert.deepEqual(complaints({ mode: "fast" }), [
    'invalid audit log mode fast, allowed modes are "batch,blocking,blocking-strict"',
  ]);
  assert.deepEqual(complaints({ mode: "batch", batchBufferSize: 0 }), [
    "invalid audit batch log buffer size 0, must be a positive number",
  ]);
  assert.deepEqual(complaints({ mode: "batch", batchThrottleEnable: true, batchThrottleQps: 0 }), [
    "invalid audit batch log throttle QPS 0, must be a positive number",
  ]);
  assert.deepEqual(complaints({ truncateMaxBatchSize: 1 }), [
    "invalid audit truncate log max batch size 1, must be greater than max event size (100)",
  ]);
  assert.deepEqual(complaints({ format: "xml", maxBackups: -1, version: "v2" }), [
    'invalid group version, allowed versions are ["audit.k8s.io/v1"]',
    'invalid audit log format xml, allowed formats are "legacy,json"',
    "--audit-log-maxbackup -1 can't be a negative number",
  ]);
});

test("audit options: without a policy or a place to go there is no log", async () => {
  const printed: string[] = [];
  const context = { clock: new FakeClock(), log: silentLogger, stdout: (text: string) => void printed.push(text) };
  const policy = await parseAuditPolicy(
    "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]",
    () => undefined,
  );
  assert.equal(createAuditor({ policy: undefined, log, webhook: undefined }, context), undefined);
  assert.equal(createAuditor({ policy, log: undefined, webhook: undefined }, context), undefined);
  const batched = { ...log, mode: "batch" };
  const auditor = createAuditor({ policy, log: batched, webhook: undefined }, context);
  auditor?.take(event("1"));
  await auditor?.close();
  assert.equal(JSON.parse(printed.join("")).auditID, "1");
});
