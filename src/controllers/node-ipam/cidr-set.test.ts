import assert from "node:assert/strict";
import { test } from "node:test";
import { CidrError, CidrSet, parseCidr, printCidr } from "./cidr-set.ts";

for (const [text, printed] of [
  ["10.244.7.9/16", "10.244.0.0/16"],
  ["fd00:0:0:1::5/64", "fd00:0:0:1::/64"],
  ["::/0", "::/0"],
  ["2001:db8::1/128", "2001:db8::1/128"],
  ["1:0:0:2:0:0:0:3/128", "1:0:0:2::3/128"],
] as const)
  test(`cidr: ${text} is ${printed}`, () => assert.equal(printCidr(parseCidr(text)), printed));

for (const text of ["10.0.0.0", "10.0.0/8", "10.0.0.256/8", "1::2::3/64", "10.0.0.0/33", "x/8"])
  test(`cidr: ${text} is none`, () => assert.throws(() => parseCidr(text), CidrError));

test("cidr set: parts in turn, used and freed ones respected, then no more", () => {
  const set = new CidrSet(parseCidr("10.244.0.0/22"), 24);
  assert.equal(set.occupy(parseCidr("10.244.1.0/24")), true);
  assert.equal(set.occupy(parseCidr("10.96.0.0/16")), false);
  const take = () => {
    const part = set.allocate();
    return part && printCidr(part);
  };
  assert.deepEqual([take(), take(), take(), take()], ["10.244.0.0/24", "10.244.2.0/24", "10.244.3.0/24", undefined]);
  set.release(parseCidr("10.244.2.0/24"));
  assert.equal(take(), "10.244.2.0/24");
});

test("cidr set: a network that contains it takes it all; IPv6 too", () => {
  const set = new CidrSet(parseCidr("fd00::/63"), 64);
  assert.equal(printCidr(set.allocate() ?? parseCidr("::/0")), "fd00::/64");
  set.occupy(parseCidr("fd00::/16"));
  assert.equal(set.allocate(), undefined);
  assert.throws(() => new CidrSet(parseCidr("10.0.0.0/28"), 24), CidrError);
});
