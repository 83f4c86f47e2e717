/**
 * OpenAPI documents of others, version 2: what one API service has to say, put together with ours. Paths that are taken stay as they are;
 * definitions of the same name that differ get another one (`…_v2`). Follows kube-openapi's aggregator. Also the lossy way from
 * version 2 to version 3, for extension servers that don't have the newer one. Plain JSON in and out; nothing that comes in is changed.
 */
import { jsonEqual } from "#machinery";

export type Json = Record<string, unknown>;

const definitionPrefix = "#/definitions/";
const parameterPrefix = "#/parameters/";
const kindsKey = "x-kubernetes-group-version-kind";

const part = (document: Json, key: string): Readonly<Record<string, Json>> =>
  (document[key] ?? {}) as Record<string, Json>; // as OpenAPI has it

/** Only these paths, without the definitions that nothing refers to any more. */
export function onlyPaths(document: Json, keep: (path: string) => boolean): Json {
  const paths = Object.fromEntries(Object.entries(part(document, "paths")).filter(([path]) => keep(path)));
  const before = usedDefinitions(document);
  const after = usedDefinitions({ ...document, paths });
  const definitions = Object.entries(part(document, "definitions")).filter(
    ([name]) => after.has(name) || !before.has(name),
  );
  return { ...document, paths, definitions: Object.fromEntries(definitions) };
}

/** Those that paths need, directly or by way of others. */
function usedDefinitions(document: Json): ReadonlySet<string> {
  const used = new Set<string>();
  const definitions = part(document, "definitions");
  const parameters = part(document, "parameters");
  const look = (value: unknown): void =>
    eachReference(value, (reference) => {
      if (reference.startsWith(parameterPrefix)) return look(parameters[reference.slice(parameterPrefix.length)]);
      const name = reference.slice(definitionPrefix.length);
      if (!reference.startsWith(definitionPrefix) || used.has(name)) return;
      used.add(name);
      look(definitions[name]);
    });
  look(document.paths);
  return used;
}

function eachReference(value: unknown, visit: (reference: string) => void): void {
  if (Array.isArray(value)) for (const each of value) eachReference(each, visit);
  else if (typeof value === "object" && value !== null)
    for (const [key, each] of Object.entries(value)) {
      if (key === "$ref" && typeof each === "string") visit(each);
      else eachReference(each, visit);
    }
}

export function mergeSwagger(ours: Json, others: readonly Json[]): Json {
  return others.reduce(mergeOne, ours);
}

function mergeOne(ours: Json, theirs: Json): Json {
  const taken = part(ours, "paths");
  if (Object.keys(part(theirs, "paths")).every((path) => path in taken)) return ours;
  const free = onlyPaths(theirs, (path) => !(path in taken));
  const renames = new Map([
    ...renamed(part(ours, "definitions"), part(free, "definitions"), {
      prefix: definitionPrefix,
      same: (a, b) => jsonEqual(withoutKinds(a), withoutKinds(b)),
    }),
    ...renamed(part(ours, "parameters"), part(free, "parameters"), { prefix: parameterPrefix, same: jsonEqual }),
  ]);
  const source = rename(free, renames) as Json; // an object stays one
  const added = (key: string, prefix: string) => {
    const merged: Record<string, Json> = { ...part(ours, key) };
    for (const [name, value] of Object.entries(part(source, key))) {
      const target = renames.get(prefix + name)?.slice(prefix.length) ?? name;
      const existing = merged[target];
      merged[target] = existing ? withKindsOf(existing, value) : value;
    }
    return merged;
  };
  const parameters = added("parameters", parameterPrefix);
  return {
    ...ours,
    paths: { ...part(source, "paths"), ...taken },
    definitions: added("definitions", definitionPrefix),
    ...(Object.keys(parameters).length > 0 && { parameters }),
  };
}

interface Renaming {
  readonly prefix: string;
  same(a: Json, b: Json): boolean;
}

/** References that must change, old to new: what has our name and isn't ours. */
function* renamed(
  ours: Readonly<Record<string, Json>>,
  theirs: Readonly<Record<string, Json>>,
  { prefix, same }: Renaming,
): Iterable<[string, string]> {
  const given = new Set<string>();
  for (const [name, value] of Object.entries(theirs)) {
    const existing = ours[name];
    if (!existing || same(existing, value)) continue;
    for (let i = 2; ; i++) {
      const next = `${name}_v${i}`;
      const other = ours[next];
      if (other ? !same(other, value) : next in theirs || given.has(next)) continue;
      if (!other) given.add(next);
      yield [prefix + name, prefix + next];
      break;
    }
  }
}

function rename(value: unknown, renames: ReadonlyMap<string, string>): unknown {
  if (renames.size === 0) return value;
  if (Array.isArray(value)) return value.map((each) => rename(each, renames));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      key,
      key === "$ref" && typeof each === "string" ? (renames.get(each) ?? each) : rename(each, renames),
    ]),
  );
}

function withoutKinds({ [kindsKey]: _, ...rest }: Json): Json {
  return rest;
}

/** A type that several groups use as their own (DeleteOptions) belongs to all of them. */
function withKindsOf(existing: Json, other: Json): Json {
  const kinds = (value: Json) => (value[kindsKey] ?? []) as { group: string; version: string; kind: string }[]; // as Kubernetes has it
  const name = ({ group, version, kind }: { group: string; version: string; kind: string }) =>
    `${group}/${version}.${kind}`;
  const all = new Map([...kinds(other), ...kinds(existing)].map((each) => [name(each), each]));
  if (all.size === kinds(existing).length) return existing;
  return { ...existing, [kindsKey]: [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each) };
}

const methods = ["get", "put", "post", "delete", "options", "head", "patch"];

export function swaggerToV3(document: Json): Json {
  return {
    openapi: "3.0.0",
    info: document.info,
    paths: mapValues(part(document, "paths"), (path) => {
      const { parameters, ...rest } = path;
      return {
        ...mapValues(rest, (value, key) => (methods.includes(key) ? operationToV3(value as Json) : value)),
        ...(Array.isArray(parameters) && { parameters: parameters.map(parameterToV3) }),
      };
    }),
    components: { schemas: mapValues(part(document, "definitions"), schemaToV3) },
  };
}

function operationToV3(operation: Json): Json {
  const {
    consumes = [],
    produces = [],
    schemes: _,
    parameters = [],
    responses = {},
    ...rest
  } = operation as {
    consumes?: string[];
    produces?: string[];
    schemes?: unknown;
    parameters?: Json[];
    responses?: Record<string, Json>;
  }; // as OpenAPI has it
  const content = (types: readonly string[], schema: unknown) =>
    Object.fromEntries(types.map((type) => [type, { schema: schemaToV3(schema) }]));
  const body = parameters.find(({ name, schema }) => name === "body" && schema !== undefined);
  return {
    ...rest,
    ...(parameters.length > (body ? 1 : 0) && {
      parameters: parameters.filter((each) => each !== body).map(parameterToV3),
    }),
    ...(body && { requestBody: { content: content(consumes, body.schema) } }),
    responses: mapValues(responses, ({ schema, ...response }) => ({
      ...response,
      ...(schema !== undefined && { content: content(produces, schema) }),
    })),
  };
}

function parameterToV3(parameter: Json): Json {
  const { type, format, uniqueItems, schema, $ref, ...rest } = parameter;
  if (typeof $ref === "string") return { $ref: $ref.replace(parameterPrefix, "#/components/parameters/") };
  const simple = { type, ...(format !== undefined && { format }), ...(uniqueItems === true && { uniqueItems }) };
  return { ...rest, schema: schema === undefined ? simple : schemaToV3(schema) };
}

/** A reference that has company is wrapped: version 3 has none beside it. */
function schemaToV3(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(schemaToV3);
  if (typeof schema !== "object" || schema === null) return schema;
  const converted = mapValues(schema as Json, schemaToV3);
  // A property may be called so.
  if (typeof converted.$ref !== "string") return converted;
  const { $ref: _, ...rest } = converted;
  const reference = { $ref: converted.$ref.replace(definitionPrefix, "#/components/schemas/") };
  return Object.keys(rest).length === 0 ? reference : { ...rest, allOf: [reference] };
}

const mapValues = <T>(object: Readonly<Record<string, T>>, map: (value: T, key: string) => unknown): Json =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]));
