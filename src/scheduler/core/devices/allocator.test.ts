/** Cases of upstream's allocator in words of ours. The same allocator ran beside upstream's on thousands of random clusters: docs/dra.md. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import {
  type Device,
  type DeviceClass,
  type DeviceConstraint,
  type DeviceRequest,
  type DeviceSubRequest,
  type DeviceTaint,
  loadCel,
  type ResourceClaim,
  type ResourceSlice,
} from "#api";
import { AllocatedDevices } from "./allocated.ts";
import { createAllocator } from "./allocator.ts";
import { Selectors } from "./selectors.ts";

before(() => loadCel());

const node = { name: "n1", labels: { zone: "a" } };
const cel = (expression: string) => ({ cel: { expression } });
const classes: readonly DeviceClass[] = [
  { metadata: { name: "any" }, spec: {} },
  { metadata: { name: "big" }, spec: { selectors: [cel('"big" in device.attributes["d.io"]')] } },
  { metadata: { name: "set" }, spec: { config: [{ opaque: { driver: "d.io", parameters: { a: 1 } } }] } },
];
type Asked = Partial<NonNullable<DeviceRequest["exactly"]>>;
const request = (name: string, change: Asked = {}): DeviceRequest => ({
  name,
  exactly: { deviceClassName: "any", allocationMode: "ExactCount", count: 1, ...change },
});
const all = (name: string): DeviceRequest => ({ name, exactly: { deviceClassName: "any", allocationMode: "All" } });
const choice = (name: string, ...of: (Partial<DeviceSubRequest> & { name: string })[]): DeviceRequest => ({
  name,
  firstAvailable: of.map((each) => ({ deviceClassName: "any", allocationMode: "ExactCount", count: 1, ...each })),
});
const claim = (requests: DeviceRequest[], constraints?: DeviceConstraint[]): ResourceClaim => ({
  metadata: { namespace: "ns", name: "x" },
  spec: { devices: { requests, ...(constraints ? { constraints } : {}) } },
});
const device = (name: string, change: Partial<Device> = {}): Device => ({ name, ...change });
const attribute = (name: string, value: string, change: Partial<Device> = {}): Device =>
  device(name, { attributes: { a: { string: value } }, ...change });
const slice = (devices: Device[], change: Partial<ResourceSlice["spec"]> = {}, name = "s"): ResourceSlice => ({
  metadata: { name },
  spec: {
    driver: "d.io",
    nodeName: "n1",
    pool: { name: "p", generation: 1, resourceSliceCount: 1 },
    devices,
    ...change,
  },
});
const pool = (name: string, generation = 1, resourceSliceCount = 1) => ({
  pool: { name, generation, resourceSliceCount },
});
const taint: DeviceTaint = { key: "t", effect: "NoSchedule" };
const counters = (value: string) => ({ sharedCounters: [{ name: "c", counters: { m: { value } } }] });
const uses = (name: string, value: string, change: Partial<Device> = {}) =>
  device(name, { consumesCounters: [{ counterSet: "c", counters: { m: { value } } }], ...change });
const shared = (value: string, change: Partial<Device> = {}) =>
  device("s1", { allowMultipleAllocations: true, capacity: { m: { value } }, ...change });

interface Case {
  readonly claims: ResourceClaim[];
  readonly slices: ResourceSlice[];
  /** `pool/device` of devices that are taken. */
  readonly taken?: string[];
  /** Devices as `request=device` of each claim; a text: no room, and why; an expression: refused with it. */
  readonly expected: string[][] | string | RegExp;
}
const cases: Record<string, Case> = {
  "a device of the node": { claims: [claim([request("r")])], slices: [slice([device("d1")])], expected: [["r=d1"]] },
  "no device on other nodes": {
    claims: [claim([request("r")])],
    slices: [slice([device("d1")], { nodeName: "n2" })],
    expected: "",
  },
  "devices for nodes with a label": {
    claims: [claim([request("r")])],
    slices: ["b", "a"].map((zone) =>
      slice(
        [device(`in-${zone}`)],
        {
          nodeName: undefined,
          nodeSelector: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: "zone", operator: "In", values: [zone] }] }],
          },
          ...pool(`p-${zone}`),
        } as Partial<ResourceSlice["spec"]>, // without a name of a node
        zone,
      ),
    ),
    expected: [["r=in-a"]],
  },
  "one that is taken is not given again": {
    claims: [claim([request("r")])],
    slices: [slice([device("d1"), device("d2")])],
    taken: ["p/d1"],
    expected: [["r=d2"]],
  },
  "but admins may look at it": {
    claims: [claim([request("r", { adminAccess: true })])],
    slices: [slice([device("d1")])],
    taken: ["p/d1"],
    expected: [["r=d1"]],
  },
  "two claims get two devices": {
    claims: [claim([request("r")]), claim([request("q")])],
    slices: [slice([device("d1"), device("d2")])],
    expected: [["r=d1"], ["q=d2"]],
  },
  "an earlier choice is taken back for a later request": {
    claims: [claim([request("r"), request("b", { deviceClassName: "big" })])],
    slices: [slice([device("d1", { attributes: { big: { bool: true } } }), device("d2")])],
    expected: [["r=d2", "b=d1"]],
  },
  "all devices": {
    claims: [claim([all("r")])],
    slices: [slice([device("d1"), device("d2")])],
    expected: [["r=d1", "r=d2"]],
  },
  "all, and one is taken": {
    claims: [claim([all("r")])],
    slices: [slice([device("d1"), device("d2")])],
    taken: ["p/d2"],
    expected: "",
  },
  "all of none": { claims: [claim([all("r")])], slices: [], expected: "" },
  "all of a pool that is being replaced": {
    claims: [claim([all("r")])],
    slices: [slice([device("d1")], pool("p", 1, 2))],
    expected: /claim ns\/x, request r: asks for all devices, but resource pool d.io\/p is currently being updated/,
  },
  "none of a pool that is being replaced": {
    claims: [claim([request("r")])],
    slices: [slice([device("d1")], pool("p", 1, 2))],
    expected: "",
  },
  "only the newest generation counts": {
    claims: [claim([request("r")])],
    slices: [slice([device("old")], pool("p", 1), "a"), slice([device("new")], pool("p", 2), "b")],
    expected: [["r=new"]],
  },
  "a newer generation elsewhere ends the pool here": {
    claims: [claim([request("r")])],
    slices: [
      slice([device("old")], pool("p", 1, 2), "a"),
      slice([device("new")], { nodeName: "n2", ...pool("p", 2) }, "b"),
    ],
    expected: "",
  },
  "a name twice makes a pool invalid": {
    claims: [claim([request("r")])],
    slices: [slice([device("d1"), device("d1")])],
    expected: "invalid resource pools were encountered",
  },
  "names of pools and slices decide what comes first": {
    claims: [claim([request("r"), request("q")])],
    slices: [slice([device("d2")], pool("p2"), "a"), slice([device("d1")], pool("p1"), "z")],
    expected: [["r=d1", "q=d2"]],
  },
  "what must be waited for comes last": {
    claims: [claim([request("r")])],
    slices: [
      slice([device("slow", { bindingConditions: ["b"] })], pool("p1"), "a"),
      slice([device("d1")], pool("p2"), "b"),
    ],
    expected: [["r=d1"]],
  },
  "the same attribute": {
    claims: [claim([request("r", { count: 2 })], [{ matchAttribute: "d.io/a" }])],
    slices: [slice([attribute("d1", "x"), attribute("d2", "y"), attribute("d3", "x")])],
    expected: [["r=d1", "r=d3"]],
  },
  "the same attribute for some requests only": {
    claims: [claim([request("r"), request("q"), request("o")], [{ requests: ["r", "o"], matchAttribute: "d.io/a" }])],
    slices: [slice([attribute("d1", "x"), attribute("d2", "y"), attribute("d3", "x")])],
    expected: [["r=d1", "q=d2", "o=d3"]],
  },
  "all devices, but not alike": {
    claims: [claim([all("r")], [{ matchAttribute: "d.io/a" }])],
    slices: [slice([attribute("d1", "x"), attribute("d2", "y")])],
    expected: /cannot add device d.io\/p\/d2 because a claim constraint would not be satisfied/,
  },
  "different attributes": {
    claims: [claim([request("r"), request("q")], [{ distinctAttribute: "d.io/a" }])],
    slices: [slice([attribute("d1", "x"), attribute("d2", "x"), attribute("d3", "y")])],
    expected: [["r=d1", "q=d3"]],
  },
  "the first alternative": {
    claims: [claim([choice("r", { name: "two", count: 2 }, { name: "one" })])],
    slices: [slice([device("d1"), device("d2")])],
    expected: [["r/two=d1", "r/two=d2"]],
  },
  "the second alternative": {
    claims: [claim([choice("r", { name: "two", count: 2 }, { name: "one" })])],
    slices: [slice([device("d1")])],
    expected: [["r/one=d1"]],
  },
  "an alternative that leaves enough for the next request": {
    claims: [claim([choice("r", { name: "two", count: 2 }, { name: "one" }), request("q")])],
    slices: [slice([device("d1"), device("d2")])],
    expected: [["r/one=d1", "q=d2"]],
  },
  "more than a claim can have": {
    claims: [claim([request("r", { count: 33 })])],
    slices: [],
    expected: /claim ns\/x: number of requested devices 33 exceeds the claim limit of 32/,
  },
  "a tainted device": {
    claims: [claim([request("r")])],
    slices: [slice([device("d1", { taints: [taint] })])],
    expected: "",
  },
  "a taint that is tolerated": {
    claims: [claim([request("r", { tolerations: [{ key: "t", operator: "Exists" }] })])],
    slices: [slice([device("d1", { taints: [taint] })])],
    expected: [["r=d1"]],
  },
  "a taint without effect": {
    claims: [claim([request("r")])],
    slices: [slice([device("d1", { taints: [{ ...taint, effect: "None" }] })])],
    expected: [["r=d1"]],
  },
  "parts that share counters": {
    claims: [claim([request("r"), request("q")])],
    slices: [
      slice([uses("d1", "4"), uses("d2", "4"), uses("d3", "2")], pool("p", 1, 2)),
      slice([], { ...counters("6"), ...pool("p", 1, 2) }, "c"),
    ],
    expected: [["r=d1", "q=d3"]],
  },
  "counters that allocated devices use": {
    claims: [claim([request("r")])],
    slices: [
      slice([uses("d1", "4"), uses("d2", "4")], pool("p", 1, 2)),
      slice([], { ...counters("6"), ...pool("p", 1, 2) }, "c"),
    ],
    taken: ["p/d1"],
    expected: "",
  },
  "counters that nobody declared": {
    claims: [claim([request("r")])],
    slices: [slice([uses("d1", "4")])],
    expected: "invalid resource pools were encountered",
  },
  "shares of a device": {
    claims: [
      claim([request("r", { capacity: { requests: { m: "3Gi" } } })]),
      claim([request("q", { capacity: { requests: { m: "1Gi" } } })]),
    ],
    slices: [slice([shared("4Gi")])],
    expected: [["r=s1(m=3Gi)"], ["q=s1(m=1Gi)"]],
  },
  "shares that are too much together": {
    claims: [
      claim([request("r", { capacity: { requests: { m: "3Gi" } } })]),
      claim([request("q", { capacity: { requests: { m: "2Gi" } } })]),
    ],
    slices: [slice([shared("4Gi")])],
    expected: "",
  },
  "a share without a wish is the default, and is rounded up to a step": {
    claims: [claim([request("r"), request("q", { capacity: { requests: { m: "1100Mi" } } })])],
    slices: [
      slice([
        shared("4Gi", {
          capacity: {
            m: { value: "4Gi", requestPolicy: { default: "1Gi", validRange: { min: "1Gi", step: "512Mi" } } },
          },
        }),
      ]),
    ],
    expected: [["r=s1(m=1Gi)", "q=s1(m=1536Mi)"]],
  },
  "capacity that no device has": {
    claims: [claim([request("r", { capacity: { requests: { other: "1" } } })])],
    slices: [slice([device("d1", { capacity: { m: { value: "1" } } })])],
    expected: "",
  },
  "a class that is gone": {
    claims: [claim([request("r", { deviceClassName: "gone" })])],
    slices: [],
    expected: /could not retrieve device class gone: deviceclass.resource.k8s.io "gone" not found/,
  },
  "an expression that fails": {
    claims: [claim([request("r", { selectors: [cel('device.attributes["d.io"].nope')] })])],
    slices: [slice([device("d1")])],
    expected: /^claim ns\/x: selector #0: CEL runtime error: no such key: nope$/,
  },
};

function allocate({ claims, slices, taken = [] }: Omit<Case, "expected">) {
  const allocated = new AllocatedDevices();
  for (const id of taken) {
    const [name = "", of = ""] = id.split("/");
    allocated.change({ devices: { results: [{ request: "r", driver: "d.io", pool: name, device: of }] } }, 1);
  }
  const classOf = (name: string) => classes.find(({ metadata }) => metadata.name === name);
  return createAllocator({ slices, allocated, classOf, selectors: new Selectors(), newId: () => "id" }).allocate(
    node,
    claims,
  );
}

for (const [title, { expected, ...of }] of Object.entries(cases)) {
  test(`allocator: ${title}`, () => {
    if (expected instanceof RegExp) {
      assert.throws(
        () => allocate(of),
        ({ message }: Error) => expected.test(message),
      );
      return;
    }
    const outcome = allocate(of);
    if ("unavailable" in outcome) {
      assert.equal(outcome.unavailable, expected);
      return;
    }
    const print = (amounts: Record<string, string> | undefined) =>
      amounts ? `(${Object.entries(amounts).map(([name, amount]) => `${name}=${amount}`)})` : "";
    const printed = outcome.map(({ devices }) =>
      (devices?.results ?? []).map((each) => `${each.request}=${each.device}${print(each.consumedCapacity)}`),
    );
    assert.deepEqual(printed, expected);
  });
}

test("allocator: configuration of classes once, then of the claim for what was chosen", () => {
  const opaque = { driver: "d.io", parameters: { b: 2 } };
  const of = claim([
    choice("r", { name: "a", deviceClassName: "big" }, { name: "b", deviceClassName: "set" }),
    request("q", { deviceClassName: "set" }),
  ]);
  of.spec.devices = {
    ...of.spec.devices,
    config: [{ requests: ["r/a"], opaque }, { requests: ["r/b"], opaque }, { opaque }],
  };
  const outcome = allocate({ claims: [of], slices: [slice([device("d1"), device("d2")])] });
  assert.ok(!("unavailable" in outcome));
  assert.deepEqual(outcome[0]?.devices?.config, [
    { source: "FromClass", requests: ["r/b", "q"], opaque: { driver: "d.io", parameters: { a: 1 } } },
    { source: "FromClaim", requests: ["r/b"], opaque },
    { source: "FromClaim", opaque },
  ]);
});
