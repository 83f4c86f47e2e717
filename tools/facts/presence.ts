/**
 * Which fields are Go pointers, which zero values are printed and which structs are embedded: the one thing about a
 * type that neither OpenAPI nor .proto tells and clients see (`"status": {}` is printed, `"hostNetwork": false` is not).
 * Reads the struct tags of k8s.io/api and friends once and writes `presence.json`, an input of `generate.ts`.
 *
 *   node tools/facts/presence.ts --go DIR     DIR holds api/, apimachinery/, apiextensions-apiserver/, kube-aggregator/
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";

/**
 * For each package, type and protobuf number: `*` pointer, `~` one printed as null, `=` the zero value is printed (no entry: it is left out),
 * `...` embedded without a name; then `:name` where JSON's name is not the one of .proto. Key `kind`: has a TypeMeta.
 */
export type Presence = Record<string, Record<string, Record<string, string>>>;

interface GoField {
  readonly goName: string;
  readonly goType: string;
  readonly json: string;
  readonly number: string;
  readonly protoName: string;
}

const structPattern = /^type (\w+) struct \{\n([\s\S]*?)^\}/gm;

function readPackage(
  folder: string,
  files: readonly string[],
): { structs: Map<string, GoField[]>; imports: Map<string, string> } {
  const structs = new Map<string, GoField[]>();
  const imports = new Map<string, string>();
  for (const file of files) {
    const text = readFileSync(join(folder, file), "utf8");
    for (const [, alias, path = ""] of text.matchAll(/^\s+(?:(\w+) )?"(k8s\.io\/[^"]+)"$/gm))
      imports.set(alias ?? path.split("/").at(-1) ?? "", path.replaceAll(/[/]/g, "."));
    for (const [, name = "", body = ""] of text.matchAll(structPattern)) structs.set(name, readFields(body));
  }
  return { structs, imports };
}

function readFields(body: string): GoField[] {
  const fields: GoField[] = [];
  for (const line of body.split("\n")) {
    const match = line.match(/^\s+(?:(\w+)\s+)?([^\s/`]+)\s+`(.*)`/);
    if (!match) continue;
    const tags = match[3] ?? "";
    const protobuf = tags.match(/protobuf:"([^"]*)"/)?.[1]?.split(",") ?? [];
    fields.push({
      goName: match[1] ?? "",
      goType: match[2] ?? "",
      json: tags.match(/json:"([^"]*)"/)?.[1] ?? "",
      number: protobuf[1] ?? "",
      protoName: protobuf.find((part) => part.startsWith("name="))?.slice(5) ?? "",
    });
  }
  return fields;
}

/** `named`: write the name always, because no .proto of the reference has this type's numbers. */
function describe(field: GoField, isStruct: (goType: string) => boolean, named: boolean): string {
  const [jsonName = "", ...options] = field.json.split(",");
  if (options.includes("inline") || (jsonName === "" && field.goName === "")) return "...";
  const printed = !options.includes("omitempty") || isStruct(field.goType);
  const omits = options.includes("omitempty") || options.includes("omitzero");
  const zero = printed && !options.includes("omitzero") ? "=" : "";
  const mark = !field.goType.startsWith("*") ? zero : omits ? "*" : "~";
  return jsonName === field.protoName && !named ? mark : `${mark}:${jsonName}`;
}

function main(): void {
  const root = parseArgs({ options: { go: { type: "string" } } }).values.go;
  if (root === undefined) throw new Error("--go DIR is missing");
  const byFolder = new Map<string, string[]>();
  for (const file of globSync(["api/**/*types*.go", "apimachinery/pkg/**/*.go", "*/pkg/apis/**/*.go"], { cwd: root })) {
    if (/_test\.go$|zz_generated|testdata|\/testing\//.test(file)) continue;
    if (/generated\.pb/.test(file)) continue;
    const folder = dirname(file);
    byFolder.set(folder, [...(byFolder.get(folder) ?? []), file.slice(folder.length + 1)]);
  }
  const packages = new Map(
    [...byFolder].map(([folder, files]) => [
      `k8s.io.${folder.replaceAll("/", ".")}`,
      readPackage(join(root, folder), files),
    ]),
  );
  const presence: Presence = {};
  for (const [name, { structs, imports }] of [...packages].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const isStruct = (goType: string): boolean => {
      const [qualifier, local] = goType.includes(".") ? goType.split(".") : ["", goType];
      const home = qualifier === "" ? name : imports.get(qualifier ?? "");
      return packages.get(home ?? "")?.structs.has(local ?? "") ?? false;
    };
    for (const [type, fields] of structs) {
      const entry: Record<string, string> = {};
      for (const field of fields) {
        if (/(^|\.)TypeMeta$/.test(field.goType) && field.number === "") entry.kind = "";
        if (field.number === "") continue;
        const text = describe(field, isStruct, name.startsWith("k8s.io.kube-aggregator"));
        if (text !== "") entry[field.number] = text;
      }
      if (Object.keys(entry).length === 0) continue;
      presence[name] ??= {};
      presence[name][type] = entry;
    }
  }
  const lines = Object.entries(presence).map(([name, types]) => {
    const inner = Object.entries(types).map(([type, entry]) => `    ${JSON.stringify(type)}: ${JSON.stringify(entry)}`);
    return `  ${JSON.stringify(name)}: {\n${inner.join(",\n")}\n  }`;
  });
  writeFileSync(join(import.meta.dirname, "presence.json"), `{\n${lines.join(",\n")}\n}\n`);
}

if (import.meta.main) main();
