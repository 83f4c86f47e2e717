/**
 * Changing an object that exists: the loop that PUT, PATCH, apply and the subresources share. It reads, lets the caller make the new
 * object from the old one, checks, and writes if nobody was faster; then it begins again with what is there now.
 * Follows upstream's Store.Update and GuaranteedUpdate.
 */
import {
  type DeepReadonly,
  forgetEmpty,
  jsonEqual,
  type KubernetesObject,
  revertManagedFieldsTimes,
  statusError,
} from "#machinery";
import type { Strategy } from "#api";
import type { AdmissionRequest } from "../admission/chain.ts";
import type { Answer } from "../answer.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { StoredKind } from "../resource.ts";
import { authorizeCreate } from "./authorize-create.ts";
import { checkUpdate, prepareUpdate, checkRevision, checkUid } from "./before-update.ts";
import { breathe } from "./breathe.ts";
import type { Call } from "./call.ts";
import { hooksOf, type RegistryCore } from "./core.ts";
import { insert, storedOf } from "./create.ts";
import { decodeWritten } from "./decode.ts";
import { namespaceMismatch } from "./errors.ts";
import { readWriteOptions, type WriteOptions } from "./options.ts";
import { statusStrategy } from "./plain-kind.ts";
import { objectKey, type SideWrites } from "./storage.ts";
import { toStored, trackOwners } from "./versions.ts";

/** Upstream retries for as long as the request lasts; this only ends a loop that could never win. */
const attemptsMax = 100;

export interface Modification {
  readonly options: WriteOptions;
  readonly subresource: string;
  readonly strategy: Strategy<KubernetesObject> | undefined;
  /** Makes the new object, in the stored version, defaulted, owners noted; a new one each time. */
  make(existing: StoredObject | undefined): Promise<KubernetesObject>;
  /** Without an object to change, create it. */
  readonly create: boolean;
  /** The uid the client expects. */
  readonly uid?: string | undefined;
  /** What admission is shown instead of the object: the body of a subresource. `done`: it has had its say. */
  readonly admission?: ((object: KubernetesObject, old: DeepReadonly<KubernetesObject>) => AdmissionView) | "done";
}

export interface AdmissionView {
  readonly object: KubernetesObject;
  readonly old: KubernetesObject;
  /** Takes over into the object what mutating admission made of the view. */
  takeOver(): void;
}

export interface Modified {
  readonly object: StoredObject;
  readonly created: boolean;
}

export async function update(core: RegistryCore, call: Call, subresource: string): Promise<Answer> {
  const { resource } = call;
  const kind = storedOf(call);
  const strategy = strategyOf(kind, subresource);
  const options = readWriteOptions(call.query, "UpdateOptions", call);
  const sent = await decodeWritten(core, call, options.fieldValidation);
  await breathe(call);
  const namespaced = sent.metadata?.namespace !== undefined;
  checkSameName(sent, call);
  const text = JSON.stringify(sent);
  let first: KubernetesObject | undefined = sent;
  const { object, created } = await modify(core, call, {
    options,
    subresource,
    strategy,
    create: subresource === "" && kind.behaviour.allowCreateOnUpdate === true,
    uid: sent.metadata?.uid,
    make: async (existing) => {
      const object = await toStored(resource, first ?? JSON.parse(text));
      first = undefined;
      kind.behaviour.defaults?.(object);
      if (!resource.conversion) call.audit?.requestObject(namespaced ? object : withoutNamespace(object));
      await trackOwners(
        { core, resource, subresource, manager: options.manager, strategy, now: call.now },
        existing,
        object,
      );
      return object;
    },
  });
  return { type: "object", status: created ? 201 : 200, resource, object };
}

const withoutNamespace = ({ metadata, ...rest }: KubernetesObject): KubernetesObject => {
  const { namespace: _, ...kept } = metadata ?? {};
  return { metadata: kept, ...rest };
};

/** A body may not speak of another object than the URL; the namespace may be left out. */
export function checkSameName(object: KubernetesObject, { target, resource }: Pick<Call, "target" | "resource">): void {
  const { name } = target;
  const namespace = resource.namespaced ? target.namespace : "";
  object.metadata ??= {};
  const { metadata } = object;
  if (namespace !== "" && metadata.namespace && metadata.namespace !== namespace) throw namespaceMismatch();
  if (namespace !== "") metadata.namespace = namespace;
  else delete metadata.namespace;
  const sent = metadata.name ?? "";
  if (sent === "") {
    throw statusError.badRequest(
      `the name of the object (${name} based on URL) was undeterminable: name must be provided`,
    );
  }
  if (sent !== name)
    throw statusError.badRequest(`the name of the object (${sent}) does not match the name on the URL (${name})`);
}

export function strategyOf({ behaviour }: StoredKind, subresource: string): Strategy<KubernetesObject> | undefined {
  if (subresource === "") return behaviour;
  return behaviour.subresources?.[subresource] ?? (subresource === "status" ? statusStrategy : undefined);
}

export async function modify(core: RegistryCore, call: Call, modification: Modification): Promise<Modified> {
  const { resource, target } = call;
  const kind = storedOf(call);
  const key = objectKey(kind, target.namespace, target.name);
  let existing = await core.storage.read(kind, key);
  for (let attempt = 1; ; attempt++) {
    if (!existing) {
      if (!modification.create) throw statusError.notFound(resource, target.name);
      const object = await modification.make(undefined);
      await authorizeCreate(core, call);
      return { object: await insert(core, call, { object, options: modification.options }), created: true };
    }
    const outcome = await attemptUpdate(core, call, { kind, key, existing, modification });
    if (outcome.type === "done") return { object: outcome.object, created: false };
    if (attempt >= attemptsMax) throw statusError.modified(resource, target.name);
    existing = outcome.current;
  }
}

interface Attempt {
  readonly kind: StoredKind;
  readonly key: string;
  readonly existing: StoredObject;
  readonly modification: Modification;
}

type Outcome = { type: "done"; object: StoredObject } | { type: "again"; current: StoredObject | undefined };

async function attemptUpdate(
  core: RegistryCore,
  call: Call,
  { kind, key, existing, modification }: Attempt,
): Promise<Outcome> {
  const { resource, target, warnings } = call;
  const { options, subresource, strategy } = modification;
  const old = existing.decoded();
  checkUid(modification.uid, old, { kind, key, call });
  const object = await modification.make(existing);
  await breathe(call, existing);
  const warningsBefore = warnings.length;
  const { admission } = modification;
  const view = typeof admission === "function" ? admission(object, old) : undefined;
  const request: AdmissionRequest = {
    operation: "UPDATE",
    resource,
    subresource,
    namespace: target.namespace,
    name: target.name,
    user: call.user,
    verb: call.verb,
    dryRun: options.dryRun,
    now: call.now,
    object: view?.object ?? object,
    old: view?.old ?? old,
    options: { kind: "UpdateOptions", apiVersion: "meta.k8s.io/v1", fieldManager: options.manager },
    warnings,
    audit: call.audit,
    meter: call.meter,
  };
  if (admission !== "done") await core.admission.mutate(request);
  view?.takeOver();
  revertManagedFieldsTimes({ live: old as KubernetesObject, result: object }); // only reads `live`
  checkRevision(object, { kind, existing, call });
  const hooks = hooksOf(core, kind);
  // Before the other checks, as upstream does. Subresources have nothing to give out.
  let side = subresource === "" ? await hooks?.allocate?.({ object, old, dryRun: options.dryRun }) : undefined;
  const update = { kind, object, old, call, subresource, strategy };
  const waiting = prepareUpdate(update);
  if (waiting) await waiting;
  checkUpdate(update);
  await breathe(call, existing);
  if (admission !== "done") await core.admission.validate(request);
  const goes = deletesItself(object, old) && hooks?.holdsDeletion?.(object) !== true;
  if (goes) side = await hooks?.allocate?.({ object: undefined, old, dryRun: options.dryRun });
  forgetEmpty(object, kind.schema);
  if (goes) return finishDeletion(core, { kind, key, existing, object, side, dryRun: options.dryRun });
  if (options.dryRun) return { type: "done", object: core.storage.dry(kind, key, object) };
  // Nothing changed: nothing is written, the revision stays.
  // The order of keys is none of the object's business.
  if (!side && !existing.outdated && jsonEqual(object, old) && !(await core.storage.isStale(kind, key)))
    return { type: "done", object: existing };
  const result = await core.storage.write({ kind, key, object, expected: existing.revision, side });
  if (result.type === "written") return { type: "done", object: result.object! }; // a put answers its object
  warnings.length = warningsBefore;
  return { type: "again", current: result.type === "side-lost" ? existing : result.current };
}

/** The last finalizer of an object that is being deleted went with this update. */
function deletesItself(object: KubernetesObject, old: DeepReadonly<KubernetesObject>): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds: grace = 0 } = old.metadata ?? {};
  return (object.metadata?.finalizers?.length ?? 0) === 0 && deletionTimestamp !== undefined && grace === 0;
}

async function finishDeletion(core: RegistryCore, request: FinishDeletion): Promise<Outcome> {
  const { kind, key, existing, object, side, dryRun } = request;
  const answer = core.storage.dry(kind, key, object);
  if (dryRun) return { type: "done", object: answer };
  const result = await core.storage.write({ kind, key, object: undefined, expected: existing.revision, side });
  if (result.type === "written") return { type: "done", object: answer };
  return { type: "again", current: result.type === "side-lost" ? existing : result.current };
}

interface FinishDeletion {
  readonly kind: StoredKind;
  readonly key: string;
  readonly existing: StoredObject;
  readonly object: KubernetesObject;
  readonly side: SideWrites | undefined;
  readonly dryRun: boolean;
}
