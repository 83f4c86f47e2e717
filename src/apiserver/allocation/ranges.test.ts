import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressRange } from "./address-range.ts";
import { parsePortRange, portInRange } from "./port-range.ts";
import { familiesOf, parseServiceRanges } from "./service-network.ts";

// What is given out first: addresses behind the band that is left to those who choose.
for (const [cidr, dynamic, chosen] of [
  ["10.0.0.0/16", "10.0.1.1", "10.0.0.1"],
  ["10.0.0.0/20", "10.0.1.1", "10.0.0.1"],
  ["10.0.0.0/22", "10.0.0.65", "10.0.0.1"],
  ["10.0.0.0/24", "10.0.0.17", "10.0.0.1"],
  ["10.0.0.0/27", "10.0.0.17", "10.0.0.1"],
  ["10.0.0.0/28", "10.0.0.1", undefined],
  ["10.0.0.8/30", "10.0.0.9", undefined],
  ["fd00::/64", "fd00::101", undefined],
  ["fd00::/120", "fd00::11", "fd00::1"],
] as const)
  test(`address range ${cidr}: from ${dynamic} on, ${chosen ?? "nothing"} last`, () => {
    const range = new AddressRange(cidr);
    const [first] = range.candidates(() => 0);
    assert.equal(first, dynamic);
    if (chosen === undefined) return;
    const all = [...range.candidates(() => 0)];
    assert.equal(new Set(all).size, all.length);
    assert.ok(all.every((address) => range.contains(address)));
    assert.ok(all.indexOf(chosen) > all.indexOf(dynamic));
  });

for (const [cidr, all] of [
  ["10.0.0.8/30", "10.0.0.9,10.0.0.10"],
  ["10.0.0.8/31", ""],
  ["10.0.0.8/32", ""],
  ["fd00::8/127", "fd00::9"],
  ["fd00::8/128", ""],
] as const)
  test(`address range ${cidr}: has "${all}"`, () =>
    assert.equal([...new AddressRange(cidr).candidates(() => 0)].join(), all));

test("address range: which addresses and ranges are in it", () => {
  const range = new AddressRange("10.1.2.3/24");
  assert.equal(range.text, "10.1.2.0/24");
  for (const [address, isIn] of [
    ["10.1.2.1", true],
    ["10.1.2.254", true],
    ["10.1.2.0", false],
    ["10.1.2.255", false],
    ["10.1.3.1", false],
    ["fd00::1", false],
    ["x", false],
  ] as const)
    assert.equal(range.contains(address), isIn, address);
  assert.equal(range.covers(new AddressRange("10.1.2.128/25")), true);
  assert.equal(range.covers(new AddressRange("10.1.0.0/16")), false);
  assert.equal(range.overlaps(new AddressRange("10.1.0.0/16")), true);
  assert.equal(range.overlaps(new AddressRange("10.1.3.0/24")), false);
  assert.equal(new AddressRange("fd00::/112").contains("fd00::ffff"), true, "IPv6 has no broadcast address");
});

for (const [text, first, count, band] of [
  ["30000-32767", 30_000, 2768, 86],
  ["30000+100", 30_000, 101, 16],
  [" 30000 ", 30_000, 1, 0],
  ["30000-30015", 30_000, 16, 0],
  ["30000-30016", 30_000, 17, 16],
  ["1-65535", 1, 65_535, 128],
] as const)
  test(`port range ${text}: ${count} from ${first} on, of which ${band} for those who choose`, () => {
    const range = parsePortRange(text);
    assert.deepEqual([range.first, range.count, range.band], [first, count, band]);
    assert.equal(portInRange(range, first + count - 1), true);
    assert.equal(portInRange(range, first + count), false);
  });

for (const [text, refusal] of [
  ["x", /unable to parse port range: x/],
  ["1-2-3", /unable to parse port range/],
  ["3-2", /end port cannot be less than start port: 3-2/],
  ["1-70000", /the port range cannot be greater than 65535: 1-70000/],
] as const)
  test(`port range ${text}: is none`, () => assert.throws(() => parsePortRange(text), refusal));

test("service ranges: one, or two of different families; the first is the default", () => {
  assert.deepEqual(parseServiceRanges("10.96.7.1/16, fd00::/108"), ["10.96.0.0/16", "fd00::/108"]);
  assert.deepEqual(familiesOf("fd00::/108,10.96.0.0/16"), ["IPv6", "IPv4"]);
  assert.throws(() => parseServiceRanges("x"), /must contain at least one valid cidr/);
  assert.throws(() => parseServiceRanges("10.1.0.0/16,10.2.0.0/16"), /must be of different IP family/);
  assert.throws(() => parseServiceRanges("10.1.0.0/16,fd00::/64,10.2.0.0/16"), /must not contain more than two/);
});
