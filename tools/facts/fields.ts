/** Merges what OpenAPI, .proto and `presence.json` say about a type into compact fields; complains where they disagree. */
import type { CompactField } from "./compact.ts";
import type { Presence } from "./presence.ts";
import type { ProtoField, ProtoMessage } from "./proto.ts";

export interface OpenApiSchema {
  readonly type?: string;
  readonly format?: string;
  readonly $ref?: string;
  readonly items?: OpenApiSchema;
  readonly additionalProperties?: OpenApiSchema;
  readonly default?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, OpenApiSchema>>;
  readonly "x-kubernetes-list-type"?: string;
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-map-type"?: string;
  readonly "x-kubernetes-patch-strategy"?: string;
  readonly "x-kubernetes-patch-merge-key"?: string;
  readonly "x-kubernetes-group-version-kind"?: readonly { group: string; version: string; kind: string }[];
}

/** Types whose JSON is not the object that .proto shows. The names on the right are kinds of values. */
const specialTypes: Readonly<Record<string, string>> = {
  "apimachinery.pkg.apis.meta.v1.Time": "time",
  "apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
  "apimachinery.pkg.api.resource.Quantity": "quantity",
  "apimachinery.pkg.util.intstr.IntOrString": "intstr",
  "apimachinery.pkg.runtime.RawExtension": "raw",
  "apimachinery.pkg.apis.meta.v1.FieldsV1": "raw",
};
const jsonSchemaPackage = /^apiextensions-apiserver\.pkg\.apis\.apiextensions\.v1(beta1)?\./;
const jsonSchemaTypes: Readonly<Record<string, string>> = {
  JSON: "raw",
  JSONSchemaPropsOrArray: "schema-or-list",
  JSONSchemaPropsOrBool: "schema-or-bool",
  JSONSchemaPropsOrStringArray: "schema-or-strings",
};
const scalarTypes: Readonly<Record<string, string>> = {
  string: "string",
  bytes: "bytes",
  bool: "bool",
  int32: "int32",
  int64: "int64",
  double: "number",
};

export const isSpecial = (name: string): boolean => specialType(name) !== undefined;

function specialType(name: string): string | undefined {
  if (jsonSchemaPackage.test(name)) return jsonSchemaTypes[name.slice(name.lastIndexOf(".") + 1)];
  return specialTypes[name];
}

/** `k8s.io.api.core.v1.Pod` of .proto and `io.k8s.api.core.v1.Pod` of OpenAPI are `api.core.v1.Pod` here. */
export const shortName = (name: string): string =>
  name
    .replace(/^#\/definitions\//, "")
    .replace(/^(io\.k8s|k8s\.io)\./, "")
    .replace("apiextensions_", "apiextensions-");

const packageOf = (name: string): string => name.slice(0, name.lastIndexOf("."));

export class FieldMerger {
  readonly #messages: ReadonlyMap<string, ProtoMessage>;
  readonly #definitions: ReadonlyMap<string, OpenApiSchema>;
  readonly #presence: Presence;

  constructor(
    messages: ReadonlyMap<string, ProtoMessage>,
    definitions: ReadonlyMap<string, OpenApiSchema>,
    presence: Presence,
  ) {
    this.#messages = messages;
    this.#definitions = definitions;
    this.#presence = presence;
  }

  /** JSON name of each field of the type, embedded ones included. */
  fieldsOf(name: string): CompactField[] {
    const home = packageOf(name);
    const presence = this.#presence[`k8s.io.${home}`]?.[name.slice(home.length + 1)] ?? {};
    const definition = this.#definitions.get(name);
    const message = this.#messages.get(name);
    const fields: CompactField[] = [];
    const isKind = definition ? definition.properties?.kind && definition.properties?.apiVersion : "kind" in presence;
    if (isKind && !message?.fields.some((field) => field.name === "kind"))
      for (const typeMeta of ["kind", "apiVersion"])
        fields.push({
          name: typeMeta,
          required: false,
          number: 0,
          mode: "",
          type: "string",
          options: [],
          embedded: false,
        });
    if (message) for (const field of message.fields) fields.push(this.#fromProto(home, field, presence, definition));
    else
      for (const [property, schema] of Object.entries(definition?.properties ?? {}))
        if (!fields.some((field) => field.name === property))
          fields.push(this.#fromOpenApi(home, property, schema, presence, definition));
    if (definition) this.#check(name, fields, definition);
    return fields;
  }

  #fromProto(
    home: string,
    field: ProtoField,
    presence: Record<string, string>,
    definition: OpenApiSchema | undefined,
  ): CompactField {
    const [mark = "", alias] = (presence[field.number] ?? "").split(":");
    const name = alias ?? field.name;
    const embedded = mark === "...";
    const schema = definition?.properties?.[name];
    return {
      name,
      required: schema ? (definition?.required?.includes(name) ?? false) : field.markers.includes("required"),
      number: field.number,
      mode: isMode(mark) ? mark : "",
      type: this.#protoType(home, field),
      options: [...(schema ? optionsOfSchema(schema) : optionsOfMarkers(field.markers)), ...defaultOf(field.markers)],
      embedded,
    };
  }

  #protoType(home: string, field: ProtoField): string {
    const scalar = scalarTypes[field.type];
    let type = scalar;
    if (type === undefined) {
      const target = shortName(field.type);
      const wrapped = this.#wrappedItems(target);
      type = specialType(target) ?? (wrapped === undefined ? relative(home, target) : `[=]${wrapped}`);
    }
    if (field.map) return `{}${type}`;
    return field.repeated ? `[]${type}` : type;
  }

  /** A Go slice type with a name (`ExtraValue`, `Verbs`) is a message with only `items`. */
  #wrappedItems(name: string): string | undefined {
    const message = this.#messages.get(name);
    const only = message?.fields[0];
    if (message?.fields.length !== 1 || only?.name !== "items" || only.type !== "string") return undefined;
    return "string";
  }

  isWrapped(name: string): boolean {
    return this.#wrappedItems(name) !== undefined;
  }

  #fromOpenApi(
    home: string,
    name: string,
    schema: OpenApiSchema,
    presence: Record<string, string>,
    definition: OpenApiSchema | undefined,
  ): CompactField {
    const known = Object.entries(presence).find(([, text]) => text.split(":")[1] === name);
    const mark = known?.[1].split(":")[0] ?? "";
    return {
      name,
      required: definition?.required?.includes(name) ?? false,
      number: Number(known?.[0] ?? 0),
      mode: isMode(mark) ? mark : "",
      type: openApiType(home, schema),
      options: optionsOfSchema(schema),
      embedded: false,
    };
  }

  #jsonNames(home: string, fields: readonly CompactField[]): string[] {
    return fields.flatMap((field) => {
      if (!field.embedded) return [field.name];
      const target = absolute(home, field.type);
      return this.#jsonNames(packageOf(target), this.fieldsOf(target));
    });
  }

  #check(name: string, fields: readonly CompactField[], definition: OpenApiSchema): void {
    const home = packageOf(name);
    const found = this.#jsonNames(home, fields).sort().join();
    const expected = Object.keys(definition.properties ?? {})
      .sort()
      .join();
    if (found !== expected) throw new Error(`${name}: .proto has ${found}, OpenAPI ${expected}`);
    for (const field of fields) {
      const schema = definition.properties?.[field.name];
      if (!schema || field.type.includes("[=]") || field.embedded) continue;
      const type = openApiType(home, schema);
      if (type !== field.type) throw new Error(`${name}.${field.name}: .proto has ${field.type}, OpenAPI ${type}`);
    }
  }
}

export const absolute = (home: string, type: string): string => (type.includes(".") ? type : `${home}.${type}`);
const relative = (home: string, name: string): string =>
  packageOf(name) === home ? name.slice(home.length + 1) : name;

function openApiType(home: string, schema: OpenApiSchema): string {
  if (schema.$ref !== undefined) {
    const target = shortName(schema.$ref);
    return specialType(target) ?? relative(home, target);
  }
  if (schema.items) return `[]${openApiType(home, schema.items)}`;
  if (schema.additionalProperties) return `{}${openApiType(home, schema.additionalProperties)}`;
  switch (schema.type) {
    case "string":
      return schema.format === "byte" ? "bytes" : "string";
    case "boolean":
      return "bool";
    case "integer":
      return schema.format === "int32" ? "int32" : "int64";
    case "number":
      return "number";
    default:
      throw new Error(`no type for ${JSON.stringify(schema)}`);
  }
}

function optionsOfSchema(schema: OpenApiSchema): string[] {
  const options: string[] = [];
  const listType = schema["x-kubernetes-list-type"];
  if (listType === "set") options.push("set");
  if (listType === "map") options.push(`map:${schema["x-kubernetes-list-map-keys"]?.join() ?? ""}`);
  const mapType = schema["x-kubernetes-map-type"];
  if (mapType === "atomic") options.push("atomic");
  // Maps are granular anyway; said of a type of its own, it overrides what the type says.
  if (mapType === "granular" && schema.$ref !== undefined) options.push("granular");
  for (const strategy of schema["x-kubernetes-patch-strategy"]?.split(",") ?? []) {
    const key = schema["x-kubernetes-patch-merge-key"];
    options.push(strategy === "merge" && key !== undefined ? `merge:${key}` : strategy);
  }
  return options;
}

/** The same from the comments: for types that no served version has. */
function optionsOfMarkers(markers: readonly string[]): string[] {
  const values = (key: string): string[] =>
    markers.filter((marker) => marker.startsWith(`${key}=`)).map((marker) => marker.slice(key.length + 1));
  return optionsOfSchema({
    ...(values("listType")[0] === undefined ? {} : { "x-kubernetes-list-type": values("listType")[0] ?? "" }),
    "x-kubernetes-list-map-keys": values("listMapKey"),
    ...(values("mapType")[0] === undefined && values("structType")[0] === undefined
      ? {}
      : { "x-kubernetes-map-type": values("mapType")[0] ?? values("structType")[0] ?? "" }),
    ...(values("patchStrategy")[0] === undefined
      ? {}
      : { "x-kubernetes-patch-strategy": values("patchStrategy")[0] ?? "" }),
    ...(values("patchMergeKey")[0] === undefined
      ? {}
      : { "x-kubernetes-patch-merge-key": values("patchMergeKey")[0] ?? "" }),
  });
}

function defaultOf(markers: readonly string[]): string[] {
  const marker = markers.find((each) => each.startsWith("default="));
  if (marker === undefined) return [];
  const value = marker.slice("default=".length);
  return value.startsWith("ref(") ? [] : [`default:${value.replaceAll(" ", "")}`];
}

const isMode = (mark: string): mark is Exclude<CompactField["mode"], ""> =>
  mark === "*" || mark === "~" || mark === "=";
