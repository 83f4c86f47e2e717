/**
 * `metrics.k8s.io/v1beta1` as metrics-server serves it. It is no part of the published API, so shape and kinds are told here; whoever installs
 * a metrics-server takes its place by the API service.
 */
import { defineKind, type Kind, type ResourceFacts } from "#api";
import {
  addQuantities,
  type FieldSchema,
  type KubernetesObject,
  parseQuantity,
  printQuantity,
  type TypeSchema,
  type ValueSchema,
} from "#machinery";
import type { Wanted } from "../bootstrap.ts";
import type { GroupVersion } from "../resource.ts";
import type { ServedFacts } from "../server.ts";

export const group = "metrics.k8s.io";
const version = "v1beta1";
const groupVersion = `${group}/${version}`;

export interface ContainerMetrics {
  readonly name: string;
  readonly usage: Readonly<Record<string, string>>;
}

export interface NodeMetrics extends KubernetesObject {
  readonly timestamp?: string;
  readonly window?: string;
  readonly usage?: Readonly<Record<string, string>>;
}

export interface PodMetrics extends KubernetesObject {
  readonly timestamp?: string;
  readonly window?: string;
  readonly containers?: readonly ContainerMetrics[];
}

function columnsOf<T extends { readonly window?: string }>(amount: (object: T, resource: string) => string) {
  const quantity = (name: string) => ({
    name,
    type: "string",
    format: "quantity",
    of: (object: T) => amount(object, name),
  });
  const window = { name: "Window", type: "string", format: "duration", of: (object: T) => object.window ?? "" };
  return [quantity("cpu"), quantity("memory"), window];
}

const metricKind = <T extends KubernetesObject>(definition: Pick<Kind<T>, "kind" | "resource" | "columns">) =>
  defineKind<T>({ group, storageVersion: version, jsonOnly: true, ...definition });

export const metricKinds = [
  metricKind<NodeMetrics>({
    kind: "NodeMetrics",
    resource: "nodes",
    columns: columnsOf(({ usage }, resource) => usage?.[resource] ?? "0"),
  }),
  metricKind<PodMetrics>({
    kind: "PodMetrics",
    resource: "pods",
    columns: columnsOf(({ containers = [] }, resource) =>
      printQuantity(
        containers.reduce((sum, { usage }) => addQuantities(sum, usage[resource] ?? "0"), parseQuantity("0")),
      ),
    ),
  }),
] as const;

const resourceOf = (kind: string, plural: string, namespaced: boolean): ResourceFacts => ({
  group,
  version,
  groupVersion,
  plural,
  singular: "",
  kind,
  listKind: `${kind}List`,
  namespaced,
  verbs: ["get", "list"],
  shortNames: [],
  categories: [],
  subresources: [],
  servedByDefault: true,
});

const resources = [resourceOf("NodeMetrics", "nodes", false), resourceOf("PodMetrics", "pods", true)];

/** As metrics-server registers itself: behind everything else. */
const served: GroupVersion & { servedByDefault: boolean } = {
  group,
  version,
  groupPriority: 100,
  versionPriority: 100,
  replaceable: true,
  servedByDefault: true,
};

const aggregateLabel = "rbac.authorization.k8s.io/aggregate-to-";

/** Whoever may view may see what is used: as metrics-server's own role. */
export const metricsReader: Wanted = {
  path: ["rbac.authorization.k8s.io", "v1", "clusterroles", ""],
  object: {
    metadata: {
      name: "system:aggregated-metrics-reader",
      labels: Object.fromEntries(["admin", "edit", "view"].map((role) => [aggregateLabel + role, "true"])),
    },
    rules: [{ apiGroups: [group], resources: ["pods", "nodes"], verbs: ["get", "list", "watch"] }],
  },
};

/** The facts and what is told here. */
export function withResourceMetrics(facts: ServedFacts): ServedFacts {
  const typeOf = facts.typeOf.bind(facts);
  let types: ReadonlyMap<string, TypeSchema> | undefined;
  return {
    version: facts.version,
    groupVersions: () => [...facts.groupVersions(), served],
    resources: () => [...facts.resources(), ...resources],
    typeOf(of, kind) {
      if (of !== groupVersion) return typeOf(of, kind);
      types ??= metricTypes(typeOf);
      return types.get(kind);
    },
  };
}

function metricTypes(typeOf: ServedFacts["typeOf"]): ReadonlyMap<string, TypeSchema> {
  const metadataOf = (kind: string) => typeOf("v1", kind)?.fields.get("metadata")?.value ?? text;
  const usage: ValueSchema = { kind: "map", values: { kind: "quantity" } };
  const sample = { metadata: metadataOf("Pod"), timestamp: time, window: text };
  const kindFields = { kind: text, apiVersion: text };
  const container = makeType("ContainerMetrics", { name: text, usage });
  const types = [
    makeType("NodeMetrics", { ...kindFields, ...sample, usage }),
    makeType("PodMetrics", { ...kindFields, ...sample, containers: listOf(container) }),
  ];
  const lists = types.map((type) => {
    const name = `${type.name.slice(prefix.length)}List`;
    return makeType(name, { ...kindFields, metadata: metadataOf("PodList"), items: listOf(type) });
  });
  return new Map([...types, ...lists].map((type) => [type.name.slice(prefix.length), type]));
}

const prefix = "io.k8s.metrics.pkg.apis.metrics.v1beta1.";
const text: ValueSchema = { kind: "string" };
const time: ValueSchema = { kind: "time", micro: false };
const listOf = (type: TypeSchema): ValueSchema => ({
  kind: "list",
  items: { kind: "object", type },
  listType: "atomic",
  mapKeys: [],
});

function makeType(name: string, values: Readonly<Record<string, ValueSchema>>): TypeSchema {
  const field = (of: string, value: ValueSchema): FieldSchema => ({
    name: of,
    value,
    required: !["kind", "apiVersion", "metadata"].includes(of),
    number: 0,
    patchStrategy: [],
    atomic: false,
  });
  const fields = new Map(Object.entries(values).map(([of, value]) => [of, field(of, value)]));
  return { name: prefix + name, fields, atomic: false, preserveUnknown: false };
}
