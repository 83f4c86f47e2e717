import assert from "node:assert/strict";
import { test } from "node:test";
import { tryCreate, tryUpdate } from "../trial.ts";
import type { ResourceClaim, ResourceClaimStatus } from "../types.d.ts";
import { resourceClaimKind } from "./resource-claim.ts";

const device = { driver: "d.example.com", pool: "node-1", device: "gpu-0" };
const result = { request: "r", ...device };
const consumer = { resource: "pods", name: "p", uid: "1" };
const allocationOf = (...results: object[]) => ({ devices: { results } });
const made = (status: object = {}): ResourceClaim => {
  const requests = [{ name: "r", exactly: { deviceClassName: "c" } }];
  const { object } = tryCreate(resourceClaimKind, { spec: { devices: { requests } } });
  return { ...object, status };
};

function tryStatus(status: object, old: ResourceClaim = made()) {
  return tryUpdate(resourceClaimKind, old, {
    subresource: "status",
    change(claim) {
      claim.status = status as ResourceClaimStatus; // as a client may send it
    },
  });
}

const id = (more: object = {}) =>
  JSON.stringify({ Driver: device.driver, Pool: device.pool, Device: device.device, ShareID: "", ...more });
const shareID = "0b9a3f6e-6d6c-4f67-9d43-8f7a3c1f2b10";
const results = "status.allocation.devices.results";

test("claim status: an allocation and what it needs", () => {
  const cases: [object, string[]][] = [
    [{ allocation: allocationOf(result), reservedFor: [consumer] }, []],
    [{ reservedFor: [consumer] }, ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]],
    [
      { allocation: allocationOf(result), reservedFor: [consumer, consumer, {}] },
      [
        "status.reservedFor[2].resource: Required value",
        "status.reservedFor[2].name: Required value",
        "status.reservedFor[2].uid: Required value",
        'status.reservedFor[1]: Duplicate value: "1"',
      ],
    ],
    [
      { allocation: allocationOf({ ...result, driver: "", pool: "a//b", shareID: "x" }) },
      [
        `${results}[0].driver: Required value`,
        `${results}[0].pool: Invalid value: "": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
        `${results}[0].shareID: Invalid value: "x": error validating uid: invalid UUID length: 1`,
      ],
    ],
    [
      { allocation: allocationOf({ ...result, request: "r/a/b", shareID: shareID.toUpperCase() }) },
      [
        `${results}[0].request: Invalid value: "r/a/b": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'`,
        `${results}[0].shareID: Invalid value: "${shareID.toUpperCase()}": uid must be in RFC 4122 normalized form, \`xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\` with lowercase hexadecimal characters`,
      ],
    ],
    [
      { allocation: allocationOf({ ...result, bindingConditions: ["a", "a"] }) },
      [
        `${results}[0].bindingConditions[1]: Duplicate value: "a"`,
        `${results}[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions`,
      ],
    ],
    [
      { allocation: { devices: { config: [{}, { source: "FromHeaven" }] } } },
      [
        "status.allocation.devices.config[0].source: Required value",
        "status.allocation.devices.config[0].opaque: Required value",
        'status.allocation.devices.config[1].source: Unsupported value: "FromHeaven": supported values: "FromClaim", "FromClass"',
        "status.allocation.devices.config[1].opaque: Required value",
      ],
    ],
  ];
  for (const [status, expected] of cases) assert.deepEqual(tryStatus(status).errors, expected);
});

test("claim status: an allocation stays until it is taken back", () => {
  const old = made({ allocation: allocationOf(result) });
  assert.deepEqual(tryStatus({ allocation: allocationOf(result) }, old).errors, []);
  assert.deepEqual(tryStatus({}, old).errors, []);
  const { errors } = tryStatus({ allocation: { devices: {} } }, old);
  const printed = '{"Devices":{"Results":null,"Config":null},"NodeSelector":null,"AllocationTimestamp":null}';
  assert.deepEqual(errors, [`status.allocation: Invalid value: ${printed}: field is immutable`]);
});

test("claim status: a claim that goes takes no new consumers", () => {
  const allocation = allocationOf(result);
  const old = made({ allocation, reservedFor: [consumer] });
  old.metadata.deletionTimestamp = "2026-01-02T03:04:05Z";
  assert.deepEqual(tryStatus({ allocation, reservedFor: [consumer] }, old).errors, []);
  const other = { ...consumer, uid: "2" };
  assert.deepEqual(tryStatus({ allocation, reservedFor: [consumer, other] }, old).errors, [
    "status.reservedFor: Forbidden: new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set",
  ]);
});

test("claim status: what drivers say of allocated devices", () => {
  const allocation = allocationOf(result, { ...result, shareID });
  const condition = {
    type: "Ready",
    status: "True",
    reason: "Up",
    message: "",
    lastTransitionTime: "2026-01-02T03:04:05Z",
  };
  const at = "status.devices[0]";
  const cases: [object[], string[]][] = [
    [[device, { ...device, shareID, conditions: [condition], data: { a: 1 } }], []],
    [[device, device], [`status.devices[1]: Duplicate value: ${id()}`]],
    [
      [{ ...device, device: "gpu-1" }],
      [`${at}: Invalid value: ${id({ Device: "gpu-1" })}: must be an allocated device in the claim`],
    ],
    [[{ ...device, data: [] }], [`${at}.data: Invalid value: "<value omitted>": must be a valid JSON object`]],
    [
      [{ ...device, conditions: new Array(9).fill(condition).map((each, i) => ({ ...each, type: `T${i}` })) }],
      [`${at}.conditions: Too many: 9: must have at most 8 items`],
    ],
    [
      [{ ...device, networkData: { interfaceName: "n".repeat(257), hardwareAddress: "h".repeat(129), ips: ["x"] } }],
      [
        `${at}.networkData.interfaceName: Too long: may not be more than 256 bytes`,
        `${at}.networkData.hardwareAddress: Too long: may not be more than 128 bytes`,
        `${at}.networkData.ips[0]: Invalid value: "x": must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)`,
      ],
    ],
    [
      [{ ...device, networkData: { ips: ["10.9.8.7/24", "2001:DB8::1/64", "::ffff:10.0.0.1/120"] } }],
      [
        `${at}.networkData.ips[1]: Invalid value: "2001:DB8::1/64": must be in canonical form ("2001:db8::1/64")`,
        `${at}.networkData.ips[2]: Invalid value: "::ffff:10.0.0.1/120": must be in canonical form ("10.0.0.1/24")`,
      ],
    ],
  ];
  for (const [devices, expected] of cases) assert.deepEqual(tryStatus({ allocation, devices }).errors, expected);

  const { object, errors } = tryStatus({ devices: [device] }, made({ allocation, devices: [device] }));
  assert.deepEqual([errors, object.status], [[], {}], "they go with the allocation");
});
