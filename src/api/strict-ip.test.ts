import assert from "node:assert/strict";
import { test } from "node:test";
import { Place } from "./place.ts";
import { validateCanonicalCidr, validateCanonicalIp, validateStrictIp } from "./strict-ip.ts";

function messages(check: (text: string, at: Place) => unknown, text: string): string[] {
  const at = Place.root("x");
  check(text, at);
  return at.errors.map(({ message }) => message.replace(/^Invalid value: "[^"]*": /, ""));
}

test("strict addresses: one way to write them", () => {
  const cases: [string, string[]][] = [
    ["10.9.8.7", []],
    ["2001:db8::1", []],
    ["x", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]],
    ["010.9.8.7", ["must not have leading 0s"]],
    ["::ffff:1.2.3.4", ["must not be an IPv4-mapped IPv6 address"]],
    ["2001:DB8::1", ['must be in canonical form ("2001:db8::1")']],
    ["2001:0db8::1", ['must be in canonical form ("2001:db8::1")']],
  ];
  for (const [ip, errors] of cases) assert.deepEqual(messages(validateCanonicalIp, ip), errors, ip);
  assert.deepEqual(messages(validateStrictIp, "2001:DB8::1"), []);
});

test("strict ranges: one way to write them", () => {
  const cases: [string, string[]][] = [
    ["10.9.8.0/24", []],
    ["2001:db8::/64", []],
    ["10.9.8.0", ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]],
    ["10.9.8.0/024", ["must not have leading 0s in IP or prefix length"]],
    ["10.9.8.1/24", ["must not have bits set beyond the prefix length"]],
    ["2001:DB8::/64", ['must be in canonical form ("2001:db8::/64")']],
  ];
  for (const [cidr, errors] of cases) assert.deepEqual(messages(validateCanonicalCidr, cidr), errors, cidr);
});
