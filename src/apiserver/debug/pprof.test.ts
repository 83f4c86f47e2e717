import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { encodeProfile, type StackNode } from "./pprof.ts";

/** A protobuf message as its fields, for looking at. */
function fieldsOf(bytes: Buffer): { field: number; value: number | Buffer }[] {
  const fields: { field: number; value: number | Buffer }[] = [];
  let at = 0;
  const varint = (): number => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag % 8 === 0) fields.push({ field: tag >> 3, value: varint() });
    else {
      assert.equal(tag % 8, 2, "only numbers and what has a length");
      const length = varint();
      fields.push({ field: tag >> 3, value: bytes.subarray(at, at + length) });
      at += length;
    }
  }
  return fields;
}

const all = (fields: ReturnType<typeof fieldsOf>, field: number) =>
  fields.filter((each) => each.field === field).map(({ value }) => value);
const numberIn = (message: unknown, field: number): number => {
  const [value] = all(fieldsOf(message as Buffer), field);
  assert.equal(typeof value, "number");
  return value as number;
};
/** Packed. */
const numbersIn = (message: unknown, field: number): number[] => {
  const [packed] = all(fieldsOf(message as Buffer), field);
  assert.ok(packed instanceof Buffer);
  const padded = Buffer.concat([...packed].map((byte) => Buffer.from([8, byte])));
  return all(fieldsOf(padded), 1) as number[];
};

test("pprof: a tree of calls becomes stacks with their names", () => {
  const frame = (functionName: string, lineNumber: number) => ({ functionName, url: "file:///src/a.ts", lineNumber });
  const root: StackNode = {
    callFrame: frame("(root)", -1),
    values: [0, 0],
    children: [
      {
        callFrame: frame("outer", 0),
        values: [1, 100],
        children: [
          { callFrame: frame("inner", 9), values: [2, 50], children: [] },
          { callFrame: frame("", 19), values: [0, 0], children: [] },
        ],
      },
      { callFrame: frame("inner", 9), values: [3, 7], children: [] },
    ],
  };
  const bytes = encodeProfile(root, {
    sampleTypes: [
      { type: "samples", unit: "count" },
      { type: "cpu", unit: "nanoseconds" },
    ],
    periodType: { type: "space", unit: "bytes" },
    period: 1_000_000,
    startMs: 5,
    durationMs: 3,
  });
  const fields = fieldsOf(gunzipSync(bytes));
  const texts = all(fields, 6).map(String);
  assert.equal(texts[0], "", "the first text is none");
  const types = all(fields, 1).map((each) => `${texts[numberIn(each, 1)]}/${texts[numberIn(each, 2)]}`);
  assert.deepEqual(types, ["samples/count", "cpu/nanoseconds"]);
  const functions = new Map(all(fields, 5).map((each) => [numberIn(each, 1), each]));
  const nameOf = (id: number) => `${texts[numberIn(functions.get(id), 2)]}:${numberIn(functions.get(id), 5)}`;
  const lines = new Map(
    all(fields, 4).map((each) => {
      const [line] = all(fieldsOf(each as Buffer), 4);
      return [numberIn(each, 1), `${nameOf(numberIn(line, 1))}`];
    }),
  );
  const samples = all(fields, 2).map((each) => [numbersIn(each, 1).map((id) => lines.get(id)), numbersIn(each, 2)]);
  assert.deepEqual(samples, [
    [["outer:1"], [1, 100]],
    [
      ["inner:10", "outer:1"],
      [2, 50],
    ],
    [["inner:10"], [3, 7]],
  ]);
  assert.deepEqual([all(fields, 9), all(fields, 10), all(fields, 12)], [[5e6], [3e6], [1e6]]);
  const period = all(fields, 11)[0];
  assert.equal(`${texts[numberIn(period, 1)]}/${texts[numberIn(period, 2)]}`, "space/bytes");
});
