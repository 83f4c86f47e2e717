import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodSpec } from "#api";
import { type AdmissionFacts, refusal } from "./admission.ts";

const pod = (spec: Partial<PodSpec> = {}, labels = {}) => ({
  metadata: { name: "p", labels },
  spec: { containers: [{ name: "c", image: "i" }], ...spec },
});
const withPort = (hostPort: number, hostIP?: string, protocol?: string) =>
  pod({ containers: [{ name: "c", image: "i", ports: [{ containerPort: 80, hostPort, hostIP, protocol }] }] });
const using = (requests: Record<string, string>) =>
  pod({ containers: [{ name: "c", image: "i", resources: { requests } }] });
const affine = (key: string) =>
  pod({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key, operator: "Exists" }] }],
        },
      },
    },
  });

const facts: AdmissionFacts = {
  others: [],
  allocatable: { cpu: "2", memory: "1Gi", pods: "10", "sampan.local/boat": "1" },
  maxPods: 10,
  name: "node1",
  node: { metadata: { name: "node1", labels: { disk: "fast" } } },
};
const tainted = { ...facts, node: { metadata: {}, spec: { taints: [{ key: "k", effect: "NoExecute" }] } } };
const ports = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
const affinity = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";

// conformance: StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Should recreate evicted statefulset
for (const [name, one, known, expected] of [
  ["an ordinary pod", pod(), facts, undefined],
  ["a label that matches", pod({ nodeSelector: { disk: "fast" } }), facts, undefined],
  ["another label", pod({ nodeSelector: { disk: "slow" } }), facts, ["NodeAffinity", affinity]],
  ["an affinity that matches", affine("disk"), facts, undefined],
  ["another affinity", affine("gpu"), facts, ["NodeAffinity", affinity]],
  ["a label of a node that is not known yet", affine("gpu"), { ...facts, node: undefined }, undefined],
  ["a port that is free", withPort(80), { ...facts, others: [withPort(81)] }, undefined],
  ["a port that is taken", withPort(80), { ...facts, others: [withPort(80)] }, ["NodePorts", ports]],
  ["a port of another protocol", withPort(80), { ...facts, others: [withPort(80, "", "UDP")] }, undefined],
  ["a port of another address", withPort(80, "::1"), { ...facts, others: [withPort(80, "127.0.0.1")] }, undefined],
  ["a port of one address", withPort(80, "::1"), { ...facts, others: [withPort(80)] }, ["NodePorts", ports]],
  ["a port of all addresses", withPort(80), { ...facts, others: [withPort(80, "::1")] }, ["NodePorts", ports]],
  [
    "too much cpu",
    using({ cpu: "1" }),
    { ...facts, others: [using({ cpu: "1500m" })] },
    ["OutOfcpu", "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000"],
  ],
  ["cpu that just fits", using({ cpu: "500m" }), { ...facts, others: [using({ cpu: "1500m" })] }, undefined],
  [
    "a device that is taken",
    using({ "sampan.local/boat": "1" }),
    { ...facts, others: [using({ "sampan.local/boat": "1" })] },
    [
      "OutOfsampan.local/boat",
      "Node didn't have enough resource: sampan.local/boat, requested: 1, used: 1, capacity: 1",
    ],
  ],
  ["a resource that the node doesn't count", using({ "sampan.local/sea": "7" }), facts, undefined],
  [
    "one pod too many",
    pod(),
    { ...facts, maxPods: 1, others: [pod()] },
    ["OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 1, capacity: 1"],
  ],
  [
    "a node that is being emptied",
    pod(),
    tainted,
    ["TaintToleration", "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"],
  ],
  ["a taint that is borne", pod({ tolerations: [{ operator: "Exists" }] }), tainted, undefined],
  [
    "a pod for another system",
    pod({ os: { name: "windows" } }),
    facts,
    ["PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"],
  ],
] as const)
  test(`admission: ${name}`, () => {
    const found = refusal(one, known as AdmissionFacts); // the table's literals are read-only
    assert.deepEqual(found && [found.reason, found.message], expected);
  });
