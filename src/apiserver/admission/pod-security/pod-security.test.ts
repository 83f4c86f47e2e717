import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { PodSpec } from "#api";
import { startTestServer, type TestServer } from "../../test-server.ts";
import { printDetails, violations } from "./checks.ts";
import { policyOf } from "./policy.ts";

const latest = Number.POSITIVE_INFINITY;
const container = (securityContext?: object, more: object = {}) => ({
  name: "c",
  image: "i",
  ...(securityContext && { securityContext }),
  ...more,
});
const safe = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

function details(
  level: "baseline" | "restricted",
  spec: object,
  { minor = latest, annotations = {} }: { minor?: number; annotations?: Record<string, string> } = {},
): string {
  return printDetails(violations({ metadata: { annotations }, spec: spec as PodSpec }, { level, minor }));
}

for (const [name, level, spec, want, options] of [
  ["a plain pod", "baseline", { containers: [container()] }, "", {}],
  [
    "host namespaces",
    "baseline",
    { containers: [container()], hostNetwork: true, hostPID: true },
    "host namespaces (hostNetwork=true, hostPID=true)",
    {},
  ],
  [
    "host ports",
    "baseline",
    {
      containers: [
        container(
          {},
          {
            ports: [
              { containerPort: 1, hostPort: 81 },
              { containerPort: 2, hostPort: 80 },
            ],
          },
        ),
      ],
    },
    'hostPort (container "c" uses hostPorts 80, 81)',
    {},
  ],
  [
    "capabilities of two containers",
    "baseline",
    {
      initContainers: [{ ...container({ capabilities: { add: ["SYS_ADMIN"] } }), name: "i" }],
      containers: [container({ capabilities: { add: ["NET_RAW", "CHOWN"] } })],
    },
    'non-default capabilities (containers "i", "c" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)',
    {},
  ],
  [
    "SELinux",
    "baseline",
    { containers: [container()], securityContext: { seLinuxOptions: { type: "spc_t", user: "u" } } },
    'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
    {},
  ],
  [
    "a newer SELinux type, by version",
    "baseline",
    { containers: [container({ seLinuxOptions: { type: "container_engine_t" } })] },
    'seLinuxOptions (container "c" set forbidden securityContext.seLinuxOptions: type "container_engine_t")',
    { minor: 30 },
  ],
  [
    "a newer SELinux type, latest",
    "baseline",
    { containers: [container({ seLinuxOptions: { type: "container_engine_t" } })] },
    "",
    {},
  ],
  [
    "sysctls, by version",
    "baseline",
    { containers: [container()], securityContext: { sysctls: [{ name: "net.ipv4.tcp_rmem", value: "1" }] } },
    "forbidden sysctls (net.ipv4.tcp_rmem)",
    { minor: 31 },
  ],
  [
    "hosts of probes, since 1.34",
    "baseline",
    { containers: [container({}, { livenessProbe: { tcpSocket: { port: 1, host: "10.0.0.1" } } })] },
    'probe or lifecycle host (container "c" uses probe or lifecycle host "10.0.0.1")',
    { minor: 34 },
  ],
  [
    "hosts of probes, before",
    "baseline",
    { containers: [container({}, { livenessProbe: { tcpSocket: { port: 1, host: "10.0.0.1" } } })] },
    "",
    { minor: 33 },
  ],
  [
    "seccomp by annotation, long ago",
    "baseline",
    { containers: [container()] },
    'seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined")',
    { minor: 18, annotations: { "seccomp.security.alpha.kubernetes.io/pod": "unconfined" } },
  ],
  [
    "AppArmor",
    "baseline",
    { containers: [container({ appArmorProfile: { type: "Unconfined" } })] },
    'forbidden AppArmor profile (container "c" must not set AppArmor profile type to "Unconfined")',
    {},
  ],
  ["a safe pod", "restricted", { containers: [container(safe)] }, "", {}],
  [
    "a plain pod, restricted",
    "restricted",
    { containers: [container()] },
    'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), ' +
      'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), ' +
      'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), ' +
      'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    {},
  ],
  [
    "host paths are told of once",
    "restricted",
    { containers: [container(safe)], volumes: [{ name: "v", hostPath: { path: "/" } }] },
    'restricted volume types (volume "v" uses restricted volume type "hostPath")',
    {},
  ],
  [
    "root",
    "restricted",
    { containers: [container({ ...safe, runAsUser: 0 })] },
    'runAsUser=0 (container "c" must not set runAsUser=0)',
    {},
  ],
  [
    "root in a user namespace",
    "restricted",
    { hostUsers: false, containers: [container({ ...safe, runAsUser: 0 })] },
    "",
    {},
  ],
] as const)
  test(`pod security: ${name}`, () => {
    assert.equal(details(level, spec, options), want);
  });

test("pod security: labels that can't be read enforce the most and warn of nothing", () => {
  const { policy, errors } = policyOf({
    "pod-security.kubernetes.io/enforce": "paranoid",
    "pod-security.kubernetes.io/warn": "x",
    "pod-security.kubernetes.io/warn-version": "1.2",
  });
  assert.equal(policy.enforce.level, "restricted");
  assert.equal(policy.warn.level, "privileged");
  assert.deepEqual(errors.map(String).length, 3);
});

let api: TestServer;
before(async () => {
  api = await startTestServer();
});
after(() => api.close());

const labelled = (name: string, labels: Record<string, string>) => ({
  metadata: {
    name,
    labels: Object.fromEntries(
      Object.entries(labels).map(([key, value]) => [`pod-security.kubernetes.io/${key}`, value]),
    ),
  },
});
const pod = (name: string, spec: object = {}) => ({
  metadata: { name },
  spec: { containers: [container()], automountServiceAccountToken: false, ...spec },
});

async function space(name: string, labels: Record<string, string>): Promise<string> {
  await api.call("POST", "/api/v1/namespaces", labelled(name, labels));
  await api.call("POST", `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: "default" } });
  return `/api/v1/namespaces/${name}`;
}

test("pod security: pods that break the level are refused, others not", async () => {
  const path = await space("base", { enforce: "baseline" });
  await api.call("POST", `${path}/pods`, pod("plain"));
  await assert.rejects(
    api.call("POST", `${path}/pods`, pod("host", { hostPID: true })),
    /^\w*Error: pods "host" is forbidden: violates PodSecurity "baseline:latest": host namespaces \(hostPID=true\)$/,
  );
});

test("pod security: wrong labels are refused", async () => {
  await assert.rejects(
    api.call("POST", "/api/v1/namespaces", labelled("bad", { enforce: "paranoid" })),
    /metadata\.labels\[pod-security\.kubernetes\.io\/enforce\]: Invalid value: "paranoid": must be one of privileged, baseline, restricted/,
  );
});
