/** Resources, their verbs and subresources from the paths of the OpenAPI document. */
import { categories, shortNames } from "./tables.ts";

export interface OpenApiOperation {
  readonly "x-kubernetes-action"?: string;
  readonly "x-kubernetes-group-version-kind"?: { group: string; version: string; kind: string };
}

/** As committed; what is the rule is left out: see `src/api/facts.ts`. */
export interface CompactResource {
  name: string;
  kind: string;
  namespaced: boolean;
  verbs: string;
  /** Of another group: `policy/v1`. */
  of?: string;
  short?: string[];
  categories?: string[];
}

/** A verb a letter, in the order discovery prints them. */
export const verbLetters: Readonly<Record<string, string>> = {
  create: "c",
  delete: "d",
  deletecollection: "D",
  get: "g",
  list: "l",
  patch: "p",
  update: "u",
  watch: "w",
};

const verbOfAction: Readonly<Record<string, string>> = {
  get: "get",
  list: "list",
  post: "create",
  put: "update",
  patch: "patch",
  delete: "delete",
  deletecollection: "deletecollection",
};
const verbOfMethod: Readonly<Record<string, string>> = {
  get: "get",
  post: "create",
  put: "update",
  patch: "patch",
  delete: "delete",
};

export function readResources(paths: Record<string, Record<string, OpenApiOperation>>): Map<string, CompactResource[]> {
  const found = new Map<string, Map<string, { resource: CompactResource; verbs: Set<string> }>>();
  for (const [path, operations] of Object.entries(paths)) {
    const match = path.match(/^\/(?:api\/(v1)|apis\/([^/]+\/[^/]+))\/(.+)$/);
    if (!match) continue;
    const groupVersion = match[1] ?? match[2] ?? "";
    let rest = match[3] ?? "";
    const watched = rest.startsWith("watch/");
    if (watched) rest = rest.slice("watch/".length);
    const namespaced = rest.startsWith("namespaces/{namespace}/");
    if (namespaced) rest = rest.slice("namespaces/{namespace}/".length);
    const [plural = "", , subresource] = rest.split("/");
    const name = subresource === undefined ? plural : `${plural}/${subresource}`;
    for (const [method, operation] of Object.entries(operations)) {
      const gvk = operation["x-kubernetes-group-version-kind"];
      if (!gvk) continue;
      const byName = found.get(groupVersion) ?? new Map();
      found.set(groupVersion, byName);
      const own = gvk.group === "" ? gvk.version : `${gvk.group}/${gvk.version}`;
      let entry = byName.get(name);
      if (!entry) {
        const group = groupVersion === "v1" ? "" : (groupVersion.split("/")[0] ?? "");
        const key = group === "" ? name : `${name}.${group}`;
        const short = shortNames[key];
        const category = categories[key];
        entry = {
          resource: {
            name,
            kind: gvk.kind,
            namespaced: false,
            verbs: "",
            ...(own === groupVersion ? {} : { of: own }),
            ...(short ? { short } : {}),
            ...(category ? { categories: category } : {}),
          },
          verbs: new Set<string>(),
        };
        byName.set(name, entry);
      }
      if (namespaced) entry.resource.namespaced = true;
      const action = operation["x-kubernetes-action"] ?? "";
      const verb = watched ? "watch" : action === "connect" ? verbOfMethod[method] : verbOfAction[action];
      if (verb !== undefined) entry.verbs.add(verb);
    }
  }
  const result = new Map<string, CompactResource[]>();
  for (const [groupVersion, byName] of found) {
    const list = [...byName.values()].map(({ resource, verbs }) => ({
      ...resource,
      verbs: Object.entries(verbLetters)
        .filter(([verb]) => verbs.has(verb))
        .map(([, letter]) => letter)
        .join(""),
    }));
    result.set(
      groupVersion,
      list.sort((a, b) => (a.name < b.name ? -1 : 1)),
    );
  }
  return result;
}
