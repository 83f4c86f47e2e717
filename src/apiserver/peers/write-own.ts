/** Objects that the server keeps for itself: read, and written when they aren't as they should be. Goes the way of a client's writes. */
import type { Clock } from "#base";
import { type DeepReadonly, isStatusError, type KubernetesObject } from "#machinery";
import type { RegistryCore } from "../registry/core.ts";
import { Query } from "../query.ts";
import { create } from "../registry/create.ts";
import { removeOne } from "../registry/delete.ts";
import { internalCall } from "../registry/internal-call.ts";
import { patch } from "../registry/patch.ts";
import { objectKey } from "../registry/storage.ts";
import { update } from "../registry/update.ts";

export interface OwnObject {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
}

export interface OwnWriter {
  readonly core: RegistryCore;
  readonly clock: Clock;
}

export async function readOwn<T extends KubernetesObject>(
  { core }: OwnWriter,
  { group, resource, namespace, name }: OwnObject,
): Promise<DeepReadonly<T> | undefined> {
  const kind = core.table.stored(group, resource);
  const found = kind && (await core.storage.read(kind, objectKey(kind, namespace, name)));
  return found?.decoded() as DeepReadonly<T> | undefined; // the caller names the kind and its type
}

/** False: it was there already. */
export async function createOwn({ core, clock }: OwnWriter, at: OwnObject, object: object): Promise<boolean> {
  try {
    await create(core, internalCall(core, { ...at, name: "", verb: "create", object, now: clock.now() }));
    return true;
  } catch (error) {
    if (isStatusError(error, "AlreadyExists")) return false;
    throw error;
  }
}

export async function updateOwn(
  { core, clock }: OwnWriter,
  at: OwnObject,
  object: object,
  subresource = "",
): Promise<void> {
  const call = internalCall(core, { ...at, verb: "update", subresource, object, now: clock.now() });
  await update(core, call, subresource);
}

/** Server-side apply of a subresource, by a manager that takes what it says. */
export async function applyOwn(
  { core, clock }: OwnWriter,
  at: OwnObject,
  { object, subresource, manager }: { object: object; subresource: string; manager: string },
): Promise<void> {
  const call = internalCall(core, { ...at, verb: "update", subresource, now: clock.now() });
  const query = new Query(`fieldManager=${manager}&force=true`);
  const body = { contentType: "application/apply-patch+yaml", bytes: async () => Buffer.from(JSON.stringify(object)) };
  await patch(core, { ...call, verb: "patch", query, body }, subresource);
}

/** One that is gone already is as good. */
export async function removeOwn({ core, clock }: OwnWriter, at: OwnObject): Promise<void> {
  const { name, namespace } = at;
  const call = internalCall(core, { ...at, verb: "delete", now: clock.now() });
  await removeOne(core, call, { name, namespace, options: {} }).catch((error: unknown) => {
    if (!isStatusError(error, "NotFound")) throw error;
  });
}
