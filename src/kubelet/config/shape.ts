/**
 * The form that a KubeletConfiguration has in files: what type each field is of, read off the defaults, and which fields Go has as
 * plain values. A plain field that is zero counts as absent, when it is read (it gets its default) and when it is shown (it is left out).
 */
import { type Shape, shape } from "#machinery";
import { defaultConfiguration, type KubeletConfiguration } from "./configuration.ts";

export const apiVersion = "kubelet.config.k8s.io/v1beta1";
export const kind = "KubeletConfiguration";

export type ConfigurationField = keyof KubeletConfiguration;

/** Milliseconds here, Go's texts in files. */
const durations = new Set<string>([
  "syncFrequency",
  "fileCheckFrequency",
  "httpCheckFrequency",
  "streamingConnectionIdleTimeout",
  "nodeStatusUpdateFrequency",
  "nodeStatusReportFrequency",
  "imageMinimumGCAge",
  "imageMaximumGCAge",
  "volumeStatsAggPeriod",
  "cpuManagerReconcilePeriod",
  "runtimeRequestTimeout",
  "cpuCFSQuotaPeriod",
  "evictionPressureTransitionPeriod",
  "containerLogMonitorInterval",
  "shutdownGracePeriod",
  "shutdownGracePeriodCriticalPods",
  "cacheTTL",
  "cacheAuthorizedTTL",
  "cacheUnauthorizedTTL",
  "maxContainerRestartPeriod",
] satisfies (ConfigurationField | string)[]);

const plainFields = new Set<string>([
  "enableContentionProfiling",
  "rotateCertificates",
  "serverTLSBootstrap",
  "runOnce",
  "protectKernelDefaults",
  "kernelMemcgNotification",
  "port",
  "readOnlyPort",
  "registryBurst",
  "eventBurst",
  "nodeLeaseDurationSeconds",
  "maxPods",
  "maxOpenFiles",
  "kubeAPIBurst",
  "evictionMaxPodGracePeriod",
  "podsPerCore",
] satisfies ConfigurationField[]);

const pointers = new Set<string>([
  "resolvConf",
  "cpuCFSQuotaPeriod",
  "containerLogMonitorInterval",
  "maxContainerRestartPeriod",
]);

/** Those whose default doesn't tell it. */
const special: Readonly<Partial<Record<ConfigurationField, Shape>>> = {
  singleProcessOOMKill: "bool?",
  maxParallelImagePulls: "int?",
  podPidsLimit: "int64?",
  maxOpenFiles: "int64?",
  memoryThrottlingFactor: "number?",
  tlsCurvePreferences: { optional: ["int"] },
  staticPodURLHeader: { optional: { mapOf: ["string"] } },
  featureGates: { optional: { mapOf: "bool" } },
  logging: "any",
  tracing: "any",
  userNamespaces: { optional: shape("UserNamespaces", { idsPerPod: "int64?" }) },
  shutdownGracePeriodByPodPriority: {
    optional: [shape("ShutdownGracePeriodByPodPriority", { priority: "int", shutdownGracePeriodSeconds: "int" })],
  },
  reservedMemory: {
    optional: [shape("MemoryReservation", { numaNode: "int", limits: { mapOf: "string" } })],
  },
  registerWithTaints: {
    optional: [shape("Taint", { key: "string", value: "string?", effect: "string", timeAdded: "string?" })],
  },
};

export const isDuration = (field: string): boolean => durations.has(field);

/** Is a zero as good as nothing? */
export const isPlain = (field: string, value: unknown): boolean =>
  plainFields.has(field) || ((typeof value === "string" || durations.has(field)) && !pointers.has(field));

function shapeOf(field: string, value: unknown): Shape {
  const known = special[field as ConfigurationField]; // absent for fields within fields
  if (known !== undefined) return known;
  if (durations.has(field)) return "duration?";
  if (Array.isArray(value)) return { optional: ["string"] };
  if (typeof value === "boolean") return "bool?";
  if (typeof value === "number") return "int?";
  if (typeof value !== "object" || value === null) return "string?";
  return structNames[field] ? shape(structNames[field], shapesOf(value)) : { optional: { mapOf: "string" } };
}

const structNames: Readonly<Record<string, string>> = {
  authentication: "KubeletAuthentication",
  authorization: "KubeletAuthorization",
  x509: "KubeletX509Authentication",
  webhook: "KubeletWebhookAuthentication",
  anonymous: "KubeletAnonymousAuthentication",
  memorySwap: "MemorySwapConfiguration",
  crashLoopBackOff: "CrashLoopBackOffConfig",
};

export const isStruct = (field: string): boolean => Object.hasOwn(structNames, field);

const shapesOf = (defaults: object): Record<string, Shape> =>
  Object.fromEntries(Object.entries(defaults).map(([field, value]) => [field, shapeOf(field, value)]));

/** Of whole files. */
export const configurationShape = () => shape(kind, shapesOf(defaultConfiguration()));
