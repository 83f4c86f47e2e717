import { test } from "node:test";
import { assertRefused, c, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  [
    "dns policy",
    { containers: [c()], dnsPolicy: "Odd" },
    [
      'spec.dnsPolicy: Unsupported value: "Odd": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"',
    ],
  ],
  [
    "no dns",
    { containers: [c()], dnsPolicy: "None" },
    ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
  ],
  [
    "dns config",
    {
      containers: [c()],
      dnsConfig: {
        nameservers: ["1.1.1.1", "x", "3.3.3.3", "4.4.4.4"],
        searches: ["a b", "a_b", "."],
        options: [{ name: "" }],
      },
    },
    [
      'spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","x","3.3.3.3","4.4.4.4"]: must not have more than 3 nameservers',
      'spec.dnsConfig.nameservers[1]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      'spec.dnsConfig.searches[0]: Invalid value: "a b": a lowercase RFC 1123 subdomain …',
      "spec.dnsConfig.options[0]: Required value: must not be empty",
    ],
  ],
  [
    "host aliases",
    { containers: [c()], hostAliases: [{ ip: "x", hostnames: ["a b"] }] },
    [
      'spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      'spec.hostAliases[0].hostnames[0]: Invalid value: "a b": a lowercase RFC 1123 subdomain …',
    ],
  ],
  [
    "hostname",
    { containers: [c()], hostname: "a.b", subdomain: "A" },
    [
      'spec.hostname: Invalid value: "a.b": must not contain dots',
      'spec.subdomain: Invalid value: "A": a lowercase RFC 1123 label …',
    ],
  ],
  [
    "hostname override",
    { containers: [c()], hostnameOverride: "A", setHostnameAsFQDN: true },
    [
      "spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true",
      'spec.hostnameOverride: Invalid value: "A": a lowercase RFC 1123 subdomain …',
    ],
  ],
  [
    "hostname override of the host",
    { containers: [c()], hostnameOverride: "a", hostNetwork: true },
    ["spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true"],
  ],
  [
    "account, scheduler, class, node",
    {
      containers: [c()],
      serviceAccountName: "A",
      schedulerName: "A",
      priorityClassName: "A",
      nodeName: "A",
      runtimeClassName: "A",
    },
    [
      'spec.serviceAccountName: Invalid value: "A": a lowercase RFC 1123 subdomain …',
      'spec.nodeName: Invalid value: "A": a lowercase RFC 1123 subdomain …',
      'spec.priorityClassName: Invalid value: "A": a lowercase RFC 1123 subdomain …',
      'spec.runtimeClassName: Invalid value: "A": a lowercase RFC 1123 subdomain …',
    ],
  ],
  [
    "numbers",
    { containers: [c()], terminationGracePeriodSeconds: -1, activeDeadlineSeconds: 0 },
    ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
  ],
  [
    "restart policy",
    { containers: [c()], restartPolicy: "Odd" },
    ['spec.restartPolicy: Unsupported value: "Odd": supported values: "Always", "OnFailure", "Never"'],
  ],
  ["pull secrets", { containers: [c()], imagePullSecrets: [{ name: "" }] }, []],
  [
    "preemption",
    { containers: [c()], preemptionPolicy: "Odd" },
    ['spec.preemptionPolicy: Unsupported value: "Odd": supported values: "PreemptLowerPriority", "Never"'],
  ],
  [
    "overhead",
    { containers: [c()], overhead: { cpu: "-1", disk: "1" } },
    [
      'spec.overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
      'spec.overhead.limits[disk]: Invalid value: "disk": must be a standard resource type or fully qualified',
      'spec.overhead.limits[disk]: Invalid value: "disk": must be a standard resource for containers',
    ],
  ],
];

test("names inside a pod: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
