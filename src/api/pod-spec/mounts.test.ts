import { test } from "node:test";
import { assertRefused, c, one, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  [
    "of nothing",
    one({
      volumeMounts: [
        { name: "", mountPath: "" },
        { name: "none", mountPath: "/x" },
      ],
    }),
    [
      "spec.containers[0].volumeMounts[0].name: Required value",
      'spec.containers[0].volumeMounts[0].name: Not found: ""',
      "spec.containers[0].volumeMounts[0].mountPath: Required value",
      'spec.containers[0].volumeMounts[1].name: Not found: "none"',
    ],
  ],
  [
    "path twice",
    {
      containers: [
        c({
          volumeMounts: [
            { name: "v", mountPath: "/x" },
            { name: "v", mountPath: "/x" },
          ],
        }),
      ],
      volumes: [{ name: "v", emptyDir: {} }],
    },
    ['spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/x": must be unique'],
  ],
  [
    "sub paths",
    {
      containers: [
        c({
          volumeMounts: [
            { name: "v", mountPath: "/x", subPath: "/a" },
            { name: "v", mountPath: "/y", subPath: "a/../b" },
            { name: "v", mountPath: "/z", subPath: "a", subPathExpr: "b" },
          ],
        }),
      ],
      volumes: [{ name: "v", emptyDir: {} }],
    },
    [
      'spec.containers[0].volumeMounts.subPath: Invalid value: "/a": must be a relative path',
      "spec.containers[0].volumeMounts.subPath: Invalid value: \"a/../b\": must not contain '..'",
      'spec.containers[0].volumeMounts[2].subPathExpr: Invalid value: "b": subPathExpr and subPath are mutually exclusive',
    ],
  ],
  [
    "propagation",
    {
      containers: [
        c({
          volumeMounts: [
            { name: "v", mountPath: "/x", mountPropagation: "Odd" },
            { name: "v", mountPath: "/y", mountPropagation: "Bidirectional" },
          ],
        }),
      ],
      volumes: [{ name: "v", emptyDir: {} }],
    },
    [
      'spec.containers[0].volumeMounts.mountPropagation: Unsupported value: "Odd": supported values: "Bidirectional", "HostToContainer", "None"',
      "spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
    ],
  ],
  [
    "read only all the way down",
    {
      containers: [
        c({
          volumeMounts: [
            { name: "v", mountPath: "/x", recursiveReadOnly: "Enabled" },
            { name: "v", mountPath: "/y", readOnly: true, recursiveReadOnly: "Odd" },
          ],
        }),
      ],
      volumes: [{ name: "v", emptyDir: {} }],
    },
    [
      "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
      'spec.containers[0].volumeMounts.recursiveReadOnly: Unsupported value: "Odd": supported values: "Disabled", "Enabled", "IfPossible"',
    ],
  ],
  [
    "images",
    {
      containers: [c({ volumeMounts: [{ name: "v", mountPath: "/x", subPathExpr: "a" }] })],
      volumes: [{ name: "v", image: { reference: "i" } }],
    },
    [],
  ],
  [
    "devices",
    {
      containers: [
        c({
          volumeDevices: [
            { name: "", devicePath: "" },
            { name: "v", devicePath: "/x" },
            { name: "p", devicePath: "/a/../b" },
            { name: "p", devicePath: "/d" },
          ],
          volumeMounts: [{ name: "p", mountPath: "/d" }],
        }),
      ],
      volumes: [
        { name: "v", emptyDir: {} },
        { name: "p", persistentVolumeClaim: { claimName: "c" } },
      ],
    },
    [
      'spec.containers[0].volumeMounts[0].name: Invalid value: "p": must not already exist in volumeDevices',
      'spec.containers[0].volumeMounts[0].mountPath: Invalid value: "/d": must not already exist as a path in volumeDevices',
      "spec.containers[0].volumeDevices[0].name: Required value",
      'spec.containers[0].volumeDevices[0].name: Not found: ""',
      "spec.containers[0].volumeDevices[0].devicePath: Required value",
      'spec.containers[0].volumeDevices[1].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
      "spec.containers[0].volumeDevices[2].devicePath: Invalid value: \"/a/../b\": can not contain backsteps ('..')",
      'spec.containers[0].volumeDevices[2].name: Invalid value: "p": must not already exist in volumeMounts',
      'spec.containers[0].volumeDevices[3].name: Invalid value: "p": must be unique',
      'spec.containers[0].volumeDevices[3].name: Invalid value: "p": must not already exist in volumeMounts',
      'spec.containers[0].volumeDevices[3].devicePath: Invalid value: "/d": must not already exist as a path in volumeMounts',
    ],
  ],
];

test("mounts: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
