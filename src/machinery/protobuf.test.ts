import assert from "node:assert/strict";
import { test } from "node:test";
import { createProtobufCodec, decodeEnvelope, encodeEnvelope, isProtobufEnvelope, ProtobufError } from "./protobuf.ts";
import type { TypeSchema } from "./schema.ts";
import { typeFacts } from "./type-facts.ts";

const types = typeFacts(
  {
    "a.b": {
      Thing: [
        "kind 0 string",
        "name! 1= string",
        "count 2* int32",
        "big 3 int64",
        "flag 4 bool",
        "tags 5 []string",
        "labels 6 {}string",
        "part 7= Part",
        "when 8* time",
        "exactly 9* microtime",
        "size 10* quantity",
        "port 11* intstr",
        "anything 12* raw",
        "...13 Inner",
        "extra 14 {}[=]string",
        "ratio 15* number",
        "data 16 bytes",
        "numbers 17 []int64",
        "state 18 State",
        "parts 19 []Part",
      ],
      Part: ["text 1 string", "other 2* Part"],
      Inner: ["inside 1* string"],
    },
  },
  { enums: { "a.b.State": { OFF: 0, ON: 1 } } },
);
const thing = types.type("a.b.Thing") as TypeSchema; // cast: it is right above
const kubernetes = createProtobufCodec("kubernetes");
const proto3 = createProtobufCodec("proto3");
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("protobuf: what is no pointer is written though it is zero", () => {
  // name "", big 0, flag false, part with text "", inner (empty), state 0; nothing for pointers, lists, maps and bytes
  assert.equal(hex(kubernetes.encode(thing, {})), "0a00180020003a020a006a00900100");
  assert.equal(hex(kubernetes.encode(thing, { count: 0, kind: "Thing" })), "0a001000180020003a020a006a00900100");
});

test("protobuf: decoding leaves out what Go doesn't print and adds what it prints", () => {
  assert.deepEqual(kubernetes.decode(thing, Buffer.from("0a00180020003a020a006a00", "hex")), { name: "", part: {} });
  assert.deepEqual(kubernetes.decode(thing, Buffer.alloc(0)), { name: "", part: {} });
  assert.deepEqual(kubernetes.decode(thing, Buffer.from("1000", "hex")), { count: 0, name: "", part: {} });
});

test("protobuf: every kind of value comes back", () => {
  const value = {
    name: "tür",
    count: -5,
    big: -9007199254740991,
    flag: true,
    tags: ["a", "", "c"],
    labels: { z: "1", a: "2", "": "3" },
    part: { text: "x", other: { text: "y" } },
    when: "1969-12-31T23:59:59Z",
    exactly: "2001-02-03T04:05:06.000007Z",
    size: "100m",
    port: "http",
    anything: { deep: [1, null, "x"] },
    inside: "flat",
    extra: { k: ["v", "w"], none: [] },
    ratio: 0.1,
    data: "AAEC/w==",
    numbers: [0, 1, 2 ** 40],
    state: "ON",
    parts: [{ text: "1" }, {}],
  };
  assert.deepEqual(kubernetes.decode(thing, kubernetes.encode(thing, value)), value);
});

test("protobuf: map entries are ordered by key", () => {
  const one = kubernetes.encode(thing, { labels: { b: "1", a: "2" } });
  assert.equal(hex(one), hex(kubernetes.encode(thing, { labels: { a: "2", b: "1" } })));
});

test("protobuf: proto3 leaves out zeros, packs numbers and fills them in again", () => {
  assert.equal(
    hex(proto3.encode(thing, { name: "", count: 0, flag: false, state: "OFF", data: new Uint8Array() })),
    "6a00",
  );
  assert.equal(hex(proto3.encode(thing, { numbers: [1, 2, 300] })), "6a008a010401" + "02ac02");
  const decoded = proto3.decode(thing, Buffer.from("8a010401" + "02ac02" + "8801" + "07", "hex"));
  assert.deepEqual(decoded.numbers, [1, 2, 300, 7]);
  assert.equal(decoded.state, "OFF");
  assert.deepEqual(decoded.tags, []);
  assert.deepEqual(decoded.labels, {});
  assert.equal(decoded.part, undefined);
});

test("protobuf: unknown fields are skipped, broken bytes are refused", () => {
  const unknown = "a00601" + "a206020000" + "a106" + "00".repeat(8) + "a506" + "00".repeat(4);
  assert.deepEqual(kubernetes.decode(thing, Buffer.from(`${unknown}0a0161`, "hex")), { name: "a", part: {} });
  for (const broken of ["0a05", "0a", "08", "ff".repeat(11), "0b", "12" + "00"])
    assert.throws(() => kubernetes.decode(thing, Buffer.from(broken, "hex")), ProtobufError, broken);
  assert.throws(() => kubernetes.encode(thing, { name: 5 }), ProtobufError);
  // The codec is whole after a failure.
  assert.equal(hex(kubernetes.encode(thing, {})), "0a00180020003a020a006a00900100");
});

test("protobuf: hostile bytes are refused without harm", () => {
  let nested = Buffer.alloc(0);
  for (let depth = 0; depth < 2_000; depth++) {
    const length = nested.length < 128 ? [nested.length] : [(nested.length & 127) | 128, nested.length >> 7];
    nested = Buffer.concat([Buffer.from([0x12, ...length]), nested]);
  }
  const length = [(nested.length & 127) | 128, nested.length >> 7];
  assert.throws(() => kubernetes.decode(thing, Buffer.concat([Buffer.from([0x3a, ...length]), nested])), ProtobufError);
  // 2^62 seconds.
  assert.throws(() => kubernetes.decode(thing, Buffer.from("420a08808080808080808040", "hex")), ProtobufError);
  const labels = kubernetes.decode(thing, kubernetes.encode(thing, { labels: JSON.parse('{"__proto__":"x"}') })).labels;
  assert.deepEqual(Object.keys(labels as object), ["__proto__"]);
});

test("protobuf: the envelope names version and kind", () => {
  const bytes = kubernetes.encodeObject(thing, { apiVersion: "a/v1", kind: "Thing" });
  assert.ok(isProtobufEnvelope(bytes));
  const { raw, ...rest } = decodeEnvelope(bytes);
  assert.deepEqual(rest, { apiVersion: "a/v1", kind: "Thing", contentEncoding: "", contentType: "" });
  assert.equal(hex(encodeEnvelope({ apiVersion: "a/v1", kind: "Thing", raw })), hex(bytes));
  assert.throws(() => decodeEnvelope(Buffer.from("{}")), ProtobufError);
});

test("protobuf: an encoded object within raw bytes stays as it is", () => {
  const anything = encodeEnvelope({ apiVersion: "v1", kind: "Pod", raw: Buffer.from([1, 2]) });
  const decoded = kubernetes.decode(thing, kubernetes.encode(thing, { anything }));
  assert.deepEqual(decoded.anything, anything);
});

test("protobuf: a large message outgrows the buffer", () => {
  const parts = Array.from({ length: 20_000 }, (_, index) => ({ text: `text of part ${index}` }));
  assert.deepEqual(kubernetes.decode(thing, kubernetes.encode(thing, { parts })).parts, parts);
});
