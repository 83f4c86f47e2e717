import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodSpec, ResourceRequirements } from "../../types.d.ts";
import { computeQosClass } from "./qos.ts";

const spec = (...resources: ResourceRequirements[]): PodSpec => ({
  containers: resources.map((each, i) => ({ name: `c${i}`, resources: each })),
});
const same = (cpu: string, memory: string) => ({ limits: { cpu, memory }, requests: { cpu, memory } });

test("the class of service follows from what all containers ask for", () => {
  const cases: [string, PodSpec, string][] = [
    ["nothing", spec({}), "BestEffort"],
    ["zero is nothing", spec({ requests: { cpu: "0" } }), "BestEffort"],
    ["what else there is doesn't count", spec({ limits: { "example.com/gpu": "1" } }), "BestEffort"],
    ["as much as the limit", spec(same("1", "1Gi")), "Guaranteed"],
    [
      "written differently",
      spec({ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1000m", memory: "1024Mi" } }),
      "Guaranteed",
    ],
    ["only requests", spec({ requests: { cpu: "1" } }), "Burstable"],
    [
      "less than the limit",
      spec({ limits: { cpu: "2", memory: "1" }, requests: { cpu: "1", memory: "1" } }),
      "Burstable",
    ],
    ["one resource only", spec({ limits: { cpu: "1" }, requests: { cpu: "1" } }), "Burstable"],
    ["one container without", spec(same("1", "1Gi"), {}), "Burstable"],
    ["an init container counts", { ...spec(same("1", "1Gi")), initContainers: [{ name: "i" }] }, "Burstable"],
    ["the pod's own decide", { ...spec({}), resources: same("1", "1Gi") }, "Guaranteed"],
    ["the pod's own, in part", { ...spec(same("1", "1Gi")), resources: { requests: { cpu: "2" } } }, "Burstable"],
  ];
  for (const [name, each, wanted] of cases) assert.equal(computeQosClass(each), wanted, name);
});
