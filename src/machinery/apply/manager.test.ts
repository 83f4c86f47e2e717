import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject, ManagedFieldsEntry } from "../object.ts";
import { loose, object, type as schemaType, text, thing } from "./fixture.ts";
import { managedFieldsProblem, updateManagedFields } from "./mod.ts";
import type { UpdateRequest } from "./request.ts";
import { fieldSet } from "./set.ts";

const time = "2026-01-01T00:00:10Z";
const before = "2026-01-01T00:00:00Z";
type Thing = KubernetesObject & Record<string, unknown>;

const make = (more: Record<string, unknown>, meta: Record<string, unknown> = {}): Thing => ({
  apiVersion: "v1",
  kind: "Thing",
  metadata: { name: "t", uid: "u", ...meta },
  ...more,
});

const entry = (manager: string, fieldsV1: unknown, more: ManagedFieldsEntry = {}): ManagedFieldsEntry => ({
  manager,
  operation: "Update",
  apiVersion: "v1",
  time: before,
  fieldsType: "FieldsV1",
  fieldsV1,
  ...more,
});

const update = (live: Thing | undefined, result: Thing, more: Partial<UpdateRequest> = {}) =>
  updateManagedFields({ schema: thing, apiVersion: "v1", live, result, manager: "m", time, ...more });

/** The order of keys is what goes over the wire. */
const same = (actual: unknown, expected: unknown) => assert.equal(JSON.stringify(actual), JSON.stringify(expected));

test("create: the writer owns every field, but not what says which object it is", () => {
  const result = make(
    { data: { b: "2", a: "1" }, spec: { replicas: 1, selector: { matchLabels: { a: "b" } } } },
    { labels: { x: "y" }, finalizers: ["b", "a"] },
  );
  same(update(undefined, result), [
    entry(
      "m",
      {
        "f:data": { ".": {}, "f:a": {}, "f:b": {} },
        "f:metadata": { "f:finalizers": { ".": {}, 'v:"a"': {}, 'v:"b"': {} }, "f:labels": { ".": {}, "f:x": {} } },
        "f:spec": { "f:replicas": {}, "f:selector": {} },
      },
      { time },
    ),
  ]);
});

test("create: items are named by their keys, defaulted ones included; structs that are always there are owned within items", () => {
  const boxes = [{ name: "b", ports: [{ port: 443 }, { port: 80, protocol: "UDP" }, { port: 80 }] }];
  same(update(undefined, make({ spec: { boxes } }))?.[0]?.fieldsV1, {
    "f:spec": {
      "f:boxes": {
        'k:{"name":"b"}': {
          ".": {},
          "f:name": {},
          "f:ports": {
            ".": {},
            'k:{"port":80,"protocol":"TCP"}': { ".": {}, "f:port": {} },
            'k:{"port":80,"protocol":"UDP"}': { ".": {}, "f:port": {}, "f:protocol": {} },
            'k:{"port":443,"protocol":"TCP"}': { ".": {}, "f:port": {} },
          },
          "f:resources": {},
        },
      },
    },
  });
});

test("create: items with the same key are owned together", () => {
  const boxes = [{ name: "b", env: [{ name: "A", value: "1" }, { name: "A", value: "2" }, { name: "B" }] }];
  same(update(undefined, make({ spec: { boxes } }))?.[0]?.fieldsV1, {
    "f:spec": {
      "f:boxes": {
        'k:{"name":"b"}': {
          ".": {},
          "f:env": { ".": {}, 'k:{"name":"A"}': {}, 'k:{"name":"B"}': { ".": {}, "f:name": {} } },
          "f:name": {},
          "f:resources": {},
        },
      },
    },
  });
});

test("create: what the strategy resets is not owned, an empty manager is unknown", () => {
  const entries = update(undefined, make({ data: { a: "1" }, status: { phase: "x" } }), {
    manager: "",
    resetFields: fieldSet(["status"]),
  });
  same(entries, [entry("unknown", { "f:data": { ".": {}, "f:a": {} } }, { time })]);
});

test("update: the writer takes what changes, others lose it and what goes", () => {
  const live = make(
    { data: { a: "1", b: "2", c: "3" } },
    { managedFields: [entry("old", { "f:data": { ".": {}, "f:a": {}, "f:b": {}, "f:c": {} } })] },
  );
  const result = make({ data: { a: "1", b: "9", d: "4" } }, { managedFields: live.metadata?.managedFields });
  same(update(live, result), [
    entry("old", { "f:data": { ".": {}, "f:a": {} } }),
    entry("m", { "f:data": { "f:b": {}, "f:d": {} } }, { time }),
  ]);
});

test("update: an entry without fields goes", () => {
  const live = make({ data: { a: "1" } }, { managedFields: [entry("old", { "f:data": { "f:a": {} } })] });
  same(update(live, make({ data: { a: "2" } })), [entry("m", { "f:data": { "f:a": {} } }, { time })]);
});

test("update: no change keeps entries and times", () => {
  const live = make({ data: { a: "1" } }, { managedFields: [entry("m", { "f:data": { ".": {}, "f:a": {} } })] });
  same(update(live, make({ data: { a: "1" }, spec: {}, status: {} })), live.metadata?.managedFields);
});

test("update: the same manager adds to its entry, another version or subresource has one of its own", () => {
  const managedFields = [
    entry("m", { "f:data": { "f:a": {} } }),
    entry("m", { "f:data": { "f:z": {} } }, { apiVersion: "v0" }),
  ];
  const live = make({ data: { a: "1", z: "26" } }, { managedFields });
  same(update(live, make({ data: { a: "1", b: "2", z: "26" } })), [
    entry("m", { "f:data": { "f:z": {} } }, { apiVersion: "v0" }),
    entry("m", { "f:data": { "f:a": {}, "f:b": {} } }, { time }),
  ]);
  const status = { phase: "x" };
  same(update(live, make({ data: { a: "1", z: "26" }, status }), { subresource: "status" })?.at(-1), {
    ...entry("m", { "f:status": { "f:phase": {} } }, { time }),
    subresource: "status",
  });
});

test("update: containers that become empty or null", () => {
  const managedFields = [entry("old", { "f:data": { ".": {}, "f:a": {} } })];
  const live = make({ data: { a: "1" } }, { managedFields });
  same(update(live, make({})), undefined);
  same(update(live, make({ data: {} })), [entry("old", { "f:data": {} })]);
  same(update(live, make({ data: null })), [entry("old", { "f:data": {} })]);
});

test("update: items of lists come and go one by one", () => {
  const boxes = [{ name: "a" }, { name: "b", image: "1" }];
  const live = make(
    { spec: { boxes } },
    { managedFields: [entry("old", { "f:spec": { "f:boxes": { 'k:{"name":"a"}': { ".": {}, "f:name": {} } } } })] },
  );
  const result = make({ spec: { boxes: [{ name: "b", image: "2" }, { name: "c" }] } });
  same(update(live, result), [
    entry(
      "m",
      {
        "f:spec": {
          "f:boxes": {
            'k:{"name":"b"}': { "f:image": {} },
            'k:{"name":"c"}': { ".": {}, "f:name": {}, "f:resources": {} },
          },
        },
      },
      { time },
    ),
  ]);
});

test("update: entries that a client sends count, broken ones don't, subresources can't change them", () => {
  const live = make({ data: { a: "1" } }, { managedFields: [entry("old", { "f:data": { "f:a": {} } })] });
  const sent = [entry("sent", { "f:data": { "f:a": {} } })];
  same(update(live, make({ data: { a: "1" } }, { managedFields: sent })), sent);
  same(
    update(live, make({ data: { a: "1" } }, { managedFields: sent }), { subresource: "status" }),
    live.metadata?.managedFields,
  );
  const forged = [entry("x", {}, { operation: "Guess" })];
  same(update(live, make({ data: { a: "1" } }, { managedFields: forged })), live.metadata?.managedFields);
});

test("update: an empty list or an empty entry clears them, and they stay clear", () => {
  const live = make({ data: { a: "1" } }, { managedFields: [entry("old", { "f:data": { "f:a": {} } })] });
  assert.equal(update(live, make({ data: { a: "2" } }, { managedFields: [] })), undefined);
  assert.equal(update(live, make({ data: { a: "2" } }, { managedFields: [{}] })), undefined);
  assert.equal(update(make({ data: { a: "1" } }), make({ data: { a: "2" } })), undefined);
});

test("update: more than ten updates are merged, oldest first, by version", () => {
  const managedFields = Array.from({ length: 10 }, (_, i) =>
    entry(`m${i}`, { "f:data": { [`f:k${i}`]: {} } }, { time: `2026-01-01T00:00:0${i}Z` }),
  );
  const data = Object.fromEntries(managedFields.map((_, i) => [`k${i}`, "1"]));
  const entries = update(make({ data }, { managedFields }), make({ data: { ...data, n: "1" } })) ?? [];
  assert.equal(entries.length, 10);
  same(
    entries[0],
    entry("ancient-changes", { "f:data": { "f:k0": {}, "f:k1": {} } }, { time: "2026-01-01T00:00:01Z" }),
  );
});

test("update: a type that became atomic is owned as a whole", () => {
  const spec = { selector: { matchLabels: { a: "b" } } };
  const managedFields = [entry("old", { "f:spec": { "f:selector": { "f:matchLabels": { "f:a": {} } } } })];
  same(update(make({ spec }, { managedFields }), make({ spec, data: { a: "1" } }))?.[0], {
    ...managedFields[0],
    fieldsV1: { "f:spec": { "f:selector": {} } },
  });
});

test("update: other versions are compared in their own form, those no longer served go", () => {
  const old = schemaType("Old", {
    metadata: text,
    spec: object(schemaType("OldSpec", { count: { value: { kind: "number" } } })),
  });
  const managedFields = [
    entry("old", { "f:spec": { "f:count": {} } }, { apiVersion: "v0" }),
    entry("gone", { "f:x": {} }, { apiVersion: "vx" }),
  ];
  const live = make({ spec: { replicas: 1 } }, { managedFields });
  const otherVersion = (version: string) =>
    version === "v0"
      ? {
          schema: old,
          convert: (each: KubernetesObject): Thing => ({
            spec: { count: ((each as Thing).spec as { replicas: number }).replicas }, // as made above
          }),
        }
      : undefined;
  same(
    update(live, make({ spec: { replicas: 1 }, data: { a: "1" } }), { otherVersion })?.map((each) => each.manager),
    ["old", "m"],
  );
  same(
    update(live, make({ spec: { replicas: 2 } }), { otherVersion })?.map((each) => each.manager),
    ["m"],
  );
});

test("update: what isn't declared is owned by what it looks like", () => {
  const spec = { a: { b: [1, 2], c: {} }, d: 1 };
  same(update(undefined, make({ spec, more: { x: 1 } }), { schema: loose })?.[0]?.fieldsV1, {
    "f:more": { ".": {}, "f:x": {} },
    "f:spec": { ".": {}, "f:a": { ".": {}, "f:b": {}, "f:c": {} }, "f:d": {} },
  });
  const live = make({ spec }, { managedFields: [entry("old", { "f:spec": { "f:a": { "f:b": {} }, "f:d": {} } })] });
  same(update(live, make({ spec: { a: { b: [1], c: {} }, d: { e: 1 } } }), { schema: loose }), [
    entry("m", { "f:spec": { "f:a": { "f:b": {} }, "f:d": { ".": {}, "f:e": {} } } }, { time }),
  ]);
});

test("update: objects that don't fit their type keep their entries", () => {
  const managedFields = [entry("old", { "f:data": { "f:a": {} } })];
  same(update(make({}, { managedFields }), make({ spec: { boxes: ["x"] } })), managedFields);
});

test("entries: why they are refused", () => {
  assert.equal(managedFieldsProblem([entry("m", {})]), undefined);
  assert.equal(managedFieldsProblem([entry("m", {}, { operation: "Guess" })]), "operation must be `Apply` or `Update`");
  assert.equal(managedFieldsProblem([entry("m", {}, { apiVersion: "" })]), "apiVersion must not be empty");
  assert.equal(
    managedFieldsProblem([entry("m", {}, { fieldsType: "" })]),
    "missing fieldsType in managed fields entry 0",
  );
  assert.equal(
    managedFieldsProblem([entry("m", {}, { fieldsType: "FieldsV2" })]),
    'invalid fieldsType "FieldsV2" in managed fields entry 0',
  );
  assert.match(managedFieldsProblem([entry("m", { x: {} })]) ?? "", /error decoding set/);
});
