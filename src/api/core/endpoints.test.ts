import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { endpointsKind } from "./endpoints.ts";

const shorten = (errors: readonly string[]) => errors.map((error) => error.replace(/ must consist of .*$/, " …"));

test("endpoints: what is refused", () => {
  const ip = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
  const cases: [object, string[]][] = [
    [{}, ["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"]],
    [
      { addresses: [{ ip: "x" }], notReadyAddresses: [{ ip: "169.254.0.1", hostname: "A", nodeName: "A" }] },
      [
        `subsets[0].addresses[0].ip: Invalid value: "x": ${ip}`,
        'subsets[0].addresses[0].ip: Invalid value: "x": must be a valid IP address',
        'subsets[0].notReadyAddresses[0].hostname: Invalid value: "A": a lowercase RFC 1123 label …',
        'subsets[0].notReadyAddresses[0].nodeName: Invalid value: "A": a lowercase RFC 1123 subdomain …',
        'subsets[0].notReadyAddresses[0].ip: Invalid value: "169.254.0.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
      ],
    ],
    [
      {
        addresses: [{ ip: "10.0.0.1" }],
        ports: [{ port: 0 }, { port: 1, name: "A", protocol: "X", appProtocol: "a b" }],
      },
      [
        "subsets[0].ports[0].name: Required value",
        "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        'subsets[0].ports[1].name: Invalid value: "A": a lowercase RFC 1123 label …',
        'subsets[0].ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
        'subsets[0].ports[1].appProtocol: Invalid value: "a b": name part …',
      ],
    ],
  ];
  for (const [subset, errors] of cases)
    assert.deepEqual(shorten(tryCreate(endpointsKind, { subsets: [subset] }).errors), errors);
});

test("what an older release let in may stay", () => {
  const { object: old } = tryCreate(endpointsKind, { subsets: [{ addresses: [{ ip: "127.0.0.1" }] }] });
  assert.deepEqual(
    tryUpdate(endpointsKind, old, { change: ({ metadata }) => Object.assign(metadata, { labels: { a: "b" } }) }).errors,
    [],
  );
});

test("the table shows the first three", () => {
  const shown = (subsets: object[]) =>
    tryColumns(endpointsKind, tryCreate(endpointsKind, { subsets }).object).Endpoints;
  const addresses = ["10.0.0.1", "10.0.0.2"].map((ip) => ({ ip }));
  assert.equal(shown([]), "<none>");
  assert.equal(shown([{ addresses }]), "10.0.0.1,10.0.0.2");
  assert.equal(shown([{ addresses: [{ ip: "fd00::1" }], ports: [{ port: 80 }] }]), "[fd00::1]:80");
  assert.equal(
    shown([{ addresses, ports: [{ port: 80 }, { port: 81 }] }]),
    "10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more...",
  );
});
