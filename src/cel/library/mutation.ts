/**
 * What mutating policies make: `Object{spec: Object.spec{replicas: 1}}` without any schema, and `JSONPatch{op: ...}`
 * (apiserver/pkg/cel/mutation). Give `resolveMutationType` to an environment, with the library "jsonpatch".
 */

import type { Library } from "../functions.ts";
import { toJson } from "../json-values.ts";
import { equal, typeOf } from "../operations.ts";
import type { StructType } from "../struct-type.ts";
import { type CelType, dynType, objectType, opaqueType, stringType } from "../types.ts";
import { CelError, CelList, CelMap, CelObject, type CelValue, type Result } from "../values.ts";

const objectName = "Object";
const patchName = "JSONPatch";

/** A value of `Object` or `Object.some.field`. */
export class ObjectValue extends CelObject {
  readonly type: CelType;
  readonly fields: ReadonlyMap<string, CelValue>;
  constructor(typeName: string, fields: ReadonlyMap<string, CelValue>) {
    super();
    this.type = objectType(typeName);
    this.fields = fields;
  }
  equals(other: CelValue): boolean | CelError {
    if (!(other instanceof ObjectValue) || other.type.name !== this.type.name) return false;
    if (other.fields.size !== this.fields.size) return false;
    return [...this.fields].every(([name, value]) => {
      const theirs = other.fields.get(name);
      return theirs !== undefined && equal(value, theirs) === true;
    });
  }
  override get(field: string): Result {
    return this.fields.get(field) ?? null;
  }
  override has(field: string): boolean {
    return this.fields.has(field);
  }
  override toJson(): unknown {
    return Object.fromEntries([...this.fields].map(([name, value]) => [name, toJson(value)]));
  }
}

export class JsonPatchValue extends CelObject {
  readonly type = patchType;
  readonly op: string;
  readonly path: string;
  readonly from: string;
  /** undefined: not set. */
  readonly value: CelValue | undefined;
  constructor(fields: ReadonlyMap<string, CelValue>) {
    super();
    const text = (name: string): string => (fields.get(name) ?? "") as string; // checked by construct
    [this.op, this.path, this.from] = [text("op"), text("path"), text("from")];
    this.value = fields.get("value");
  }
  equals(other: CelValue): boolean | CelError {
    if (!(other instanceof JsonPatchValue)) return false;
    if (this.op !== other.op || this.path !== other.path || this.from !== other.from) return false;
    if (this.value === undefined || other.value === undefined) return this.value === other.value;
    return equal(this.value, other.value);
  }
  override get(field: string): Result {
    const { op, path, from, value = null } = this;
    return { op, path, from, value }[field] ?? null;
  }
  override has(field: string): boolean {
    return field === "value" ? this.value !== undefined : (this.get(field) ?? "") !== "";
  }
  override toJson(): unknown {
    const { op, path, from, value } = this;
    return { op, path, ...(from !== "" && { from }), ...(value !== undefined && { value: toJson(value) }) };
  }
}
const patchType = objectType(patchName);

const patchTexts = new Set(["op", "path", "from"]);

const jsonPatch: StructType = {
  name: patchName,
  // Upstream finds every field, but nothing can be assigned to those that there aren't.
  field: (name) => (patchTexts.has(name) ? stringType : name === "value" ? dynType : opaqueType("")),
  construct: (fields) => {
    for (const [name, value] of fields) {
      if (patchTexts.has(name) && typeof value !== "string")
        return new CelError(`unexpected type ${typeOf(value).name} for JSONPatchType '${name}' field`);
    }
    return new JsonPatchValue(fields);
  },
};

/** For `resolveType` of an environment. */
export function resolveMutationType(name: string): StructType | undefined {
  if (name === patchName) return jsonPatch;
  if (name !== objectName && !name.startsWith(`${objectName}.`)) return undefined;
  return { name, field: () => dynType, construct: (fields) => new ObjectValue(name, fields) };
}

/** What is wrong when an object's type doesn't say where it is; lines, empty when nothing is. */
export function typeNameProblems(value: CelValue): string {
  return problemsAt(value, [typeOf(value).name]).join("\n");
}

function problemsAt(value: CelValue, path: readonly string[]): string[] {
  if (value instanceof CelList)
    return [...value].flatMap((element) => (element instanceof CelError ? [] : problemsAt(element, path)));
  if (value instanceof CelMap && !(value instanceof CelObject)) {
    return [...value.keys()].flatMap((key) => {
      const found = value.find(key);
      return found === undefined || found instanceof CelError ? [] : problemsAt(found, path);
    });
  }
  if (!(value instanceof ObjectValue)) return [];
  const expected = path.join(".");
  const { name } = value.type;
  const own =
    name === expected
      ? []
      : [`unexpected type name "${name}", expected "${expected}", which matches field name path from root Object type`];
  return [...own, ...[...value.fields].flatMap(([field, inner]) => problemsAt(inner, [...path, field]))];
}

const escapes: Readonly<Record<string, string>> = { "/": "~1", "~": "~0" };

export const jsonPatchLibrary: Library = {
  functions: {
    "jsonpatch.escapeKey": {
      "string_jsonpatch_escapeKey_string (string) string": (key: string) =>
        key.replace(/[/~]/g, (c) => escapes[c] ?? c),
    },
  },
};
