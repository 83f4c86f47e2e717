/**
 * Moving from `kubectl apply` to `kubectl apply --server-side`: the annotation of the former says which fields the user
 * set, so conflicts over those are none; and it is kept up to date, so that the way back stays open.
 * Only for the manager named `kubectl`.
 */
import { goJson } from "../go-text.ts";
import type { KubernetesObject } from "../object.ts";
import { fieldsOfObject, misfits } from "./applied.ts";
import { compareObjects } from "./compare.ts";
import { isObject, type JsonObject, ShapeError } from "./item.ts";
import { ownedPlan } from "./plan.ts";
import type { ApplyRequest } from "./request.ts";
import { difference, type FieldSet } from "./set.ts";

export const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";
/** What all annotations of an object may take together; above it the annotation is dropped. */
const annotationsBytesMax = 256 * 1024;

/** Fields that client-side apply set and nobody has changed since; undefined without a usable annotation. */
export function allowedByLastApplied({ schema, apiVersion, live }: ApplyRequest): FieldSet | undefined {
  const text = live?.metadata?.annotations?.[lastAppliedAnnotation];
  if (!live || !text) return undefined;
  const last = parse(text);
  if (!last || last.apiVersion !== apiVersion || misfits(schema, last) !== undefined) return undefined;
  const plan = ownedPlan(schema);
  try {
    const compared = compareObjects(plan, last, live as JsonObject); // wire objects are plain JSON
    let fields = fieldsOfObject(plan, last);
    if (compared?.changed) fields = difference(fields, compared.changed);
    if (compared?.removed) fields = difference(fields, compared.removed);
    return fields;
  } catch (error) {
    if (error instanceof ShapeError) return undefined;
    throw error;
  }
}

function parse(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch (error) {
    // The annotation is the user's text: one that is no JSON allows nothing.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Writes what was applied into the annotation, where there is one. Changes `object`, returns whether it did. */
export function renewLastApplied(object: KubernetesObject, applied: KubernetesObject): boolean {
  const annotations = object.metadata?.annotations;
  const old = annotations?.[lastAppliedAnnotation];
  if (!annotations || !old) return false;
  const { [lastAppliedAnnotation]: _, ...others } = applied.metadata?.annotations ?? {};
  const { annotations: before, ...metadata } = applied.metadata ?? {};
  const kept = before ? { annotations: others } : {};
  annotations[lastAppliedAnnotation] = `${goJson(sorted({ ...applied, metadata: { ...metadata, ...kept } }))}\n`;
  let bytes = 0;
  for (const [name, value] of Object.entries(annotations)) bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  if (bytes > annotationsBytesMax) delete annotations[lastAppliedAnnotation];
  return annotations[lastAppliedAnnotation] !== old;
}

/** Go writes maps in the order of their keys. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, sorted(value[name])]),
  );
}
