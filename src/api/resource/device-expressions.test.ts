import assert from "node:assert/strict";
import { before, test } from "node:test";
import { loadCel } from "../cel-engine.ts";
import type { Device } from "../types.d.ts";
import { compileDeviceExpression, deviceValue, estimateDeviceSize, matchesDevice } from "./device-expressions.ts";

before(() => loadCel());

const driver = "dra.example.com";
const ours = (name: string) => `device.attributes["dra.example.com"].${name}`;

/** Outcome: whether it matches, or a part of the error; the estimated cost is upstream's. */
const cases: [source: string, device: Partial<Device>, outcome: boolean | string, cost: number][] = [
  [`device.attributes["other"].a.isGreaterThan(quantity("0"))`, {}, "no such key: a", 6],
  [`"other" in device.attributes`, {}, false, 3],
  [`"dra.example.com" in device.attributes`, { attributes: { a: { bool: true } } }, true, 3],
  [`device.driver == "dra.example.com"`, {}, true, 4],
  [ours("a"), { attributes: { a: { bool: true } } }, true, 4],
  [ours("a"), { attributes: { "dra.example.com/a": { bool: false } } }, false, 4],
  [`device.attributes["dra.example.com"]["a"]`, { attributes: { a: { bool: true } } }, true, 4],
  [`cel.bind(dra, device.attributes["dra.example.com"], dra.a)`, { attributes: { a: { bool: true } } }, true, 15],
  [`device.attributes["other"].a`, { attributes: { "other/a": { bool: true } } }, true, 4],
  [`${ours("a")} > 0`, { attributes: { a: { int: 1 } } }, true, 5],
  [`${ours("a")} == "fish"`, { attributes: { a: { string: "fish" } } }, true, 5],
  [ours("a"), { attributes: { a: {} } }, "attribute a: unsupported attribute value", 4],
  [`${ours("a")}.isGreaterThan(semver("0.0.1"))`, { attributes: { a: { version: "1.0.0" } } }, true, 6],
  [
    `device.capacity["dra.example.com"].m.isGreaterThan(quantity("1Ki"))`,
    { capacity: { m: { value: "1Mi" } } },
    true,
    6,
  ],
  [
    `!("m" in device.capacity["dra.example.com"]) || device.capacity["dra.example.com"].m.isGreaterThan(quantity("1Ki"))`,
    {},
    true,
    11,
  ],
  [`${ours("a")} && ${ours("b")}`, { attributes: { a: { bool: true }, b: { bool: true } } }, true, 8],
  [`device.attributes.exists_one(x, x == "dra.example.com")`, { attributes: { a: { bool: true } } }, true, 164],
  ["device.allowMultipleAllocations == true", { allowMultipleAllocations: true }, true, 3],
  [ours("a"), { attributes: { a: { int: 1 } } }, "could not be converted to bool", 4],
];
for (const [source, device, outcome, cost] of cases) {
  test(`device expressions: ${source} with ${JSON.stringify(device)}`, () => {
    const { program, error } = compileDeviceExpression(source);
    assert.ok(program, String(error));
    assert.equal(program.estimateCost(estimateDeviceSize).max, cost);
    const ask = () => matchesDevice(program, deviceValue(driver, device));
    if (typeof outcome === "boolean") assert.equal(ask(), outcome);
    else assert.throws(ask, ({ message }: Error) => message.includes(outcome));
  });
}

test("device expressions: what can't be compiled", () => {
  const complaint = (source: string) => compileDeviceExpression(source, { isNew: true }).error ?? "";
  assert.match(complaint("?!"), /^compilation failed: ERROR: .*Syntax error/);
  assert.equal(complaint("1"), "must evaluate to bool or the unknown type, not int");
  assert.match(complaint(`${ours("a")}.includes(1)`), /undeclared reference to 'includes'/);
});
