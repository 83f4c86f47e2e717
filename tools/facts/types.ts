/**
 * Writes TypeScript interfaces from the facts: `src/api/types.d.ts` and `src/kubelet/cri/types.d.ts`. Both are ignored by git.
 *
 * A type keeps its name where one version has it or where it is the preferred one: stable before beta, kinds before their
 * parts, then core, then the order of discovery. The others are named after package and version: `EventsV1Event`, `AutoscalingV1MetricSpec`….
 *
 *   npm run types
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface CompactFacts {
  readonly groupVersions: Readonly<
    Record<
      string,
      {
        readonly priority: readonly [number, number];
        readonly kinds: readonly string[];
        readonly resources: readonly { name: string; kind: string; of?: string }[];
      }
    >
  >;
  readonly types: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

const sourceFolder = join(import.meta.dirname, "../../src");
const metaPackage = "apimachinery.pkg.apis.meta.v1";
/** Not served as resources, yet on the wire in webhooks and discovery. */
const extraVersions = new Set(["admission.k8s.io/v1", "apidiscovery.k8s.io/v2", "apidiscovery.k8s.io/v2beta1"]);

const packageOf = (name: string): string => name.slice(0, name.lastIndexOf("."));
const lastOf = (name: string): string => name.slice(name.lastIndexOf(".") + 1);

function fieldsOf(facts: CompactFacts, name: string): readonly string[] {
  const fields = facts.types[packageOf(name)]?.[lastOf(name)];
  if (!fields) throw new Error(`no type ${name} in the facts`);
  return fields.filter((field) => field !== "atomic");
}

/** Names of types that a field's type mentions. */
function mentioned(home: string, type: string): string[] {
  const base = type.replace(/^(\[\]|\{\}|\[=\])+/, "");
  if (base.startsWith("schema-or-")) return [`${home}.JSONSchemaProps`];
  return /(^|\.)[A-Z]\w*$/.test(base) ? [base.includes(".") ? base : `${home}.${base}`] : [];
}

function reachable(facts: CompactFacts, roots: Iterable<string>): Set<string> {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    for (const field of fieldsOf(facts, name)) {
      const parts = field.split(" ");
      for (const target of mentioned(packageOf(name), parts[field.startsWith("...") ? 1 : 2] ?? "")) visit(target);
    }
  };
  for (const root of roots) visit(root);
  return found;
}

/** `api.events.v1.Event` to `EventsV1Event`. */
function longName(name: string): string {
  const parts = name.split(".").slice(-3);
  return parts.map((part) => part.charAt(0).toUpperCase() + part.slice(1)).join("");
}

function chooseNames(facts: CompactFacts, types: Iterable<string>): Map<string, string> {
  const ranks = new Map<string, number>();
  Object.entries(facts.groupVersions).forEach(([, { kinds }], position) => {
    if (kinds[0] !== undefined) ranks.set(kinds[0], position);
  });
  const isKind = (name: string): boolean => fieldsOf(facts, name).some((field) => field.startsWith("kind 0 "));
  const rank = (name: string): number => {
    const home = packageOf(name);
    if (home === metaPackage) return isKind(name) ? -2 : 9_998;
    if (home === "api.core.v1") return isKind(name) ? -1 : 9_999;
    const unstable = /\.v\d+(alpha|beta)\d+$/.test(home) ? 20_000 : 0;
    return (
      (isKind(name) ? 0 : 10_000) +
      unstable +
      (home.startsWith("kube-aggregator") ? 5_000 : 0) +
      (ranks.get(home) ?? 1_000)
    );
  };
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const name of [...types].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))) {
    const chosen = taken.has(lastOf(name)) ? longName(name) : lastOf(name);
    taken.add(chosen);
    names.set(name, chosen);
  }
  return names;
}

function typescriptType(type: string, home: string, names: ReadonlyMap<string, string>): string {
  if (type.startsWith("[]")) {
    const items = typescriptType(type.slice(2), home, names);
    return items.includes(" ") ? `(${items})[]` : `${items}[]`;
  }
  if (type.startsWith("[=]")) return `${typescriptType(type.slice(3), home, names)}[]`;
  if (type.startsWith("{}")) return `Record<string, ${typescriptType(type.slice(2), home, names)}>`;
  switch (type) {
    case "string":
    case "bytes":
    case "time":
    case "microtime":
    case "quantity":
      return "string";
    case "int32":
    case "int64":
    case "uint32":
    case "uint64":
    case "number":
      return "number";
    case "bool":
      return "boolean";
    case "intstr":
      return "number | string";
    case "raw":
      return "unknown";
    case "schema-or-list":
      return "JSONSchemaProps | JSONSchemaProps[]";
    case "schema-or-bool":
      return "JSONSchemaProps | boolean";
    case "schema-or-strings":
      return "JSONSchemaProps | string[]";
  }
  const target = type.includes(".") ? type : `${home}.${type}`;
  const name = names.get(target);
  if (name === undefined) throw new Error(`no name for ${target}`);
  return name;
}

function printInterface(facts: CompactFacts, name: string, names: ReadonlyMap<string, string>): string {
  const home = packageOf(name);
  const parents: string[] = [];
  const lines: string[] = [];
  const fields = fieldsOf(facts, name);
  const isKind = fields.some((field) => field.startsWith("kind 0 "));
  for (const field of fields) {
    const [first = "", second = "", third = ""] = field.split(" ");
    if (field.startsWith("...")) {
      parents.push(typescriptType(second, home, names));
      continue;
    }
    const required = first.endsWith("!");
    const property = required ? first.slice(0, -1) : first;
    // A kind on the wire always has its metadata, whatever OpenAPI says.
    const always = required || (isKind && property === "metadata");
    const quoted = /^\w+$/.test(property) ? property : JSON.stringify(property);
    lines.push(`  ${quoted}${always ? "" : "?"}: ${typescriptType(third, home, names)};`);
  }
  const heritage = parents.length > 0 ? ` extends ${parents.join(", ")}` : "";
  return `export interface ${names.get(name)}${heritage} {\n${lines.join("\n")}\n}`;
}

function printResourceTypes(facts: CompactFacts, names: ReadonlyMap<string, string>): string {
  const objects: string[] = [];
  const subresources: string[] = [];
  for (const [groupVersion, { resources }] of Object.entries(facts.groupVersions))
    for (const { name, kind, of } of resources) {
      const home = facts.groupVersions[of ?? groupVersion]?.kinds[0];
      const line = `  "${groupVersion}/${name}": ${names.get(`${home}.${kind}`)};`;
      (name.includes("/") ? subresources : objects).push(line);
    }
  return `/** Type of each resource by \`groupVersion/plural\`. */
export interface ResourceTypes {
${objects.join("\n")}
}

/** What is sent to each subresource by \`groupVersion/plural/subresource\`. */
export interface SubresourceTypes {
${subresources.join("\n")}
}`;
}

export function printApiTypes(facts: CompactFacts): string {
  const versions = Object.entries(facts.groupVersions).filter(
    ([groupVersion, { resources }]) => resources.length > 0 || extraVersions.has(groupVersion),
  );
  const roots = versions.flatMap(
    ([
      ,
      {
        kinds: [home = "", ...kinds],
      },
    ]) => kinds.map((kind) => `${home}.${kind}`),
  );
  const meta = Object.keys(facts.types[metaPackage] ?? {}).map((name) => `${metaPackage}.${name}`);
  const types = reachable(facts, [...roots, ...meta, "apimachinery.pkg.version.Info"]);
  const names = chooseNames(facts, types);
  const sorted = [...names].sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([name]) => name);
  return [
    "// Written by tools/facts/types.ts from src/api/facts.json: `npm run types`.",
    ...sorted.map((name) => printInterface(facts, name, names)),
    printResourceTypes(facts, names),
    "",
  ].join("\n\n");
}

interface CompactCriFacts {
  readonly services: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly types: CompactFacts["types"];
}

/** Requests leave out what is zero; `Decoded` gives the shape of an answer, in which only messages may be missing. */
const decodedType = `/** A message as it is received: scalars, lists and maps are always there, messages may be missing. */
export type Decoded<T> = T extends string | number | boolean | Uint8Array
  ? T
  : T extends (infer U)[]
    ? Decoded<U>[]
    : string extends keyof T
      ? { [K in keyof T]: Decoded<T[K]> }
      : { [K in FilledKeys<T>]-?: Decoded<NonNullable<T[K]>> } & { [K in Exclude<keyof T, FilledKeys<T>>]?: Decoded<NonNullable<T[K]>> };

type FilledKeys<T> = { [K in keyof T]-?: NonNullable<T[K]> extends string | number | boolean | Uint8Array | unknown[] ? K : string extends keyof NonNullable<T[K]> ? K : never }[keyof T];`;

const criCallOptions = `export interface CriCallOptions {
  /** Instead of the client's; Infinity for no limit. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}`;

export function printCriTypes(facts: CompactCriFacts): string {
  const [home = ""] = Object.keys(facts.types);
  const names = new Map(
    [...Object.keys(facts.types[home] ?? {}).map((name) => `${home}.${name}`), ...Object.keys(facts.enums)].map(
      (name) => [name, lastOf(name)],
    ),
  );
  const enums = Object.entries(facts.enums).map(
    ([name, values]) =>
      `export type ${lastOf(name)} = ${Object.keys(values)
        .map((value) => `"${value}"`)
        .join(" | ")};`,
  );
  const messages = Object.entries(facts.types[home] ?? {}).map(([name, fields]) => {
    const lines = fields.map((field) => {
      const [property = "", , type = ""] = field.split(" ");
      return `  ${property}?: ${type.replace(/bytes$/, "") === type ? typescriptType(type, home, names) : "Uint8Array"};`;
    });
    return lines.length > 0
      ? `export interface ${name} {\n${lines.join("\n")}\n}`
      : `export type ${name} = Record<never, never>;`;
  });
  const services = Object.entries(facts.services).map(([name, methods]) => {
    const lines = Object.entries(methods).map(([method, [request, response, stream]]) => {
      const answer = stream ? `AsyncIterable<Decoded<${response}>>` : `Promise<Decoded<${response}>>`;
      return `  ${method.charAt(0).toLowerCase()}${method.slice(1)}(request: ${request}, options?: CriCallOptions): ${answer};`;
    });
    return `export interface ${lastOf(name)} {\n${lines.join("\n")}\n}`;
  });
  return [
    "// Written by tools/facts/types.ts from src/kubelet/cri/facts.json: `npm run types`.",
    decodedType,
    criCallOptions,
    ...enums,
    ...messages,
    ...services,
    "",
  ].join("\n\n");
}

function main(): void {
  const read = <T>(path: string): T => JSON.parse(readFileSync(join(sourceFolder, path), "utf8"));
  writeFileSync(join(sourceFolder, "api/types.d.ts"), printApiTypes(read("api/facts.json")));
  writeFileSync(join(sourceFolder, "kubelet/cri/types.d.ts"), printCriTypes(read("kubelet/cri/facts.json")));
}

if (import.meta.main) main();
