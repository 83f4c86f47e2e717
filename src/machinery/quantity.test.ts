import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  milliQuantityOf,
  parseQuantity,
  printQuantity,
  quantityFloat,
  quantityMilliValue,
  quantityOf,
  quantitySign,
  quantityValue,
  subtractQuantities,
} from "./quantity.ts";

test("quantity: canonical form", () => {
  const cases: [text: string, canonical: string][] = [
    ["0", "0"],
    ["00", "0"],
    ["0Ki", "0"],
    ["0.5", "500m"],
    ["1024Mi", "1Gi"],
    ["1.5Gi", "1536Mi"],
    ["1000M", "1G"],
    ["307200Ki", "300Mi"],
    ["1025024Mi", "1001Gi"],
    ["5000m", "5"],
    ["0.001T", "1G"],
    ["1000u", "1m"],
    ["1.08", "1080m"],
    ["1080000000n", "1080m"],
    ["1234567M", "1234567M"],
    ["1025", "1025"],
    [".001e12", "1e9"],
    ["0.001e0", "1e-3"],
    ["1000e-12", "1e-9"],
    [".001Ki", "1024m"],
    [".000000000001Ki", "2n"],
    ["0.0000000001", "1n"],
    ["-1.5", "-1500m"],
    ["-0.5Gi", "-512Mi"],
    ["1E", "1E"],
    ["1e3", "1e3"],
    ["100000000000000000000", "100E"],
    ["9999999999999999999Gi", "9223372036854775807"],
    // Kept as written: they look canonical to upstream.
    ["1.500", "1.500"],
    ["+5", "+5"],
    ["010", "010"],
    [".", "0"],
  ];
  for (const [text, canonical] of cases) {
    assert.equal(canonicalQuantity(text), canonical, text);
    assert.equal(canonicalQuantity(canonical), canonical, `${text} again`);
  }
});

test("quantity: text that is none is refused in upstream's words", () => {
  const format = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  const suffix = "unable to parse quantity's suffix";
  const refused: [string, string][] = [
    ["", format],
    ["abc", format],
    ["5.5.5", format],
    ["1 Gi", format],
    ["1ee5", suffix],
    ["1e", suffix],
    ["1kk", suffix],
    ["1e999999999", suffix],
  ];
  for (const [text, message] of refused) {
    assert.throws(() => parseQuantity(text), { name: "QuantityError", message }, text);
  }
});

test("quantity: values round away from zero", () => {
  const cases: [text: string, value: number, milli: number][] = [
    ["100m", 1, 100],
    ["-100m", -1, -100],
    ["1Gi", 2 ** 30, 2 ** 30 * 1000],
    ["1.0000001", 2, 1001],
    ["2e3", 2000, 2_000_000],
    ["0", 0, 0],
  ];
  for (const [text, value, milli] of cases) {
    assert.equal(quantityValue(text), value, text);
    assert.equal(quantityMilliValue(text), milli, text);
  }
  assert.equal(quantityFloat("250m"), 0.25);
});

test("quantity: arithmetic is exact and keeps the format", () => {
  assert.equal(printQuantity(addQuantities("100m", "0.9")), "1");
  assert.equal(printQuantity(addQuantities("0", "1Gi")), "1Gi");
  assert.equal(printQuantity(addQuantities("512Mi", "0.5Gi")), "1Gi");
  assert.equal(printQuantity(subtractQuantities("1", "1001m")), "-1m");
  assert.equal(printQuantity(addQuantities("9223372036854775807", "1")), "9223372036854775808");
  assert.equal(printQuantity(quantityOf(2048, "BinarySI")), "2Ki");
  assert.equal(printQuantity(milliQuantityOf(1500)), "1500m");
});

test("quantity: comparison", () => {
  assert.equal(compareQuantities("1Gi", "1024Mi"), 0);
  assert.ok(compareQuantities("1", "999m") > 0);
  assert.ok(compareQuantities("1M", "1Mi") < 0);
  assert.equal(quantitySign("-1m"), -1);
  assert.equal(quantitySign("0"), 0);
});
