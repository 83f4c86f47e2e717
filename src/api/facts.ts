/**
 * What the API facts (`facts.json`, written by `tools/facts/generate.ts`) say about built-in groups, resources and types.
 * The file is parsed once, resources are listed on first use, types when they are first looked at.
 */
import { type CompactTypes, type TypeFacts, type TypeSchema, typeFacts } from "#machinery";
import facts_ from "./facts.json" with { type: "json" };

export interface SubresourceFacts {
  /** `status`, `scale`, `exec`…. */
  readonly name: string;
  /** Of the object that is sent: `autoscaling/v1` of a deployment's scale. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** In the order of discovery. */
  readonly verbs: readonly string[];
}

export interface ResourceFacts {
  readonly group: string;
  readonly version: string;
  /** `v1`, `apps/v1`. */
  readonly groupVersion: string;
  /** As in the path: `deployments`. */
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly listKind: string;
  readonly namespaced: boolean;
  /** In the order of discovery; empty where only subresources exist. */
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** By name. */
  readonly subresources: readonly SubresourceFacts[];
  /** A stock kube-apiserver serves this version without being asked to. */
  readonly servedByDefault: boolean;
}

export interface GroupVersionFacts {
  readonly group: string;
  readonly version: string;
  readonly groupVersion: string;
  /** `groupPriorityMinimum` and `versionPriority` of the APIService that upstream registers for it. */
  readonly groupPriority: number;
  readonly versionPriority: number;
  readonly servedByDefault: boolean;
  /** Kinds with a type of their own, lists and options included. */
  readonly kinds: readonly string[];
}

export interface Facts {
  /** Major and minor of the API: `1.36`. */
  readonly version: string;
  /** In the order of `/apis`: groups by priority, then name; versions by priority. Also those without resources. */
  groupVersions(): readonly GroupVersionFacts[];
  /** All resources that OpenAPI knows, in the order of discovery; see `servedByDefault`. */
  resources(): readonly ResourceFacts[];
  resource(groupVersion: string, plural: string): ResourceFacts | undefined;
  resourceOfKind(groupVersion: string, kind: string): ResourceFacts | undefined;
  /** Also kinds that are no resources, and those every version has: Status, DeleteOptions, WatchEvent…. */
  typeOf(groupVersion: string, kind: string): TypeSchema | undefined;
  /** `io.k8s.api.core.v1.PodSpec` as in OpenAPI, or without `io.k8s.`. */
  type(name: string): TypeSchema | undefined;
}

interface CompactResource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: string;
  readonly of?: string;
  readonly short?: readonly string[];
  readonly categories?: readonly string[];
}

interface CompactGroupVersion {
  readonly priority: readonly number[];
  readonly served: boolean;
  /** The package, then the kinds in it. */
  readonly kinds: readonly string[];
  readonly resources: readonly CompactResource[];
}

const compact: {
  readonly version: string;
  readonly groupVersions: Readonly<Record<string, CompactGroupVersion>>;
  readonly types: CompactTypes;
} = facts_;

const metaPackage = "apimachinery.pkg.apis.meta.v1";
/** Wherever a kind of apimachinery is sent, its apiVersion is that of the request, `v1` or `meta.k8s.io/v1`. */
const metaKinds = new Set([
  "APIGroup",
  "APIGroupList",
  "APIResourceList",
  "APIVersions",
  "CreateOptions",
  "DeleteOptions",
  "GetOptions",
  "ListOptions",
  "PartialObjectMetadata",
  "PartialObjectMetadataList",
  "PatchOptions",
  "Status",
  "UpdateOptions",
  "WatchEvent",
  "List",
]);
const verbNames: Readonly<Record<string, string>> = {
  c: "create",
  d: "delete",
  D: "deletecollection",
  g: "get",
  l: "list",
  p: "patch",
  u: "update",
  w: "watch",
};

export function splitGroupVersion(groupVersion: string): { group: string; version: string } {
  const slash = groupVersion.indexOf("/");
  return slash < 0
    ? { group: "", version: groupVersion }
    : { group: groupVersion.slice(0, slash), version: groupVersion.slice(slash + 1) };
}

const readVerbs = (letters: string): string[] => [...letters].map((letter) => verbNames[letter] ?? letter);

function readResources(groupVersion: string, version: CompactGroupVersion): ResourceFacts[] {
  const found = new Map<string, ResourceFacts & { subresources: SubresourceFacts[] }>();
  for (const each of version.resources) {
    const [plural = "", subresource] = each.name.split("/");
    if (subresource === undefined)
      found.set(plural, {
        ...splitGroupVersion(groupVersion),
        groupVersion,
        plural,
        singular: each.kind.toLowerCase(),
        kind: each.kind,
        listKind: `${each.kind}List`,
        namespaced: each.namespaced,
        verbs: readVerbs(each.verbs),
        shortNames: each.short ?? [],
        categories: each.categories ?? [],
        subresources: [],
        servedByDefault: version.served,
      });
    else
      found.get(plural)?.subresources.push({
        name: subresource,
        ...splitGroupVersion(each.of ?? groupVersion),
        kind: each.kind,
        verbs: readVerbs(each.verbs),
      });
  }
  return [...found.values()];
}

function create(): Facts {
  let types: TypeFacts | undefined;
  let resources: readonly ResourceFacts[] | undefined;
  let byKey: ReadonlyMap<string, ResourceFacts> | undefined;
  let byKind: ReadonlyMap<string, ResourceFacts> | undefined;

  const type = (name: string): TypeSchema | undefined => {
    types ??= typeFacts(compact.types, { prefix: "io.k8s." });
    return types.type(name.startsWith("io.k8s.") ? name.slice("io.k8s.".length) : name);
  };
  const all = (): readonly ResourceFacts[] => {
    resources ??= Object.entries(compact.groupVersions).flatMap(([groupVersion, version]) =>
      readResources(groupVersion, version),
    );
    return resources;
  };
  return {
    version: compact.version,
    groupVersions: () =>
      Object.entries(compact.groupVersions).map(([groupVersion, { priority, served, kinds }]) => ({
        ...splitGroupVersion(groupVersion),
        groupVersion,
        groupPriority: priority[0] ?? 0,
        versionPriority: priority[1] ?? 0,
        servedByDefault: served,
        kinds: kinds.slice(1),
      })),
    resources: all,
    resource: (groupVersion, plural) => {
      byKey ??= new Map(all().map((each) => [`${each.groupVersion}/${each.plural}`, each]));
      return byKey.get(`${groupVersion}/${plural}`);
    },
    resourceOfKind: (groupVersion, kind) => {
      byKind ??= new Map(all().map((each) => [`${each.groupVersion}/${each.kind}`, each]));
      return byKind.get(`${groupVersion}/${kind}`);
    },
    typeOf: (groupVersion, kind) => {
      // Asked for every body: no copy of the list, whose first entry says where the others live.
      const kinds = compact.groupVersions[groupVersion]?.kinds;
      if (kinds && kinds.indexOf(kind, 1) > 0) return type(`${kinds[0]}.${kind}`);
      return metaKinds.has(kind) ? type(`${metaPackage}.${kind}`) : undefined;
    },
    type,
  };
}

export const facts: Facts = create();
