/** Printer columns of a version as table columns. Follows registry/customresource/tableconvertor. */
import { type Column, creationText, type CustomResourceDefinitionVersion } from "#api";
import { canonicalTimeText, humanDuration, type KubernetesObject, TimeError } from "#machinery";
import { compileJsonPath, found, printResult } from "./json-path.ts";

type Columns = NonNullable<CustomResourceDefinitionVersion["additionalPrinterColumns"]>;

const creation: Columns[number] = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "",
};

export function columnsOf(columns: Columns | undefined): Column<KubernetesObject>[] {
  const described = (columns?.length ?? 0) > 0;
  const made: Column<KubernetesObject>[] = [];
  for (const { name, type, format, description, priority, jsonPath } of columns?.length ? columns : [creation]) {
    const path = compileJsonPath(jsonPath);
    // Nor the ones after it, as upstream does.
    if (!path) break;
    const text = description || `Custom resource definition column (in JSONPath format): ${jsonPath}`;
    made.push({
      name,
      type,
      description: described ? text : creationText,
      ...(format && { format }),
      ...(priority && { priority }),
      of: (object, now) => cell(type, found(path, object)[0], now),
    });
  }
  return made;
}

function cell(type: string, value: unknown, now: number): string | number | boolean | null {
  switch (type) {
    case "string":
      return value === undefined ? null : printResult(value);
    case "integer":
      return typeof value === "number" ? wholeNumber(value) : null;
    case "number":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "date":
      return typeof value === "string" ? age(value, now) : null;
    default:
      return null;
  }
}

/** Go's conversion: what is too large ends up at the other end. */
const wholeNumber = (value: number): number => (Math.abs(value) < 2 ** 63 ? Math.trunc(value) : Number(-(2n ** 63n)));

function age(time: string, now: number): string {
  if (time === "" || time === "null") return "<unknown>";
  try {
    const at = canonicalTimeText(time);
    return at === null ? "<unknown>" : humanDuration(now - Date.parse(at));
  } catch (error) {
    if (error instanceof TimeError) return "<invalid>";
    throw error;
  }
}
