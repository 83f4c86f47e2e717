import assert from "node:assert/strict";
import { test } from "node:test";
import { podKind } from "../core/pod.ts";
import { podTemplateKind } from "../core/pod-template.ts";
import { tryCreate } from "../trial.ts";
import type { PodSpec } from "../types.d.ts";
import { c } from "./pod-trial.ts";

const specOf = (spec: object): PodSpec => tryCreate(podKind, { spec }).object.spec ?? { containers: [] };

test("a pod: what a client leaves out", () => {
  const { containers, ...rest } = specOf({ containers: [{ name: "c", image: "demo/a:1" }] });
  assert.deepEqual(containers, [
    {
      name: "c",
      image: "demo/a:1",
      resources: {},
      imagePullPolicy: "IfNotPresent",
      terminationMessagePath: "/dev/termination-log",
      terminationMessagePolicy: "File",
    },
  ]);
  assert.deepEqual(rest, {
    restartPolicy: "Always",
    dnsPolicy: "ClusterFirst",
    enableServiceLinks: true,
    securityContext: {},
    terminationGracePeriodSeconds: 30,
    schedulerName: "default-scheduler",
  });
});

// The suite's "Pods Extended Pod TerminationGracePeriodSeconds is negative pod with negative grace period".
test("a negative grace period is one second, for pods but not for templates", () => {
  const spec = { terminationGracePeriodSeconds: -1, containers: [c()] };
  assert.equal(specOf(spec).terminationGracePeriodSeconds, 1);
  const { object } = tryCreate(podTemplateKind, { template: { spec } });
  assert.equal(object.template?.spec?.terminationGracePeriodSeconds, -1);
});

test("a pull policy follows the image's tag", () => {
  const cases: [string, string][] = [
    ["a", "Always"],
    ["a:latest", "Always"],
    ["a:1", "IfNotPresent"],
    ["registry:5000/a", "Always"],
    ["a@sha256:0000000000000000000000000000000000000000000000000000000000000000", "IfNotPresent"],
    ["a:latest@sha256:0000000000000000000000000000000000000000000000000000000000000000", "Always"],
    ["not an image!", "IfNotPresent"],
  ];
  for (const [image, policy] of cases) {
    assert.equal(specOf({ containers: [c({ image })] }).containers[0]?.imagePullPolicy, policy, image);
  }
});

test("probes, hooks, ports and environment are completed", () => {
  const [container] = specOf({
    containers: [
      c({
        ports: [{ containerPort: 1 }],
        env: [{ name: "a", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
        livenessProbe: { httpGet: { port: 1 } },
        startupProbe: { grpc: { port: 1 } },
        lifecycle: { preStop: { httpGet: { port: 1 } } },
      }),
    ],
  }).containers;
  assert.deepEqual(container?.ports, [{ containerPort: 1, protocol: "TCP" }]);
  assert.deepEqual(container?.env?.[0]?.valueFrom, { fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } });
  const times = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 };
  const http = { path: "/", port: 1, scheme: "HTTP" };
  assert.deepEqual(container?.livenessProbe, { httpGet: http, ...times });
  assert.deepEqual(container?.startupProbe, { grpc: { port: 1, service: "" }, ...times });
  assert.deepEqual(container?.lifecycle, { preStop: { httpGet: http } });
});

test("a container that is limited requests as much, in a pod but not in a template", () => {
  const limits = { cpu: "1", memory: "1Gi" };
  const containers = [c({ resources: { limits, requests: { cpu: "500m" } } })];
  assert.deepEqual(specOf({ containers }).containers[0]?.resources?.requests, { cpu: "500m", memory: "1Gi" });
  const { object } = tryCreate(podTemplateKind, { template: { spec: { containers } } });
  assert.deepEqual(object.template?.spec?.containers?.[0]?.resources?.requests, { cpu: "500m" });
});

test("amounts are thousandths at the finest", () => {
  const containers = [c({ resources: { requests: { cpu: "0.0001", memory: "1e3" } } })];
  assert.deepEqual(specOf({ containers }).containers[0]?.resources?.requests, { cpu: "1m", memory: "1e3" });
});

test("ports of a pod in the host's network are the host's", () => {
  const spec = specOf({ containers: [c({ ports: [{ containerPort: 80 }] })], hostNetwork: true });
  assert.deepEqual(spec.containers[0]?.ports, [{ containerPort: 80, hostPort: 80, protocol: "TCP" }]);
});

test("volumes are completed", () => {
  const cases: [object, object][] = [
    [{}, { emptyDir: {} }],
    [{ hostPath: { path: "/x" } }, { hostPath: { path: "/x", type: "" } }],
    [{ secret: { secretName: "s" } }, { secret: { secretName: "s", defaultMode: 420 } }],
    [{ configMap: { name: "m" } }, { configMap: { name: "m", defaultMode: 420 } }],
    [
      { downwardAPI: { items: [{ path: "a", fieldRef: { fieldPath: "metadata.name" } }] } },
      {
        downwardAPI: {
          items: [{ path: "a", fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } }],
          defaultMode: 420,
        },
      },
    ],
    [
      { projected: { sources: [{ configMap: { name: "m" } }] } },
      { projected: { sources: [{ configMap: { name: "m" } }], defaultMode: 420 } },
    ],
    [
      { iscsi: { targetPortal: "t", iqn: "iqn.2001-04.com.example:a", lun: 0 } },
      { iscsi: { targetPortal: "t", iqn: "iqn.2001-04.com.example:a", lun: 0, iscsiInterface: "default" } },
    ],
    [
      { rbd: { monitors: ["m"], image: "i" } },
      { rbd: { monitors: ["m"], image: "i", pool: "rbd", user: "admin", keyring: "/etc/ceph/keyring" } },
    ],
    [{ image: { reference: "i" } }, { image: { reference: "i", pullPolicy: "Always" } }],
    [
      {
        ephemeral: {
          volumeClaimTemplate: { spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1" } } } },
        },
      },
      {
        ephemeral: {
          volumeClaimTemplate: {
            metadata: {},
            spec: {
              accessModes: ["ReadWriteOnce"],
              resources: { requests: { storage: "1" } },
              volumeMode: "Filesystem",
            },
          },
        },
      },
    ],
  ];
  for (const [sent, completed] of cases) {
    const { volumes } = specOf({ containers: [c()], volumes: [{ name: "v", ...sent }] });
    assert.deepEqual(volumes, [{ name: "v", ...completed }]);
  }
});

test("the account's old name and its new one say the same", () => {
  const { serviceAccount, serviceAccountName } = specOf({ containers: [c()], serviceAccount: "a" });
  assert.deepEqual([serviceAccount, serviceAccountName], ["a", "a"]);
  const other = specOf({ containers: [c()], serviceAccount: "a", serviceAccountName: "b" });
  assert.deepEqual([other.serviceAccount, other.serviceAccountName], ["b", "b"]);
});
