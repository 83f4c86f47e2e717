import { test } from "node:test";
import { assertRefused, one, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  [
    "no handler",
    one({ livenessProbe: {} }),
    ["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
  ],
  [
    "two handlers",
    one({ livenessProbe: { exec: { command: ["x"] }, tcpSocket: { port: 1 } } }),
    ["spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
  ],
  [
    "numbers",
    one({
      livenessProbe: {
        exec: { command: [] },
        initialDelaySeconds: -1,
        timeoutSeconds: -2,
        periodSeconds: -3,
        successThreshold: 2,
        failureThreshold: -4,
        terminationGracePeriodSeconds: 0,
      },
    }),
    [
      "spec.containers[0].livenessProbe.exec.command: Required value",
      "spec.containers[0].livenessProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal to 0",
      "spec.containers[0].livenessProbe.timeoutSeconds: Invalid value: -2: must be greater than or equal to 0",
      "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -3: must be greater than or equal to 0",
      "spec.containers[0].livenessProbe.failureThreshold: Invalid value: -4: must be greater than or equal to 0",
      "spec.containers[0].livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
      "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
    ],
  ],
  [
    "http",
    one({
      readinessProbe: {
        httpGet: { path: "", port: 0, scheme: "ftp", httpHeaders: [{ name: "a b", value: "" }] },
        terminationGracePeriodSeconds: 1,
      },
    }),
    [
      "spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
      'spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: "ftp": supported values: "HTTP", "HTTPS"',
      'spec.containers[0].readinessProbe.httpGet.httpHeaders: Invalid value: "a b": a valid HTTP header …',
      "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes",
    ],
  ],
  [
    "port names",
    one({ livenessProbe: { tcpSocket: { port: "UPPER" } }, startupProbe: { grpc: { port: 0 }, successThreshold: 3 } }),
    [
      'spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: "UPPER": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
      'spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: "UPPER": must contain at least one letter (a-z)',
      "spec.containers[0].startupProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive",
      "spec.containers[0].startupProbe.successThreshold: Invalid value: 3: must be 1",
    ],
  ],
  [
    "hooks",
    one({ lifecycle: { postStart: {}, preStop: { exec: { command: ["x"] }, tcpSocket: { port: 1 } } } }),
    [
      "spec.containers[0].lifecycle.postStart: Required value: must specify a handler type",
      "spec.containers[0].lifecycle.preStop.tcpSocket: Forbidden: may not specify more than 1 handler type",
    ],
  ],
  [
    "sleep",
    one({ lifecycle: { preStop: { sleep: { seconds: 31 } }, postStart: { sleep: { seconds: -1 } } } }),
    [
      "spec.containers[0].lifecycle.postStart.sleep: Invalid value: -1: must be non-negative and less than terminationGracePeriodSeconds (30)",
      "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
    ],
  ],
  [
    "sleep within the grace period",
    one({ lifecycle: { preStop: { sleep: { seconds: 30 } }, postStart: { sleep: { seconds: 0 } } } }),
    [],
  ],
];

test("probes and hooks: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
