import assert from "node:assert/strict";
import { test } from "node:test";
import { applyDefaults } from "./defaults.ts";
import { formatCheck } from "./formats.ts";
import type { JsonSchema } from "./json-schema.ts";
import { checkListTypes } from "./list-types.ts";
import { dropNulls, pruneObject } from "./prune.ts";
import { Correlated } from "./correlation.ts";
import { validateValue } from "./value-validation.ts";

const object = (properties: Record<string, JsonSchema>, more: JsonSchema = {}): JsonSchema => ({
  type: "object",
  properties,
  ...more,
});
const list = (items: JsonSchema, more: JsonSchema = {}): JsonSchema => ({ type: "array", items, ...more });

const values: readonly [name: string, schema: JsonSchema, value: unknown, errors: string[]][] = [
  [
    "a type",
    object({ a: { type: "string" } }),
    { a: 1 },
    ['a: Invalid value: "integer": a in body must be of type string: "integer"'],
  ],
  [
    "a null",
    object({ a: { type: "string" } }),
    { a: null },
    ['a: Invalid value: "null": a in body must be of type string: "null"'],
  ],
  ["a null that may be", object({ a: { type: "string", nullable: true } }), { a: null }, []],
  [
    "an item",
    object({ a: list(object({ b: { type: "integer" } }, { required: ["b"] })) }),
    { a: [{}] },
    ["a[0].b: Required value"],
  ],
  ["a length in characters", object({ a: { type: "string", maxLength: 2 } }), { a: "äö" }, []],
  [
    "too many items",
    object({ a: list({ type: "string" }, { maxItems: 1 }) }),
    { a: ["x", "y"] },
    ["a: Too many: 2: must have at most 1 item"],
  ],
  ["a multiple", object({ a: { type: "number", multipleOf: 0.1 } }), { a: 0.3 }, []],
  [
    "int-or-string",
    object({ a: { "x-kubernetes-int-or-string": true } }),
    { a: true },
    ['a: Invalid value: "boolean": a in body must be of type integer,string: "boolean"'],
  ],
  [
    "of alternatives, the one that got furthest",
    object({}, { oneOf: [{ required: ["a"] }, { required: ["b"] }] }),
    {},
    [
      '<nil>: Invalid value: "": "" must validate one and only one schema (oneOf). Found none valid',
      "a: Required value",
    ],
  ],
];

for (const [name, schema, value, errors] of values)
  test(`value of a custom resource: ${name}`, () => {
    assert.deepEqual(
      validateValue(value, schema).map(({ field, message }) => `${field}: ${message}`),
      errors,
    );
  });

test("value of a custom resource: what didn't change isn't complained about, item by item of map lists", () => {
  const items = object({ key: { type: "string" }, count: { type: "integer", maximum: 3 } });
  const schema = object({
    list: list(items, { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"] }),
  });
  const old = { list: [{ key: "a", count: 9 }] };
  const next = {
    list: [
      { key: "b", count: 8 },
      { key: "a", count: 9 },
    ],
  };
  assert.deepEqual(
    validateValue(next, schema, { old: new Correlated(next, old, schema) }).map(({ field }) => field),
    ["list[0].count"],
  );
});

test("custom resource: unknown fields go, in open objects only below described ones", () => {
  const schema = object({
    open: object({ known: object({ a: { type: "string" } }) }, { "x-kubernetes-preserve-unknown-fields": true }),
    map: { type: "object", additionalProperties: object({ a: { type: "string" } }) },
  });
  const value = { kind: "X", open: { known: { a: "", b: 1 }, other: { c: 1 } }, map: { x: { a: "", z: 1 } }, extra: 1 };
  assert.deepEqual(pruneObject(value, schema), ["extra", "map.x.z", "open.known.b"]);
  assert.deepEqual(value, { kind: "X", open: { known: { a: "" }, other: { c: 1 } }, map: { x: { a: "" } } });
});

test("custom resource: defaults stand in for what is absent and for nulls that may not be", () => {
  const schema = object({
    count: { type: "integer", default: 1 },
    maybe: { type: "string", nullable: true },
    never: { type: "string" },
    nest: object({ inner: { type: "string", default: "x" } }, { default: {} }),
  });
  const value = { count: null, maybe: null, never: null };
  dropNulls(value, schema);
  applyDefaults(value, schema);
  assert.deepEqual(value, { count: 1, maybe: null, nest: { inner: "x" } });
});

test("custom resource: sets and map lists hold nothing twice", () => {
  const schema = object({
    set: list({ type: "string" }, { "x-kubernetes-list-type": "set" }),
    map: list(object({ k: { type: "string" } }), {
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["k"],
    }),
  });
  const errors = checkListTypes({ set: ["a", "b", "a"], map: [{ k: "x" }, { k: "x" }] }, schema);
  assert.deepEqual(
    errors.map(({ field, message }) => `${field} ${message}`),
    ['set[2] Duplicate value: "a"', 'map[1] Duplicate value: {"k":"x"}'],
  );
});

const formats: readonly [format: string, good: string, bad: string][] = [
  ["date-time", "2024-02-29T12:00:00.5Z", "2023-02-29T12:00:00Z"],
  ["date", "2024-02-29", "2024-13-01"],
  ["duration", "1h30m", "soon"],
  ["duration", "2 weeks", "-"],
  ["email", "Anna <a@b.example>", "nobody"],
  ["hostname", "a.example", "-a-"],
  ["ipv6", "::1", "1.2.3.4"],
  ["cidr", "10.0.0.0/8", "10.0.0.0/33"],
  ["mac", "01:23:45:67:89:ab", "01:23:45"],
  ["uuid4", "9b2c1d3e-1111-4222-8333-444455556666", "9b2c1d3e-1111-1222-8333-444455556666"],
  ["isbn13", "978-0321751041", "978-0321751042"],
  ["creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"],
  ["byte", "aGk=", "aGk"],
  ["uri", "https://example.com/a?b", "no uri"],
];

for (const [format, good, bad] of formats)
  test(`format ${format}: ${good} and not ${bad}`, () => {
    const check = formatCheck(format);
    assert.equal(check?.(good), true);
    assert.equal(check?.(bad), false);
  });
