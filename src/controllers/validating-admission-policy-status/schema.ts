/** The schema of a kind out of a published OpenAPI v3 document, with its references resolved, as the type that expressions see. Pure. */
import type { CelEngine } from "#api";
import type { DeclType, JsonSchema } from "#cel";

export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

type Schema = Readonly<Record<string, unknown>>;

export interface OpenApiDocument {
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

const prefix = "#/components/schemas/";

/** undefined: the document doesn't have it, or it contains itself, which no type can. */
export function declTypeOf(
  engine: CelEngine,
  document: OpenApiDocument,
  wanted: GroupVersionKind,
): DeclType | undefined {
  const schemas = document.components?.schemas ?? {};
  const found = Object.values(schemas).find((schema) => isOf(schema, wanted));
  const schema = found && resolve(found, schemas, []);
  const type = schema && engine.schemaDeclType(schema, true);
  return type && engine.assignTypeName(type, wanted.kind);
}

function isOf(schema: Schema, { group, version, kind }: GroupVersionKind): boolean {
  const kinds = schema["x-kubernetes-group-version-kind"];
  return (
    Array.isArray(kinds) &&
    kinds.some(
      (each: Partial<GroupVersionKind>) =>
        (each.group ?? "") === group && each.version === version && each.kind === kind,
    )
  );
}

/** `open`: references that are being resolved. */
function resolve(
  schema: Schema,
  schemas: Readonly<Record<string, Schema>>,
  open: readonly string[],
): JsonSchema | undefined {
  const reference = referenceOf(schema);
  if (reference !== undefined) {
    const name = reference.slice(prefix.length);
    const target = schemas[name];
    if (!target || open.includes(name)) return undefined;
    return resolve(target, schemas, [...open, name]);
  }
  // Numbers or texts: quantities and the like.
  if (schema.type === undefined && schema.oneOf !== undefined) return { "x-kubernetes-int-or-string": true };
  const resolved: Record<string, unknown> = { ...schema };
  for (const key of ["items", "additionalProperties"]) {
    if (!isSchema(schema[key])) continue;
    resolved[key] = resolve(schema[key], schemas, open);
    if (!resolved[key]) return undefined;
  }
  if (isSchema(schema.properties)) {
    const properties: Record<string, JsonSchema> = {};
    for (const [name, property] of Object.entries(schema.properties)) {
      const type = resolve(property as Schema, schemas, open); // properties are schemas
      if (!type) return undefined;
      properties[name] = type;
    }
    resolved.properties = properties;
  }
  return resolved;
}

/** Plain, or as the only part of a whole that has words beside it. */
function referenceOf({ $ref, allOf }: Schema): string | undefined {
  if (typeof $ref === "string") return $ref;
  const [only, ...more] = Array.isArray(allOf) ? (allOf as Schema[]) : [];
  return only && more.length === 0 ? referenceOf(only) : undefined;
}

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);
