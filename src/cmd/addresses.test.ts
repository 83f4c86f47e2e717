import assert from "node:assert/strict";
import { test } from "node:test";
import { FlagError } from "#base";
import { type AddressFlags, checkAddresses } from "./addresses.ts";

const good: AddressFlags = {
  "bind-address": "0.0.0.0",
  "service-cidr": "10.96.0.0/16",
  "cluster-cidr": "10.244.0.0/16",
  "cluster-domain": "cluster.local",
};
const own = ["127.0.0.1", "192.0.2.7", "2001:db8::7"];

const cases: [string, Partial<AddressFlags>, RegExp?][] = [
  ["the defaults", {}],
  ["IPv6 to listen on", { "bind-address": "::" }],
  ["an address of this machine", { "node-ip": "192.0.2.7", "node-name": "n-1.example" }],
  ["no address", { "bind-address": "localhost" }, /--bind-address "localhost": want an IP address/],
  ["half an address", { "advertise-address": "10.1" }, /--advertise-address "10.1": want an IP/],
  ["no node address", { "node-ip": "" }, /--node-ip "": want an IP/],
  ["another machine's address", { "node-ip": "192.0.2.8" }, /want an address of this machine \(127.0.0.1, 192.0.2.7, /],
  ["no range", { "service-cidr": "abc" }, /--service-cidr "abc": want an IPv4 range/],
  ["an address alone", { "service-cidr": "10.96.0.0" }, /want an IPv4 range/],
  ["too many bits", { "service-cidr": "10.96.0.0/33" }, /12 to 28 bits/],
  ["no bits", { "service-cidr": "10.96.0.0/" }, /want an IPv4 range/],
  ["one range of each family", { "service-cidr": "10.96.0.0/16,fd00:10::/108" }],
  [
    "IPv6 before IPv4 where pods have IPv4",
    { "service-cidr": "fd00:10::/108,10.96.0.0/16" },
    /want an IPv4 range first/,
  ],
  ["IPv4 where pods have IPv6", { "cluster-cidr": "fd00::/48" }, /want an IPv6 range first/],
  ["IPv6 alone", { "cluster-cidr": "fd00::/48", "service-cidr": "fd00:10::/112" }],
  [
    "pods of each family",
    { "cluster-cidr": "10.244.0.0/16,fd00:1::/56", "service-cidr": "10.96.0.0/16,fd00:10::/108" },
  ],
  ["two ranges of pods of a family", { "cluster-cidr": "10.244.0.0/16,10.245.0.0/16" }, /one of each family/],
  [
    "overlapping IPv6",
    { "cluster-cidr": "10.244.0.0/16,fd00::/48", "service-cidr": "10.96.0.0/16,fd00::/112" },
    /overlap/,
  ],
  ["too large a range of IPv6 Services", { "service-cidr": "10.96.0.0/16,fd00::/56" }, /64 to 124 bits/],
  ["an address of each family", { "node-ip": "192.0.2.7,2001:db8::7" }],
  ["two node addresses of a family", { "node-ip": "192.0.2.7,127.0.0.1" }, /one of each family/],
  ["two ranges of a family", { "service-cidr": "10.96.0.0/16,10.97.0.0/16" }, /must be of different IP family/],
  ["three ranges", { "service-cidr": "10.96.0.0/16,fd00::/108,10.97.0.0/16" }, /not contain more than two entries/],
  ["an address of another family", { "advertise-address": "fd00::1" }, /family "10.96.0.0\/16" must match public/],
  ["two slashes", { "cluster-cidr": "10.244.0.0/16/3" }, /want an IPv4 range/],
  ["no room for a node", { "cluster-cidr": "10.244.0.0/25" }, /8 to 24 bits/],
  ["pods among Services", { "cluster-cidr": "10.96.7.0/24" }, /overlap/],
  ["Services among pods", { "service-cidr": "10.244.8.0/24" }, /overlap/],
  ["a node that can't be an object", { "node-name": "A_b" }, /--node-name "A_b": want lower case/],
  ["a domain with a space", { "cluster-domain": "a b" }, /--cluster-domain "a b": want lower case/],
  ["a long name", { "node-name": "a.".repeat(127) + "b" }, /--node-name/],
];

for (const [name, flags, refusal] of cases)
  test(`addresses: ${name}`, () => {
    const check = () => checkAddresses({ ...good, ...flags }, own);
    if (!refusal) return check();
    assert.throws(check, (error) => error instanceof FlagError && refusal.test(error.message));
  });
