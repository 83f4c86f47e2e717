import assert from "node:assert/strict";
import { test } from "node:test";
import { addressIn, contains, overlap, printRange, readRange, subnetOf } from "./range.ts";

for (const [cidr, index, want, bits] of [
  ["10.244.0.0/16", 0, "10.244.0.0/24"],
  ["10.244.0.0/16", 255, "10.244.255.0/24"],
  ["192.168.128.0/17", 1, "192.168.129.0/24"],
  ["172.16.5.9/16", 2, "172.16.2.0/24"],
  ["10.244.0.0/16", 3, "10.244.0.192/26", 26],
  ["10.244.0.0/26", 0, "10.244.0.0/26"],
  ["0.0.0.0/0", 2 ** 24 - 1, "255.255.255.0/24"],
  ["fd00:10:244::/56", 0, "fd00:10:244::/64"],
  ["fd00:10:244::/56", 255, "fd00:10:244:ff::/64"],
  ["fd00:10:244::/48", 10, "fd00:10:244::a:0/112", 112],
  ["fd00::/64", 0, "fd00::/64"],
] as const)
  test(`subnet ${index} of ${cidr}`, () => assert.equal(subnetOf(cidr, index, bits), want));

test("subnet: a range that is full or malformed is refused", () => {
  assert.throws(
    () => subnetOf("10.244.0.0/16", 256),
    /--cluster-cidr 10\.244\.0\.0\/16: .*room for a \/24 for node 257/,
  );
  assert.throws(() => subnetOf("fd00::/64", 1), /room for a \/64 for node 2/);
  assert.throws(() => subnetOf("10.244.0.0", 0), /want ranges such as/);
});

test("address: counted from the range's start", () => {
  assert.equal(addressIn("10.244.3.0/24", 1), "10.244.3.1");
  assert.equal(addressIn("10.96.0.0/16", 10), "10.96.0.10");
  assert.equal(addressIn("fd00:10:96::/112", 10), "fd00:10:96::a");
  assert.throws(() => addressIn("10.96", 1), /want a range/);
});

test("range: printed with its own beginning; apart, or one in the other", () => {
  const read = (text: string) => {
    const range = readRange(text);
    assert.ok(range);
    return range;
  };
  assert.equal(printRange(read("10.1.2.3/24")), "10.1.2.0/24");
  assert.equal(printRange(read("FD00:0:0:1::5/64")), "fd00:0:0:1::/64");
  assert.equal(readRange("10.1.2.3"), undefined);
  assert.equal(readRange("10.1.2.3/33"), undefined);
  assert.ok(contains(read("10.0.0.0/8"), read("10.2.0.0/16")));
  assert.ok(!contains(read("10.2.0.0/16"), read("10.0.0.0/8")));
  assert.ok(overlap(read("10.2.0.0/16"), read("10.0.0.0/8")));
  assert.ok(!overlap(read("10.2.0.0/24"), read("10.2.1.0/24")));
  assert.ok(!overlap(read("0.0.0.0/0"), read("fd00::/64")));
});
