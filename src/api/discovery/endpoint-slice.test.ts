import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import type { EndpointSlice } from "../types.d.ts";
import { endpointSliceKind as kind } from "./endpoint-slice.ts";

const sent = (fields: object = {}) => ({ addressType: "IPv4", endpoints: [{ addresses: ["10.1.0.1"] }], ...fields });
const errorsOf = (fields: object) => tryCreate(kind, sent(fields)).errors;

test("endpoint slice: what a client leaves out", () => {
  const { object, errors } = tryCreate(kind, sent({ ports: [{ port: 80 }] }));
  assert.deepEqual(errors, []);
  assert.deepEqual(object.ports, [{ name: "", protocol: "TCP", port: 80 }]);
  assert.equal(object.metadata.generation, 1);
  assert.equal(tryCreate(kind, sent()).object.ports, null);
});

test("endpoint slice: addresses are of its type", () => {
  const at = "endpoints[0].addresses";
  const cases: [object, string[]][] = [
    [{ addressType: "" }, ["addressType: Required value"]],
    [{ addressType: "X" }, ['addressType: Unsupported value: "X": supported values: "FQDN", "IPv4", "IPv6"']],
    [{ addressType: "IPv6" }, [`${at}: Invalid value: "10.1.0.1": must be an IPv6 address`]],
    [{ endpoints: [{ addresses: [] }] }, [`${at}: Required value: must contain at least 1 address`]],
    [
      { endpoints: [{ addresses: ["127.0.0.1"] }] },
      [`${at}[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`],
    ],
    [
      { addressType: "FQDN", endpoints: [{ addresses: ["a"] }] },
      [`${at}[0]: Invalid value: "a": should be a domain with at least two segments separated by dots`],
    ],
  ];
  for (const [fields, errors] of cases) assert.deepEqual(errorsOf(fields), errors, JSON.stringify(fields));
  assert.deepEqual(tryCreate(kind, sent({ addressType: "FQDN", endpoints: [{ addresses: ["a.b"] }] })).warnings, [
    "spec.addressType: FQDN endpoints are deprecated",
  ]);
});

test("endpoint slice: ports and hints", () => {
  const ports = [{ name: "a" }, { name: "a", protocol: "X", appProtocol: "a b" }];
  assert.deepEqual(
    errorsOf({ ports }).map((error) => error.split(": ", 2).join(": ")),
    ["ports[1].name: Duplicate value", "ports[1].protocol: Unsupported value", "ports[1].appProtocol: Invalid value"],
  );
  const name = "zone";
  const hints = { forZones: [{ name }, { name }], forNodes: Array.from({ length: 9 }, (_, i) => ({ name: `n${i}` })) };
  assert.deepEqual(errorsOf({ endpoints: [{ addresses: ["10.1.0.1"], hints }] }), [
    'endpoints[0].hints.forZones[1].name: Duplicate value: "zone"',
    "endpoints[0].hints.forNodes: Too many: 9: must have at most 8 items",
  ]);
});

test("endpoint slice: generation, and a type that stays", () => {
  const { object: old } = tryCreate(kind, sent());
  const touch = (change: (slice: EndpointSlice) => void) => tryUpdate(kind, old, { change });
  const generation = (fields: object) => touch((slice) => Object.assign(slice, fields)).object.metadata.generation;
  assert.equal(generation({ ports: [{ port: 1 }] }), 2);
  assert.equal(generation({ endpoints: [{ addresses: ["10.1.0.1"], conditions: { ready: false } }] }), 2);
  assert.equal(touch(({ metadata }) => Object.assign(metadata, { labels: { a: "b" } })).object.metadata.generation, 2);
  assert.equal(
    touch(({ metadata }) => Object.assign(metadata, { annotations: { a: "b" } })).object.metadata.generation,
    1,
  );
  assert.match(touch((slice) => Object.assign(slice, { addressType: "FQDN" })).errors.join(), /field is immutable$/);
});

test("endpoint slice: the old topology is dropped but for the node it names", () => {
  const endpoint = { addresses: ["10.1.0.1"], deprecatedTopology: { "kubernetes.io/hostname": "n1" } };
  const { object: old } = tryCreate(kind, sent());
  assert.equal(tryCreate(kind, sent({ endpoints: [endpoint] })).object.endpoints?.[0]?.deprecatedTopology, undefined);
  old.endpoints = [{ ...endpoint, conditions: {} }];
  const { object } = tryUpdate(kind, old, { change: (slice) => slice.endpoints?.push({ addresses: ["10.1.0.2"] }) });
  assert.deepEqual(object.endpoints?.[0], { addresses: ["10.1.0.1"], conditions: {}, nodeName: "n1" });
});

test("endpoint slice: cells", () => {
  const addresses = ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"];
  const { object } = tryCreate(kind, sent({ endpoints: [{ addresses }], ports: [{ port: 80 }, { name: "x" }] }));
  const { AddressType, Ports, Endpoints } = tryColumns(kind, object);
  assert.deepEqual([AddressType, Ports, Endpoints], ["IPv4", "80,x", "10.1.0.1,10.1.0.2,10.1.0.3 + 1 more..."]);
  assert.equal(tryColumns(kind, tryCreate(kind, sent()).object).Ports, "<unset>");
});
