import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject, ManagedFieldsEntry } from "../object.ts";
import { isStatusError } from "../status.ts";
import { loose, thing } from "./fixture.ts";
import { applyObject, lastAppliedAnnotation, revertManagedFieldsTimes } from "./mod.ts";
import type { ApplyRequest } from "./request.ts";
import { fieldSet } from "./set.ts";

const time = "2026-01-01T00:00:10Z";
const before = "2026-01-01T00:00:00Z";
type Thing = KubernetesObject & Record<string, unknown>;

const make = (more: Record<string, unknown>, meta: Record<string, unknown> = {}): Thing => ({
  apiVersion: "v1",
  kind: "Thing",
  metadata: { name: "t", ...meta },
  ...more,
});

const entry = (manager: string, fieldsV1: unknown, more: ManagedFieldsEntry = {}): ManagedFieldsEntry => ({
  manager,
  operation: "Apply",
  apiVersion: "v1",
  time: before,
  fieldsType: "FieldsV1",
  fieldsV1,
  ...more,
});

const apply = (live: Thing | undefined, applied: Thing, more: Partial<ApplyRequest> = {}) =>
  applyObject({
    schema: thing,
    apiVersion: "v1",
    kind: "Thing",
    live,
    applied,
    manager: "m",
    force: false,
    time,
    ...more,
  });

/** A chain of applies, each by its manager. */
const chain = (...steps: [manager: string, applied: Thing][]): Thing =>
  steps.reduce<Thing | undefined>(
    (live, [manager, applied]) => apply(live, applied, { manager }).object as Thing,
    undefined,
  ) ?? // an object stays one
  make({});

const refused = (work: () => unknown): { code: number; message: string; fields: unknown } => {
  try {
    work();
  } catch (error) {
    if (!isStatusError(error)) throw error;
    const { code = 0, message = "", details } = error.status;
    return { code, message, fields: details?.causes?.map(({ field }) => field) };
  }
  throw new assert.AssertionError({ message: "was not refused" });
};

const same = (actual: unknown, expected: unknown) => assert.equal(JSON.stringify(actual), JSON.stringify(expected));

test("apply: creates, and owns leaves and items but not the structs around them", () => {
  const applied = make({
    data: { a: "1" },
    spec: {
      replicas: 1,
      nested: { a: "x" },
      boxes: [{ name: "b", ports: [{ port: 80 }], args: [], env: [] }],
      selector: {},
    },
  });
  const { object, unchanged } = apply(undefined, applied);
  assert.equal(unchanged, false);
  same(object.metadata?.managedFields, [
    entry(
      "m",
      {
        "f:data": { "f:a": {} },
        "f:spec": {
          "f:boxes": {
            'k:{"name":"b"}': {
              ".": {},
              "f:args": {},
              "f:name": {},
              "f:ports": { 'k:{"port":80,"protocol":"TCP"}': { ".": {}, "f:port": {} } },
            },
          },
          "f:nested": { "f:a": {} },
          "f:replicas": {},
          "f:selector": {},
        },
      },
      { time },
    ),
  ]);
});

test("apply: nothing passed in is changed or shared", () => {
  const live = chain(["a", make({ data: { a: "1" }, spec: { boxes: [{ name: "b" }] } })]);
  const applied = make({ spec: { boxes: [{ name: "c", args: ["x"] }] } });
  const copies = structuredClone([live, applied]);
  const { object } = apply(live, applied);
  const spec = object as Thing & { spec: { boxes: { args?: string[] }[] } };
  spec.spec.boxes[0] = {};
  spec.spec.boxes[1]?.args?.push("y");
  assert.deepEqual([live, applied], copies);
});

test("apply: the same value is shared, another one is a conflict", () => {
  const live = chain(["a", make({ data: { x: "1" } })]);
  const shared = apply(live, make({ data: { x: "1" } }), { manager: "b" });
  assert.equal(shared.unchanged, false, "there is a new owner");
  same(
    shared.object.metadata?.managedFields?.map(({ manager, time }) => [manager, time]),
    [
      ["b", undefined],
      ["a", time],
    ],
  );
  assert.deepEqual(
    refused(() => apply(live, make({ data: { x: "2" } }), { manager: "b" })),
    {
      code: 409,
      message: 'Apply failed with 1 conflict: conflict with "a": .data.x',
      fields: [".data.x"],
    },
  );
});

test("apply: several conflicts are listed by owner", () => {
  const live = chain(
    ["b", make({ data: { x: "1" }, spec: { boxes: [{ name: "c", image: "1", env: [{ name: "E", value: "1" }] }] } })],
    ["a", make({ spec: { replicas: 1 } })],
  );
  const updated = entry("u", { "f:data": { "f:y": {} } }, { operation: "Update", subresource: "status" });
  live.metadata?.managedFields?.push(updated);
  live.data = { x: "1", y: "1" };
  const wanted = make({
    data: { x: "2", y: "2" },
    spec: { replicas: 2, boxes: [{ name: "c", image: "2", env: [{ name: "E", value: "2" }] }] },
  });
  assert.deepEqual(
    refused(() => apply(live, wanted, { manager: "z" })),
    {
      code: 409,
      message:
        'Apply failed with 5 conflicts: conflicts with "a":\n- .spec.replicas\nconflicts with "b":\n- .data.x\n' +
        '- .spec.boxes[name="c"].image\n- .spec.boxes[name="c"].env[name="E"].value\n' +
        'conflicts with "u" with subresource "status" using v1:\n- .data.y',
      fields: [
        ".spec.replicas",
        ".data.x",
        '.spec.boxes[name="c"].image',
        '.spec.boxes[name="c"].env[name="E"].value',
        ".data.y",
      ],
    },
  );
  const { object } = apply(live, wanted, { manager: "z", force: true });
  same(
    object.metadata?.managedFields?.map((each) => [each.manager, JSON.stringify(each.fieldsV1)]),
    [
      [
        "b",
        '{"f:spec":{"f:boxes":{"k:{\\"name\\":\\"c\\"}":{".":{},"f:env":{"k:{\\"name\\":\\"E\\"}":{".":{},"f:name":{}}},"f:name":{}}}}}',
      ],
      [
        "z",
        '{"f:data":{"f:x":{},"f:y":{}},"f:spec":{"f:boxes":{"k:{\\"name\\":\\"c\\"}":{".":{},"f:env":{"k:{\\"name\\":\\"E\\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:name":{}}},"f:replicas":{}}}',
      ],
    ],
  );
});

test("apply: what is no longer applied goes, unless another owns it or nobody applied it", () => {
  const live = chain(
    ["a", make({ data: { mine: "1", shared: "1" }, spec: { nested: { a: "1" }, boxes: [{ name: "x", image: "1" }] } })],
    ["b", make({ data: { shared: "1", b: "1" }, spec: { boxes: [{ name: "x" }] } })],
  );
  (live.data as Record<string, string>).other = "1"; // a map of texts, made above
  const { object } = apply(live, make({}), { manager: "a" });
  const { data, spec } = object as Thing;
  assert.deepEqual(data, { shared: "1", b: "1", other: "1" });
  assert.deepEqual(spec, { boxes: [{ name: "x" }] });
  same(
    object.metadata?.managedFields?.map(({ manager }) => manager),
    ["b"],
  );
});

test("apply: the metadata stays when its only owner applies nothing in it any more", () => {
  const live = chain(["a", make({ metadata: { name: "x", finalizers: ["example.com/a"] } })]);
  live.metadata = { ...live.metadata, uid: "u" };
  const { object } = apply(live, make({ metadata: { name: "x" } }), { manager: "a" });
  same(object.metadata, { name: "x", uid: "u" });
});

test("apply: a container that lost everything is left out, and its owner keeps the container", () => {
  const live = chain(["a", make({ data: { x: "1" } })]);
  live.metadata?.managedFields?.push(entry("u", { "f:data": { ".": {} } }, { operation: "Update" }));
  const { object } = apply(live, make({}), { manager: "a" });
  same(
    object.metadata?.managedFields?.map(({ manager }) => manager),
    ["u"],
  );
  same((object as Thing).data ?? "none", "none");
});

test("apply: what the live object has stays in place, shared items follow the configuration", () => {
  const names = (boxes: string) => ({ spec: { boxes: [...boxes].map((name) => ({ name })) } });
  const order = (live: string, applied: string): string => {
    const { object } = apply(make(names(live)), make(names(applied)));
    return (object as Thing & { spec: { boxes: { name: string }[] } }).spec.boxes.map(({ name }) => name).join("");
  };
  assert.equal(order("abc", "b"), "abc");
  assert.equal(order("abc", "cd"), "abcd");
  assert.equal(order("abc", "cba"), "cba");
  assert.equal(order("axbyc", "cb"), "axycb");
  assert.equal(order("ab", "xby"), "axby");
  assert.equal(order("", "ba"), "ba");
});

test("apply: nothing changes when it is applied again", () => {
  const applied = make({ data: { a: "1" }, spec: { boxes: [{ name: "b" }] } });
  const live = { ...chain(["m", applied]), status: { phase: "x" } };
  const { object, unchanged } = apply(live, applied, { time: "2027-01-01T00:00:00Z" });
  assert.equal(unchanged, true);
  assert.deepEqual(object, live);
});

test("apply: an object without managed fields was made before the first apply", () => {
  const live = make({ data: { a: "1", b: "2" } }, { uid: "u" });
  assert.equal(
    refused(() => apply(live, make({ data: { a: "2" } }))).message,
    'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.a',
  );
  same(apply(live, make({ data: { a: "2" } }), { force: true }).object.metadata?.managedFields, [
    entry("m", { "f:data": { "f:a": {} } }, { time }),
    entry("before-first-apply", { "f:data": { ".": {}, "f:b": {} } }, { operation: "Update", time }),
  ]);
});

test("apply: an update and an apply of one manager are two owners", () => {
  const managedFields = [entry("m", { "f:data": { "f:a": {} } }, { operation: "Update" })];
  const live = make({ data: { a: "1" } }, { managedFields });
  assert.equal(
    refused(() => apply(live, make({ data: { a: "2" } }))).message,
    'Apply failed with 1 conflict: conflict with "m" using v1: .data.a',
  );
});

test("apply: on a subresource, what it doesn't write is not owned and no conflict", () => {
  const live = chain(["a", make({ spec: { replicas: 1 } })]);
  const { object } = apply(live, make({ spec: { replicas: 2 }, status: { phase: "x" } }), {
    subresource: "status",
    resetFields: fieldSet(["spec"]),
  });
  same(object.metadata?.managedFields?.at(-1), {
    ...entry("m", { "f:status": { "f:phase": {} } }, { time }),
    subresource: "status",
  });
});

test("apply: nulls own, and take nothing away", () => {
  const live = chain(["a", make({ data: { x: "1" }, spec: { replicas: 1 } })]);
  const { object } = apply(live, make({ data: null, spec: { nested: null } }), { manager: "b" });
  assert.deepEqual((object as Thing).data, { x: "1" });
  same(object.metadata?.managedFields?.find(({ manager }) => manager === "b")?.fieldsV1, {
    "f:data": {},
    "f:spec": { "f:nested": {} },
  });
});

test("apply: types and keys that don't fit are refused in upstream's words", () => {
  const why = (more: Record<string, unknown>, meta = {}) => refused(() => apply(undefined, make(more, meta)));
  const prefix = "failed to create typed patch object (/t; /v1, Kind=Thing): ";
  const cases: [Record<string, unknown>, string][] = [
    [{ extra: 1 }, ".extra: field not declared in schema"],
    [{ data: { a: 1 } }, ".data.a: expected string, got &value.valueUnstructured{Value:1}"],
    [{ data: "x" }, ".data: expected map, got &{x}"],
    [{ spec: { replicas: "x" } }, ".spec.replicas: expected numeric (int or float), got string"],
    [{ spec: { boxes: {} } }, ".spec.boxes: expected list, got &{map[]}"],
    [{ spec: { boxes: [1] } }, ".spec.boxes: element 0: associative list with keys may not have non-map elements"],
    [{ spec: { boxes: [null] } }, ".spec.boxes: element 0: associative list with keys may not have a null element"],
    [{ spec: { boxes: [{ name: "a" }, { name: "a" }] } }, '.spec.boxes: duplicate entries for key [name="a"]'],
    [{ spec: { selector: { other: 1 } } }, ".spec.selector.other: field not declared in schema"],
    [
      { spec: { boxes: [{ name: "a", args: [1] }] } },
      '.spec.boxes[name="a"].args[0]: expected string, got &value.valueUnstructured{Value:1}',
    ],
    [
      { data: { a: 1 }, spec: 1 },
      "errors:\n  .data.a: expected string, got &value.valueUnstructured{Value:1}\n  .spec: expected map, got &{1}",
    ],
  ];
  for (const [more, message] of cases)
    assert.deepEqual(why(more), { code: 500, message: prefix + message, fields: undefined });
  assert.equal(
    why({}, { finalizers: ["a", "a"] }).message,
    `${prefix}.metadata.finalizers: duplicate entries for key [="a"]`,
  );
});

test("apply: the wrong kind, managed fields and broken entries are refused", () => {
  assert.deepEqual(
    refused(() => apply(undefined, { ...make({}), kind: "Other" })),
    {
      code: 400,
      message: "invalid object type: /v1, Kind=Other",
      fields: undefined,
    },
  );
  assert.equal(
    refused(() => apply(undefined, { ...make({}), apiVersion: "a/v2" })).message,
    "invalid object type: a/v2, Kind=Thing",
  );
  assert.equal(
    refused(() => apply(undefined, make({}, { managedFields: [] }))).message,
    "metadata.managedFields must be nil",
  );
  assert.equal(
    refused(() => apply(make({}, { managedFields: [{}] }), make({}))).message,
    "failed to decode managed fields: operation must be `Apply` or `Update`",
  );
});

test("apply: a kind of unknown fields is merged by what they look like", () => {
  const live = apply(undefined, make({ spec: { a: { b: 1, c: [1, 2] } } }), { schema: loose, manager: "a" })
    .object as Thing; // as above
  const { object } = apply(live, make({ spec: { a: { d: 1 } } }), { schema: loose, manager: "b" });
  assert.deepEqual((object as Thing).spec, { a: { b: 1, c: [1, 2], d: 1 } });
  same(live.metadata?.managedFields?.[0]?.fieldsV1, {
    "f:spec": { "f:a": { ".": {}, "f:b": {}, "f:c": {} } },
  });
  assert.equal(
    refused(() => apply(live, make({ spec: { a: { c: [1] } } }), { schema: loose, manager: "b" })).message,
    'Apply failed with 1 conflict: conflict with "a": .spec.a.c',
  );
});

test("apply: kubectl takes over what client-side apply set", () => {
  const clientSide = make({ data: { a: "1", b: "1" } });
  const live = make(
    { data: { a: "1", b: "changed", c: "1" } },
    {
      annotations: { [lastAppliedAnnotation]: JSON.stringify(clientSide) },
      managedFields: [
        entry(
          "kubectl-client-side-apply",
          { "f:data": { ".": {}, "f:a": {}, "f:b": {}, "f:c": {} } },
          { operation: "Update" },
        ),
      ],
    },
  );
  const kubectl = { manager: "kubectl" };
  const { object } = apply(live, make({ data: { a: "2" } }), kubectl);
  assert.deepEqual((object as Thing).data, { a: "2", b: "changed", c: "1" });
  assert.equal(
    object.metadata?.annotations?.[lastAppliedAnnotation],
    '{"apiVersion":"v1","data":{"a":"2"},"kind":"Thing","metadata":{"name":"t"}}\n',
  );
  assert.deepEqual(refused(() => apply(live, make({ data: { a: "2", b: "2", c: "2" } }), kubectl)).fields, [
    ".data.b",
    ".data.c",
  ]);
  assert.equal(refused(() => apply(live, make({ data: { a: "2" } }))).code, 409, "another manager doesn't");
});

test("apply: duplicates in the live object are kept, or replaced as one", () => {
  const env = [
    { name: "A", value: "1" },
    { name: "A", value: "2" },
    { name: "B", value: "1" },
  ];
  const live = make({ spec: { boxes: [{ name: "b", env }] } });
  const envAfter = (applied: unknown) =>
    (
      apply(live, make({ spec: { boxes: [{ name: "b", env: applied }] } }), { force: true }).object as unknown as {
        spec: { boxes: { env: unknown }[] };
      }
    ).spec.boxes[0]?.env; // as made here
  assert.deepEqual(envAfter([{ name: "B", value: "2" }]), [env[0], env[1], { name: "B", value: "2" }]);
  assert.deepEqual(envAfter([{ name: "A", value: "3" }]), [{ name: "A", value: "3" }, env[2]]);
});

test("times: a write that changes nothing else gets the old ones back", () => {
  const live = make({ data: { a: "1" } }, { managedFields: [entry("m", { "f:data": { "f:a": {} } })] });
  const again = () =>
    make({ data: { a: "1" } }, { managedFields: [entry("m", { "f:data": { "f:a": {} } }, { time })] });
  const result = again();
  assert.equal(revertManagedFieldsTimes({ live, result }), true);
  assert.deepEqual(result, live);
  assert.equal(revertManagedFieldsTimes({ live, result: { ...again(), data: { a: "2" } } as Thing }), false);
  assert.equal(revertManagedFieldsTimes({ live, result: make({ data: { a: "1" } }) }), false);
});
