import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeApplyPatch, decodeJsonObject, decodeObject, type DecodeOptions, summarize } from "./decode.ts";
import { type, workload, string } from "./sample-types.ts";
import { isStatusError } from "./status.ts";

const other = type("Other", { apiVersion: string, kind: string });

const options: DecodeOptions = {
  mediaType: "application/json",
  expected: { apiVersion: "apps/v1", kind: "Workload" },
  schemaOf: (apiVersion, kind) =>
    apiVersion !== "apps/v1" ? undefined : kind === "Workload" ? workload : kind === "Other" ? other : undefined,
};
const yaml: DecodeOptions = { ...options, mediaType: "application/yaml" };

const decode = (text: string, extra: Partial<DecodeOptions> = {}) =>
  decodeJsonObject(Buffer.from(text), { ...options, ...extra });

test("decode: version and kind come from the path when missing", () => {
  for (const text of ["{}", "null", '{"kind":"Workload"}', '{"apiVersion":"apps/v1"}', '{"apiVersion":"apps/"}']) {
    const { object } = decode(text);
    assert.equal(object.apiVersion, "apps/v1", text);
    assert.equal(object.kind, "Workload", text);
  }
});

test("decode: bodies that cannot be read are refused in upstream's words", () => {
  const unrecognized = (why: string, summary: string) =>
    `the object provided is unrecognized (must be of type Workload): ${why} (${summary})`;
  const parse = "couldn't get version/kind; json parse error:";
  const struct =
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';
  const handled = 'Workload in version "v1" cannot be handled as a Workload:';
  const cases: [text: string, message: string][] = [
    ['{"a":', unrecognized(`${parse} unexpected end of JSON input`, '{"a":')],
    ["", unrecognized(`${parse} unexpected end of JSON input`, "<empty>")],
    ["[]", unrecognized(`${parse} json: cannot unmarshal array into Go value of type ${struct}`, "5b5d")],
    [
      '{"kind":1}',
      unrecognized(`${parse} json: cannot unmarshal number into Go struct field .kind of type string`, '{"kind":1}'),
    ],
    ['{"apiVersion":"a/b/c"}', unrecognized("unexpected GroupVersion string: a/b/c", '{"apiVersion":"a/b/c"}')],
    ['{"data":{"a":1}}', `${handled} json: cannot unmarshal number into Go struct field Workload.data of type string`],
    [
      '{"kind":"Other"}',
      'Other in version "v1" cannot be handled as a Workload: converting (v1.Other) to (apps.Workload): unknown conversion',
    ],
    [
      '{"apiVersion":"apps/v9"}',
      'Workload in version "v9" cannot be handled as a Workload: no kind "Workload" is registered for version "apps/v9" in scheme "pkg/api/legacyscheme/scheme.go:31"',
    ],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => decode(text),
      (error) => isStatusError(error, "BadRequest") && error.code === 400 && error.message === message,
      text,
    );
  }
  const deep = "[".repeat(1001) + "]".repeat(1001);
  assert.throws(() => decode(deep), /invalid character '\[' exceeded max depth \(5b5b.* \.\.\.\)$/);
});

test("decode: field validation refuses, warns or says nothing", () => {
  const text = '{"extra":1,"data":{"a":"1","a":"2"}}';
  const message =
    'Workload in version "v1" cannot be handled as a Workload: strict decoding error: unknown field "extra", duplicate field "data.a"';
  assert.throws(() => decode(text, { fieldValidation: "Strict" }), { message });
  const { warnings, object } = decode(text, { fieldValidation: "Warn" });
  assert.deepEqual(warnings, ['unknown field "extra"', 'duplicate field "data.a"']);
  assert.deepEqual(object.data, { a: "2" });
  assert.deepEqual(decode(text, { fieldValidation: "Ignore" }).warnings, []);
});

test("decode: YAML", async () => {
  const body = Buffer.from(
    "apiVersion: apps/v1\nkind: Workload\ndata:\n  a: x\n  a: z\nextra: 1\n---\nignored: true\n",
  );
  const { object, warnings } = await decodeObject(body, { ...yaml, fieldValidation: "Warn" });
  assert.deepEqual(object.data, { a: "z" });
  assert.deepEqual(warnings, ['line 5: key "a" already set in map', 'unknown field "extra"']);
  await assert.rejects(decodeObject(body, { ...yaml, fieldValidation: "Strict" }), {
    message:
      'Workload in version "v1" cannot be handled as a Workload: strict decoding error: yaml: unmarshal errors:\n  line 5: key "a" already set in map, unknown field "extra"',
  });
  await assert.rejects(decodeObject(Buffer.from("a: [b"), yaml), {
    message:
      "the object provided is unrecognized (must be of type Workload): yaml: line 1: did not find expected ',' or ']' (613a205b62)",
  });
});

test("decode: the body of an apply is YAML or JSON", async () => {
  const read = (text: string, validation: "Strict" | "Warn" = "Warn") =>
    decodeApplyPatch(Buffer.from(text), validation);
  assert.deepEqual(await read('{"a":{"b":1}}'), { object: { a: { b: 1 } }, warnings: [] });
  assert.deepEqual(await read("a: {b: yes}"), { object: { a: { b: true } }, warnings: [] });
  assert.deepEqual(await read(""), { object: {}, warnings: [] });
  assert.deepEqual(await read('{"a":1,"a":2}'), { object: { a: 2 }, warnings: ['line 1: key "a" already set in map'] });
  const { refusal, object } = await read("a: 1\na: 2\n", "Strict");
  assert.deepEqual(object, { a: 2 });
  assert.equal(
    refusal?.message,
    'error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 2: key "a" already set in map',
  );
  await assert.rejects(read("[]"), {
    message:
      "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
  });
  await assert.rejects(read("a: [b"), {
    message: "error decoding YAML: error converting YAML to JSON: yaml: line 1: did not find expected ',' or ']'",
  });
});

test("decode: the summary of a body", () => {
  assert.equal(summarize(Buffer.from(`{"metadata":{"name":"two"}}{"m and more`)), '{"metadata":{"name":"two"}}{"m ...');
  assert.equal(summarize(Buffer.from("a: b")), "613a2062");
});
