import assert from "node:assert/strict";
import { test } from "node:test";
import { cloneJson } from "../deep.ts";
import { workload } from "../sample-types.ts";
import { isStatusError } from "../status.ts";
import { type PatchMediaType, readPatch } from "./patch.ts";

const original = {
  apiVersion: "apps/v1",
  kind: "Workload",
  metadata: { name: "a" },
  spec: { containers: [{ name: "c" }], strategy: {} },
  data: { a: "1" },
};

const mediaTypes = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
} as const satisfies Record<string, PatchMediaType>;

type Validation = "Ignore" | "Warn" | "Strict";

function apply(how: keyof typeof mediaTypes, body: string, fieldValidation: Validation = "Warn") {
  const patch = readPatch(Buffer.from(body), { mediaType: mediaTypes[how], fieldValidation });
  return patch.apply(original, workload);
}

test("patch: each kind is applied and the result checked", () => {
  const before = cloneJson(original);
  assert.deepEqual(apply("merge", '{"data":{"b":"2"}}').object.data, { a: "1", b: "2" });
  assert.deepEqual(apply("json", '[{"op":"add","path":"/data/b","value":"2"}]').object.data, { a: "1", b: "2" });
  assert.deepEqual(apply("strategic", '{"spec":{"containers":[{"name":"d","limits":{"cpu":"0.5"}}]}}').object.spec, {
    containers: [{ name: "d", limits: { cpu: "500m" } }, { name: "c" }],
    strategy: {},
  });
  assert.deepEqual(original, before);
});

test("patch: the result is the caller's", () => {
  const patch = readPatch(Buffer.from('{"spec":{"extra":{"x":1}}}'), {
    mediaType: mediaTypes.merge,
    fieldValidation: "Warn",
  });
  const first = patch.apply(original, workload).object.spec as { containers: unknown[]; extra: { x: number } };
  first.containers.push("changed");
  first.extra.x = 2;
  const second = patch.apply(original, workload).object.spec as typeof first;
  assert.deepEqual(second.extra, { x: 1 });
  assert.equal(original.spec.containers.length, 1);
});

test("patch: refusals are upstream's", () => {
  const cases: [how: keyof typeof mediaTypes, body: string, code: number, message: string][] = [
    [
      "json",
      '{"op":"add"}',
      400,
      "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
    ],
    [
      "json",
      '["x"]',
      400,
      "error decoding patch: json: cannot unmarshal string into Go value of type handlers.jsonPatchOp",
    ],
    [
      "json",
      '[{"op":1}]',
      400,
      "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
    ],
    ["json", "[", 400, "error decoding patch: unexpected end of JSON input"],
    ["json", '[{"op":"remove","path":"/x"}]', 422, "the server rejected our request due to an error in our request"],
    [
      "json",
      '[{"op":"add","path":"/data/b","value":1}]',
      422,
      ' "" is invalid: patch: Invalid value: "{\\"apiVersion\\":\\"apps/v1\\",\\"data\\":{\\"a\\":\\"1\\",\\"b\\":1},\\"kind\\":\\"Workload\\",\\"metadata\\":{\\"name\\":\\"a\\"},\\"spec\\":{\\"containers\\":[{\\"name\\":\\"c\\"}],\\"strategy\\":{}}}": json: cannot unmarshal number into Go struct field Workload.data of type string',
    ],
    ["merge", "null", 400, "Invalid JSON Patch"],
    [
      "merge",
      "[]",
      400,
      "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
    ],
    ["merge", '{"a', 400, "error decoding patch: unexpected end of JSON input"],
    ["strategic", "[]", 400, "json: cannot unmarshal array into Go value of type map[string]interface {}"],
    ["strategic", '{"a":', 400, "unexpected end of JSON input"],
    [
      "strategic",
      '{"data":{"a":1}}',
      422,
      ' "" is invalid: patch: Invalid value: "map[data:map[a:1]]": cannot convert int64 to string',
    ],
    [
      "strategic",
      '{"data":"x"}',
      422,
      ' "" is invalid: patch: Invalid value: "map[data:x]": cannot restore map from string',
    ],
    [
      "strategic",
      '{"spec":{"containers":[{"image":"x"}]}}',
      500,
      "map: map[image:x] does not contain declared merge key: name",
    ],
    ["strategic", '{"spec":{"$setElementOrder_x":[]}}', 400, "invalid patch format of setElementOrder list"],
  ];
  for (const [how, body, code, message] of cases) {
    assert.throws(
      () => apply(how, body),
      (error) => {
        assert.ok(isStatusError(error), String(error));
        assert.deepEqual([error.code, error.message], [code, message], body);
        return true;
      },
    );
  }
});

test("patch: field validation", () => {
  const json = '[{"op":"add","path":"/extra","value":1,"odd":1,"op":"add"}]';
  assert.deepEqual(apply("json", json).warnings, [
    'json patch duplicate field "[0].op"',
    'json patch unknown field "[0].odd"',
    'unknown field "extra"',
  ]);
  assert.deepEqual(apply("merge", '{"data":{"b":"1","b":"2"},"extra":1}').warnings, [
    'duplicate field "data.b"',
    'unknown field "extra"',
  ]);
  assert.deepEqual(apply("merge", '{"extra":1}', "Ignore").warnings, []);
  assert.throws(() => apply("strategic", '{"extra":1}', "Strict"), {
    message: ' "" is invalid: patch: Invalid value: "map[extra:1]": strict decoding error: unknown field "extra"',
  });
});

test("patch: custom resources take JSON and merge patches, unchecked", () => {
  const read = (how: keyof typeof mediaTypes, body: string) =>
    readPatch(Buffer.from(body), { mediaType: mediaTypes[how], fieldValidation: "Strict" }).apply(original, undefined);
  assert.equal(read("merge", '{"anything":{"goes":true}}').warnings.length, 0);
  assert.throws(() => read("strategic", "{}"), { message: "strategic merge patch format is not supported" });
});
