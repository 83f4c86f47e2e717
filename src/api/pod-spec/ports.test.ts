import { test } from "node:test";
import { assertRefused, c, one, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  [
    "numbers",
    one({ ports: [{ containerPort: 0 }, { containerPort: 65536 }, { containerPort: 1, hostPort: -1 }] }),
    [
      "spec.containers[0].ports[0].containerPort: Required value",
      "spec.containers[0].ports[1].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive",
      "spec.containers[0].ports[2].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive",
    ],
  ],
  [
    "names",
    one({
      ports: [
        { containerPort: 1, name: "a" },
        { containerPort: 2, name: "a" },
        { containerPort: 3, name: "UPPER" },
        { containerPort: 4, name: "toolongforaportname" },
        { containerPort: 5, name: "a--b" },
        { containerPort: 6, name: "12" },
      ],
    }),
    [
      'spec.containers[0].ports[1].name: Duplicate value: "a"',
      'spec.containers[0].ports[2].name: Invalid value: "UPPER": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
      'spec.containers[0].ports[2].name: Invalid value: "UPPER": must contain at least one letter (a-z)',
      'spec.containers[0].ports[3].name: Invalid value: "toolongforaportname": must be no more than 15 characters',
      'spec.containers[0].ports[4].name: Invalid value: "a--b": must not contain consecutive hyphens',
      'spec.containers[0].ports[5].name: Invalid value: "12": must contain at least one letter (a-z)',
    ],
  ],
  [
    "protocol",
    one({ ports: [{ containerPort: 1, protocol: "ICMP" }] }),
    ['spec.containers[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"'],
  ],
  [
    "host port twice",
    {
      containers: [
        c({ ports: [{ containerPort: 1, hostPort: 80 }] }),
        c({
          name: "d",
          ports: [
            { containerPort: 2, hostPort: 80 },
            { containerPort: 3, hostPort: 80, protocol: "UDP" },
            { containerPort: 4, hostPort: 80, hostIP: "10.0.0.1" },
          ],
        }),
      ],
    },
    ['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"'],
  ],
  [
    "host port of the host's network",
    { ...one({ ports: [{ containerPort: 80, hostPort: 81 }] }), hostNetwork: true },
    ["spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"],
  ],
  [
    "host port of the host's network, the same",
    { ...one({ ports: [{ containerPort: 80, hostPort: 80 }] }), hostNetwork: true },
    [],
  ],
];

test("ports: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
