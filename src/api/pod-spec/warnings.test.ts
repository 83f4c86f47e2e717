import assert from "node:assert/strict";
import { test } from "node:test";
import { podKind } from "../core/pod.ts";
import { podTemplateKind } from "../core/pod-template.ts";
import { tryCreate } from "../trial.ts";
import { c, one } from "./pod-trial.ts";

const cases: readonly [name: string, pod: object, warnings: string[]][] = [
  ["nothing odd", { spec: one({}) }, []],
  [
    "a name with dots",
    { metadata: { name: "a.b" }, spec: one({}) },
    [
      "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
    ],
  ],
  [
    "old labels of nodes",
    {
      spec: {
        ...one({}),
        nodeSelector: { "beta.kubernetes.io/os": "linux" },
        topologySpreadConstraints: [
          { maxSkew: 1, topologyKey: "failure-domain.beta.kubernetes.io/zone", whenUnsatisfiable: "DoNotSchedule" },
        ],
      },
    },
    [
      'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
      'spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
      "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
    ],
  ],
  [
    "a variable twice",
    { spec: one({ env: [{ name: "a" }, { name: "a", value: "x" }] }) },
    ['spec.containers[0].env[1]: hides previous definition of "a", which may be dropped when using apply'],
  ],
  [
    "a variable twice, with the first one's value",
    {
      spec: one({
        env: [
          { name: "a", value: "1" },
          { name: "a", value: "2" },
        ],
      }),
    },
    ['spec.containers[0].env[1]: hides previous definition of "a", which may be dropped when using apply'],
  ],
  [
    "bytes that aren't whole",
    { spec: one({ resources: { requests: { memory: "1500m" } } }) },
    ['spec.containers[0].resources.requests[memory]: fractional byte value "1500m" is invalid, must be an integer'],
  ],
  [
    "ports twice",
    { spec: one({ ports: [{ containerPort: 80 }, { containerPort: 80 }] }) },
    ["spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"],
  ],
  [
    "a secret without a name",
    { spec: { ...one({}), imagePullSecrets: [{ name: "" }] } },
    ['spec.imagePullSecrets[0].name: invalid empty name ""'],
  ],
  [
    "secrets twice",
    { spec: { ...one({}), imagePullSecrets: [{ name: "a" }, { name: "a" }] } },
    ['spec.imagePullSecrets[1].name: duplicate name "a"'],
  ],
  [
    "aliases twice",
    { spec: { ...one({}), hostAliases: [{ ip: "10.0.0.1" }, { ip: "10.0.0.1" }] } },
    ['spec.hostAliases[1].ip: duplicate ip "10.0.0.1"'],
  ],
  [
    "an address of another notation",
    { spec: { ...one({}), hostAliases: [{ ip: "010.0.0.1" }] } },
    [
      'spec.hostAliases[0].ip: non-standard IP address "010.0.0.1" will be considered invalid in a future Kubernetes release: use "10.0.0.1"',
    ],
  ],
  [
    "volumes of old",
    {
      spec: {
        ...one({}),
        volumes: [
          { name: "a", gitRepo: { repository: "r" } },
          { name: "b", cephfs: { monitors: ["m"] } },
          { name: "d", rbd: { monitors: ["m"], image: "i" } },
        ],
      },
    },
    [
      "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
      "spec.volumes[1].cephfs: deprecated in v1.28, non-functional in v1.31+",
      "spec.volumes[2].rbd: deprecated in v1.28, non-functional in v1.31+",
    ],
  ],
  [
    "a selector that is missing",
    {
      spec: {
        ...one({}),
        affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "k" }] } },
      },
    },
    [
      "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod",
    ],
  ],
  ["short grace, which a pod never has for long", { spec: { ...one({}), terminationGracePeriodSeconds: -1 } }, []],
  [
    "annotations of old",
    { metadata: { name: "a", annotations: { "scheduler.alpha.kubernetes.io/critical-pod": "" } }, spec: one({}) },
    [
      'metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead',
    ],
  ],
];

test("pods: what is warned about, in upstream's words", () => {
  for (const [name, pod, warnings] of cases) assert.deepEqual(tryCreate(podKind, pod).warnings, warnings, name);
});

test("templates are warned about at their place", () => {
  const env = [{ name: "a" }, { name: "a", value: "x" }];
  const spec = { containers: [c({ env })], terminationGracePeriodSeconds: -1 };
  const { warnings } = tryCreate(podTemplateKind, { template: { spec } });
  assert.deepEqual(warnings, [
    'template.spec.containers[0].env[1]: hides previous definition of "a", which may be dropped when using apply',
    "template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
  ]);
});
