import { test } from "node:test";
import { assertRefused, c, one, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  [
    "names",
    one({ env: [{ name: "" }, { name: "a b" }, { name: "1=2" }, { name: "A.B-c" }] }),
    [
      "spec.containers[0].env[0].name: Required value",
      "spec.containers[0].env[2].name: Invalid value: \"1=2\": a valid environment variable name must consist only of printable ASCII characters other than '='",
    ],
  ],
  [
    "value and source",
    one({ env: [{ name: "a", value: "x", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }] }),
    ['spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
  ],
  [
    "no source",
    one({ env: [{ name: "a", valueFrom: {} }] }),
    [
      'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`',
    ],
  ],
  [
    "two sources",
    one({
      env: [
        {
          name: "a",
          valueFrom: { fieldRef: { fieldPath: "metadata.name" }, configMapKeyRef: { name: "m", key: "k" } },
        },
      ],
    }),
    ['spec.containers[0].env[0].valueFrom: Invalid value: "": may not have more than one field specified at a time'],
  ],
  [
    "field",
    one({
      env: [
        { name: "a", valueFrom: { fieldRef: { fieldPath: "spec.restartPolicy" } } },
        { name: "b", valueFrom: { fieldRef: {} } },
        { name: "d", valueFrom: { fieldRef: { fieldPath: "metadata.labels['a b']" } } },
        { name: "e", valueFrom: { fieldRef: { fieldPath: "metadata.name['x']" } } },
      ],
    }),
    [
      'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.restartPolicy": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"',
      "spec.containers[0].env[1].valueFrom.fieldRef.fieldPath: Required value",
      'spec.containers[0].env[2].valueFrom.fieldRef: Invalid value: "a b": name part …',
      "spec.containers[0].env[3].valueFrom.fieldRef.fieldPath: Invalid value: \"metadata.name['x']\": error converting fieldPath: field label does not support subscript: metadata.name['x']",
    ],
  ],
  [
    "fields that exist",
    one({
      env: [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
        "metadata.labels['a']",
        "metadata.annotations['example.com/a']",
      ].map((fieldPath, i) => ({ name: `v${i}`, valueFrom: { fieldRef: { fieldPath } } })),
    }),
    [],
  ],
  [
    "resource",
    one({
      env: [
        { name: "a", valueFrom: { resourceFieldRef: { resource: "limits.disk" } } },
        { name: "b", valueFrom: { resourceFieldRef: { resource: "" } } },
        { name: "d", valueFrom: { resourceFieldRef: { resource: "limits.memory", divisor: "3" } } },
        { name: "e", valueFrom: { resourceFieldRef: { resource: "requests.hugepages-2Mi", divisor: "1Mi" } } },
      ],
    }),
    [
      'spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.disk": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"',
      "spec.containers[0].env[1].valueFrom.resourceFieldRef.resource: Required value",
      'spec.containers[0].env[2].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.memory": only divisor\'s values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource',
    ],
  ],
  [
    "keys",
    one({
      env: [
        { name: "a", valueFrom: { configMapKeyRef: { name: "m", key: "" } } },
        { name: "b", valueFrom: { secretKeyRef: { name: "", key: "a/b" } } },
      ],
    }),
    [
      "spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value",
      'spec.containers[0].env[1].valueFrom.secretKeyRef.name: Invalid value: "": a lowercase RFC 1123 subdomain …',
      'spec.containers[0].env[1].valueFrom.secretKeyRef.key: Invalid value: "a/b": a valid config key …',
    ],
  ],
  [
    "file keys",
    {
      containers: [
        c({
          env: [
            { name: "a", valueFrom: { fileKeyRef: { volumeName: "", path: "/x", key: "" } } },
            { name: "b", valueFrom: { fileKeyRef: { volumeName: "none", path: "x", key: "k" } } },
            { name: "d", valueFrom: { fileKeyRef: { volumeName: "v", path: "x", key: "k" } } },
          ],
        }),
      ],
      volumes: [{ name: "v", hostPath: { path: "/x" } }],
    },
    [
      "spec.containers[0].env[0].valueFrom.fileKeyRef.key: Required value",
      "spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Required value",
      'spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Not found: ""',
      'spec.containers[0].env[1].valueFrom.fileKeyRef.volumeName: Not found: "none"',
      'spec.containers[0].env[2].valueFrom.fileKeyRef.volumeName: Invalid value: "v": referenced volume must be of type emptyDir',
    ],
  ],
  [
    "from",
    one({
      envFrom: [
        {},
        { configMapRef: { name: "" } },
        { configMapRef: { name: "a" }, secretRef: { name: "b" } },
        { prefix: "a=", secretRef: { name: "A" } },
      ],
    }),
    [
      'spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
      "spec.containers[0].envFrom[1].configMapRef.name: Required value",
      'spec.containers[0].envFrom: Invalid value: "": may not have more than one field specified at a time',
      "spec.containers[0].envFrom[3].prefix: Invalid value: \"a=\": a valid environment variable name must consist only of printable ASCII characters other than '='",
      'spec.containers[0].envFrom[3].secretRef.name: Invalid value: "A": a lowercase RFC 1123 subdomain …',
    ],
  ],
];

test("environment: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
