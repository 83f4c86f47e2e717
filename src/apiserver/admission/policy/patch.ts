/**
 * What a mutation makes of an object: a JSON patch, or an object that is merged into it as server-side apply merges, without owners.
 * Follows apiserver/pkg/admission/plugin/policy/mutating/patch.
 */
import { celEngine } from "#api";
import type { CelValue } from "#cel";
import {
  applyJsonPatch,
  applyObject,
  cloneJson,
  type DeepReadonly,
  type JsonPatchOperation,
  type KubernetesObject,
  PatchError,
  type TypeSchema,
  type ValueSchema,
} from "#machinery";
import type { Resource } from "../../resource.ts";

/** The expression's answer can't be applied; the message is upstream's. */
export class MutationError extends Error {
  override name = "MutationError";
}

type Shown = DeepReadonly<KubernetesObject>;

/** The elements of the list that a JSON patch expression answered, applied to `object`. */
export function applyPatches(object: Shown, steps: Iterable<unknown>): KubernetesObject {
  const operations: JsonPatchOperation[] = [];
  for (const step of steps) {
    if (!(step instanceof celEngine().JsonPatchValue))
      throw new MutationError("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch");
    if (step.value !== undefined) checkPlaces(step.value);
    operations.push(step.toJson() as JsonPatchOperation); // judged when it is applied
  }
  try {
    return applyJsonPatch(cloneJson(object), operations) as KubernetesObject; // what it made is checked by the caller
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    // A test that fails is a condition that isn't met.
    if (error.code === "unprocessable" && error.message.endsWith(": test failed"))
      return cloneJson(object) as KubernetesObject; // a copy
    throw new MutationError(`JSON Patch: ${error.message}`);
  }
}

/** The `Object{…}` that an expression answered, merged into `object`. */
export function applyConfiguration(object: Shown, value: CelValue, resource: Resource): KubernetesObject {
  if (!(value instanceof celEngine().ObjectValue))
    throw new MutationError("unsupported return type from ApplyConfiguration expression");
  checkPlaces(value);
  const { kind, groupVersion: apiVersion, schema } = resource;
  const applied = { ...(value.toJson() as KubernetesObject), apiVersion, kind }; // its fields are those of the object
  const atomics = atomicsOf(applied, { kind: "object", type: schema });
  if (atomics.length > 0)
    throw new MutationError(
      `error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomics.join(", ")}`,
    );
  const { managedFields, ...metadata } = object.metadata ?? {};
  const live = cloneJson({ ...object, metadata }) as KubernetesObject; // a copy of one
  const { object: merged } = applyObject({
    schema,
    apiVersion,
    kind,
    live,
    applied,
    force: true,
    manager: "mutating-admission-policy",
    subresource: "",
    time: "",
  });
  merged.metadata = { ...merged.metadata };
  if (managedFields)
    merged.metadata.managedFields = cloneJson(managedFields) as NonNullable<typeof merged.metadata.managedFields>; // a copy
  else delete merged.metadata.managedFields;
  return merged;
}

function checkPlaces(value: CelValue): void {
  const { ObjectValue, typeNameProblems } = celEngine();
  const wrong = value instanceof ObjectValue ? typeNameProblems(value) : "";
  if (wrong !== "") throw new MutationError(`type mismatch: ${wrong}`);
}

/** Paths of what can only be set as a whole. */
function atomicsOf(value: unknown, schema: ValueSchema, path = "", atomic = false): string[] {
  if (value === null || typeof value !== "object") return [];
  if (schema.kind === "list" && Array.isArray(value)) {
    const own = schema.listType === "atomic" ? [path] : [];
    return own.concat(value.flatMap((each, index) => atomicsOf(each, schema.items, `${path}[${index}]`)));
  }
  const own = atomic ? [path] : [];
  if (schema.kind === "map" && !Array.isArray(value))
    return own.concat(Object.entries(value).flatMap(([key, each]) => atomicsOf(each, schema.values, `${path}.${key}`)));
  if (schema.kind !== "object") return own;
  const isAtomic = own.length === 0 && schema.type.atomic && path !== "";
  return (isAtomic ? [path] : own).concat(fieldsOf(value, schema.type, path));
}

const fieldsOf = (value: object, type: TypeSchema, path: string): string[] =>
  Object.entries(value).flatMap(([name, each]) => {
    const field = type.fields.get(name);
    return field ? atomicsOf(each, field.value, `${path}.${name}`, field.atomic) : [];
  });
