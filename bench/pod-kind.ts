/**
 * What the kind of pods costs each write of a pod of 3.4 kB: defaults, strategy and validation. `node bench/pod-kind.ts [--tiny]`
 * Budget: 60 µs of CPU for a create.
 */
import { parseArgs } from "node:util";
import { kinds, type WriteContext } from "#api";
import { cloneJson, type KubernetesObject } from "#machinery";

const { values: flags } = parseArgs({ options: { tiny: { type: "boolean", default: false } } });
const rounds = flags.tiny ? 20 : 12_000;
const kind = kinds.find(({ group, resource }) => group === "" && resource === "pods");
if (!kind) throw new Error("there is no kind of pods");
const { defaults, prepareForCreate, validate, prepareForUpdate, validateUpdate } = kind;

const probe = (path: string) => ({ httpGet: { path, port: "http" }, periodSeconds: 10 });
const container = (name: string) => ({
  name,
  image: `registry.example.com/team/${name}:1.2.3`,
  command: ["/bin/serve", "--port=8080"],
  ports: [
    { name: "http", containerPort: 8080 },
    { name: "metrics", containerPort: 9090 },
  ],
  env: [
    { name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
    { name: "DATABASE", valueFrom: { secretKeyRef: { name: "database", key: "url" } } },
    { name: "LEVEL", value: "info" },
  ],
  resources: { limits: { cpu: "1", memory: "512Mi" }, requests: { cpu: "100m", memory: "128Mi" } },
  volumeMounts: [
    { name: "config", mountPath: "/etc/config", readOnly: true },
    { name: "token", mountPath: "/var/run/secrets/kubernetes.io/serviceaccount", readOnly: true },
  ],
  livenessProbe: probe("/live"),
  readinessProbe: probe("/ready"),
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] }, runAsUser: 1000 },
});
const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "bench", namespace: "default", labels: { app: "bench" } },
  spec: {
    containers: [container("main"), container("side")],
    initContainers: [{ ...container("first"), livenessProbe: undefined, readinessProbe: undefined }],
    volumes: [
      { name: "config", configMap: { name: "config" } },
      { name: "token", projected: { sources: [{ serviceAccountToken: { path: "token" } }] } },
    ],
    serviceAccountName: "default",
    affinity: {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          {
            weight: 100,
            podAffinityTerm: {
              topologyKey: "kubernetes.io/hostname",
              labelSelector: { matchLabels: { app: "bench" } },
            },
          },
        ],
      },
    },
    tolerations: [{ key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" }],
  },
};

const context: WriteContext = {
  user: { name: "bench", uid: "", groups: [], extra: {} },
  now: Date.parse("2026-01-01T00:00:00Z"),
  resource: { group: "", resource: "pods", version: "v1" },
  subresource: "",
};

function create(object: KubernetesObject): KubernetesObject {
  defaults?.(object);
  prepareForCreate?.(object, context);
  if (validate?.(object, context).length !== 0) throw new Error("the pod is fine");
  return object;
}

const old = create(cloneJson(pod));
function update(object: KubernetesObject): void {
  object.metadata = { ...object.metadata, annotations: { note: "y" } };
  defaults?.(object);
  prepareForUpdate?.(object, old, context);
  if (validateUpdate?.(object, old, context).length !== 0) throw new Error("the change is fine");
}

/** The best of five, in µs: the others were disturbed. */
function measure(name: string, make: () => KubernetesObject, run: (object: KubernetesObject) => unknown): void {
  let best = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < 5; repeat++) {
    const objects = Array.from({ length: rounds }, make);
    const start = performance.now();
    for (const object of objects) run(object);
    best = Math.min(best, ((performance.now() - start) * 1000) / rounds);
  }
  process.stdout.write(`${name.padEnd(8)} ${best.toFixed(1).padStart(6)} µs\n`);
}

process.stdout.write(`a pod of ${JSON.stringify(old).length} bytes\n`);
measure("create", () => cloneJson(pod), create);
measure("update", () => cloneJson(old), update);
