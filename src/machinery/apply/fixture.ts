/** For tests: a small kind with each way to own something. */
import type { FieldSchema, ListSchema, TypeSchema, ValueSchema } from "../schema.ts";

export const text: ValueSchema = { kind: "string" };
export const number: ValueSchema = { kind: "integer", bits: 32 };
export const map = (values: ValueSchema): ValueSchema => ({ kind: "map", values });
export const object = (type: TypeSchema): ValueSchema => ({ kind: "object", type });
export const listMap = (items: TypeSchema, ...mapKeys: string[]): ListSchema => ({
  kind: "list",
  items: object(items),
  listType: "map",
  mapKeys,
});
export const atomicList: ListSchema = { kind: "list", items: text, listType: "atomic", mapKeys: [] };
export const set: ListSchema = { kind: "list", items: text, listType: "set", mapKeys: [] };

export function type(
  name: string,
  fields: Record<string, ValueSchema | Partial<FieldSchema>>,
  more?: Partial<TypeSchema>,
): TypeSchema {
  const all = Object.entries(fields).map(([field, value]): [string, FieldSchema] => {
    const given = "kind" in value ? { value } : value;
    return [
      field,
      { name: field, value: text, required: false, number: 0, patchStrategy: [], atomic: false, ...given },
    ];
  });
  return { name, fields: new Map(all), atomic: false, preserveUnknown: false, ...more };
}

const meta = type("ObjectMeta", {
  name: text,
  namespace: text,
  uid: text,
  labels: map(text),
  annotations: map(text),
  finalizers: set,
});

const port = type("Port", {
  port: { value: number, zero: "printed" },
  protocol: { value: text, default: "TCP", zero: "omitted" },
  name: text,
});

const resources = type("Resources", { limits: map({ kind: "quantity" }) });

const box = type("Box", {
  name: { value: text, zero: "printed" },
  image: text,
  args: atomicList,
  env: listMap(type("Env", { name: { value: text, zero: "printed" }, value: text }), "name"),
  ports: listMap(port, "port", "protocol"),
  resources: { value: object(resources), zero: "printed" },
});

const selector = type("Selector", { matchLabels: map(text) }, { atomic: true });

const spec = type("Spec", {
  replicas: { value: number },
  selector: object(selector),
  boxes: { value: listMap(box, "name"), zero: "printed" },
  nested: object(type("Nested", { a: text, b: text })),
  extra: { kind: "any" },
  raw: { kind: "any", form: "raw" },
});

const status = type("Status", {
  phase: text,
  conditions: listMap(type("Condition", { type: { value: text, zero: "printed" }, status: text }), "type"),
});

/** Like a built-in kind: `metadata`, `spec` and `status` are always there. */
export const thing = type("Thing", {
  apiVersion: text,
  kind: text,
  metadata: { value: object(meta), zero: "printed" },
  data: map(text),
  spec: { value: object(spec), zero: "printed" },
  status: { value: object(status), zero: "printed" },
});

/** Like a custom kind that keeps what it doesn't know. */
export const loose = type(
  "Loose",
  {
    apiVersion: text,
    kind: text,
    metadata: object(meta),
    spec: object(type("LooseSpec", {}, { preserveUnknown: true })),
  },
  { preserveUnknown: true },
);
