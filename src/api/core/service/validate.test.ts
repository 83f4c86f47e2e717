import assert from "node:assert/strict";
import { test } from "node:test";
import { tryCreate } from "../../trial.ts";
import { serviceKind } from "../service.ts";

const ports = [{ port: 80 }];
const withPorts = (spec: object, annotations?: object) => ({
  metadata: { name: "a", namespace: "n", ...(annotations && { annotations }) },
  spec: { ports, ...spec },
});

const refused: readonly (readonly [name: string, service: object, errors: readonly string[]])[] = [
  ["no ports", { spec: {} }, ["spec.ports: Required value"]],
  [
    "odd type",
    withPorts({ type: "Odd" }),
    ['spec.type: Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'],
  ],
  [
    "ports",
    {
      spec: {
        ports: [
          { port: 0 },
          { port: 80, name: "a" },
          { port: 81, name: "a", protocol: "X", targetPort: "UPPER", appProtocol: "a b" },
        ],
      },
    },
    [
      "spec.ports[0].name: Required value",
      "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
      "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
      'spec.ports[2].name: Duplicate value: "a"',
      'spec.ports[2].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
      'spec.ports[2].targetPort: Invalid value: "UPPER": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
      'spec.ports[2].targetPort: Invalid value: "UPPER": must contain at least one letter (a-z)',
      'spec.ports[2].appProtocol: Invalid value: "a b": name part …',
    ],
  ],
  [
    "port twice",
    {
      spec: {
        ports: [
          { port: 80, name: "a" },
          { port: 80, name: "b" },
        ],
      },
    },
    [
      'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}',
    ],
  ],
  [
    "node port of a cluster address",
    { spec: { ports: [{ port: 80, nodePort: 30000 }] } },
    ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
  ],
  [
    "selector",
    withPorts({ selector: { "a b": "c d" } }),
    [
      'spec.selector: Invalid value: "a b": name part …',
      "spec.selector: Invalid value: \"c d\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ],
  ],
  [
    "affinity",
    withPorts({ sessionAffinity: "Odd" }),
    ['spec.sessionAffinity: Unsupported value: "Odd": supported values: "ClientIP", "None"'],
  ],
  [
    "affinity for too long",
    withPorts({ sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 86401 } } }),
    [
      "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400",
    ],
  ],
  [
    "external addresses",
    withPorts({ externalIPs: ["x", "127.0.0.1", "0.0.0.0"] }),
    [
      'spec.externalIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      'spec.externalIPs[1]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
      'spec.externalIPs[2]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)',
    ],
  ],
  [
    "headless balancer",
    withPorts({ type: "LoadBalancer", clusterIP: "None" }),
    ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services"],
  ],
  [
    "name with addresses",
    { spec: { type: "ExternalName", clusterIP: "10.96.0.9", ipFamilies: ["IPv4"] } },
    [
      "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
      "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
      "spec.externalName: Required value",
    ],
  ],
  [
    "name that is none",
    { spec: { type: "ExternalName", externalName: "A_b" } },
    ['spec.externalName: Invalid value: "A_b": a lowercase RFC 1123 subdomain …'],
  ],
  [
    "address and list differ",
    withPorts({ clusterIP: "10.96.0.1", clusterIPs: ["10.96.0.2"] }),
    ['spec.clusterIPs: Invalid value: ["10.96.0.2"]: first value must match `clusterIP`'],
  ],
  [
    "list without address",
    withPorts({ clusterIPs: ["10.96.0.2"] }),
    ['spec.clusterIPs: Invalid value: ["10.96.0.2"]: must be empty when `clusterIP` is not specified'],
  ],
  [
    "address that is none",
    withPorts({ clusterIP: "x" }),
    ['spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
  ],
  [
    "two families in a cluster of one",
    withPorts({ ipFamilyPolicy: "RequireDualStack" }),
    ['spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services'],
  ],
  [
    "the family the cluster doesn't have",
    withPorts({ ipFamilies: ["IPv6"] }),
    ['spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
  ],
  [
    "odd families",
    withPorts({ ipFamilies: ["IPv4", "IPv4"], ipFamilyPolicy: "Odd" }),
    [
      'spec.ipFamilies[1]: Duplicate value: "IPv4"',
      'spec.ipFamilyPolicy: Unsupported value: "Odd": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"',
    ],
  ],
  [
    "source ranges without a balancer",
    withPorts({ loadBalancerSourceRanges: ["10.0.0.0/8"] }),
    ["spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"],
  ],
  [
    "source ranges",
    withPorts({ type: "LoadBalancer", loadBalancerSourceRanges: ["10.0.0.0/33", " 10.0.0.0/8 "] }),
    [
      'spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
    ],
  ],
  [
    "source ranges by annotation",
    withPorts({}, { "service.beta.kubernetes.io/load-balancer-source-ranges": "x" }),
    [
      "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Forbidden: may only be used when `type` is 'LoadBalancer'",
      'metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
    ],
  ],
  [
    "what only balancers have",
    withPorts({ loadBalancerClass: "a", allocateLoadBalancerNodePorts: true }),
    [
      "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
      "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
    ],
  ],
  [
    "class of balancers",
    withPorts({ type: "LoadBalancer", loadBalancerClass: "a b" }),
    ['spec.loadBalancerClass: Invalid value: "a b": name part …'],
  ],
  [
    "traffic policies",
    withPorts({ externalTrafficPolicy: "Local", internalTrafficPolicy: "Odd", trafficDistribution: "Odd" }),
    [
      'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
      'spec.internalTrafficPolicy: Unsupported value: "Odd": supported values: "Cluster", "Local"',
      'spec.trafficDistribution: Unsupported value: "Odd": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"',
    ],
  ],
  [
    "outer policy",
    withPorts({ type: "LoadBalancer", externalTrafficPolicy: "Odd" }),
    ['spec.externalTrafficPolicy: Unsupported value: "Odd": supported values: "Cluster", "Local"'],
  ],
  [
    "health port without need",
    withPorts({ type: "NodePort", externalTrafficPolicy: "Local", healthCheckNodePort: 30001 }),
    [
      "spec.healthCheckNodePort: Invalid value: 30001: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    ],
  ],
  [
    "annotations that differ",
    withPorts({}, { "service.kubernetes.io/topology-mode": "a", "service.kubernetes.io/topology-aware-hints": "b" }),
    [
      'metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "a": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified',
    ],
  ],
];

test("services: what is refused, in upstream's words", () => {
  for (const [name, service, wanted] of refused) {
    const errors = tryCreate(serviceKind, service).errors.map((error) => error.replace(/ must consist of .*$/, " …"));
    assert.deepEqual(errors, wanted, name);
  }
});
