import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubernetesObject, printQuantity } from "#machinery";
import { countedNames, missingAmounts, quotaMatches } from "./match.ts";
import { quotaUsage } from "./usage.ts";

const now = Date.parse("2030-01-01T00:00:00Z");
const core = (resource: string) => ({ group: "", resource });

function usage(resource: string, object: object): Record<string, string> {
  const amounts = quotaUsage(core(resource), object as KubernetesObject, now);
  return Object.fromEntries([...amounts].map(([name, amount]) => [name, printQuantity(amount)]));
}

const container = (requests: object, limits: object = {}) => ({ name: "c", resources: { requests, limits } });
const pod = (spec: object, more: object = {}) => ({ metadata: {}, spec: { containers: [], ...spec }, ...more });

test("usage: pods take what their containers ask for, by both names", () => {
  const spec = {
    containers: [container({ cpu: "100m", "example.com/gpu": "1" }, { memory: "1Gi" }), container({ cpu: "0.2" })],
    overhead: { cpu: "50m" },
  };
  assert.deepEqual(usage("pods", pod(spec)), {
    "count/pods": "1",
    pods: "1",
    cpu: "350m",
    "requests.cpu": "350m",
    "limits.memory": "1Gi",
    "requests.example.com/gpu": "1",
  });
});

test("usage: what is said for the pod as a whole counts instead, overhead beside it", () => {
  const spec = {
    containers: [container({ cpu: "1", memory: "1Gi", "example.com/gpu": "1" }, { cpu: "2" })],
    resources: { requests: { cpu: "3" }, limits: { cpu: "4", memory: "5Gi" } },
    overhead: { cpu: "1", memory: "1Gi" },
  };
  const {
    cpu,
    memory,
    "limits.cpu": limit,
    "limits.memory": most,
    "requests.example.com/gpu": gpu,
  } = usage("pods", pod(spec));
  assert.deepEqual([cpu, memory, limit, most, gpu], ["4", "2Gi", "5", "6Gi", "1"]);
});

for (const [why, reason, expected] of [
  ["the larger amount counts", undefined, ["3", "4"]],
  ["what is impossible doesn't", "Infeasible", ["2", "2"]],
] as const)
  test(`usage: a pod that is being resized: ${why}`, () => {
    const status = {
      conditions: reason ? [{ type: "PodResizePending", status: "True", reason }] : [],
      containerStatuses: [
        { name: "c", resources: { requests: { cpu: "2" }, limits: { cpu: "2" } }, allocatedResources: { cpu: "1" } },
      ],
    };
    const { cpu, "limits.cpu": limit } = usage(
      "pods",
      pod({ containers: [container({ cpu: "3" }, { cpu: "4" })] }, { status }),
    );
    assert.deepEqual([cpu, limit], expected);
  });

for (const [why, requirement, spec, status, expected] of [
  ["any, as asked for", { operator: "Exists" }, { volumeAttributesClassName: "gold" }, {}, true],
  ["any, and none has it", { operator: "Exists" }, {}, {}, false],
  [
    "as it is",
    { operator: "In", values: ["gold"] },
    { volumeAttributesClassName: "silver" },
    { currentVolumeAttributesClassName: "gold" },
    true,
  ],
  [
    "as it is about to be",
    { operator: "In", values: ["gold"] },
    {},
    { modifyVolumeStatus: { targetVolumeAttributesClassName: "gold" } },
    true,
  ],
  ["not one of them", { operator: "In", values: ["gold"] }, { volumeAttributesClassName: "silver" }, {}, false],
  ["none of those: none at all", { operator: "NotIn", values: ["gold"] }, {}, {}, true],
] as const)
  test(`match: claims by their class of attributes: ${why}`, () => {
    const matchExpressions = [{ scopeName: "VolumeAttributesClass", ...requirement }];
    const quota = {
      metadata: {},
      spec: { hard: { persistentvolumeclaims: "1" }, scopeSelector: { matchExpressions } },
    };
    const claim = { metadata: {}, spec, status } as KubernetesObject;
    assert.equal(quotaMatches(quota, core("persistentvolumeclaims"), claim), expected);
  });

test("usage: claims of devices take devices of their classes, at worst", () => {
  const exactly = (deviceClassName: string, allocationMode: string, count?: number) => ({
    deviceClassName,
    allocationMode,
    count,
  });
  const requests = [
    { name: "a", exactly: exactly("gpu", "ExactCount", 2) },
    { name: "b", exactly: exactly("nic", "All") },
    {
      name: "c",
      firstAvailable: [
        exactly("gpu", "ExactCount", 1),
        exactly("gpu", "ExactCount", 3),
        exactly("tpu", "ExactCount", 8),
      ],
    },
  ];
  const resource = { group: "resource.k8s.io", resource: "resourceclaims" };
  const claim = { metadata: {}, spec: { devices: { requests } } } as KubernetesObject;
  const amounts = [...quotaUsage(resource, claim, now)].map(([name, amount]) => [name, printQuantity(amount)]);
  assert.deepEqual(Object.fromEntries(amounts), {
    "count/resourceclaims.resource.k8s.io": "1",
    "gpu.deviceclass.resource.k8s.io/devices": "5",
    "nic.deviceclass.resource.k8s.io/devices": "32",
    "tpu.deviceclass.resource.k8s.io/devices": "8",
  });
  assert.deepEqual(countedNames(resource, ["pods", "gpu.deviceclass.resource.k8s.io/devices"]), [
    "gpu.deviceclass.resource.k8s.io/devices",
  ]);
});

test("usage: a pod that is over, or should be, only counts as an object", () => {
  const only = { "count/pods": "1" };
  assert.deepEqual(usage("pods", pod({}, { status: { phase: "Succeeded" } })), only);
  const going = (at: string) => ({ metadata: { deletionTimestamp: at, deletionGracePeriodSeconds: 30 } });
  assert.deepEqual(usage("pods", pod({}, going("2029-12-31T23:59:00Z"))), only);
  assert.equal(usage("pods", pod({}, going("2029-12-31T23:59:45Z"))).pods, "1");
});

test("usage: services take ports of the nodes, claims sizes, others are counted", () => {
  const ports = [{ port: 1 }, { port: 2, nodePort: 30_000 }];
  const service = (spec: object) => usage("services", { spec: { ports, ...spec } });
  assert.equal(service({ type: "ClusterIP" })["services.nodeports"], undefined);
  assert.equal(service({ type: "NodePort" })["services.nodeports"], "2");
  assert.equal(service({ type: "LoadBalancer" })["services.nodeports"], "2");
  const chosen = service({ type: "LoadBalancer", allocateLoadBalancerNodePorts: false });
  assert.deepEqual([chosen["services.nodeports"], chosen["services.loadbalancers"]], ["1", "1"]);
  const claim = { metadata: {}, spec: { storageClassName: "fast", resources: { requests: { storage: "5Gi" } } } };
  assert.equal(usage("persistentvolumeclaims", claim)["fast.storageclass.storage.k8s.io/requests.storage"], "5Gi");
  assert.deepEqual(usage("secrets", {}), { "count/secrets": "1", secrets: "1" });
  const other = quotaUsage({ group: "apps", resource: "deployments" }, {}, now);
  assert.deepEqual([...other.keys()], ["count/deployments.apps"]);
});

test("match: names that a resource is counted by", () => {
  const names = ["pods", "count/pods", "requests.cpu", "secrets", "requests.example.com/gpu", "requests.storage"];
  assert.deepEqual(countedNames(core("pods"), names), [
    "pods",
    "count/pods",
    "requests.cpu",
    "requests.example.com/gpu",
  ]);
  assert.deepEqual(countedNames(core("persistentvolumeclaims"), names), ["requests.storage"]);
  assert.deepEqual(countedNames({ group: "x", resource: "pods" }, names), []);
});

test("match: scopes", () => {
  const covers = (spec: object, object: object, resource = "pods") =>
    quotaMatches(
      { metadata: {}, spec, status: { hard: { pods: "1", secrets: "1" } } },
      core(resource),
      object as KubernetesObject,
    );
  const expression = (scopeName: string, operator: string, ...values: string[]) => ({
    scopeSelector: { matchExpressions: [{ scopeName, operator, values }] },
  });
  const plain = pod({});
  assert.equal(covers({}, plain), true);
  assert.equal(covers({ scopes: ["BestEffort"] }, plain), true);
  assert.equal(covers({ scopes: ["NotBestEffort"] }, plain), false);
  assert.equal(covers({ scopes: ["BestEffort", "Terminating"] }, plain), false);
  assert.equal(covers({ scopes: ["Terminating"] }, pod({ activeDeadlineSeconds: 0 })), true);
  const high = pod({ priorityClassName: "high" });
  assert.equal(covers(expression("PriorityClass", "In", "high"), high), true);
  assert.equal(covers(expression("PriorityClass", "NotIn", "high"), high), false);
  assert.equal(covers(expression("PriorityClass", "DoesNotExist"), plain), true);
  const affinity = (term: object) =>
    pod({
      affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "a", ...term }] } },
    });
  assert.equal(covers({ scopes: ["CrossNamespacePodAffinity"] }, affinity({})), false);
  assert.equal(covers({ scopes: ["CrossNamespacePodAffinity"] }, affinity({ namespaceSelector: {} })), true);
  assert.equal(covers({}, {}, "secrets"), true);
  assert.equal(covers({ scopes: ["BestEffort"] }, {}, "secrets"), false);
});

test("match: each container must name what is counted", () => {
  const spec = { containers: [container({ cpu: "1" }), container({}, { memory: "1" })], initContainers: [] };
  const names = ["limits.memory", "pods", "requests.cpu"];
  assert.deepEqual(missingAmounts(names, pod(spec)), ["limits.memory for: c", "requests.cpu for: c"]);
  assert.deepEqual(missingAmounts(["pods"], pod(spec)), []);
});
