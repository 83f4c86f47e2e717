import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { resourceClaimTemplateKind } from "./resource-claim-template.ts";
import { resourceClaimKind } from "./resource-claim.ts";

const exactly = (more: object = {}) => ({ deviceClassName: "gpu.example.com", ...more });
const claim = (devices: object) => ({ spec: { devices } });
const asking = (request: object) => claim({ requests: [{ name: "r", ...request }] });
const at = "spec.devices";
const oneOf = "exactly one of `exactly` or `firstAvailable` is required";
const badName = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

test("resource claim: what a client leaves out", () => {
  const tolerations = [{ key: "a" }, { key: "b", operator: "Exists" }];
  const sent = claim({
    requests: [
      { name: "one", exactly: exactly({ tolerations }) },
      { name: "all", exactly: exactly({ allocationMode: "All" }) },
      { name: "either", firstAvailable: [{ name: "x", ...exactly({ count: 2 }) }] },
    ],
  });
  const { object, errors } = tryCreate(resourceClaimKind, { ...sent, status: { reservedFor: [] } });
  assert.deepEqual(errors, []);
  const requests = object.spec.devices?.requests ?? [];
  const [one, all, either] = requests;
  assert.deepEqual([one?.exactly?.allocationMode, one?.exactly?.count], ["ExactCount", 1]);
  assert.deepEqual(one?.exactly?.tolerations?.[0]?.operator, "Equal");
  assert.deepEqual([all?.exactly?.allocationMode, all?.exactly?.count], ["All", undefined]);
  assert.deepEqual(
    [either?.firstAvailable?.[0]?.allocationMode, either?.firstAvailable?.[0]?.count],
    ["ExactCount", 2],
  );
  assert.deepEqual(object.status, {});
});

test("resource claim: what is refused", () => {
  const request = `${at}.requests[0]`;
  const label =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
  const cases: [object, string[]][] = [
    [claim({}), []],
    [asking({}), [`${request}: Required value: ${oneOf}`]],
    [
      asking({ exactly: exactly(), firstAvailable: [{ name: "x", ...exactly() }] }),
      [`${request}: Invalid value: null: ${oneOf}, but multiple fields are set`],
    ],
    [
      asking({ name: "R", exactly: exactly({ deviceClassName: "" }) }),
      [`${request}.name: Invalid value: "R": ${label}`, `${request}.exactly.deviceClassName: Required value`],
    ],
    [
      asking({ exactly: exactly({ allocationMode: "All", count: 1 }) }),
      [`${request}.exactly.count: Invalid value: 1: must not be specified when allocationMode is 'All'`],
    ],
    [
      asking({ exactly: exactly({ count: -1 }) }),
      [`${request}.exactly.count: Invalid value: -1: must be greater than zero`],
    ],
    [
      asking({ exactly: exactly({ allocationMode: "Some" }) }),
      [`${request}.exactly.allocationMode: Unsupported value: "Some": supported values: "All", "ExactCount"`],
    ],
    [
      asking({ exactly: exactly({ selectors: [{}, { cel: { expression: "x".repeat(10_241) } }] }) }),
      [
        `${request}.exactly.selectors[0].cel: Required value`,
        `${request}.exactly.selectors[1].cel.expression: Too long: may not be more than 10240 bytes`,
      ],
    ],
    [
      asking({ firstAvailable: ["x", "x"].map((name) => ({ name, ...exactly() })) }),
      [`${request}.firstAvailable[1]: Duplicate value: "x"`],
    ],
    [
      asking({ firstAvailable: new Array(9).fill({ name: "x", ...exactly() }) }),
      [`${request}.firstAvailable: Too many: 9: must have at most 8 items`],
    ],
    [
      asking({
        exactly: exactly({
          tolerations: [
            { operator: "Exists", value: "v" },
            { operator: "In", effect: "All" },
          ],
        }),
      }),
      [
        `${request}.exactly.tolerations[0].value: Invalid value: "v": must be empty for operator \`Exists\``,
        `${request}.exactly.tolerations[1].operator: Unsupported value: "In": supported values: "Equal", "Exists"`,
        `${request}.exactly.tolerations[1].effect: Unsupported value: "All": supported values: "NoExecute", "NoSchedule", "None"`,
      ],
    ],
  ];
  for (const [sent, expected] of cases) assert.deepEqual(tryCreate(resourceClaimKind, sent).errors, expected);
});

test("resource claim: constraints and configuration name requests", () => {
  const requests = [
    { name: "a", exactly: exactly() },
    { name: "b", firstAvailable: [{ name: "x", ...exactly() }] },
  ];
  const opaque = { driver: "d.example.com", parameters: { kind: "Any" } };
  const named = (names: string[]) => ({ requests, config: [{ requests: names, opaque }] });
  const none = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set';
  const cases: [object, string[]][] = [
    [named(["a", "b", "b/x"]), []],
    [
      named(["a/x", "c"]),
      [0, 1].map((i) => `${at}.config[0].requests[${i}]: Invalid value: "${["a/x", "c"][i]}": ${badName}`),
    ],
    [named(["a", "a"]), [`${at}.config[0].requests[1]: Duplicate value: "a"`]],
    [{ requests, config: [{}] }, [`${at}.config[0].opaque: Required value`]],
    [
      { requests, config: [{ opaque: { driver: "", parameters: [] } }] },
      [
        `${at}.config[0].opaque.driver: Required value`,
        `${at}.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object`,
      ],
    ],
    [{ requests, config: [{ opaque: { driver: "d" } }] }, [`${at}.config[0].opaque.parameters: Required value`]],
    [{ requests, constraints: [{ matchAttribute: "d.example.com/numa" }] }, []],
    [{ requests, constraints: [{}] }, [`${at}.constraints[0]: Required value: ${none}`]],
    [
      { requests, constraints: [{ distinctAttribute: "numa" }] },
      [
        `${at}.constraints[0].distinctAttribute: Invalid value: "numa": a fully qualified name must be a domain and a name separated by a slash`,
      ],
    ],
  ];
  for (const [devices, expected] of cases) {
    assert.deepEqual(tryCreate(resourceClaimKind, claim(devices)).errors, expected);
  }
});

test("resource claim and template: the spec stays", () => {
  const { object } = tryCreate(resourceClaimKind, asking({ exactly: exactly() }));
  const { errors } = tryUpdate(resourceClaimKind, object, {
    change({ spec }) {
      spec.devices = { requests: [{ name: "s", exactly: exactly() }] };
    },
  });
  const exact =
    '{"DeviceClassName":"gpu.example.com","Selectors":null,"AllocationMode":"ExactCount","Count":1,"AdminAccess":null,"Tolerations":null,"Capacity":null}';
  const requests = `[{"Name":"s","Exactly":${exact},"FirstAvailable":null}]`;
  const spec = `{"Devices":{"Requests":${requests},"Constraints":null,"Config":null}}`;
  assert.deepEqual(errors, [`spec: Invalid value: ${spec}: field is immutable`]);

  const metadata = { labels: { a: "b" } };
  const template = tryCreate(resourceClaimTemplateKind, { spec: { metadata, ...asking({ exactly: exactly() }) } });
  assert.deepEqual(template.errors, []);
  const change = (each: typeof template.object) => {
    each.spec.spec.devices = {};
  };
  assert.deepEqual(tryUpdate(resourceClaimTemplateKind, template.object, { change }).errors, [
    'spec: Invalid value: {"labels":{"a":"b"},"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}: field is immutable',
  ]);
  const named = { spec: { metadata: { name: "x" }, ...claim({}) } };
  assert.deepEqual(tryCreate(resourceClaimTemplateKind, named).errors, [
    "spec.metadata.name: Forbidden: cannot be set",
  ]);
});

test("resource claim: its state in a table", () => {
  const { object } = tryCreate(resourceClaimKind, claim({}));
  const deletionTimestamp = "2026-01-02T03:04:05Z";
  const allocated = { allocation: { devices: {} } };
  const used = { ...allocated, reservedFor: [{ resource: "pods", name: "p", uid: "u" }] };
  const cases: [object, string][] = [
    [{}, "pending"],
    [{ status: allocated }, "allocated"],
    [{ status: used }, "allocated,reserved"],
    [{ metadata: { deletionTimestamp } }, "deleted"],
    [{ metadata: { deletionTimestamp }, status: used }, "deleted,allocated,reserved"],
  ];
  for (const [more, state] of cases) {
    assert.equal(tryColumns(resourceClaimKind, { ...object, ...more }).State, state);
  }
});
