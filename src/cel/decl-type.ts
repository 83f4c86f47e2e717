/**
 * Types declared by schemas: what a variable's type is, and how large its parts may get, from which costs are estimated
 * (apiserver/pkg/cel/types.go, common/schemas.go). Without a bound in the schema a part may fill a whole request.
 */

import type { SizeEstimator } from "./cost/estimate.ts";
import { escapeName } from "./escape.ts";
import {
  additionalOf,
  isEmbedded,
  isIntOrString,
  itemsOf,
  type JsonSchema,
  typeName,
  withTypeAndObjectMeta,
} from "./json-schema.ts";
import { maxRequestSizeBytes } from "./limits.ts";
import {
  boolType,
  bytesType,
  type CelType,
  doubleType,
  durationType,
  dynType,
  intType,
  listType,
  mapType,
  objectType,
  stringType,
  timestampType,
} from "./types.ts";

export interface DeclType {
  /** `object` until `assignTypeName` gives a better one. */
  readonly name: string;
  readonly celType: CelType;
  /** Of objects, by escaped name. */
  readonly fields?: ReadonlyMap<string, DeclType>;
  /** Of maps. */
  readonly key?: DeclType;
  /** Of lists and maps. */
  readonly element?: DeclType;
  /** Most elements, entries or bytes; 0 where there are none. */
  readonly maxElements: number;
  /** Bytes of the smallest value as JSON. */
  readonly minSerializedSize: number;
}

const simple = (name: string, celType: CelType, minSerializedSize: number, maxElements = 0): DeclType => ({
  name,
  celType,
  minSerializedSize,
  maxElements,
});

const minString = 2;
const boolDecl = simple("bool", boolType, 4);
const intDecl = simple("int", intType, 1);
const doubleDecl = simple("double", doubleType, 1);
const keyDecl = simple("string", stringType, minString);

/** Bytes of a request without what surrounds the value. */
const contentBytesMax = maxRequestSizeBytes - 2;
const utf8BytesMax = 4;
const durationBytesMax = 32;
const dateBytes = 12;
const timeBytesMax = 32;

/** undefined: nothing in expressions corresponds to such values. `isResourceRoot`: it is a whole resource. */
export function schemaDeclType(given: JsonSchema, isResourceRoot = false): DeclType | undefined {
  if (isIntOrString(given)) return simple("dyn", dynType, 1, textBytesMax(given, contentBytesMax));
  const schema = isResourceRoot ? withTypeAndObjectMeta(given) : given;
  switch (typeName(schema)) {
    case "array": {
      const items = itemsOf(schema);
      const element = items && schemaDeclType(items, isEmbedded(items));
      return element && listDecl(element, bound(schema.maxItems) ?? contentItems(element.minSerializedSize + 1));
    }
    case "object":
      return objectOrMap(schema);
    case "string":
      return stringDecl(schema);
    case "boolean":
      return boolDecl;
    case "number":
      return doubleDecl;
    case "integer":
      return intDecl;
    default:
      return undefined;
  }
}

const bound = (max: number | undefined): number | undefined => (max === undefined ? undefined : Math.max(max, 0));
const contentItems = (bytes: number): number => Math.floor(contentBytesMax / bytes);

const textBytesMax = ({ maxLength }: JsonSchema, otherwise: number): number =>
  maxLength === undefined ? otherwise : Math.max(maxLength, 0) * utf8BytesMax;

const listDecl = (element: DeclType, maxElements: number): DeclType => ({
  name: "list",
  celType: listType(element.celType),
  element,
  maxElements,
  minSerializedSize: 2,
});

const mapDecl = (element: DeclType, maxElements: number): DeclType => ({
  name: "map",
  celType: mapType(stringType, element.celType),
  key: keyDecl,
  element,
  maxElements,
  minSerializedSize: 2,
});

function objectOrMap(schema: JsonSchema): DeclType | undefined {
  const additional = additionalOf(schema);
  if (additional) {
    const element = schemaDeclType(additional, isEmbedded(additional));
    return element && mapDecl(element, bound(schema.maxProperties) ?? contentItems(element.minSerializedSize + 6));
  }
  const fields = new Map<string, DeclType>();
  const required = new Set(schema.required);
  let minSerializedSize = 2;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const type = schemaDeclType(property, isEmbedded(property));
    if (!type) continue;
    const escaped = escapeName(name);
    if (escaped !== undefined) fields.set(escaped, type);
    if (required.has(name) && (property.default ?? undefined) === undefined)
      minSerializedSize += Buffer.byteLength(name) + type.minSerializedSize + 4;
  }
  return { name: "object", celType: objectType("object"), fields, maxElements: 0, minSerializedSize };
}

function stringDecl(schema: JsonSchema): DeclType {
  switch (schema.format) {
    case "byte":
      return simple("bytes", bytesType, minString, bound(schema.maxLength) ?? contentBytesMax);
    case "duration":
      return simple("duration", durationType, 3, durationBytesMax);
    case "date":
      return simple("timestamp", timestampType, dateBytes, dateBytes);
    case "date-time":
      return simple("timestamp", timestampType, 21, timeBytesMax);
  }
  const lengths = (schema.enum ?? []).map((value) => (typeof value === "string" ? Buffer.byteLength(value) : 0));
  const otherwise = lengths.length > 0 ? Math.max(...lengths) : contentBytesMax;
  return simple("string", stringType, minString, textBytesMax(schema, otherwise));
}

/** Names the objects in a type after their place: `Root`, `Root.spec`, `Root.items.@idx`. */
export function assignTypeName(type: DeclType, name: string): DeclType {
  if (type.fields) {
    const own = type.name === "object" ? name : type.name;
    const fields = new Map([...type.fields].map(([key, field]) => [key, assignTypeName(field, `${own}.${key}`)]));
    return { ...type, name: own, celType: objectType(own), fields };
  }
  if (!type.element) return type;
  const element = assignTypeName(type.element, `${name}.${type.key ? "@elem" : "@idx"}`);
  if (element === type.element) return type;
  return type.key ? mapDecl(element, type.maxElements) : listDecl(element, type.maxElements);
}

/** Estimates for variables of these types; the first part of a path is the variable's name. */
export function declTypeSizeEstimator(roots: Readonly<Record<string, DeclType>>): SizeEstimator {
  return ({ path: [root = "", ...parts] }) => {
    let type = Object.hasOwn(roots, root) ? roots[root] : undefined;
    for (const part of parts) {
      if (part === "@items" || part === "@values") type = type?.element;
      else if (part === "@keys") type = type?.key;
      else type = type?.fields?.get(part);
    }
    return type && { min: 0, max: type.maxElements };
  };
}
