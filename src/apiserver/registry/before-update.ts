/** What every update is checked for before the kind's own rules, and with them. Follows upstream's rest.BeforeUpdate. */
import type { Strategy } from "#api";
import {
  type DeepReadonly,
  type FieldError,
  type KubernetesObject,
  missingResourceVersion,
  nameIsDnsSubdomain,
  nameIsPathSegment,
  statusError,
  validateObjectMeta,
  validateObjectMetaUpdate,
} from "#machinery";
import type { StoredObject } from "../cache/stored-object.ts";
import type { StoredKind } from "../resource.ts";
import type { Call } from "./call.ts";
import { contextOf } from "./create.ts";
import { invalid, namespaceMismatch } from "./errors.ts";
import { badRevision, parseRevision } from "./options.ts";

interface Existing {
  readonly kind: StoredKind;
  readonly call: Call;
}

export function checkUid(
  uid: string | undefined,
  old: DeepReadonly<KubernetesObject>,
  { kind, key, call }: Existing & { key: string },
): void {
  const { uid: found = "" } = old.metadata ?? {};
  if (!uid || uid === found) return;
  const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${found}`;
  throw statusError.conflict(
    call.resource,
    call.target.name,
    `StorageError: invalid object, Code: 4, Key: ${kind.prefix}${key}, ResourceVersion: 0, AdditionalErrorMsg: ${why}`,
  );
}

/** The optimistic lock: what the client read must still be what is there, unless it doesn't care. */
export function checkRevision(
  object: KubernetesObject,
  { kind, existing, call }: Existing & { existing: StoredObject },
): void {
  const metadata = object.metadata ?? {};
  object.metadata = metadata;
  const sent = metadata.resourceVersion ?? "";
  const revision = sent === "" ? 0 : parseRevision(sent);
  if (revision === undefined) throw badRevision(sent);
  if (revision === 0) {
    if (kind.behaviour.allowUnconditionalUpdate === false) {
      // Upstream names the resource where the kind belongs.
      const { group, resource: kind } = call.resource;
      throw invalid({ group, kind }, call.target.name, [missingResourceVersion()]);
    }
    metadata.resourceVersion = String(existing.revision);
  } else if (revision !== existing.revision) throw statusError.modified(call.resource, call.target.name);
}

interface BeforeUpdate {
  readonly kind: StoredKind;
  readonly object: KubernetesObject;
  readonly old: DeepReadonly<KubernetesObject>;
  readonly call: Call;
  readonly subresource: string;
  readonly strategy: Strategy<KubernetesObject> | undefined;
}

export function prepareUpdate(update: BeforeUpdate): Promise<void> | undefined {
  const { kind, object, call, subresource, strategy } = update;
  const old = update.old as KubernetesObject; // strategies promise not to change it
  const metadata = object.metadata ?? {};
  const { metadata: oldMetadata = {} } = old;
  object.metadata = metadata;
  if (kind.namespaced) {
    if (metadata.namespace && metadata.namespace !== call.target.namespace) throw namespaceMismatch();
    metadata.namespace = call.target.namespace;
  } else delete metadata.namespace;
  if (oldMetadata.generation === undefined) delete metadata.generation;
  else metadata.generation = oldMetadata.generation;
  delete metadata.selfLink;
  strategy?.prepareForUpdate?.(object, old, contextOf(call, subresource));
  const prepared = object.metadata;
  prepared.uid ||= oldMetadata.uid ?? "";
  if (oldMetadata.creationTimestamp !== undefined) prepared.creationTimestamp = oldMetadata.creationTimestamp;
  if (oldMetadata.deletionTimestamp !== undefined) prepared.deletionTimestamp = oldMetadata.deletionTimestamp;
  if (oldMetadata.deletionGracePeriodSeconds !== undefined) {
    prepared.deletionGracePeriodSeconds ??= oldMetadata.deletionGracePeriodSeconds;
  }
  return strategy?.beforeValidate?.(object, old);
}

export function checkUpdate(update: BeforeUpdate): void {
  const { kind, object, call, subresource, strategy } = update;
  const old = update.old as KubernetesObject; // strategies promise not to change it
  const context = contextOf(call, subresource);
  const { metadata: prepared = {} } = object;
  const { metadata: oldMetadata = {} } = old;
  const { namespaced } = kind;
  const builtIn = !call.resource.itemsHaveKind;
  const errors: FieldError[] = [
    ...validateObjectMeta(prepared, { namespaced, checkName: nameIsPathSegment, anyFinalizer: true }),
    ...validateObjectMetaUpdate(prepared, oldMetadata, { anyFinalizer: true }),
  ];
  // Every kind checks this once more by itself, which clients see as repeated causes.
  if (!builtIn) errors.push(...validateObjectMetaUpdate(prepared, oldMetadata, { anyFinalizer: true }));
  else {
    const checkName = kind.behaviour.validateName ?? nameIsDnsSubdomain;
    const { anyFinalizer = false } = kind.behaviour;
    const again = validateObjectMetaUpdate(prepared, oldMetadata, { anyFinalizer });
    if (errors.length + again.length > 0)
      errors.push(...again, ...validateObjectMeta(prepared, { namespaced, checkName, anyFinalizer }));
  }
  errors.push(...(strategy?.validateUpdate?.(object, old, context) ?? []));
  if (errors.length > 0) throw invalid(call.resource, prepared.name ?? "", errors);
  call.warnings.push(...(strategy?.warningsOnUpdate?.(object, old, context) ?? []));
}
