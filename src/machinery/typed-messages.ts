/** How Go's messages name values, types and places when a value doesn't fit its field. */
import { Decimal } from "./decimal.ts";
import { goKindName, goTypeName } from "./go-text.ts";
import type { JsonPath } from "./json-text.ts";
import type { FieldSchema, TypeSchema, ValueSchema } from "./schema.ts";

/** When a struct is filled from a map. */
export function cannotRestore(value: unknown, schema: ValueSchema): string {
  switch (schema.kind) {
    case "object":
      return `cannot restore struct from: ${goKindName(value)}`;
    case "map":
      return `cannot restore map from ${goKindName(value)}`;
    case "list":
    case "bytes":
      return `cannot restore slice from ${goKindName(value)}`;
    default: {
      const from = goTypeName(value);
      const to = goType(schema);
      // What Go could convert, but JSON wouldn't.
      const convertible = typeof value === "number" && (to !== "string" || from === "int64") && to !== "bool";
      return convertible ? `cannot convert ${from} to ${to}` : `unrecognized type: ${to}`;
    }
  }
}

/** What JSON messages call a value. */
export function jsonKind(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (value instanceof Decimal) return "number";
  return typeof value === "boolean" ? "bool" : typeof value;
}

/** `v1.PodSpec` of `io.k8s.api.core.v1.PodSpec`. */
export const shortName = (type: TypeSchema): string => type.name.split(".").slice(-2).join(".");

/** The Go type of a field, as far as the facts tell: names of strings and maps (`v1.Protocol`) are lost. */
export function goType(schema: ValueSchema): string {
  switch (schema.kind) {
    case "boolean":
      return "bool";
    case "integer":
      return `${schema.unsigned ? "u" : ""}int${schema.bits}`;
    case "number":
      return "float64";
    case "bytes":
      return "[]uint8";
    case "list":
      return `[]${goType(schema.items)}`;
    case "map":
      return `map[string]${goType(schema.values)}`;
    case "object":
      return shortName(schema.type);
    case "time":
      return schema.micro ? "v1.MicroTime" : "v1.Time";
    case "quantity":
      return "resource.Quantity";
    case "int-or-string":
      return "intstr.IntOrString";
    case "any":
      return "runtime.RawExtension";
    default:
      return "string";
  }
}

const embeddedOf = ({ embedded }: TypeSchema, number: number): TypeSchema | undefined =>
  embedded?.find((each) => each.number === number)?.type;

/** The innermost struct on the way to a value, and the names of struct fields only: how Go's messages say where. */
export function whereIn(
  root: TypeSchema,
  path: JsonPath,
): { struct: string; fields: string[]; schema: ValueSchema | undefined } {
  let struct = "";
  const fields: string[] = [];
  let schema: ValueSchema | undefined = { kind: "object", type: root };
  for (const step of path) {
    if (schema?.kind === "object") {
      struct = schema.type.name.split(".").at(-1) ?? "";
      const field: FieldSchema | undefined = schema.type.fields.get(String(step));
      const home = field?.embedded === undefined ? undefined : embeddedOf(schema.type, field.embedded);
      if (home) fields.push(home.name.split(".").at(-1) ?? "");
      fields.push(String(step));
      schema = field?.value;
    } else if (schema?.kind === "map") schema = schema.values;
    else if (schema?.kind === "list") schema = schema.items;
    else schema = undefined;
  }
  return { struct, fields, schema };
}
