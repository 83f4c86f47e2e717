/**
 * What managed fields cost each write of a pod of 3.4 kB. `node bench/managed-fields.ts [--tiny]`
 * Budget: 60 µs of CPU for a create, 120 µs for an update; the JSON around it takes about as long.
 */
import { parseArgs } from "node:util";
import { facts } from "#api";
import { applyObject, fieldSet, type KubernetesObject, updateManagedFields } from "#machinery";

const { values: flags } = parseArgs({ options: { tiny: { type: "boolean", default: false } } });
const rounds = flags.tiny ? 20 : 12_000;
const time = "2026-01-01T00:00:00Z";
const schema = facts.typeOf("v1", "Pod");
if (!schema) throw new Error("the facts know no Pod");

const container = (name: string) => ({
  name,
  image: `registry.example.com/team/${name}:1.2.3`,
  command: ["/bin/serve", "--port=8080"],
  ports: [
    { name: "http", containerPort: 8080, protocol: "TCP" },
    { name: "metrics", containerPort: 9090, protocol: "TCP" },
  ],
  env: ["HOME", "MODE", "LEVEL", "REGION"].map((variable) => ({ name: variable, value: `value of ${variable}` })),
  resources: { limits: { cpu: "1", memory: "512Mi" }, requests: { cpu: "100m", memory: "128Mi" } },
  volumeMounts: [
    { name: "config", mountPath: "/etc/config", readOnly: true },
    { name: "token", mountPath: "/var/run/secrets/kubernetes.io/serviceaccount", readOnly: true },
  ],
  livenessProbe: { httpGet: { path: "/live", port: 8080, scheme: "HTTP" }, periodSeconds: 10, timeoutSeconds: 1 },
  readinessProbe: { httpGet: { path: "/ready", port: 8080, scheme: "HTTP" }, periodSeconds: 5, timeoutSeconds: 1 },
  terminationMessagePath: "/dev/termination-log",
  terminationMessagePolicy: "File",
  imagePullPolicy: "IfNotPresent",
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
});

const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "bench", namespace: "default", labels: { app: "bench", tier: "web" }, annotations: { note: "x" } },
  spec: {
    volumes: [
      { name: "config", configMap: { name: "config", defaultMode: 420 } },
      { name: "token", projected: { defaultMode: 420, sources: [{ serviceAccountToken: { path: "token" } }] } },
    ],
    containers: [container("main"), container("side")],
    restartPolicy: "Always",
    terminationGracePeriodSeconds: 30,
    dnsPolicy: "ClusterFirst",
    serviceAccountName: "default",
    securityContext: { runAsNonRoot: true },
    schedulerName: "default-scheduler",
    tolerations: [{ key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" }],
  },
};

const base = { schema, apiVersion: "v1", time };
const status = fieldSet(["status"]);
const create = (result: KubernetesObject) =>
  updateManagedFields({ ...base, live: undefined, result, manager: "kubectl-create", resetFields: status });

const managedFields = create(pod) ?? [];
const stored = { ...pod, metadata: { ...pod.metadata, uid: "u", managedFields } };
const conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"];
const running = {
  phase: "Running",
  podIP: "10.0.0.1",
  podIPs: [{ ip: "10.0.0.1" }],
  startTime: time,
  conditions: conditions.map((type) => ({ type, status: "True", lastTransitionTime: time })),
};

/** Parsing anew for every round is outside the measured time, as the server has the objects parsed anyway. */
function measure(what: string, texts: readonly string[], work: (objects: KubernetesObject[]) => unknown): void {
  let spent = 0;
  for (let batch = 0; batch < 4; batch++) {
    const inputs = Array.from({ length: rounds / 4 }, () => texts.map((text) => JSON.parse(text) as KubernetesObject)); // our own text
    const start = process.cpuUsage();
    for (const input of inputs) work(input);
    const { user, system } = process.cpuUsage(start);
    // The first batch is for the compiler.
    if (batch > 0) spent += user + system;
  }
  console.log(`${what.padEnd(28)} ${(spent / ((rounds / 4) * 3)).toFixed(1).padStart(7)} µs`);
}

const one = JSON.stringify(pod);
const live = JSON.stringify(stored);
const labelled = JSON.stringify({ ...stored, metadata: { ...stored.metadata, labels: { app: "other", more: "1" } } });
const ran = JSON.stringify({ ...stored, status: running });
const applied = JSON.stringify(
  applyObject({ ...base, kind: "Pod", live: undefined, applied: pod, manager: "m", force: false }).object,
);

console.log(`a pod of ${one.length} bytes, ${live.length} with managed fields`);
measure("create", [one], ([result = {}]) => create(result));
measure("update of labels", [live, labelled], ([before, result = {}]) =>
  updateManagedFields({ ...base, live: before, result, manager: "m", resetFields: status }),
);
measure("update of the status", [live, ran], ([before, result = {}]) =>
  updateManagedFields({
    ...base,
    live: before,
    result,
    manager: "kubelet",
    subresource: "status",
    resetFields: fieldSet(["spec"]),
  }),
);
measure("update without a change", [live, live], ([before, result = {}]) =>
  updateManagedFields({ ...base, live: before, result, manager: "m", resetFields: status }),
);
measure("apply, the same again", [applied, one], ([before, body = {}]) =>
  applyObject({ ...base, kind: "Pod", live: before, applied: body, manager: "m", force: false, resetFields: status }),
);
