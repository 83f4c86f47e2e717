import { test } from "node:test";
import { assertRefused, c, one, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  [
    "users and groups",
    {
      ...one({ securityContext: { runAsUser: -1, runAsGroup: 2147483648 } }),
      securityContext: { runAsUser: -1, runAsGroup: -1, fsGroup: -1, supplementalGroups: [-1] },
    },
    [
      "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
      "spec.containers[0].securityContext.runAsGroup: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive",
      "spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
      "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
      "spec.securityContext.runAsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
      "spec.securityContext.supplementalGroups[0]: Invalid value: -1: must be between 0 and 2147483647, inclusive",
    ],
  ],
  [
    "policies",
    {
      containers: [c()],
      securityContext: { fsGroupChangePolicy: "Odd", supplementalGroupsPolicy: "Odd", seLinuxChangePolicy: "Odd" },
    },
    [
      'spec.securityContext.fsGroupChangePolicy: Unsupported value: "Odd": supported values: "Always", "OnRootMismatch"',
      'spec.securityContext.supplementalGroupsPolicy: Unsupported value: "Odd": supported values: "Merge", "Strict"',
      'spec.securityContext.seLinuxChangePolicy: Unsupported value: "Odd": supported values: "MountOption", "Recursive"',
    ],
  ],
  [
    "seccomp",
    {
      ...one({ securityContext: { seccompProfile: { type: "Localhost" } } }),
      securityContext: { seccompProfile: { type: "RuntimeDefault", localhostProfile: "x" } },
    },
    [
      "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
      'spec.securityContext.seccompProfile.localhostProfile: Invalid value: {"type":"RuntimeDefault","localhostProfile":"x"}: can only be set when seccomp type is Localhost',
    ],
  ],
  [
    "seccomp of old",
    one({ securityContext: { seccompProfile: { type: "Odd" } } }),
    [
      'spec.containers[0].securityContext.seccompProfile.type: Unsupported value: "Odd": supported values: "Localhost", "RuntimeDefault", "Unconfined"',
    ],
  ],
  [
    "app armor",
    one({ securityContext: { appArmorProfile: { type: "Localhost" } } }),
    [
      "spec.containers[0].securityContext.appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost",
    ],
  ],
  [
    "privileges",
    one({ securityContext: { privileged: true, allowPrivilegeEscalation: false } }),
    [
      'spec.containers[0].securityContext: Invalid value: {"privileged":true,"allowPrivilegeEscalation":false}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
    ],
  ],
  [
    "capability",
    one({ securityContext: { allowPrivilegeEscalation: false, capabilities: { add: ["CAP_SYS_ADMIN"] } } }),
    [
      'spec.containers[0].securityContext: Invalid value: {"allowPrivilegeEscalation":false,"capabilities":{"add":["CAP_SYS_ADMIN"]}}: cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN',
    ],
  ],
  [
    "proc mount",
    one({ securityContext: { procMount: "Unmasked" } }),
    [
      'spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`',
    ],
  ],
  ["proc mount of a user namespace", { ...one({ securityContext: { procMount: "Unmasked" } }), hostUsers: false }, []],
  [
    "user namespace and the host's",
    { containers: [c()], hostUsers: false, hostNetwork: true, hostPID: true, hostIPC: true },
    [
      "spec.hostNetwork: Forbidden: when `hostUsers` is false",
      "spec.HostPID: Forbidden: when `hostUsers` is false",
      "spec.HostIPC: Forbidden: when `hostUsers` is false",
    ],
  ],
  [
    "sysctls",
    {
      containers: [c()],
      securityContext: {
        sysctls: [
          { name: "", value: "" },
          { name: "a b", value: "" },
          { name: "kernel.shm", value: "1" },
          { name: "kernel.shm", value: "1" },
        ],
      },
    },
    [
      "spec.securityContext.sysctls[0].name: Required value",
      'spec.securityContext.sysctls[1].name: Invalid value: "a b": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$',
      'spec.securityContext.sysctls[3].name: Duplicate value: "kernel.shm"',
    ],
  ],
  [
    "sysctls of the host",
    {
      containers: [c()],
      hostNetwork: true,
      hostIPC: true,
      securityContext: {
        sysctls: [
          { name: "net.x", value: "1" },
          { name: "kernel.shm_x", value: "1" },
        ],
      },
    },
    [
      "spec.securityContext.sysctls[0].name: Invalid value: \"net.x\": may not be specified when 'hostNetwork' is true",
      "spec.securityContext.sysctls[1].name: Invalid value: \"kernel.shm_x\": may not be specified when 'hostIPC' is true",
    ],
  ],
  [
    "shared processes and the host's",
    { containers: [c()], hostPID: true, shareProcessNamespace: true },
    [
      "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
    ],
  ],
  [
    "windows names",
    one({
      securityContext: { windowsOptions: { runAsUserName: "", gmsaCredentialSpecName: "A", gmsaCredentialSpec: "" } },
    }),
    [
      'spec.containers[0].securityContext.windowsOptions.gmsaCredentialSpecName: Invalid value: "A": a lowercase RFC 1123 subdomain …',
      'spec.containers[0].securityContext.windowsOptions.gmsaCredentialSpec: Invalid value: "": gmsaCredentialSpec cannot be an empty string',
      'spec.containers[0].securityContext.windowsOptions.runAsUserName: Invalid value: "": runAsUserName cannot be an empty string',
    ],
  ],
  [
    "windows users",
    {
      containers: ["a\\b\\c", "\\u", "d\\", "...", "a*b", "x".repeat(105)].map((runAsUserName, i) =>
        c({ name: `c${i}`, securityContext: { windowsOptions: { runAsUserName } } }),
      ),
    },
    [
      'spec.containers[0].securityContext.windowsOptions.runAsUserName: Invalid value: "a\\\\b\\\\c": runAsUserName cannot contain more than one backslash',
      "spec.containers[1].securityContext.windowsOptions.runAsUserName: Invalid value: \"\\\\u\": runAsUserName's Domain doesn't match the NetBios nor the DNS format",
      'spec.containers[2].securityContext.windowsOptions.runAsUserName: Invalid value: "d\\\\": runAsUserName\'s User cannot be empty',
      'spec.containers[3].securityContext.windowsOptions.runAsUserName: Invalid value: "...": runAsUserName\'s User cannot contain only periods or spaces',
      'spec.containers[4].securityContext.windowsOptions.runAsUserName: Invalid value: "a*b": runAsUserName\'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]',
      'spec.containers[5].securityContext.windowsOptions.runAsUserName: Invalid value: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": runAsUserName\'s User length must not be longer than 104 characters',
    ],
  ],
  [
    "windows host process",
    { containers: [c({ securityContext: { windowsOptions: { hostProcess: true } } }), c({ name: "d" })] },
    [
      'spec: Invalid value: "": If pod contains any hostProcess containers then all containers must be HostProcess containers',
      "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
    ],
  ],
  [
    "OS",
    { containers: [c()], os: { name: "plan9" } },
    ['spec.os: Unsupported value: "plan9": supported values: "linux", "windows"'],
  ],
  [
    "windows has no linux",
    {
      ...one({ securityContext: { privileged: true, runAsUser: 1, seLinuxOptions: { user: "u" } } }),
      os: { name: "windows" },
      hostPID: true,
      securityContext: { fsGroup: 1 },
    },
    [
      "spec.securityContext.fsGroup: Forbidden: cannot be set for a windows pod",
      "spec.hostPID: Forbidden: cannot be set for a windows pod",
      "spec.containers[0].securityContext.seLinuxOptions: Forbidden: cannot be set for a windows pod",
      "spec.containers[0].securityContext.privileged: Forbidden: cannot be set for a windows pod",
      "spec.containers[0].securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
    ],
  ],
  [
    "linux has no windows",
    { ...one({ securityContext: { windowsOptions: { runAsUserName: "a" } } }), os: { name: "linux" } },
    ["spec.containers[0].securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"],
  ],
];

test("security: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
