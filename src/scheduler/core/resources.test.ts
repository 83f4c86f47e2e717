import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, PodSpec } from "#api";
import { makePod } from "./fixtures.ts";
import { podRequests, type Resources } from "./resources.ts";

const container = (cpu?: string, memory?: string, more: Partial<Container> = {}): Container => ({
  name: "c",
  resources: { requests: { ...(cpu ? { cpu } : {}), ...(memory ? { memory } : {}) } },
  ...more,
});
const sidecar = (cpu: string): Container => container(cpu, undefined, { restartPolicy: "Always" });
const mebi = 1024 * 1024;

const cases: { name: string; spec: PodSpec; assume?: boolean; expected: Partial<Resources> }[] = [
  { name: "nothing", spec: { containers: [container()] }, expected: { milliCpu: 0, memory: 0 } },
  {
    name: "containers add up, fractions round up",
    spec: { containers: [container("100m", "1Mi"), container("0.0001", "1.5Mi")] },
    expected: { milliCpu: 101, memory: 2.5 * mebi },
  },
  {
    name: "the largest init container counts if it is more",
    spec: { initContainers: [container("2"), container("1", "3Mi")], containers: [container("500m", "1Mi")] },
    expected: { milliCpu: 2000, memory: 3 * mebi },
  },
  {
    name: "a sidecar runs beside the containers and later init containers",
    spec: { initContainers: [container("300m"), sidecar("200m"), container("1")], containers: [container("900m")] },
    expected: { milliCpu: 1200 },
  },
  {
    name: "a sidecar runs beside the containers",
    spec: { initContainers: [sidecar("200m"), container("500m")], containers: [container("900m")] },
    expected: { milliCpu: 1100 },
  },
  {
    name: "the pod's own requests replace the sum; overhead comes on top",
    spec: {
      resources: { requests: { cpu: "3" } },
      overhead: { cpu: "100m", memory: "1Mi" },
      containers: [container("1", "1Mi")],
    },
    expected: { milliCpu: 3100, memory: 2 * mebi },
  },
  {
    name: "when nodes are compared, a container that asks for nothing counts a little, one that asks for 0 not",
    spec: { containers: [container(), container("0", "0")] },
    assume: true,
    expected: { milliCpu: 100, memory: 200 * mebi },
  },
];

for (const { name, spec, assume, expected } of cases) {
  test(`pod requests: ${name}`, () => {
    const requests = podRequests(makePod("p", { spec }), { assume });
    for (const [resource, amount] of Object.entries(expected))
      assert.equal(requests[resource as keyof Resources], amount);
  });
}

test("pod requests: extended resources and huge pages by name", () => {
  const { others } = podRequests(makePod("p", { requests: { "example.com/gpu": "2", "hugepages-2Mi": "4Mi" } }));
  assert.deepEqual(
    [...others],
    [
      ["example.com/gpu", 2],
      ["hugepages-2Mi", 4 * mebi],
    ],
  );
});

test("pod requests: while a container is resized the larger of wanted and held counts, unless the resize can't be", () => {
  const status = { name: "c", ready: true, restartCount: 0, image: "", imageID: "" };
  const held = { ...status, allocatedResources: { cpu: "2" }, resources: { requests: { cpu: "1500m" } } };
  const pod = makePod("p", { requests: { cpu: "1" }, status: { containerStatuses: [held] } });
  assert.equal(podRequests(pod).milliCpu, 2000);
  const wanted = makePod("p", { requests: { cpu: "8" }, status: { containerStatuses: [held] } });
  assert.equal(podRequests(wanted).milliCpu, 8000);
  const conditions = [{ type: "PodResizePending", status: "True", reason: "Infeasible" }];
  const refused = makePod("p", { requests: { cpu: "8" }, status: { containerStatuses: [held], conditions } });
  assert.equal(podRequests(refused).milliCpu, 2000);
});

test("pod requests: those of the whole pod replace the sum, and what is assumed for containers that ask for nothing", () => {
  const spec = { resources: { requests: { cpu: "2" } }, overhead: { cpu: "100m" } };
  const pod = makePod("p", { requests: { memory: "64Mi" }, spec });
  const counted = (options = {}) => {
    const { milliCpu, memory } = podRequests(pod, options);
    return [milliCpu, memory / mebi];
  };
  assert.deepEqual(counted(), [2100, 64]);
  assert.deepEqual(counted({ assume: true }), [2100, 64]);
  assert.deepEqual(counted({ assume: true, podLevel: false }), [200, 64]);
  const resized = { ...pod, status: { resources: { requests: { cpu: "3" } }, allocatedResources: { cpu: "4" } } };
  assert.equal(podRequests(resized).milliCpu, 4100);
});
