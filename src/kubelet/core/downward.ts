/** The downward API: fields of the pod and its resources as text, for variables and files. */
import { goQuote } from "#machinery";
import { milliOf, unitsOf } from "./quantity.ts";
import { containerByName, type ContainerSpec, type PodView } from "./types.ts";

/** What isn't in the spec at the time it is needed. */
export interface DownwardContext {
  readonly podIPs: readonly string[];
  readonly hostIPs: readonly string[];
  /** Of the node: limits that a container doesn't set. */
  readonly allocatable: Readonly<Record<string, string>>;
}

/** Throws with upstream's text when the field is not known. */
export function fieldValue(pod: PodView, fieldPath: string, context: DownwardContext): string {
  const { metadata, spec } = pod;
  const subscript = /^(.+)\['(.*)'\]$/.exec(fieldPath);
  if (subscript) {
    const [, path, key = ""] = subscript;
    if (path === "metadata.annotations") return metadata.annotations?.[key] ?? "";
    if (path === "metadata.labels") return metadata.labels?.[key] ?? "";
    throw new Error(`fieldPath ${goQuote(fieldPath)} does not support subscript`);
  }
  switch (fieldPath) {
    case "metadata.annotations":
      return printMap(metadata.annotations);
    case "metadata.labels":
      return printMap(metadata.labels);
    case "metadata.name":
      return metadata.name ?? "";
    case "metadata.namespace":
      return metadata.namespace ?? "";
    case "metadata.uid":
      return metadata.uid ?? "";
    case "spec.nodeName":
      return spec?.nodeName ?? "";
    case "spec.serviceAccountName":
      return spec?.serviceAccountName ?? "";
    case "status.hostIP":
      return context.hostIPs[0] ?? "";
    case "status.hostIPs":
      return context.hostIPs.join(",");
    case "status.podIP":
      return context.podIPs[0] ?? "";
    case "status.podIPs":
      return context.podIPs.join(",");
    default:
      throw new Error(`unsupported fieldPath: ${fieldPath}`);
  }
}

/** One `key="value"` a line, sorted. */
const printMap = (map: Readonly<Record<string, string>> | undefined): string =>
  Object.entries(map ?? {})
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, value]) => `${key}=${goQuote(value)}`)
    .join("\n");

export interface ResourceField {
  readonly resource: string;
  readonly divisor?: string;
  /** Required in files, the own container in variables. */
  readonly containerName?: string;
}

/** Whole multiples of the divisor, rounded up. */
export function resourceValue(
  pod: PodView,
  field: ResourceField,
  { container, allocatable }: { container: ContainerSpec | undefined; allocatable: DownwardContext["allocatable"] },
): string {
  const of = field.containerName ? containerByName(pod, field.containerName) : container;
  if (!of) throw new Error(`container ${field.containerName} not found`);
  const dot = field.resource.indexOf(".");
  const kind = field.resource.slice(0, dot);
  const name = field.resource.slice(dot + 1);
  if (kind !== "limits" && kind !== "requests") throw new Error(`unsupported container resource : ${field.resource}`);
  const set = of.resources?.[kind]?.[name];
  const quantity = set ?? (kind === "limits" ? allocatable[name] : undefined);
  const divisor = !field.divisor || field.divisor === "0" ? "1" : field.divisor;
  const read = name === "cpu" ? milliOf : unitsOf;
  return String(Math.ceil(read(quantity) / read(divisor)));
}
