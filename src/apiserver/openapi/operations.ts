/** The operations of every path, before a dialect is chosen: what may be sent where, with which parameters, and what comes back. */
import type { Resource } from "../resource.ts";

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly type: "string" | "boolean" | "integer";
}

export interface Operation {
  readonly method: "get" | "put" | "post" | "delete" | "patch";
  /** `x-kubernetes-action`. */
  readonly action: string;
  readonly operationId: string;
  readonly tag: string;
  readonly parameters: readonly Parameter[];
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string };
  /** Names of schemas; `answer` undefined: text. */
  readonly body?: string;
  readonly answer?: string;
  readonly consumes: readonly string[];
  readonly statuses: readonly number[];
}

export interface PathOperations {
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly operations: readonly Operation[];
}

/** What names the schemas: the type of a kind, and the list of it. */
export interface SchemaNames {
  object(group: string, version: string, kind: string): string | undefined;
  list(resource: Resource): string;
}

const text = (name: string): Parameter => ({ name, in: "query", type: "string" });
const flag = (name: string): Parameter => ({ name, in: "query", type: "boolean" });
const number = (name: string): Parameter => ({ name, in: "query", type: "integer" });
const inPath = (name: string): Parameter => ({ name, in: "path", type: "string" });
const pretty = text("pretty");

const listParameters = [
  flag("allowWatchBookmarks"),
  text("continue"),
  text("fieldSelector"),
  text("labelSelector"),
  number("limit"),
  text("resourceVersion"),
  text("resourceVersionMatch"),
  flag("sendInitialEvents"),
  number("timeoutSeconds"),
  flag("watch"),
];
const writeParameters = [text("dryRun"), text("fieldManager"), text("fieldValidation")];
const deleteParameters = [
  text("dryRun"),
  number("gracePeriodSeconds"),
  flag("ignoreStoreReadErrorWithClusterBreakingPotential"),
  flag("orphanDependents"),
  text("propagationPolicy"),
];
const patchTypes = [
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
  "application/apply-patch+yaml",
];
const deleteOptions = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
export const patchName = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const statusName = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

export function pathsOf(resource: Resource, names: SchemaNames): PathOperations[] {
  const { group, version, namespaced, resource: plural } = resource;
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  const scoped = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`;
  const scope = namespaced ? [inPath("namespace")] : [];
  const paths: PathOperations[] = [
    { path: scoped, parameters: [...scope, pretty], operations: collection(resource, names) },
    { path: `${scoped}/{name}`, parameters: [inPath("name"), ...scope, pretty], operations: single(resource, names) },
  ];
  if (namespaced && resource.verbs.includes("list"))
    paths.push({
      path: `${root}/${plural}`,
      parameters: [...listParameters, pretty],
      operations: [listOperation(resource, { names, suffix: "ForAllNamespaces", parameters: [] })],
    });
  for (const sub of resource.subresources)
    paths.push({
      path: `${scoped}/{name}/${sub.name}`,
      parameters: [inPath("name"), ...scope, pretty],
      operations: subresource(resource, sub, names),
    });
  return paths.filter(({ operations }) => operations.length > 0);
}

/** @param collection all objects of a place at once */
function idOf(resource: Resource, verb: string, { suffix = "", collection = false } = {}): string {
  const { group, version, namespaced, kind } = resource;
  const scope = namespaced && suffix !== "ForAllNamespaces" ? "Namespaced" : "";
  const many = collection ? "Collection" : "";
  return `${verb}${capital(groupName(group))}${capital(version)}${many}${scope}${kind}${suffix}`;
}
const tagOf = ({ group, version }: Resource): string => `${groupName(group)}_${version}`;
const groupName = (group: string): string =>
  group === ""
    ? "core"
    : group.replace(/\.k8s\.io$/, "").replace(/[^a-zA-Z0-9]+(.?)/g, (_, letter: string) => letter.toUpperCase());
const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);

const consumed = ({ custom }: Resource): readonly string[] =>
  custom ? ["application/json", "application/yaml"] : ["*/*"];

const kindOf = ({ group, version, kind }: Resource) => ({ group, version, kind });

function listOperation(
  resource: Resource,
  { names, suffix = "", parameters }: { names: SchemaNames; suffix?: string; parameters: readonly Parameter[] },
): Operation {
  return {
    method: "get",
    action: "list",
    operationId: idOf(resource, "list", { suffix }),
    tag: tagOf(resource),
    parameters,
    kind: kindOf(resource),
    answer: names.list(resource),
    consumes: consumed(resource),
    statuses: [200],
  };
}

function collection(resource: Resource, names: SchemaNames): Operation[] {
  const { verbs } = resource;
  const object = names.object(resource.group, resource.version, resource.kind);
  const operations: Operation[] = [];
  if (verbs.includes("list")) operations.push(listOperation(resource, { names, parameters: listParameters }));
  if (verbs.includes("create") && object)
    operations.push(
      write(resource, { method: "post", action: "post", verb: "create", object, statuses: [200, 201, 202] }),
    );
  if (verbs.includes("deletecollection"))
    operations.push({
      method: "delete",
      action: "deletecollection",
      operationId: idOf(resource, "delete", { collection: true }),
      tag: tagOf(resource),
      parameters: [
        ...deleteParameters,
        ...listParameters.filter(({ name }) => !["watch", "allowWatchBookmarks"].includes(name)),
      ],
      kind: kindOf(resource),
      ...(!resource.custom && { body: deleteOptions }),
      answer: statusName,
      consumes: consumed(resource),
      statuses: [200],
    });
  return operations;
}

function single(resource: Resource, names: SchemaNames): Operation[] {
  const { verbs } = resource;
  const object = names.object(resource.group, resource.version, resource.kind);
  if (!object) return [];
  const operations: Operation[] = [];
  if (verbs.includes("get")) operations.push(read(resource, object));
  if (verbs.includes("update"))
    operations.push(write(resource, { method: "put", action: "put", verb: "replace", object, statuses: [200, 201] }));
  if (verbs.includes("delete"))
    operations.push({
      method: "delete",
      action: "delete",
      operationId: idOf(resource, "delete"),
      tag: tagOf(resource),
      parameters: deleteParameters,
      kind: kindOf(resource),
      body: deleteOptions,
      answer: statusName,
      consumes: consumed(resource),
      statuses: [200, 202],
    });
  if (verbs.includes("patch")) operations.push(patch(resource, object));
  return operations;
}

function subresource(resource: Resource, sub: Resource["subresources"][number], names: SchemaNames): Operation[] {
  const object = names.object(sub.group, sub.version, sub.kind);
  if (!object) return [];
  const suffix = capital(sub.name);
  const kind = resource.custom ? kindOf(resource) : { group: sub.group, version: sub.version, kind: sub.kind };
  const operations: Operation[] = [];
  if (sub.verbs.includes("get")) operations.push({ ...read(resource, object, suffix), kind });
  if (sub.verbs.includes("update"))
    operations.push({
      ...write(resource, { method: "put", action: "put", verb: "replace", object, statuses: [200, 201], suffix }),
      kind,
    });
  if (sub.verbs.includes("create"))
    operations.push({
      ...write(resource, { method: "post", action: "post", verb: "create", object, statuses: [200, 201, 202], suffix }),
      kind,
    });
  if (sub.verbs.includes("patch")) operations.push({ ...patch(resource, object, suffix), kind });
  return operations;
}

const read = (resource: Resource, object: string, suffix = ""): Operation => ({
  method: "get",
  action: "get",
  operationId: idOf(resource, "read", { suffix }),
  tag: tagOf(resource),
  parameters: [],
  kind: kindOf(resource),
  answer: object,
  consumes: consumed(resource),
  statuses: [200],
});

const patch = (resource: Resource, object: string, suffix = ""): Operation => ({
  method: "patch",
  action: "patch",
  operationId: idOf(resource, "patch", { suffix }),
  tag: tagOf(resource),
  parameters: [...writeParameters, flag("force")],
  kind: kindOf(resource),
  body: patchName,
  answer: object,
  // There is no telling how lists of a custom resource merge.
  consumes: resource.custom ? patchTypes.filter((type) => !type.includes("strategic")) : patchTypes,
  statuses: resource.custom ? [200] : [200, 201],
});

function write(
  resource: Resource,
  options: {
    method: "put" | "post";
    action: string;
    verb: string;
    object: string;
    statuses: readonly number[];
    suffix?: string;
  },
): Operation {
  const { method, action, verb, object, statuses, suffix = "" } = options;
  return {
    method,
    action,
    operationId: idOf(resource, verb, { suffix }),
    tag: tagOf(resource),
    parameters: writeParameters,
    kind: kindOf(resource),
    body: object,
    answer: object,
    consumes: consumed(resource),
    statuses,
  };
}
