/** The fields of a KubeSchedulerConfiguration and of the arguments of rules; what is unknown or of another type is said in upstream's words. */
import { durationProblem, parseDuration } from "#base";
import { goQuote } from "#machinery";

export class ConfigurationError extends Error {
  override name = "ConfigurationError";
}

type Leaf = "string" | "int32" | "int64" | "float32" | "bool" | "duration" | "any";
export type Shape = Leaf | readonly [Shape] | { readonly [field: string]: Shape };

const plugin = { name: "string", weight: "int32" } as const;
const pluginSet = { enabled: [plugin], disabled: [plugin] } as const;
/** Extension points, by upstream's name of what stands there. */
export const points = {
  preEnqueue: "PreEnqueuePlugin",
  queueSort: "QueueSortPlugin",
  preFilter: "PreFilterPlugin",
  filter: "FilterPlugin",
  postFilter: "PostFilterPlugin",
  preScore: "PreScorePlugin",
  score: "ScorePlugin",
  reserve: "ReservePlugin",
  permit: "PermitPlugin",
  preBind: "PreBindPlugin",
  bind: "BindPlugin",
  postBind: "PostBindPlugin",
  placementGenerate: "PlacementGeneratePlugin",
  placementScore: "PlacementScorePlugin",
} as const;
export type Point = keyof typeof points;

export const fileShape: Shape = {
  apiVersion: "string",
  kind: "string",
  parallelism: "int32",
  leaderElection: {
    leaderElect: "bool",
    leaseDuration: "duration",
    renewDeadline: "duration",
    retryPeriod: "duration",
    resourceLock: "string",
    resourceName: "string",
    resourceNamespace: "string",
  },
  clientConnection: {
    kubeconfig: "string",
    acceptContentTypes: "string",
    contentType: "string",
    qps: "float32",
    burst: "int32",
  },
  enableProfiling: "bool",
  enableContentionProfiling: "bool",
  percentageOfNodesToScore: "int32",
  podInitialBackoffSeconds: "int64",
  podMaxBackoffSeconds: "int64",
  delayCacheUntilActive: "bool",
  profiles: [
    {
      schedulerName: "string",
      percentageOfNodesToScore: "int32",
      plugins: Object.fromEntries([...Object.keys(points), "multiPoint"].map((point) => [point, pluginSet])),
      pluginConfig: [{ name: "string", args: "any" }],
    },
  ],
  extenders: [
    {
      urlPrefix: "string",
      filterVerb: "string",
      preemptVerb: "string",
      prioritizeVerb: "string",
      weight: "int64",
      bindVerb: "string",
      enableHTTPS: "bool",
      tlsConfig: {
        insecure: "bool",
        serverName: "string",
        certFile: "string",
        keyFile: "string",
        caFile: "string",
        certData: "string",
        keyData: "string",
        caData: "string",
      },
      httpTimeout: "duration",
      nodeCacheCapable: "bool",
      managedResources: [{ name: "string", ignoredByScheduler: "bool" }],
      ignorable: "bool",
    },
  ],
};

const type = { apiVersion: "string", kind: "string" } as const;
const resources = [{ name: "string", weight: "int64" }] as const;
const shapePoints = [{ utilization: "int32", score: "int32" }] as const;
/** Of rules that take any. */
export const argumentShapes: Readonly<Record<string, Shape>> = {
  DefaultPreemption: { ...type, minCandidateNodesPercentage: "int32", minCandidateNodesAbsolute: "int32" },
  DynamicResources: { ...type, filterTimeout: "duration", bindingTimeout: "duration" },
  InterPodAffinity: { ...type, hardPodAffinityWeight: "int32", ignorePreferredTermsOfExistingPods: "bool" },
  NodeAffinity: { ...type, addedAffinity: "any" },
  NodeResourcesBalancedAllocation: { ...type, resources },
  NodeResourcesFit: {
    ...type,
    ignoredResources: ["string"],
    ignoredResourceGroups: ["string"],
    scoringStrategy: { type: "string", resources, requestedToCapacityRatio: { shape: shapePoints } },
  },
  PodTopologySpread: { ...type, defaultConstraints: ["any"], defaultingType: "string" },
  VolumeBinding: { ...type, bindTimeoutSeconds: "int64", shape: shapePoints },
};

/** Throws what upstream's decoder says: the first value of a wrong type, or all unknown fields. Durations become milliseconds. */
export function decode(value: unknown, shape: Shape, root: string): unknown {
  const unknown: string[] = [];
  const decoded = decodeAt(value, shape, { root, path: "", field: "", unknown });
  if (unknown.length > 0) {
    const list = unknown.map((path) => `unknown field ${goQuote(path)}`).join(", ");
    throw new ConfigurationError(`strict decoding error: ${list}`);
  }
  return decoded;
}

interface Where {
  readonly root: string;
  /** With and without positions. */
  readonly path: string;
  readonly field: string;
  readonly unknown: string[];
}

const within = (path: string, name: string) => (path === "" ? name : `${path}.${name}`);

function decodeAt(value: unknown, shape: Shape, where: Where): unknown {
  // As if it were not there.
  if (value === null || value === undefined) return undefined;
  const { root, path, field, unknown } = where;
  const owner = field.startsWith("profiles.")
    ? "KubeSchedulerProfile"
    : field.startsWith("extenders.")
      ? "Extender"
      : root;
  const mismatch = (wanted: string): never => {
    const has = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
    throw new ConfigurationError(
      `json: cannot unmarshal ${has} into Go struct field ${owner}.${field} of type ${wanted}`,
    );
  };
  if (typeof shape === "string") {
    if (shape === "any") return value;
    if (shape === "string" || shape === "bool") {
      return typeof value === (shape === "bool" ? "boolean" : "string") ? value : mismatch(shape);
    }
    if (shape === "duration") {
      if (typeof value !== "string") return mismatch("string");
      const problem = durationProblem(value);
      if (problem !== "") throw new ConfigurationError(problem);
      return parseDuration(value);
    }
    if (typeof value !== "number") return mismatch(shape);
    if (shape !== "float32" && !Number.isInteger(value)) {
      throw new ConfigurationError(
        `json: cannot unmarshal number ${value} into Go struct field ${owner}.${field} of type ${shape}`,
      );
    }
    return value;
  }
  if (isList(shape)) {
    if (!Array.isArray(value)) return mismatch("[]interface {}");
    return value.map((each, index) => decodeAt(each, shape[0], { ...where, path: `${path}[${index}]` }));
  }
  if (typeof value !== "object" || Array.isArray(value)) return mismatch("struct");
  const decoded: Record<string, unknown> = {};
  for (const [name, each] of Object.entries(value)) {
    const known = shape[name];
    if (known === undefined) unknown.push(within(path, name));
    else decoded[name] = decodeAt(each, known, { ...where, path: within(path, name), field: within(field, name) });
  }
  return decoded;
}

const isList = (shape: Shape): shape is readonly [Shape] => Array.isArray(shape);
