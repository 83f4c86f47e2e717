import assert from "node:assert/strict";
import { test } from "node:test";
import { concernsRoutes } from "./route-monitor.ts";

for (const [line, want] of [
  ["3: eth0@if7: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN group default", true],
  ["Deleted 4: sampan-vx0: <BROADCAST,MULTICAST> mtu 1450 state DOWN", true],
  ["3: eth0    inet 192.0.2.5/24 scope global eth0", true],
  ["192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.5 ", true],
  ["default via 192.0.2.1 dev eth0 proto dhcp", true],
  ["Deleted 10.244.2.0/24 via 192.0.2.2 dev eth0 proto 83 ", true],
  ["10.244.2.0/24 via 192.0.2.9 dev eth0 proto bird", true],
  ["10.244.2.0/24 via 192.0.2.2 dev eth0 proto 83 ", false],
  ["broadcast 192.0.2.255 dev eth0 table local proto kernel scope link src 192.0.2.5 ", false],
  ["local 192.0.2.5 dev eth0 table local proto kernel scope host src 192.0.2.5 ", false],
  ["multicast ff00::/8 dev eth0 table local proto kernel metric 256 pref medium", false],
  ["fe80::/64 dev eth0 proto kernel metric 256 pref medium", false],
  ["7: veth12345678@pp: <BROADCAST,MULTICAST,M-DOWN> mtu 1500 qdisc noop state DOWN group default", false],
  ["7: eth1@pp: <BROADCAST,UP> mtu 1500 qdisc noqueue master sampan0 state UP group default", false],
  ["5: sampan0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default event FEATURE CHANGE", false],
  ["10.244.0.0/24 dev sampan0 proto kernel scope link src 10.244.0.1 linkdown", false],
] as const)
  test(`routes: ${want ? "looked at again" : "left alone"} after "${line.slice(0, 60)}"`, () =>
    assert.equal(concernsRoutes(line), want));
