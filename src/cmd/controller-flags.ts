/** What an administrator may set of the controllers, under upstream's names: one table for `controllers`, `server` and `up`. */
import { type Clock, FlagError, type FlagSpecs, type FlagValues, type Logger } from "#base";
import { type Controller, type ControllerOptions, controllers, parsePool } from "#controllers";
import { CommandError } from "./command.ts";
import { featureGateFlags, readFeatureGates } from "./feature-gates.ts";
import { each, text } from "./flag-spec.ts";
import { readSigners, signingFlags } from "./signing-flags.ts";

const yearMs = 365 * 24 * 3_600_000;

const workers = (controller: string) =>
  ({ type: "int", min: 1, value: "N", help: `How many objects ${controller} works on at once.` }) as const;

/** By flag, whose workers they are. */
const workerFlags = {
  "concurrent-cron-job-syncs": "cronjob-controller",
  "concurrent-daemonset-syncs": "daemonset-controller",
  "concurrent-deployment-syncs": "deployment-controller",
  "concurrent-endpoint-syncs": "endpoints-controller",
  "concurrent-ephemeralvolume-syncs": "ephemeral-volume-controller",
  "concurrent-gc-syncs": "garbage-collector-controller",
  "concurrent-horizontal-pod-autoscaler-syncs": "horizontal-pod-autoscaler-controller",
  "concurrent-job-syncs": "job-controller",
  "concurrent-namespace-syncs": "namespace-controller",
  "concurrent-rc-syncs": "replicationcontroller-controller",
  "concurrent-replicaset-syncs": "replicaset-controller",
  "concurrent-resource-quota-syncs": "resourcequota-controller",
  "concurrent-resourceclaim-syncs": "resourceclaim-controller",
  "concurrent-service-endpoint-syncs": "endpointslice-controller",
  "concurrent-serviceaccount-token-syncs": "serviceaccount-token-controller",
  "concurrent-statefulset-syncs": "statefulset-controller",
  "concurrent-ttl-after-finished-syncs": "ttl-after-finished-controller",
  "concurrent-validating-admission-policy-status-syncs": "validatingadmissionpolicy-status-controller",
  "mirroring-concurrent-service-endpoint-syncs": "endpointslice-mirroring-controller",
} as const;
type WorkerFlag = keyof typeof workerFlags;

/** Flags whose matter doesn't exist here: they are taken, so that a manifest for upstream's works, and warned about. */
const without = {
  "contention-profiling": "no threads wait for each other",
  "concurrent-service-syncs": "one gives addresses away",
  "controller-start-interval": "controllers start at once",
  "endpoint-updates-batch-period": "changes are joined by size",
  "endpointslice-updates-batch-period": "changes are joined by size",
  "kube-api-burst": "the API server decides how much it takes",
  "kube-api-content-type": "JSON",
  "kube-api-qps": "the API server decides how much it takes",
  "min-resync-period": "nothing is gone through again",
  "namespace-sync-period": "nothing is polled",
  "node-monitor-period": "nothing is polled",
  "pvclaimbinder-sync-period": "nothing is polled",
  "resource-quota-sync-period": "nothing is polled",
} as const;
type WithoutFlag = keyof typeof without;

export const controllerFlags = {
  controllers: {
    type: "strings",
    default: ["*"],
    value: "NAMES",
    help: "Which run: `*` all that run by default, `foo` that one, `-foo` all but that one.",
  },
  "allocate-node-cidrs": {
    type: "bool",
    default: true as boolean,
    help: "Give each node its share of --cluster-cidr.",
  },
  "node-cidr-mask-size": {
    type: "int",
    min: 1,
    max: 128,
    value: "BITS",
    help: "Prefix of a node's share (IPv4 24, IPv6 64).",
  },
  "node-cidr-mask-size-ipv4": { type: "int", min: 1, max: 32, value: "BITS", help: "The same, of two families." },
  "node-cidr-mask-size-ipv6": { type: "int", min: 1, max: 128, value: "BITS", help: "The same, of two families." },
  ...signingFlags,
  "legacy-service-account-token-clean-up-period": {
    ...{ type: "duration", default: yearMs, value: "TIME" },
    help: "How long a service account's token in a Secret may lie unused.",
  },
  "node-monitor-grace-period": {
    ...{ type: "duration", default: 50_000, value: "TIME" },
    help: "A node that is silent for this long is unknown.",
  },
  "node-startup-grace-period": {
    ...{ type: "duration", default: 60_000, value: "TIME" },
    help: "The same, of a node that has not spoken yet.",
  },
  "node-eviction-rate": {
    type: "string",
    default: "0.1",
    value: "RATE",
    help: "Failed nodes a second whose pods are driven away, in each zone.",
  },
  "secondary-node-eviction-rate": {
    type: "string",
    default: "0.01",
    value: "RATE",
    help: "The same in a large zone of which most has failed; 0 in small ones.",
  },
  "large-cluster-size-threshold": {
    type: "int",
    default: 50,
    min: 0,
    value: "NODES",
    help: "Above this a zone is large.",
  },
  "unhealthy-zone-threshold": {
    type: "string",
    default: "0.55",
    value: "SHARE",
    help: "From this share of failed nodes on most of a zone has failed.",
  },
  "terminated-pod-gc-threshold": {
    type: "int",
    default: 12_500,
    value: "N",
    help: "Finished pods that may stay; 0: any number.",
  },
  "load-balancer-pool": {
    ...{ type: "strings", value: "CIDR|FIRST-LAST" },
    help: "Addresses for Services of type LoadBalancer (default: those of the nodes).",
  },
  "feature-gates": featureGateFlags["feature-gates"],
  "horizontal-pod-autoscaler-sync-period": {
    ...{ type: "duration", default: 15_000, value: "TIME" },
    help: "Between two looks at an autoscaler.",
  },
  "horizontal-pod-autoscaler-downscale-stabilization": {
    ...{ type: "duration", default: 300_000, value: "TIME" },
    help: "Nothing is taken away that an autoscaler wanted this short ago.",
  },
  "horizontal-pod-autoscaler-tolerance": {
    type: "string",
    default: "0.1",
    value: "SHARE",
    help: "Usage this near to the target is left alone.",
  },
  "horizontal-pod-autoscaler-cpu-initialization-period": {
    ...{ type: "duration", default: 300_000, value: "TIME" },
    help: "What a pod that was started this short ago burns may be left out.",
  },
  "horizontal-pod-autoscaler-initial-readiness-delay": {
    ...{ type: "duration", default: 30_000, value: "TIME" },
    help: "A pod that isn't ready this long after its start has never been.",
  },
  ...each<WorkerFlag, ReturnType<typeof workers>>(Object.keys(workerFlags) as WorkerFlag[], (flag) =>
    workers(workerFlags[flag]),
  ),
  ...each<WithoutFlag, ReturnType<typeof text>>(Object.keys(without) as WithoutFlag[], (flag) =>
    text("VALUE", `Without effect: ${without[flag]}.`),
  ),
} as const satisfies FlagSpecs;

export type ControllerValues = FlagValues<typeof controllerFlags>;

/** Upstream's older names that aren't just without their end. */
const aliases: Readonly<Record<string, string>> = {
  horizontalpodautoscaling: "horizontal-pod-autoscaler-controller",
  bootstrapsigner: "bootstrap-signer-controller",
  tokencleaner: "token-cleaner-controller",
  csrsigning: "certificatesigningrequest-signing-controller",
  csrapproving: "certificatesigningrequest-approving-controller",
  csrcleaner: "certificatesigningrequest-cleaner-controller",
  "root-ca-cert-publisher": "root-ca-certificate-publisher-controller",
  nodeipam: "node-ipam-controller",
  nodelifecycle: "node-lifecycle-controller",
  attachdetach: "persistentvolume-attach-detach-controller",
  endpoint: "endpoints-controller",
  podgc: "pod-garbage-collector-controller",
  garbagecollector: "garbage-collector-controller",
  "pvc-protection": "persistentvolumeclaim-protection-controller",
  "pv-protection": "persistentvolume-protection-controller",
  "legacy-service-account-token-cleaner": "legacy-serviceaccount-token-cleaner-controller",
  endpointslicemirroring: "endpointslice-mirroring-controller",
  service: "service-lb-controller",
  svm: "storage-version-migrator-controller",
  "resource-claim-controller": "resourceclaim-controller",
};

/** Which run. `optional`: those that are off by default run too, unless they are excluded. */
export function chooseControllers(names: readonly string[], { optional = false } = {}): Controller[] {
  const known = new Set(controllers.map(({ name }) => name));
  const wanted = new Set<string>();
  const excluded = new Set<string>();
  for (const given of names.filter((name) => name !== "*")) {
    const bare = given.replace(/^-/, "");
    const name = [bare, aliases[bare], `${bare}-controller`].find((each) => known.has(each ?? ""));
    if (name === undefined) throw new CommandError(`"${bare}" is not in the list of known controllers`);
    (given === bare ? wanted : excluded).add(name);
  }
  const all = names.includes("*");
  return controllers.filter(
    ({ name, isOptional }) => wanted.has(name) || (all && !excluded.has(name) && (optional || !isOptional)),
  );
}

/** Throws what is wrong; warns of what has no effect. */
export async function readControllerFlags(
  values: ControllerValues,
  { clock, log, signal }: { readonly clock: Clock; readonly log: Logger; readonly signal: AbortSignal },
): Promise<ControllerOptions> {
  for (const [flag, why] of Object.entries(without))
    if (values[flag as WithoutFlag] !== undefined) log.warn(`--${flag} has no effect here: ${why}`); // a key of the table
  chooseControllers(values.controllers);
  return { ...plainOptions(values), signers: await readSigners(values, { clock, log, signal }) };
}

type RateFlag =
  | "node-eviction-rate"
  | "secondary-node-eviction-rate"
  | "unhealthy-zone-threshold"
  | "horizontal-pod-autoscaler-tolerance";

function plainOptions(values: ControllerValues): ControllerOptions {
  const rate = (flag: RateFlag) => {
    const number = Number(values[flag]);
    if (!(number >= 0) || values[flag].trim() === "")
      throw new FlagError(`--${flag}: want a number, have "${values[flag]}"`);
    return number;
  };
  const mask = values["node-cidr-mask-size"];
  const [ipv4 = mask, ipv6 = mask] = [values["node-cidr-mask-size-ipv4"], values["node-cidr-mask-size-ipv6"]];
  // The API server warns of gates without effect.
  const { scaleToZero, storageVersionMigration } = readFeatureGates(values["feature-gates"], () => undefined);
  return {
    storageVersionMigration,
    legacyTokenUnusedMs: values["legacy-service-account-token-clean-up-period"],
    nodeMonitorGraceMs: values["node-monitor-grace-period"],
    nodeStartupGraceMs: values["node-startup-grace-period"],
    autoscaling: {
      syncMs: values["horizontal-pod-autoscaler-sync-period"],
      downscaleStabilizationMs: values["horizontal-pod-autoscaler-downscale-stabilization"],
      tolerance: rate("horizontal-pod-autoscaler-tolerance"),
      cpuInitializationMs: values["horizontal-pod-autoscaler-cpu-initialization-period"],
      initialReadinessMs: values["horizontal-pod-autoscaler-initial-readiness-delay"],
      scaleToZero,
    },
    loadBalancerPool: checkedPool(values["load-balancer-pool"]),
    terminatedPodsMax: values["terminated-pod-gc-threshold"] || Infinity,
    nodeMasks: { ipv4, ipv6 },
    eviction: {
      perSecond: rate("node-eviction-rate"),
      perSecondWhenMostFailed: rate("secondary-node-eviction-rate"),
      largeZoneNodes: values["large-cluster-size-threshold"],
      unhealthyShare: rate("unhealthy-zone-threshold"),
    },
    workers: new Map(
      Object.entries(workerFlags).flatMap(([flag, name]) => {
        const count = values[flag as WorkerFlag]; // a key of the table
        return count === undefined ? [] : [[name as string, count]];
      }),
    ),
  };
}

function checkedPool(texts: readonly string[]): readonly string[] {
  try {
    parsePool(texts);
    return texts;
  } catch (error) {
    throw new FlagError(`--load-balancer-pool: ${(error as Error).message}`); // it throws nothing else
  }
}
