/** The published documents: v3 for one group version, v2 for everything. Plain JSON, made when asked for, in steps (`inTurns`). */
import type { TypeSchema } from "#machinery";
import type { Resource } from "../resource.ts";
import type { Descriptions } from "./descriptions.ts";
import { type Operation, type Parameter, patchName, type PathOperations, pathsOf } from "./operations.ts";
import { customModelName, type MetaTexts, publishedList, publishedSchema, selectableFields } from "./custom-schema.ts";
import { type Dialect, type Json, SchemaCollector } from "./schemas.ts";

export interface DocumentSource {
  readonly version: string;
  readonly resources: readonly Resource[];
  readonly descriptions?: Descriptions | undefined;
  typeOf(groupVersion: string, kind: string): TypeSchema | undefined;
}

const produces = ["application/json", "application/yaml"];
const listMetaName = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

const groupVersion = (group: string, version: string) => (group === "" ? version : `${group}/${version}`);

export function* documentV3(source: DocumentSource): Generator<void, Json> {
  const { collector, paths } = yield* collect(source, "v3");
  return {
    openapi: "3.0.0",
    info: { title: "Kubernetes", version: `v${source.version}` },
    paths: yield* each(paths, (path) => pathV3(path, collector)),
    components: { schemas: collector.schemas() },
  };
}

export function* documentV2(source: DocumentSource): Generator<void, Json> {
  const { collector, paths } = yield* collect(source, "v2");
  return {
    swagger: "2.0",
    info: { title: "Kubernetes", version: `v${source.version}` },
    paths: yield* each(paths, (path) => pathV2(path, collector)),
    definitions: collector.schemas(),
  };
}

function* each(paths: readonly PathOperations[], make: (path: PathOperations) => Json): Generator<void, Json> {
  const made: Json = {};
  for (const path of paths) {
    made[path.path] = make(path);
    yield;
  }
  return made;
}

interface Collected {
  readonly collector: SchemaCollector;
  readonly paths: readonly PathOperations[];
}

function* collect(source: DocumentSource, dialect: Dialect): Generator<void, Collected> {
  const collector = new SchemaCollector(dialect, source.descriptions);
  collector.addSchema(patchName, { type: "object" });
  for (const kind of ["DeleteOptions", "Status"]) {
    const type = source.typeOf("v1", kind);
    if (type) collector.add(type, kindExtension([{ group: "", version: "v1", kind }]));
  }
  const customs = new Map(
    source.resources
      .filter(({ custom }) => custom)
      .map((resource) => [`${resource.groupVersion} ${resource.kind}`, resource]),
  );
  const object = (group: string, version: string, kind: string) => {
    const custom = customs.get(`${groupVersion(group, version)} ${kind}`);
    if (custom) return addCustom(custom, { source, collector, dialect });
    const type = source.typeOf(groupVersion(group, version), kind);
    if (type) collector.add(type, kindExtension([{ group, version, kind }]));
    return type?.name;
  };
  const list = (resource: Resource) => {
    const item = object(resource.group, resource.version, resource.kind) ?? "";
    const name = item.replace(/[^.]+$/, resource.listKind);
    const listMeta = collector.reference(listMetaName);
    const metadata = dialect === "v3" ? { allOf: [listMeta] } : listMeta;
    const gvk = kindExtension([{ group: resource.group, version: resource.version, kind: resource.listKind }]);
    const { custom } = resource;
    const schema = custom
      ? publishedList({ item: collector.reference(item), metadata, texts: metaTexts(source) }, resource)
      : {
          type: "object",
          required: ["items"],
          properties: {
            apiVersion: { type: "string" },
            items: { type: "array", items: collector.reference(item) },
            kind: { type: "string" },
            metadata,
          },
        };
    if (custom) collector.set(name, { ...schema, ...gvk, ...selectableFields(resource) });
    else collector.addSchema(name, { ...schema, ...gvk });
    return name;
  };
  const paths: PathOperations[] = [];
  for (const resource of source.resources) {
    paths.push(...pathsOf(resource, { object, list }));
    yield;
  }
  collector.addSchema(listMetaName, {
    type: "object",
    properties: {
      continue: { type: "string" },
      remainingItemCount: { type: "integer", format: "int64" },
      resourceVersion: { type: "string" },
      selfLink: { type: "string" },
    },
  });
  return { collector, paths: paths.sort((a, b) => (a.path < b.path ? -1 : 1)) };
}

interface Publishing {
  readonly source: DocumentSource;
  readonly collector: SchemaCollector;
  readonly dialect: Dialect;
}

function addCustom(resource: Resource, { source, collector, dialect }: Publishing) {
  const { group, version, kind, custom } = resource;
  const name = customModelName(resource);
  const meta = source.typeOf("v1", "Pod")?.fields.get("metadata")?.value;
  if (!custom || meta?.kind !== "object") return undefined;
  if (collector.has(name)) return name;
  collector.add(meta.type);
  const { preserve } = custom.schema;
  const metadata = collector.reference(meta.type.name);
  const published = { dialect, metadata, preserve, texts: metaTexts(source) };
  const schema = publishedSchema(custom.schema.published(), published);
  collector.set(name, { ...schema, ...kindExtension([{ group, version, kind }]), ...selectableFields(resource) });
  return name;
}

/** The fields of all kinds are described alike. */
const metaTexts = ({ descriptions }: DocumentSource): MetaTexts =>
  descriptions?.of("io.k8s.api.core.v1.Pod")?.fields ?? {};

const kindExtension = (kinds: readonly object[]): Json => ({ "x-kubernetes-group-version-kind": kinds });

const common = (operation: Operation): Json => ({
  tags: [operation.tag],
  operationId: operation.operationId,
  "x-kubernetes-action": operation.action,
  "x-kubernetes-group-version-kind": operation.kind,
});

/** An empty list is left out: who reads a document and writes it again must get the same. */
const parametersOf = (parameters: readonly object[]): Json => (parameters.length > 0 ? { parameters } : {});

function pathV3({ parameters, operations }: PathOperations, collector: SchemaCollector): Json {
  const parameter = ({ name, in: place, type }: Parameter) => ({
    name,
    in: place,
    ...(place === "path" ? { required: true } : {}),
    schema: { type, uniqueItems: true },
  });
  const path: Json = { parameters: parameters.map(parameter) };
  for (const operation of operations) {
    const schema = operation.answer ? collector.reference(operation.answer) : { type: "string" };
    const answer = { content: Object.fromEntries(produces.map((type) => [type, { schema }])) };
    path[operation.method] = {
      ...common(operation),
      ...parametersOf(operation.parameters.map(parameter)),
      ...(operation.body
        ? {
            requestBody: {
              content: Object.fromEntries(
                operation.consumes.map((type) => [type, { schema: collector.reference(operation.body ?? "") }]),
              ),
              ...(operation.method === "delete" ? {} : { required: true }),
            },
          }
        : {}),
      responses: {
        ...Object.fromEntries(
          operation.statuses.map((status) => [status, { description: descriptions[status], ...answer }]),
        ),
        401: { description: descriptions[401] },
      },
    };
  }
  return path;
}

function pathV2({ parameters, operations }: PathOperations, collector: SchemaCollector): Json {
  const parameter = ({ name, in: place, type }: Parameter) => ({
    name,
    in: place,
    type,
    uniqueItems: true,
    ...(place === "path" ? { required: true } : {}),
  });
  const path: Json = { parameters: parameters.map(parameter) };
  for (const operation of operations) {
    const schema = operation.answer ? { schema: collector.reference(operation.answer) } : {};
    const body = operation.body
      ? [
          {
            name: "body",
            in: "body",
            ...(operation.method === "delete" ? {} : { required: true }),
            schema: collector.reference(operation.body),
          },
        ]
      : [];
    path[operation.method] = {
      ...common(operation),
      consumes: [...operation.consumes],
      produces,
      schemes: ["https"],
      ...parametersOf([...body, ...operation.parameters.map(parameter)]),
      responses: {
        ...Object.fromEntries(
          operation.statuses.map((status) => [status, { description: descriptions[status], ...schema }]),
        ),
        401: { description: descriptions[401] },
      },
    };
  }
  return path;
}

const descriptions: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  401: "Unauthorized",
};
