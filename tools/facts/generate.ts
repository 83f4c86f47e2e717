/**
 * Writes `src/api/facts.json`: all that the program knows about the built-in types, from the published OpenAPI and .proto
 * files, without descriptions. The result is committed; run it again when the API version changes.
 *
 *   node tools/facts/generate.ts --reference DIR     DIR holds kubernetes/openapi-v2-*.json, kubernetes/proto/, cri/api.proto
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { printField, printTypes } from "./compact.ts";
import { printCriFacts } from "./cri.ts";
import { FieldMerger, isSpecial, type OpenApiSchema, shortName } from "./fields.ts";
import type { Presence } from "./presence.ts";
import { type ProtoMessage, parseProto } from "./proto.ts";
import { type CompactResource, type OpenApiOperation, readResources } from "./resources.ts";
import { groupPriorities, isServedByDefault, versionPriorities } from "./tables.ts";

interface OpenApiDocument {
  readonly definitions: Readonly<Record<string, OpenApiSchema>>;
  readonly paths: Record<string, Record<string, OpenApiOperation>>;
}

const sourceFolder = join(import.meta.dirname, "../../src");

/** API groups that are named otherwise than their Go package. */
const groupOfPackage: Readonly<Record<string, string>> = {
  core: "",
  admission: "admission.k8s.io",
  admissionregistration: "admissionregistration.k8s.io",
  apidiscovery: "apidiscovery.k8s.io",
  apiserverinternal: "internal.apiserver.k8s.io",
  authentication: "authentication.k8s.io",
  authorization: "authorization.k8s.io",
  certificates: "certificates.k8s.io",
  coordination: "coordination.k8s.io",
  discovery: "discovery.k8s.io",
  events: "events.k8s.io",
  flowcontrol: "flowcontrol.apiserver.k8s.io",
  imagepolicy: "imagepolicy.k8s.io",
  networking: "networking.k8s.io",
  node: "node.k8s.io",
  rbac: "rbac.authorization.k8s.io",
  resource: "resource.k8s.io",
  scheduling: "scheduling.k8s.io",
  storage: "storage.k8s.io",
  storagemigration: "storagemigration.k8s.io",
  apiextensions: "apiextensions.k8s.io",
  apiregistration: "apiregistration.k8s.io",
};

function readMessages(root: string): Map<string, ProtoMessage> {
  const messages = new Map<string, ProtoMessage>();
  for (const path of globSync("kubernetes/proto/**/*.proto", { cwd: root }))
    for (const message of parseProto(readFileSync(join(root, path), "utf8")).messages)
      messages.set(shortName(`${message.package}.${message.name}`), message);
  return messages;
}

function groupVersionOf(name: string): string | undefined {
  const match = name.match(/^(?:api|.*\.pkg\.apis)\.(\w+)\.(v\w+)\.\w+$/);
  if (!match || match[1] === "meta") return undefined;
  const group = groupOfPackage[match[1] ?? ""] ?? match[1] ?? "";
  return group === "" ? (match[2] ?? "") : `${group}/${match[2]}`;
}

/** Text of each facts file by its path under `src/`. */
export function generate(root: string): Map<string, string> {
  const [openApiPath] = globSync("kubernetes/openapi-v2-*.json", { cwd: root });
  if (openApiPath === undefined) throw new Error(`no kubernetes/openapi-v2-*.json in ${root}`);
  const document: OpenApiDocument = JSON.parse(readFileSync(join(root, openApiPath), "utf8"));
  const presence: Presence = JSON.parse(readFileSync(join(import.meta.dirname, "presence.json"), "utf8"));
  const definitions = new Map(Object.entries(document.definitions).map(([name, schema]) => [shortName(name), schema]));
  const messages = readMessages(root);
  const merger = new FieldMerger(messages, definitions, presence);

  const types = new Map<string, string[]>();
  const kinds = new Map<string, string[]>();
  for (const name of new Set([...definitions.keys(), ...messages.keys()])) {
    if (isSpecial(name) || merger.isWrapped(name) || isEnvelope(name)) continue;
    const fields = merger.fieldsOf(name);
    const atomic =
      definitions.get(name)?.["x-kubernetes-map-type"] === "atomic" ||
      (!definitions.has(name) && messages.get(name)?.markers.includes("structType=atomic"));
    types.set(name, [...(atomic ? ["atomic"] : []), ...fields.map(printField)]);
    const groupVersion = groupVersionOf(name);
    if (groupVersion !== undefined && fields.some((field) => field.name === "kind" && field.number === 0))
      kinds.set(groupVersion, [...(kinds.get(groupVersion) ?? []), name]);
  }
  const version = openApiPath.match(/openapi-v2-(.+)\.json$/)?.[1] ?? "";
  const cri = parseProto(readFileSync(join(root, "cri/api.proto"), "utf8"));
  return new Map([
    ["api/facts.json", printFacts({ version, resources: readResources(document.paths), kinds, types })],
    ["kubelet/cri/facts.json", printCriFacts(cri)],
  ]);
}

/** Wire envelopes that are code, not types: `runtime.Unknown`, `Timestamp`. */
function isEnvelope(name: string): boolean {
  return (
    name.startsWith("apimachinery.pkg.runtime.") ||
    name.startsWith("apimachinery.pkg.api.resource.") ||
    name === "apimachinery.pkg.apis.meta.v1.Timestamp" ||
    name === "apimachinery.pkg.apis.meta.v1.Patch"
  );
}

interface Facts {
  version: string;
  resources: ReadonlyMap<string, readonly CompactResource[]>;
  kinds: ReadonlyMap<string, readonly string[]>;
  types: ReadonlyMap<string, readonly string[]>;
}

function printFacts(facts: Facts): string {
  const versions = [...new Set([...facts.resources.keys(), ...facts.kinds.keys()])].map((groupVersion) => {
    const [group = "", version = ""] = groupVersion === "v1" ? ["", "v1"] : groupVersion.split("/");
    const usual = /alpha/.test(version) ? 1 : /beta/.test(version) ? 9 : 15;
    return {
      group,
      version,
      groupPriority: groupPriorities[group] ?? 0,
      versionPriority: versionPriorities[groupVersion] ?? usual,
      served: facts.resources.has(groupVersion) && isServedByDefault(version),
      groupVersion,
    };
  });
  versions.sort(
    (a, b) =>
      b.groupPriority - a.groupPriority ||
      (a.group < b.group ? -1 : a.group > b.group ? 1 : 0) ||
      b.versionPriority - a.versionPriority ||
      (a.version < b.version ? -1 : 1),
  );
  const printVersion = ({ groupVersion, ...version }: (typeof versions)[number]): string => {
    const resources = (facts.resources.get(groupVersion) ?? []).map((each) => `\n        ${JSON.stringify(each)}`);
    const kinds = Object.fromEntries(
      [...(facts.kinds.get(groupVersion) ?? [])].sort().map((name) => [name.slice(name.lastIndexOf(".") + 1), name]),
    );
    return `    ${JSON.stringify(groupVersion)}: {
      "priority": ${JSON.stringify([version.groupPriority, version.versionPriority])},
      "served": ${version.served},
      "kinds": ${JSON.stringify(printKinds(kinds))},
      "resources": [${resources.join(",")}${resources.length > 0 ? "\n      " : ""}]
    }`;
  };
  return `{
  "version": ${JSON.stringify(facts.version)},
  "groupVersions": {
${versions.map(printVersion).join(",\n")}
  },
  "types": ${printTypes(facts.types)}
}
`;
}

/** All kinds of a group and version live in one package: `[package, kind, kind...]`. */
function printKinds(kinds: Record<string, string>): string[] {
  const names = Object.values(kinds);
  const homes = new Set(names.map((name) => name.slice(0, name.lastIndexOf("."))));
  if (homes.size > 1) throw new Error(`kinds of one version in ${[...homes].join()}`);
  return [...homes, ...Object.keys(kinds)];
}

function main(): void {
  const root = parseArgs({ options: { reference: { type: "string" } } }).values.reference;
  if (root === undefined) throw new Error("--reference DIR is missing");
  for (const [path, text] of generate(root)) writeFileSync(join(sourceFolder, path), text);
}

if (import.meta.main) main();
