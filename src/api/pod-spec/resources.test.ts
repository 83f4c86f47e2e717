import { test } from "node:test";
import { assertRefused, c, one, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  [
    "names",
    one({ resources: { limits: { disk: "1", "a b": "1", "example.com/gpu": "1", "kubernetes.io/x": "1" } } }),
    [
      'spec.containers[0].resources.limits[disk]: Invalid value: "disk": must be a standard resource type or fully qualified',
      'spec.containers[0].resources.limits[disk]: Invalid value: "disk": must be a standard resource for containers',
      'spec.containers[0].resources.limits[a b]: Invalid value: "a b": name part …',
      'spec.containers[0].resources.limits[a b]: Invalid value: "a b": must be a standard resource for containers',
      'spec.containers[0].resources.requests[disk]: Invalid value: "disk": must be a standard resource type or fully qualified',
      'spec.containers[0].resources.requests[disk]: Invalid value: "disk": must be a standard resource for containers',
      'spec.containers[0].resources.requests[a b]: Invalid value: "a b": name part …',
      'spec.containers[0].resources.requests[a b]: Invalid value: "a b": must be a standard resource for containers',
    ],
  ],
  [
    "amounts",
    one({ resources: { limits: { cpu: "-1", "example.com/gpu": "1500m" } } }),
    [
      'spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
      'spec.containers[0].resources.limits[example.com/gpu]: Invalid value: "1500m": must be an integer',
      'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
      'spec.containers[0].resources.requests[example.com/gpu]: Invalid value: "1500m": must be an integer',
    ],
  ],
  [
    "request above limit",
    one({ resources: { limits: { cpu: "1" }, requests: { cpu: "2" } } }),
    ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
  ],
  [
    "what can't be overcommitted",
    one({ resources: { limits: { "example.com/a": "2" }, requests: { "example.com/a": "1" } } }),
    ['spec.containers[0].resources.requests: Invalid value: "1": must be equal to example.com/a limit of 2'],
  ],
  [
    "huge pages",
    one({ resources: { limits: { "hugepages-2Mi": "3Mi" } } }),
    [
      'spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
      'spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
      "spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
    ],
  ],
  ["huge pages with memory", one({ resources: { limits: { "hugepages-2Mi": "4Mi", memory: "1Gi" } } }), []],
  [
    "claims",
    {
      ...one({
        resources: {
          claims: [{ name: "" }, { name: "a" }, { name: "a" }, { name: "zz" }, { name: "a", request: "R" }],
        },
      }),
      resourceClaims: [{ name: "a", resourceClaimName: "x" }],
    },
    [
      "spec.containers[0].resources.claims[0]: Required value",
      'spec.containers[0].resources.claims[2]: Duplicate value: "a"',
      'spec.containers[0].resources.claims[3]: Not found: "zz": must be one of the names in pod.spec.resourceClaims: a',
      'spec.containers[0].resources.claims[4]: Duplicate value: "a"',
    ],
  ],
  [
    "no claims at all",
    one({ resources: { claims: [{ name: "a" }] } }),
    [
      'spec.containers[0].resources.claims[0]: Not found: "a": must be one of the names in pod.spec.resourceClaims which is empty',
    ],
  ],
  [
    "claims of the pod",
    {
      containers: [c()],
      resourceClaims: [
        { name: "A" },
        { name: "b", resourceClaimName: "x", resourceClaimTemplateName: "y" },
        { name: "b", resourceClaimName: "X" },
      ],
    },
    [
      'spec.resourceClaims[0].name: Invalid value: "A": a lowercase RFC 1123 label …',
      'spec.resourceClaims[0]: Invalid value: {"name":"A"}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`',
      'spec.resourceClaims[1]: Invalid value: {"name":"b","resourceClaimName":"x","resourceClaimTemplateName":"y"}: at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified',
      'spec.resourceClaims[2].name: Duplicate value: "b"',
      'spec.resourceClaims[2].resourceClaimName: Invalid value: "X": a lowercase RFC 1123 subdomain …',
    ],
  ],
  [
    "of the pod",
    {
      containers: [c({ resources: { requests: { cpu: "2" } } })],
      resources: { limits: { cpu: "1" }, requests: { cpu: "1", disk: "1" } },
    },
    [
      'spec.resources.requests[disk]: Invalid value: "disk": must be a standard resource type or fully qualified',
      'spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests of 2',
    ],
  ],
  [
    "of the pod, ephemeral storage",
    { containers: [c()], resources: { requests: { "ephemeral-storage": "1" } } },
    [
      'spec.resources.requests[ephemeral-storage]: Unsupported value: "ephemeral-storage": supported values: "cpu", "hugepages-", "memory"',
    ],
  ],
];

test("resources: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
