/**
 * The priority levels and flow schemas every cluster starts with: upstream's mandatory ones (`src/api/flowcontrol/mandatory.ts`) and
 * its suggested ones, which an administrator may change. Follows apiserver's apis/flowcontrol/bootstrap.
 */
import {
  type FlowSchema,
  type FlowSchemaSpec,
  type FlowcontrolV1Subject,
  mandatoryFlowSchemas,
  mandatoryPriorityLevels,
  type PriorityLevelConfiguration,
  type PriorityLevelConfigurationSpec,
  type ResourcePolicyRule,
} from "#api";

export const apiVersion = "flowcontrol.apiserver.k8s.io/v1";
export const autoUpdateAnnotation = "apf.kubernetes.io/autoupdate-spec";

export interface BootstrapObject<T> {
  readonly object: T;
  /** Kept as it is, whatever its annotation says. */
  readonly mandatory: boolean;
}

/** name: shares, percent that may be lent, queues, hand */
const levels: Readonly<Record<string, readonly [number, number, number, number]>> = {
  system: [30, 33, 64, 6],
  "node-high": [40, 25, 64, 6],
  "leader-election": [10, 0, 16, 4],
  "workload-high": [40, 50, 128, 6],
  "workload-low": [100, 90, 128, 6],
  "global-default": [20, 50, 128, 6],
};
const queueLengthLimit = 50;

const groups = (...names: string[]): FlowcontrolV1Subject[] =>
  names.map((name) => ({ kind: "Group", group: { name } }));
const users = (...names: string[]): FlowcontrolV1Subject[] => names.map((name) => ({ kind: "User", user: { name } }));
const systemAccounts: FlowcontrolV1Subject = {
  kind: "ServiceAccount",
  serviceAccount: { namespace: "kube-system", name: "*" },
};
const everyone = groups("system:unauthenticated", "system:authenticated");
const all = ["*"];
const leases = { apiGroups: ["coordination.k8s.io"], resources: ["leases"], namespaces: all };
const anything: ResourcePolicyRule = {
  verbs: all,
  apiGroups: all,
  resources: all,
  namespaces: all,
  clusterScope: true,
};

interface Suggested {
  readonly level: string;
  readonly precedence: number;
  readonly by?: "ByUser" | "ByNamespace";
  readonly subjects: FlowcontrolV1Subject[];
  /** Missing: everything, paths too. */
  readonly resources?: ResourcePolicyRule[];
  readonly paths?: string[];
}

const schemas: Readonly<Record<string, Suggested>> = {
  probes: { level: "exempt", precedence: 2, subjects: everyone, paths: ["/healthz", "/readyz", "/livez"] },
  "system-leader-election": {
    level: "leader-election",
    precedence: 100,
    by: "ByUser",
    subjects: [...users("system:kube-controller-manager", "system:kube-scheduler"), systemAccounts],
    resources: [{ verbs: ["get", "create", "update"], ...leases }],
  },
  "system-node-high": {
    level: "node-high",
    precedence: 400,
    by: "ByUser",
    subjects: groups("system:nodes"),
    resources: [
      { verbs: all, apiGroups: [""], resources: ["nodes", "nodes/status"], namespaces: all, clusterScope: true },
      { verbs: all, ...leases },
    ],
  },
  "system-nodes": { level: "system", precedence: 500, by: "ByUser", subjects: groups("system:nodes") },
  "kube-controller-manager": {
    level: "workload-high",
    precedence: 800,
    by: "ByNamespace",
    subjects: users("system:kube-controller-manager"),
  },
  "kube-scheduler": {
    level: "workload-high",
    precedence: 800,
    by: "ByNamespace",
    subjects: users("system:kube-scheduler"),
  },
  "kube-system-service-accounts": {
    level: "workload-high",
    precedence: 900,
    by: "ByNamespace",
    subjects: [systemAccounts],
  },
  "service-accounts": {
    level: "workload-low",
    precedence: 9000,
    by: "ByUser",
    subjects: groups("system:serviceaccounts"),
  },
  "global-default": { level: "global-default", precedence: 9900, by: "ByUser", subjects: everyone },
};

function schemaSpec({ level, precedence, by, subjects, resources, paths }: Suggested): FlowSchemaSpec {
  const everything = resources === undefined && paths === undefined;
  const resourceRules = everything ? [anything] : resources;
  const urls = everything ? all : paths;
  const verbs = everything ? all : ["get"];
  return {
    priorityLevelConfiguration: { name: level },
    matchingPrecedence: precedence,
    ...(by && { distinguisherMethod: { type: by } }),
    rules: [
      {
        subjects,
        ...(resourceRules && { resourceRules }),
        ...(urls && { nonResourceRules: [{ verbs, nonResourceURLs: urls }] }),
      },
    ],
  };
}

const levelSpec = ([shares, lendable, queues, handSize]: (typeof levels)[string]): PriorityLevelConfigurationSpec => ({
  type: "Limited",
  limited: {
    nominalConcurrencyShares: shares,
    lendablePercent: lendable,
    limitResponse: { type: "Queue", queuing: { queues, handSize, queueLengthLimit } },
  },
});

function objectsOf<S>(kind: string, suggested: Record<string, S>, mandatory: Readonly<Record<string, S>>) {
  const make = (specs: Readonly<Record<string, S>>, isMandatory: boolean) =>
    Object.entries(specs).map(([name, spec]) => ({
      object: { apiVersion, kind, metadata: { name, annotations: { [autoUpdateAnnotation]: "true" } }, spec },
      mandatory: isMandatory,
    }));
  return [...make(suggested, false), ...make(mandatory, true)];
}

const mapValues = <A, B>(values: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));

export const bootstrapLevels = (): readonly BootstrapObject<PriorityLevelConfiguration>[] =>
  objectsOf("PriorityLevelConfiguration", mapValues(levels, levelSpec), mandatoryPriorityLevels);

export const bootstrapSchemas = (): readonly BootstrapObject<FlowSchema>[] =>
  objectsOf("FlowSchema", mapValues(schemas, schemaSpec), mandatoryFlowSchemas);
