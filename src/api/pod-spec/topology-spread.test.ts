import { test } from "node:test";
import { assertRefused, c, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  [
    "spread",
    {
      containers: [c()],
      topologySpreadConstraints: [
        {
          maxSkew: 0,
          topologyKey: "",
          whenUnsatisfiable: "Odd",
          minDomains: 0,
          nodeAffinityPolicy: "Odd",
          matchLabelKeys: ["a"],
        },
        {
          maxSkew: 1,
          topologyKey: "k",
          whenUnsatisfiable: "ScheduleAnyway",
          minDomains: 1,
          labelSelector: { matchExpressions: [{ key: "a", operator: "Odd" }] },
        },
        { maxSkew: 2, topologyKey: "k", whenUnsatisfiable: "ScheduleAnyway", labelSelector: {} },
      ],
    },
    [
      "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
      "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
      'spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Odd": supported values: "DoNotSchedule", "ScheduleAnyway"',
      "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be greater than zero",
      "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not Odd",
      'spec.topologySpreadConstraints[0].nodeAffinityPolicy: Unsupported value: "Odd": supported values: "Honor", "Ignore"',
      "spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
      'spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}: Duplicate value: "{k, ScheduleAnyway}"',
      "spec.topologySpreadConstraints[1].minDomains: Invalid value: 1: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
      'spec.topologySpreadConstraints[1].labelSelector.matchExpressions[0].operator: Invalid value: "Odd": not a valid selector operator',
    ],
  ],
  [
    "tolerations",
    {
      containers: [c()],
      tolerations: [
        { key: "a b", operator: "Equal" },
        { operator: "Equal", value: "x" },
        { key: "a", operator: "Exists", value: "x" },
        { key: "a", operator: "Odd" },
        { key: "a", effect: "Odd" },
        { key: "a", effect: "NoSchedule", tolerationSeconds: 1 },
        { key: "a", value: "a b" },
      ],
    },
    [
      'spec.tolerations[0].key: Invalid value: "a b": name part …',
      'spec.tolerations[1].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
      "spec.tolerations[2].operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'",
      'spec.tolerations[3].operator: Unsupported value: "Odd": supported values: "Equal", "Exists"',
      'spec.tolerations[4].effect: Unsupported value: "Odd": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
      "spec.tolerations[5].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
      "spec.tolerations[6].operator: Invalid value: \"a b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ],
  ],
  [
    "scheduling gates",
    { containers: [c()], schedulingGates: [{ name: "" }, { name: "a b" }, { name: "x.io/a" }, { name: "x.io/a" }] },
    [
      'spec.schedulingGates[0]: Invalid value: "": name part must be non-empty',
      'spec.schedulingGates[0]: Invalid value: "": name part …',
      'spec.schedulingGates[1]: Invalid value: "a b": name part …',
      'spec.schedulingGates[3]: Duplicate value: "x.io/a"',
    ],
  ],
  [
    "gates and a node",
    { containers: [c()], nodeName: "n", schedulingGates: [{ name: "x" }] },
    ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
  ],
  [
    "readiness gates",
    { containers: [c()], readinessGates: [{ conditionType: "a b" }] },
    ['spec.readinessGates[0].conditionType: Invalid value: "a b": name part …'],
  ],
];

test("spread, tolerations and gates: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
