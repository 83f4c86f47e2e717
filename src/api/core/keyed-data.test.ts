import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { configMapKind } from "./config-map.ts";
import { secretKind } from "./secret.ts";

const encode = (text: string) => Buffer.from(text).toString("base64");
const shorten = (errors: readonly string[]) => errors.map((error) => error.replace(/ must consist of .*$/, " …"));

test("config maps: what is refused", () => {
  const big = "x".repeat(1024 * 1024);
  const cases: [object, string[]][] = [
    [{}, []],
    [{ data: { "a b": "1" } }, ['data[a b]: Invalid value: "a b": a valid config key …']],
    [
      { data: { a: "1" }, binaryData: { a: "MQ==" } },
      ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
    ],
    [{ data: { a: big } }, []],
    [{ data: { a: big }, binaryData: { b: "MQ==" } }, ["[]: Too long: may not be more than 1048576 bytes"]],
  ];
  for (const [map, errors] of cases) assert.deepEqual(shorten(tryCreate(configMapKind, map).errors), errors);
});

test("what is immutable stays so, with all its data", () => {
  const { object: old } = tryCreate(configMapKind, { immutable: true, data: { a: "1" }, binaryData: { b: "MQ==" } });
  const change = (fields: object) =>
    tryUpdate(configMapKind, old, { change: (map) => Object.assign(map, fields) }).errors;
  const why = "Forbidden: field is immutable when `immutable` is set";
  assert.deepEqual(change({ metadata: { ...old.metadata, labels: { a: "b" } } }), []);
  assert.deepEqual(change({ immutable: false, data: { a: "2" } }), [`immutable: ${why}`, `data: ${why}`]);
  assert.deepEqual(change({ data: { a: "1", c: "" } }), [`data: ${why}`]);
  assert.deepEqual(change({ binaryData: {} }), [`binaryData: ${why}`]);
});

test("a secret's text becomes data, and wins over it", () => {
  const { object } = tryCreate(secretKind, {
    stringData: { a: "new", b: "ü" },
    data: { a: encode("old"), c: encode("c") },
  });
  assert.deepEqual([object.type, object.stringData], ["Opaque", undefined]);
  assert.deepEqual(object.data, { a: encode("new"), b: encode("ü"), c: encode("c") });
});

test("types of secrets promise keys", () => {
  const redacted = 'Invalid value: "<secret contents redacted>"';
  const cases: [type: string, stringData: Record<string, string>, errors: string[]][] = [
    ["example.com/own", {}, []],
    [
      "kubernetes.io/service-account-token",
      {},
      ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
    ],
    ["kubernetes.io/dockercfg", {}, ["data[.dockercfg]: Required value"]],
    ["kubernetes.io/dockercfg", { ".dockercfg": "{}" }, []],
    [
      "kubernetes.io/dockerconfigjson",
      { ".dockerconfigjson": "{" },
      [`data[.dockerconfigjson]: ${redacted}: unexpected end of JSON input`],
    ],
    [
      "kubernetes.io/dockerconfigjson",
      { ".dockerconfigjson": "[]" },
      [
        `data[.dockerconfigjson]: ${redacted}: json: cannot unmarshal array into Go value of type map[string]interface {}`,
      ],
    ],
    ["kubernetes.io/basic-auth", {}, ["data[username]: Required value", "data[password]: Required value"]],
    ["kubernetes.io/basic-auth", { password: "" }, []],
    ["kubernetes.io/ssh-auth", { "ssh-privatekey": "" }, ["data[ssh-privatekey]: Required value"]],
    ["kubernetes.io/tls", { "tls.key": "" }, ["data[tls.crt]: Required value"]],
  ];
  for (const [type, stringData, errors] of cases) {
    assert.deepEqual(tryCreate(secretKind, { type, stringData }).errors, errors, type);
  }
});

test("a secret's type is for good", () => {
  const { object: old } = tryCreate(secretKind, {});
  const { errors } = tryUpdate(secretKind, old, {
    change: (secret) => Object.assign(secret, { type: "example.com/x" }),
  });
  assert.deepEqual(errors, ['type: Invalid value: "example.com/x": field is immutable']);
});

test("the tables count keys", () => {
  assert.equal(
    tryColumns(configMapKind, tryCreate(configMapKind, { data: { a: "" }, binaryData: { b: "" } }).object).Data,
    2,
  );
  const { Type, Data } = tryColumns(secretKind, tryCreate(secretKind, { data: { a: "" } }).object);
  assert.deepEqual([Type, Data], ["Opaque", 1]);
});
