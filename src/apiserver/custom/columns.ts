/** Printer columns of a version as table columns. Follows registry/customresource/tableconvertor. */
import { type Column, creationText, type CustomResourceDefinitionVersion } from "#api";
import { goJson, humanDuration, type KubernetesObject } from "#machinery";
import { compileJsonPath } from "./json-path.ts";

const age = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp", description: "" };

type Columns = NonNullable<CustomResourceDefinitionVersion["additionalPrinterColumns"]>;

export function columnsOf(columns: Columns | undefined): Column<KubernetesObject>[] {
  const shown: Columns = columns && columns.length > 0 ? columns : [age];
  return shown.map(({ name, type, format, description, priority, jsonPath }) => {
    const find = compileJsonPath(jsonPath);
    return {
      name,
      type,
      description: !columns?.length
        ? creationText
        : description || `Custom resource definition column (in JSONPath format): ${jsonPath}`,
      ...(format && { format }),
      ...(priority && { priority }),
      of: (object, now) => cell(type, find(object)[0], now),
    };
  });
}

function cell(type: string, value: unknown, now: number): string | number | boolean | null {
  switch (type) {
    case "string":
      return value === undefined ? null : printed(value);
    case "integer":
      return typeof value === "number" ? Math.trunc(value) : null;
    case "number":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "date": {
      if (typeof value !== "string") return null;
      if (value === "") return "<unknown>";
      const at = Date.parse(value);
      return Number.isNaN(at) ? "<invalid>" : humanDuration(now - at);
    }
    default:
      return null;
  }
}

/** As client-go's JSONPath prints one result. */
function printed(value: unknown): string {
  if (value === null) return "";
  return typeof value === "object" ? goJson(value) : String(value);
}
