import assert from "node:assert/strict";
import { test } from "node:test";
import { isDualStack, parseCidr, parseIp, printIp, validateNonSpecialIp } from "./ip.ts";
import { cidrWarnings, ipWarnings } from "./ip-warnings.ts";
import { Place } from "./place.ts";

test("addresses are read as Go reads them, with leading zeros", () => {
  const cases: [string, string | undefined][] = [
    ["10.0.0.1", "10.0.0.1"],
    ["010.000.0.01", "10.0.0.1"],
    ["256.0.0.1", undefined],
    ["1.2.3", undefined],
    ["1.2.3.4.5", undefined],
    ["", undefined],
    ["1.2.3.x", undefined],
    ["::", "::"],
    ["::1", "::1"],
    ["FD00:0:0::1", "fd00::1"],
    ["fd00:0:1:0:0:1:0:0", "fd00:0:1::1:0:0"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::ffff:010.0.0.1", "10.0.0.1"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
    ["fe80::1%eth0", undefined],
    ["1::2::3", undefined],
  ];
  for (const [text, canonical] of cases) {
    const address = parseIp(text);
    assert.equal(address && printIp(address), canonical, text);
  }
});

test("ranges have an address and a length that fits it", () => {
  const cases: [string, boolean][] = [
    ["10.0.0.0/8", true],
    ["10.0.0.0/33", false],
    ["10.0.0.0/", false],
    ["10.0.0.0", false],
    ["fd00::/64", true],
    ["fd00::/129", false],
    ["::ffff:10.0.0.0/104", true],
    ["10.0.0.0/-1", false],
  ];
  for (const [text, isRange] of cases) assert.equal(parseCidr(text) !== undefined, isRange, text);
});

test("two stacks are one address of each", () => {
  const isDual = (...texts: string[]) => isDualStack(texts.map(parseIp));
  assert.equal(isDual("10.0.0.1", "fd00::1"), true);
  assert.equal(isDual("10.0.0.1", "10.0.0.2"), false);
});

test("an endpoint isn't everywhere, here or next door", () => {
  const why = (text: string) => {
    const at = Place.root("ip");
    validateNonSpecialIp(text, at);
    return at.errors.map(({ message }) => message.replace(/^Invalid value: "[^"]*": /, ""));
  };
  assert.deepEqual(why("10.0.0.1"), []);
  assert.deepEqual(why("fd00::1"), []);
  assert.deepEqual(why("0.0.0.0"), ["may not be unspecified (0.0.0.0)"]);
  assert.deepEqual(why("::1"), ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]);
  assert.deepEqual(why("169.254.1.1"), ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]);
  assert.deepEqual(why("ff02::1"), ["may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"]);
  assert.deepEqual(why("x"), ["must be a valid IP address"]);
});

test("odd notations are warned about", () => {
  const at = Place.root("a");
  const later = "will be considered invalid in a future Kubernetes release";
  assert.deepEqual(ipWarnings("10.0.0.1", at), []);
  assert.deepEqual(ipWarnings("x", at), []);
  assert.deepEqual(ipWarnings("010.0.0.1", at), [`a: non-standard IP address "010.0.0.1" ${later}: use "10.0.0.1"`]);
  assert.deepEqual(ipWarnings("FD00::1", at), [
    'a: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")',
  ]);
  assert.deepEqual(cidrWarnings("10.0.0.0/8", at), []);
  assert.deepEqual(cidrWarnings("x", at), []);
  assert.deepEqual(cidrWarnings("010.0.0.1/9", at), [
    'a: CIDR value "010.0.0.1/9" is ambiguous in this context (should be "10.0.0.0/9" or "10.0.0.1/32"?)',
    `a: non-standard CIDR value "010.0.0.1/9" ${later}: use "10.0.0.0/9"`,
  ]);
  assert.deepEqual(cidrWarnings("FD00::/12", at), [
    'a: IPv6 CIDR value "FD00::/12" should be in RFC 5952 canonical format ("fd00::/12")',
  ]);
});
