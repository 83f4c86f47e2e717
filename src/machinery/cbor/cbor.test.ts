import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutDecimals } from "../decimal.ts";
import { workload } from "../sample-types.ts";
import { decodeCbor, decodeCborObject, diagnoseCbor, readCborWords } from "./decode.ts";
import { encodeCbor } from "./encode.ts";

const bytes = (hex: string) => Buffer.from(hex.replace(/ /g, ""), "hex");
const read = (hex: string) => withoutDecimals(decodeCbor(bytes(hex)));

test("cbor: the examples of RFC 8949 become what JSON has for them", () => {
  const cases: [hex: string, value: unknown][] = [
    ["1b000000e8d4a51000", 1000000000000],
    ["3903e7", -1000],
    ["f98000", -0],
    ["f97bff", 65504],
    ["f90001", 2 ** -24],
    ["f90400", 2 ** -14],
    ["fa47c35000", 100000],
    ["fb3ff199999999999a", 1.1],
    ["f4", false],
    ["f6", undefined],
    ["c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"],
    ["c11a514b67b0", "2013-03-21T20:04:00Z"],
    ["c1fb41d452d9ec200000", "2013-03-21T20:04:00.5Z"],
    ["d74401020304", "01020304"],
    ["d6430102ff", "AQL/"],
    ["d8184564494554 46".replace(/ /g, ""), "dIETF"],
    ["62c3bc", "ü"],
    ["42c3bc", "ü"],
    ["83018202039f0405ff", [1, [2, 3], [4, 5]]],
    ["5f42010243030405ff", "\u0001\u0002\u0003\u0004\u0005"],
    ["bf61610161629f0203ffff", { a: 1, b: [2, 3] }],
    ["a1 41 61 d9d9f7 01", { a: 1 }],
  ];
  for (const [hex, value] of cases) assert.deepEqual(read(hex), value, hex);
});

test("cbor: what no object can be made of is refused in upstream's words", () => {
  const cases: [hex: string, message: string][] = [
    ["", "EOF"],
    ["a1", "unexpected EOF"],
    ["5affffffff", "unexpected EOF"],
    ["9bffffffffffffffff", "cbor: array length 18446744073709551615 is too large, it would cause integer overflow"],
    ["ba00200001", "cbor: exceeded max number of key-value pairs 2097152 for CBOR map"],
    ["a000", "cbor: 1 bytes of extraneous data starting at index 1"],
    ["1bffffffffffffffff", cannot("positive integer", "int64", "18446744073709551615 overflows Go's int64")],
    ["3bffffffffffffffff", cannot("negative integer", "int64", "-18446744073709551616 overflows Go's int64")],
    ["c249010000000000000000", notAccepted("tag", "bignum")],
    ["f97c00", notAccepted("primitives", "floating-point infinity")],
    ["fb7ff8000000000000", notAccepted("primitives", "floating-point NaN")],
    ["f7", notAccepted("primitives", "simple value 23 is not recognized")],
    ["f818", "cbor: invalid simple value 24 for type primitives"],
    ["1c", "cbor: invalid additional information 28 for type positive integer"],
    ["ff", 'cbor: unexpected "break" code'],
    ["bf6161ff", 'cbor: unexpected "break" code'],
    ["5f6161ff", "cbor: wrong element type UTF-8 text string for indefinite-length byte string"],
    ["5f5fffff", "cbor: indefinite-length byte string chunk is not definite-length"],
    ["c001", "cbor: tag number 0 must be followed by text string, got positive integer"],
    ["62fffe", "cbor: invalid UTF-8 string"],
    ["a2416101416102", 'cbor: found duplicate map key "a" at map element index 1'],
    ["a10102", cannot("positive integer", "string")],
    [`${"81".repeat(10_001)}00`, "cbor: exceeded max nested level 10000"],
  ];
  for (const [hex, message] of cases) assert.throws(() => read(hex), { name: /CborError|TypeMismatch/, message }, hex);
});

const cannot = (from: string, into: string, why?: string) =>
  `cbor: cannot unmarshal ${from} into Go value of type ${into}${why ? ` (${why})` : ""}`;
const notAccepted = (type: string, what: string) =>
  `cbor: data item of cbor type ${type} is not accepted by protocol: ${what}`;

test("cbor: with a type its fields are held to it, and the outermost is named", () => {
  const refused = (value: unknown, message: string) =>
    assert.throws(() => decodeCborObject(encodeCbor(value), workload), { message });
  const at = (field: string, what: string) =>
    `cbor: cannot unmarshal ${what.replace(" into ", ` into Go struct field v1.Workload.${field} of type `)}`;
  refused({ spec: { containers: [{ name: 5 }] } }, at("spec", "positive integer into string"));
  refused({ spec: { containers: {} } }, at("spec", "map into []v1.Container"));
  refused({ data: { a: -1 } }, at("data", "negative integer into string"));
  refused({ spec: { grace: 1.5 } }, at("spec", "primitives into int64"));
  refused(
    { spec: [] },
    `${at("spec", "array into v1.PodSpec")} (cannot decode CBOR array to struct without toarray option)`,
  );
  refused(
    { spec: { containers: [{ ports: [{ containerPort: 2 ** 31 }] }] } },
    `${at("spec", "positive integer into int32")} (2147483648 overflows int32)`,
  );
  refused(
    { secret: { a: "*" } },
    "cbor: failed to decode base64 from byte string: illegal base64 data at input byte 0",
  );
});

test("cbor: byte strings are base64 text unless tagged as what they are", () => {
  const secret = (hex: string) => decodeCborObject(bytes(`a1 46736563726574 a1 4161 ${hex}`), workload).value;
  assert.deepEqual(secret("44 41514944"), { secret: { a: "AQID" } });
  assert.deepEqual(secret("d6 43 010203"), { secret: { a: "AQID" } });
  assert.throws(
    () => secret("64 41514944"),
    /cannot unmarshal UTF-8 text string into Go struct field v1.Workload.secret/,
  );
});

test("cbor: the first unknown field of the outermost object that has one is counted", () => {
  const { value, unknown } = decodeCborObject(encodeCbor({ kind: "W", metadata: { b: 1 }, zz: 2, zzz: 3 }), workload);
  assert.equal(unknown, "cbor: found unknown field at map element index 0");
  assert.deepEqual(value, { kind: "W", metadata: {} });
  assert.throws(
    () => decodeCborObject(bytes("a2 4178 01 4178 02"), workload),
    /duplicate map key "x" at map element index 1/,
  );
});

test("cbor: written sorted, in the shortest form, bytes and floats as the type says", () => {
  const hex = (value: unknown, type?: typeof workload) => encodeCbor(value, type).toString("hex").slice(6);
  assert.equal(hex({ bb: 1, a: [true, null], c: undefined, aa: -25 }), "a3416182f5f6426161381842626201");
  assert.equal(
    hex([1.5, 100000.5, 1.1, 2 ** 63, 2 ** 40]),
    "85f93e00fa47c35040fb3ff199999999999afa5f0000001b0000010000000000",
  );
  assert.equal(hex({ secret: { a: "AQID" } }, workload), "a146736563726574a14161d643010203");
  assert.equal(hex({ "\u{1f600}": 1, "\uffff\u0001": 2 }), "a244efbfbf010244f09f988001");
});

test("cbor: kind and version are read before anything else is trusted", () => {
  assert.deepEqual(readCborWords(encodeCbor({ kind: "Pod", apiVersion: "v1", x: [1] })), {
    kind: "Pod",
    apiVersion: "v1",
  });
  assert.throws(() => readCborWords(encodeCbor({ kind: 1 })), {
    message: "cbor: cannot unmarshal positive integer into Go struct field v1.TypeMeta.kind of type string",
  });
  assert.equal(diagnoseCbor(encodeCbor({ a: ["b", 1, null] })), "55799({'a': ['b', 1, null]})");
});
