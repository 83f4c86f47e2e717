import { test } from "node:test";
import { assertRefused, c, one, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  ["none", { containers: [] }, ["spec.containers: Required value"]],
  ["no name", { containers: [{ image: "i" }] }, ["spec.containers[0].name: Required value"]],
  ["name", one({ name: "A.b" }), ['spec.containers[0].name: Invalid value: "A.b": a lowercase RFC 1123 label …']],
  ["name twice", { containers: [c(), c()] }, ['spec.containers[1].name: Duplicate value: "c"']],
  [
    "name of an init container",
    { initContainers: [c()], containers: [c()] },
    ['spec.initContainers[0].name: Duplicate value: "c"'],
  ],
  ["no image", { containers: [{ name: "c" }] }, ["spec.containers[0].image: Required value"]],
  [
    "spaces around the image",
    one({ image: " i" }),
    ['spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace'],
  ],
  [
    "pull policy",
    one({ imagePullPolicy: "Sometimes" }),
    [
      'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
    ],
  ],
  [
    "termination message policy",
    one({ terminationMessagePolicy: "Loud" }),
    [
      'spec.containers[0].terminationMessagePolicy: Unsupported value: "Loud": supported values: "File", "FallbackToLogsOnError"',
    ],
  ],
  [
    "ephemeral ones from the start",
    { containers: [c()], ephemeralContainers: [{ name: "e", image: "i" }] },
    ["spec.ephemeralContainers: Forbidden: cannot be set on create"],
  ],
  [
    "init containers with hooks and probes",
    {
      containers: [c()],
      initContainers: [
        c({
          name: "i",
          lifecycle: { postStart: { exec: { command: ["x"] } } },
          livenessProbe: { exec: { command: ["x"] } },
          readinessProbe: { exec: { command: ["x"] } },
          startupProbe: { exec: { command: ["x"] } },
        }),
      ],
    },
    [
      "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
      "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
      "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
      "spec.initContainers[0].startupProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
    ],
  ],
  [
    "sidecars may have them",
    {
      containers: [c()],
      initContainers: [
        c({
          name: "i",
          restartPolicy: "Always",
          lifecycle: { postStart: { exec: { command: ["x"] } } },
          livenessProbe: { exec: { command: ["x"] } },
        }),
      ],
    },
    [],
  ],
  [
    "restart policy of an init container",
    { containers: [c()], initContainers: [c({ name: "i", restartPolicy: "Sometimes" })] },
    [
      'spec.initContainers[0].restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"',
    ],
  ],
  [
    "restart rules without a policy",
    one({ restartPolicyRules: [{ action: "Restart", exitCodes: { operator: "In", values: [1] } }] }),
    ["spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used"],
  ],
  [
    "restart rules",
    one({
      restartPolicy: "Never",
      restartPolicyRules: [
        { action: "Odd", exitCodes: { operator: "Is", values: [1] } },
        { action: "Restart" },
        { action: "Restart", exitCodes: { operator: "In", values: [] } },
      ],
    }),
    [
      'spec.containers[0].restartPolicyRules[0].action: Unsupported value: "Odd": supported values: "Restart", "RestartAllContainers"',
      'spec.containers[0].restartPolicyRules[0].exitCodes.operator: Unsupported value: "Is": supported values: "In", "NotIn"',
      "spec.containers[0].restartPolicyRules[1].exitCodes: Required value: must be specified",
    ],
  ],
  [
    "stop signal without an OS",
    one({ lifecycle: { stopSignal: "SIGTERM" } }),
    ["spec.containers[0].lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name`"],
  ],
  [
    "stop signal",
    { ...one({ lifecycle: { stopSignal: "SIGODD" } }), os: { name: "linux" } },
    [
      'spec.containers[0].lifecycle.stopSignal: Unsupported value: "SIGODD": supported values: "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO", "SIGIOT", "SIGKILL", "SIGPIPE", "SIGPOLL", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGRTMAX", "SIGRTMAX-1", "SIGRTMAX-10", "SIGRTMAX-11", "SIGRTMAX-12", "SIGRTMAX-13", "SIGRTMAX-14", "SIGRTMAX-2", "SIGRTMAX-3", "SIGRTMAX-4", "SIGRTMAX-5", "SIGRTMAX-6", "SIGRTMAX-7", "SIGRTMAX-8", "SIGRTMAX-9", "SIGRTMIN", "SIGRTMIN+1", "SIGRTMIN+10", "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14", "SIGRTMIN+15", "SIGRTMIN+2", "SIGRTMIN+3", "SIGRTMIN+4", "SIGRTMIN+5", "SIGRTMIN+6", "SIGRTMIN+7", "SIGRTMIN+8", "SIGRTMIN+9", "SIGSEGV", "SIGSTKFLT", "SIGSTOP", "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ"',
    ],
  ],
  [
    "stop signal of windows",
    { ...one({ lifecycle: { stopSignal: "SIGHUP" } }), os: { name: "windows" } },
    ['spec.containers[0].lifecycle.stopSignal: Unsupported value: "SIGHUP": supported values: "SIGKILL", "SIGTERM"'],
  ],
  [
    "resize policies",
    one({
      resizePolicy: [
        { resourceName: "cpu", restartPolicy: "NotRequired" },
        { resourceName: "cpu", restartPolicy: "NotRequired" },
        { resourceName: "disk", restartPolicy: "Odd" },
      ],
    }),
    [
      'spec.containers[0].resizePolicy[1]: Duplicate value: "cpu"',
      'spec.containers[0].resizePolicy: Unsupported value: "disk": supported values: "cpu", "memory"',
      'spec.containers[0].resizePolicy: Unsupported value: "Odd": supported values: "NotRequired", "RestartContainer"',
    ],
  ],
];

test("containers: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
