/** Steps that the strategies of many kinds share. */
import type { KubernetesObject } from "#machinery";
import { semanticEqual } from "./equality.ts";

/** A write to status changes no metadata but managed fields: upstream's ResetObjectMetaForStatus. */
export function resetMetaForStatus(object: KubernetesObject, old: KubernetesObject): void {
  const meta = object.metadata ?? {};
  const before = old.metadata ?? {};
  object.metadata = meta;
  const { deletionTimestamp, generation, selfLink, labels, annotations, finalizers, ownerReferences } = before;
  setOrDelete(meta, { deletionTimestamp, generation, selfLink, labels, annotations, finalizers, ownerReferences });
}

/** Sets what has a value and removes the rest. */
export function setOrDelete<T extends object>(target: T, values: { [K in keyof T]?: T[K] | undefined }): void {
  for (const key of Object.keys(values) as (keyof T)[]) {
    const value = values[key];
    if (value === undefined) delete target[key];
    else target[key] = value;
  }
}

type WithSpec = KubernetesObject & { spec?: object };

/** metadata.generation counts the changes of the spec. */
export function bumpGeneration(object: WithSpec, old: WithSpec): void {
  const before = old.metadata?.generation ?? 0;
  object.metadata ??= {};
  setOrDelete(object.metadata, { generation: semanticEqual(object.spec, old.spec) ? before || undefined : before + 1 });
}

export function firstGeneration(object: KubernetesObject): void {
  object.metadata ??= {};
  object.metadata.generation = 1;
}
