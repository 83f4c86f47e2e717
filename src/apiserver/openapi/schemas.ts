/**
 * Types as JSON schemas, in the two dialects that are published: OpenAPI v2 (one document) and v3 (one for each group version).
 * Made from the same TypeSchemas that decode and validate, so a published schema can't differ from what the server does.
 */
import type { FieldSchema, TypeSchema, ValueSchema } from "#machinery";
import type { Descriptions } from "./descriptions.ts";

export type Json = { [key: string]: unknown };
export type Dialect = "v2" | "v3";

const referencePrefix = { v2: "#/definitions/", v3: "#/components/schemas/" } as const;
const quantityName = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const intOrStringName = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const timeName = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const microTimeName = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";

const describe = (description: string | undefined): Json => (description ? { description } : {});

/** Every schema that these types need, by name, in order. */
export class SchemaCollector {
  readonly #dialect: Dialect;
  readonly #made = new Map<string, Json>();
  readonly #descriptions: Descriptions | undefined;

  constructor(dialect: Dialect, descriptions?: Descriptions) {
    this.#dialect = dialect;
    this.#descriptions = descriptions;
  }

  reference(name: string): Json {
    return { $ref: `${referencePrefix[this.#dialect]}${name}` };
  }

  add(type: TypeSchema, more: Json = {}): void {
    if (this.#made.has(type.name)) return;
    const described = this.#descriptions?.of(type.name);
    const schema: Json = { type: "object", ...describe(described?.text), ...more };
    this.#made.set(type.name, schema);
    const fields = [...type.fields.values()];
    const required = fields.filter((field) => field.required).map(({ name }) => name);
    if (required.length > 0) schema.required = required.sort();
    if (fields.length > 0)
      schema.properties = Object.fromEntries(
        [...fields]
          .sort((a, b) => (a.name < b.name ? -1 : 1))
          .map((field) => [field.name, this.#field(field, described?.fields[field.name])]),
      );
    if (type.atomic) schema["x-kubernetes-map-type"] = "atomic";
    if (type.preserveUnknown) schema["x-kubernetes-preserve-unknown-fields"] = true;
  }

  /** A schema that isn't made from a type: lists of kinds. */
  addSchema(name: string, schema: Json): void {
    const described = this.#descriptions?.of(name);
    const properties = Object.entries((schema.properties as Record<string, Json> | undefined) ?? {}); // schemas are made of JSON
    if (described)
      for (const [field, value] of properties) Object.assign(value, describe(described.fields[field]), value);
    this.#made.set(name, { ...describe(described?.text), ...schema });
  }

  /** A schema that says itself what it means: of custom kinds, which may be named like others. */
  set(name: string, schema: Json): void {
    this.#made.set(name, schema);
  }

  has(name: string): boolean {
    return this.#made.has(name);
  }

  schemas(): Record<string, Json> {
    return Object.fromEntries([...this.#made].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #field(field: FieldSchema, description: string | undefined): Json {
    const { value } = field;
    const extensions: Json = {};
    if (value.kind === "list") {
      if (value.listType === "map") extensions["x-kubernetes-list-map-keys"] = [...value.mapKeys];
      extensions["x-kubernetes-list-type"] = value.listType;
    }
    if (field.atomic) extensions["x-kubernetes-map-type"] = "atomic";
    if (field.patchMergeKey) extensions["x-kubernetes-patch-merge-key"] = field.patchMergeKey;
    if (field.patchStrategy.length > 0) extensions["x-kubernetes-patch-strategy"] = field.patchStrategy.join(",");
    const schema = this.#value(value);
    const extra: Json = {
      ...describe(description),
      ...(field.default === undefined ? {} : { default: field.default }),
      ...extensions,
    };
    if (Object.keys(extra).length === 0) return schema;
    // In v3 nothing may stand beside a reference.
    return this.#dialect === "v3" && "$ref" in schema ? { allOf: [schema], ...extra } : { ...schema, ...extra };
  }

  #value(value: ValueSchema): Json {
    switch (value.kind) {
      case "string":
        return { type: "string", ...(value.format ? { format: value.format } : {}) };
      case "enum":
        return { type: "string" };
      case "integer":
        return { type: "integer", format: `int${value.bits}` };
      case "number":
        return { type: "number", format: "double" };
      case "boolean":
        return { type: "boolean" };
      case "bytes":
        return { type: "string", format: "byte" };
      case "time":
        return this.#scalar(value.micro ? microTimeName : timeName, { type: "string", format: "date-time" });
      case "quantity":
        return this.#scalar(
          quantityName,
          this.#dialect === "v2" ? { type: "string" } : { oneOf: [{ type: "string" }, { type: "number" }] },
        );
      case "int-or-string":
        return this.#scalar(
          intOrStringName,
          this.#dialect === "v2"
            ? { type: "string", format: "int-or-string" }
            : { oneOf: [{ type: "integer" }, { type: "string" }], format: "int-or-string" },
        );
      case "map":
        return { type: "object", additionalProperties: this.#value(value.values) };
      case "list":
        return { type: "array", items: this.#value(value.items) };
      case "object":
        this.add(value.type);
        return this.reference(value.type.name);
      case "any":
        return value.form === "raw" ? { type: "object" } : {};
    }
  }

  #scalar(name: string, schema: Json): Json {
    if (!this.#made.has(name)) this.#made.set(name, schema);
    return this.reference(name);
  }
}
