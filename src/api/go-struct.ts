/**
 * A value of the API as upstream prints it in an error: as JSON of the Go struct, whose fields have Go's names there and are
 * never left out. Types of apimachinery (metadata, label selectors) print as on the wire.
 */
import type { FieldSchema, TypeSchema, ValueSchema } from "#machinery";
import { facts } from "./facts.ts";

/** JSON names to Go's, where they differ by more than the first letter. */
export type GoNames = Readonly<Record<string, string>>;

const commonNames: GoNames = { apiGroup: "APIGroup", apiGroups: "APIGroups", cel: "CEL", ips: "IPs", uid: "UID" };

/** `typeName` as the facts know it: `api.core.v1.PodSpec`. */
export function goStruct(typeName: string, value: unknown, names: GoNames = {}): unknown {
  const type = facts.type(typeName);
  return type ? printObject(type, value, { ...commonNames, ...names }) : value;
}

/** Go prints maps in the order of their keys. */
export const goMap = <T>(map: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));

function printObject(type: TypeSchema, value: unknown, names: GoNames): unknown {
  const fields = { ...(value as Record<string, unknown> | undefined) }; // objects of the API are records
  if (!type.name.startsWith("io.k8s.api.")) return fields;
  const printed: Record<string, unknown> = {};
  for (const field of type.fields.values()) {
    const each = fields[field.name];
    // Upstream's structs embed it.
    if (field.name === "metadata") Object.assign(printed, each);
    else printed[goName(field.name, names)] = printField(field, each, names);
  }
  return printed;
}

const goName = (name: string, names: GoNames): string =>
  names[name] ?? `${name.charAt(0).toUpperCase()}${name.slice(1)}`;

function printField({ value: schema, zero }: FieldSchema, value: unknown, names: GoNames): unknown {
  if (value !== undefined && value !== null) return printValue(schema, value, names);
  return zero === "omitted" || zero === "printed" ? zeroOf(schema, names) : null;
}

function printValue(schema: ValueSchema, value: unknown, names: GoNames): unknown {
  switch (schema.kind) {
    case "object":
      return printObject(schema.type, value, names);
    case "list":
      return Array.isArray(value) ? value.map((each) => printValue(schema.items, each, names)) : value;
    case "map": {
      const entries = Object.entries(value as object).sort(([a], [b]) => (a < b ? -1 : 1)); // maps of the API are records
      return Object.fromEntries(entries.map(([key, each]) => [key, printValue(schema.values, each, names)]));
    }
    default:
      return value;
  }
}

function zeroOf(schema: ValueSchema, names: GoNames): unknown {
  switch (schema.kind) {
    case "object":
      return printObject(schema.type, {}, names);
    case "string":
      return "";
    case "integer":
    case "number":
      return 0;
    case "boolean":
      return false;
    case "quantity":
      return "0";
    default:
      return null;
  }
}
