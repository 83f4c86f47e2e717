/** Types for tests: short forms of TypeSchema, and a workload that has one field of each kind. */
import type { FieldSchema, ListSchema, TypeSchema, ValueSchema } from "./schema.ts";

export const string: ValueSchema = { kind: "string" };
export const boolean: ValueSchema = { kind: "boolean" };
export const int32: ValueSchema = { kind: "integer", bits: 32 };
export const int64: ValueSchema = { kind: "integer", bits: 64 };
export const bytes: ValueSchema = { kind: "bytes" };
export const time: ValueSchema = { kind: "time", micro: false };
export const microTime: ValueSchema = { kind: "time", micro: true };
export const quantity: ValueSchema = { kind: "quantity" };
export const intOrString: ValueSchema = { kind: "int-or-string" };
export const any: ValueSchema = { kind: "any" };

export const mapOf = (values: ValueSchema): ValueSchema => ({ kind: "map", values });
export const listOf = (items: ValueSchema): ListSchema => ({ kind: "list", items, listType: "atomic", mapKeys: [] });
export const objectOf = (type: TypeSchema): ValueSchema => ({ kind: "object", type });

type Extra = Partial<Pick<FieldSchema, "zero" | "patchStrategy" | "patchMergeKey" | "required">>;

/** `type("Pod", { spec: [objectOf(podSpec), { zero: "printed" }] })` */
export function type(name: string, fields: Record<string, ValueSchema | readonly [ValueSchema, Extra]>): TypeSchema {
  const entries = Object.entries(fields).map(([field, definition], position): [string, FieldSchema] => {
    const [value, extra] = "kind" in definition ? [definition, {}] : definition;
    const base = { name: field, value, required: false, number: position + 1, patchStrategy: [], atomic: false };
    return [field, { ...base, ...extra }];
  });
  return { name: `io.k8s.api.test.v1.${name}`, fields: new Map(entries), atomic: false, preserveUnknown: false };
}

const merged = (mergeKey: string): Extra => ({ patchStrategy: ["merge"], patchMergeKey: mergeKey, zero: "omitted" });

export const objectMeta = type("ObjectMeta", {
  name: [string, { zero: "omitted" }],
  labels: [mapOf(string), { zero: "omitted" }],
  finalizers: [listOf(string), { zero: "omitted", patchStrategy: ["merge"] }],
  creationTimestamp: [time, { zero: "omitted" }],
});

export const port = type("Port", {
  name: [string, { zero: "omitted" }],
  containerPort: [int32, { zero: "printed" }],
  targetPort: intOrString,
});

export const container = type("Container", {
  name: [string, { zero: "printed" }],
  image: [string, { zero: "omitted" }],
  args: [listOf(string), { zero: "omitted" }],
  ports: [listOf(objectOf(port)), merged("containerPort")],
  env: [listOf(objectOf(type("EnvVar", { name: string, value: string }))), merged("name")],
  limits: [mapOf(quantity), { zero: "omitted" }],
  stdin: [boolean, { zero: "omitted" }],
});

export const strategy = type("Strategy", {
  type: [string, { zero: "omitted" }],
  rollingUpdate: objectOf(type("RollingUpdate", { maxSurge: intOrString })),
});

export const podSpec = type("PodSpec", {
  containers: [listOf(objectOf(container)), { patchStrategy: ["merge"], patchMergeKey: "name", zero: "printed" }],
  strategy: [objectOf(strategy), { patchStrategy: ["retainKeys"], zero: "printed" }],
  nodeSelector: [mapOf(string), { zero: "omitted" }],
  grace: int64,
  hostNetwork: [boolean, { zero: "omitted" }],
  automount: boolean,
  extra: any,
});

export const workload = type("Workload", {
  apiVersion: string,
  kind: string,
  metadata: [objectOf(objectMeta), { zero: "printed" }],
  spec: [objectOf(podSpec), { zero: "printed" }],
  data: [mapOf(string), { zero: "omitted" }],
  secret: [mapOf(bytes), { zero: "omitted" }],
  seen: microTime,
});
