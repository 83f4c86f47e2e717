/** DELETE of one object and of a collection. */
import { type DeepReadonly, type KubernetesObject, type Status, statusError } from "#machinery";
import type { AdmissionRequest } from "../admission/chain.ts";
import type { Answer } from "../answer.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { StoredKind } from "../resource.ts";
import type { Call } from "./call.ts";
import { hooksOf, type RegistryCore } from "./core.ts";
import { contextOf, storedOf } from "./create.ts";
import { readDeleteOptions } from "./delete-options.ts";
import { removeUnreadable, unsafeCollection } from "./delete-unreadable.ts";
import { type DeleteOptions, planDeletion } from "./deletion.ts";
import { invalid } from "./errors.ts";
import { selectForRequest } from "./list.ts";
import { readListOptions } from "./options.ts";
import { objectKey } from "./storage.ts";

/** Deletions of a collection under way at a time; each waits for its commit, which they share. */
const collectionParallelMax = 32;

export async function remove(core: RegistryCore, call: Call): Promise<Answer> {
  const { resource, target } = call;
  const options = await readDeleteOptions(core, call);
  const kind = storedOf(call);
  if (options.ignoreStoreReadErrorWithClusterBreakingPotential) return removeUnreadable(core, call);
  warn(call, options);
  const { object, gone } = await removeOne(core, call, { name: target.name, namespace: target.namespace, options });
  if (gone && !answersDeleted.has(`${kind.group}/${kind.resource}`)) {
    return { type: "value", status: 200, value: deletedStatus(call, object) };
  }
  // Of those who ask in the oldest way, some want to hear that it takes a while.
  const status = !gone && options.orphanDependents === false ? 202 : 200;
  return { type: "object", status, resource, object };
}

/** Kinds whose deletion answers the object instead of a Status (upstream's ReturnDeletedObject). */
const answersDeleted = new Set([
  "/namespaces",
  "/persistentvolumeclaims",
  "/persistentvolumes",
  "/pods",
  "/podtemplates",
  "/resourcequotas",
  "/serviceaccounts",
  "/services",
  "storage.k8s.io/csidrivers",
  "storage.k8s.io/csinodes",
  "storage.k8s.io/storageclasses",
  "storage.k8s.io/volumeattachments",
  "storage.k8s.io/volumeattributesclasses",
]);

/** Of what may not be meant, whether there is something to delete or not. */
function warn(call: Call, options: DeleteOptions): void {
  call.warnings.push(...(storedOf(call).behaviour.warningsOnDelete?.(options) ?? []));
}

function deletedStatus({ resource }: Call, object: StoredObject): Status {
  const { group, resource: kind } = resource;
  const uid = object.glance().metadata?.uid ?? "";
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: { name: object.name, ...(group && { group }), kind, uid },
  };
}

export interface Removal {
  readonly name: string;
  readonly namespace: string;
  readonly options: DeleteOptions;
}

export interface Removed {
  /** Its last state, or the state of an object that is still going. */
  readonly object: StoredObject;
  readonly gone: boolean;
}

export async function removeOne(
  core: RegistryCore,
  call: Call,
  { name, namespace, options }: Removal,
): Promise<Removed> {
  const kind = storedOf(call);
  const key = objectKey(kind, namespace, name);
  const dryRun = (options.dryRun?.length ?? 0) > 0;
  let existing = await core.storage.read(kind, key);
  for (;;) {
    if (!existing) throw statusError.notFound(call.resource, name);
    const object = existing.decoded();
    const plan = (hooksOf(core, kind)?.planDeletion ?? planDeletion)({ kind, object, options, now: call.now });
    if (plan.type === "pending") return { object: existing, gone: false };
    const admission = admissionOf(call, { name, namespace, options, object });
    await core.admission.mutate(admission);
    await core.admission.validate(admission);
    checkDelete(kind, object, call);
    if (dryRun) return { object: core.storage.dry(kind, key, plan.object), gone: plan.type === "remove" };
    const gone = plan.type === "remove";
    const side = gone ? await hooksOf(core, kind)?.allocate?.({ object: undefined, old: object, dryRun }) : undefined;
    const result = await core.storage.write({
      kind,
      key,
      object: gone ? undefined : plan.object,
      expected: existing.revision,
      side,
    });
    if (result.type === "written") {
      const last = plan.object === object ? existing : core.storage.dry(kind, key, plan.object);
      return { object: result.object ?? last, gone };
    }
    if (result.type === "lost") existing = result.current;
  }
}

function admissionOf(
  call: Call,
  { name, namespace, options, object }: Removal & { object: DeepReadonly<KubernetesObject> },
): AdmissionRequest {
  return {
    operation: "DELETE",
    resource: call.resource,
    subresource: "",
    namespace,
    name,
    user: call.user,
    dryRun: (options.dryRun?.length ?? 0) > 0,
    now: call.now,
    object: undefined,
    old: object,
    options: { ...options, kind: "DeleteOptions", apiVersion: "meta.k8s.io/v1" },
    warnings: call.warnings,
    audit: call.audit,
    meter: call.meter,
  };
}

function checkDelete({ behaviour }: StoredKind, object: DeepReadonly<KubernetesObject>, call: Call): void {
  const errors = behaviour.validateDelete?.(object as KubernetesObject, contextOf(call)) ?? []; // kinds promise not to change it
  if (errors.length > 0) throw invalid(call.resource, object.metadata?.name ?? "", errors);
}

export async function removeCollection(core: RegistryCore, call: Call): Promise<Answer> {
  const { resource } = call;
  const listOptions = readListOptions(call.query, { watch: false });
  const options = await readDeleteOptions(core, call);
  if (options.ignoreStoreReadErrorWithClusterBreakingPotential) throw unsafeCollection();
  warn(call, options);
  const { objects, metadata } = await selectForRequest(core, call, listOptions);
  const waiting = [...objects];
  const worker = async () => {
    for (let object = waiting.pop(); object; object = waiting.pop()) {
      try {
        await removeOne(core, call, { name: object.name, namespace: object.namespace, options });
      } catch (error) {
        // Someone else deleted it first: that is what was asked for.
        if (!isNotFound(error)) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(collectionParallelMax, objects.length) }, worker));
  return { type: "list", resource, objects, metadata };
}

const isNotFound = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === 404;
