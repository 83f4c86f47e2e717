import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { networkPolicyKind as kind } from "./network-policy.ts";

const errorsOf = (spec: object) => tryCreate(kind, { spec: { podSelector: {}, ...spec } }).errors;
const typesOf = (spec: object) => tryCreate(kind, { spec }).object.spec?.policyTypes;

test("network policy: what a client leaves out", () => {
  assert.deepEqual(typesOf({}), ["Ingress"]);
  assert.deepEqual(typesOf({ egress: [{}] }), ["Ingress", "Egress"]);
  assert.deepEqual(typesOf({ policyTypes: ["Egress"] }), ["Egress"]);
  const { object } = tryCreate(kind, {
    spec: { podSelector: { matchLabels: { a: "b" } }, ingress: [{ ports: [{ port: 80 }] }] },
  });
  assert.deepEqual(object.spec?.ingress, [{ ports: [{ protocol: "TCP", port: 80 }] }]);
  assert.equal(tryColumns(kind, object)["Pod-Selector"], "a=b");
});

test("network policy: ports", () => {
  const at = "spec.ingress[0].ports[0]";
  const cases: [object, string[]][] = [
    [{ port: 100, endPort: 200 }, []],
    [{ port: 0 }, [`${at}.port: Invalid value: 0: must be between 1 and 65535, inclusive`]],
    [{ port: 10, endPort: 5 }, [`${at}.endPort: Invalid value: 10: must be greater than or equal to \`port\``]],
    [
      { port: "dns", endPort: 5 },
      [`${at}.endPort: Invalid value: 5: may not be specified when \`port\` is non-numeric`],
    ],
    [{ endPort: 5 }, [`${at}.endPort: Invalid value: 5: may not be specified when \`port\` is not specified`]],
    [{ protocol: "X" }, [`${at}.protocol: Unsupported value: "X": supported values: "TCP", "UDP", "SCTP"`]],
  ];
  for (const [port, errors] of cases) {
    assert.deepEqual(errorsOf({ ingress: [{ ports: [port] }] }), errors, JSON.stringify(port));
  }
});

test("network policy: peers", () => {
  const at = "spec.egress[0].to[0]";
  const subset = "must be a strict subset of `cidr`";
  const block = (cidr: string, ...except: string[]) => ({ ipBlock: { cidr, except } });
  const cases: [object, string[]][] = [
    [{ podSelector: {}, namespaceSelector: {} }, []],
    [block("10.0.0.0/8", "10.1.0.0/16"), []],
    [block("2001:db8::/32", "2001:db8:1::/48"), []],
    [{}, [`${at}: Required value: must specify a peer`]],
    [{ podSelector: {}, ...block("10.0.0.0/8") }, [`${at}: Forbidden: may not specify both ipBlock and another peer`]],
    [block(""), [`${at}.ipBlock.cidr: Required value`]],
    [
      block("10.0.0.0/8", "11.0.0.0/16", "10.0.0.0/8"),
      [
        `${at}.ipBlock.except[0]: Invalid value: "11.0.0.0/16": ${subset}`,
        `${at}.ipBlock.except[1]: Invalid value: "10.0.0.0/8": ${subset}`,
      ],
    ],
    [
      block("x"),
      [`${at}.ipBlock.cidr: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`],
    ],
    [
      block("10.0.0.1/8"),
      [`${at}.ipBlock.cidr: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length`],
    ],
    [
      block("010.0.0.0/8"),
      [`${at}.ipBlock.cidr: Invalid value: "010.0.0.0/8": must not have leading 0s in IP or prefix length`],
    ],
  ];
  for (const [peer, errors] of cases)
    assert.deepEqual(errorsOf({ egress: [{ to: [peer] }] }), errors, JSON.stringify(peer));
});

test("network policy: types", () => {
  assert.deepEqual(errorsOf({ policyTypes: ["Odd"] }), [
    'spec.policyTypes[0]: Unsupported value: "Odd": supported values: "Ingress", "Egress"',
  ]);
  assert.match(
    errorsOf({ policyTypes: ["Ingress", "Egress", "Ingress"] }).join(),
    /may not specify more than two policyTypes$/,
  );
});

test("network policy: the generation tells an empty selector from none", () => {
  const { object: old } = tryCreate(kind, { spec: { ingress: [{ from: [{ podSelector: {} }] }] } });
  const generation = (from: object) =>
    tryUpdate(kind, old, { change: ({ spec }) => void Object.assign(spec ?? {}, { ingress: [{ from: [from] }] }) })
      .object.metadata.generation;
  assert.equal(generation({ podSelector: {} }), 1);
  assert.equal(generation({ namespaceSelector: {} }), 2);
});

test("network policy: blocks from before the strict rule may stay, with a warning", () => {
  const { object: old } = tryCreate(kind, { spec: { ingress: [{ from: [{ ipBlock: { cidr: "10.0.0.1/8" } }] }] } });
  const touch = (change: (object: typeof old) => void) => tryUpdate(kind, old, { change });
  const { errors, warnings } = touch(({ metadata }) => Object.assign(metadata, { labels: { a: "b" } }));
  assert.deepEqual(errors, []);
  assert.equal(warnings.length, 1);
  const worse = touch(({ spec }) => spec?.ingress?.push({ from: [{ ipBlock: { cidr: "10.0.0.2/8" } }] }));
  // Upstream says everything twice.
  assert.equal(worse.errors.length, 2);
});
