/**
 * POST: decode, default, note the owner of the fields, mutating admission, the kind's strategy, validation, validating admission, store.
 * Follows upstream's createHandler, rest.BeforeCreate and Store.Create; the order decides which of several errors a client sees.
 */
import { randomUUID } from "node:crypto";
import {
  cloneJson,
  FieldPath,
  fieldError,
  forgetEmpty,
  type KubernetesObject,
  nameIsDnsSubdomain,
  nameIsPathSegment,
  statusError,
  validateObjectMeta,
} from "#machinery";
import type { WriteContext } from "#api";
import type { AdmissionRequest } from "../admission/chain.ts";
import type { Answer } from "../answer.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { StoredKind } from "../resource.ts";
import { breathe } from "./breathe.ts";
import type { Call } from "./call.ts";
import { hooksOf, type RegistryCore } from "./core.ts";
import { decodeWritten } from "./decode.ts";
import { generatedNameTaken, invalid, namespaceMismatch, plainError, stillDeleting } from "./errors.ts";
import { generateAttemptsMax, generateName } from "./generate-name.ts";
import { readWriteOptions, type WriteOptions } from "./options.ts";
import { objectKey } from "./storage.ts";
import { rfc3339 } from "./rfc3339.ts";
import { toStored, trackOwners } from "./versions.ts";

export async function create(core: RegistryCore, call: Call): Promise<Answer> {
  const { resource, target } = call;
  const kind = storedOf(call);
  const options = readWriteOptions(call.query, "CreateOptions", call);
  const decoded = await decodeWritten(core, call, options.fieldValidation);
  await breathe(call);
  // The server's to say; nobody owns them.
  const {
    uid: _uid,
    creationTimestamp: _created,
    deletionTimestamp: _at,
    deletionGracePeriodSeconds: _period,
    selfLink: _link,
    ...metadata
  } = decoded.metadata ?? {};
  decoded.metadata = metadata;
  if (metadata.namespace && kind.namespaced && metadata.namespace !== target.namespace) throw namespaceMismatch();
  const object = await toStored(resource, decoded);
  kind.behaviour.defaults?.(object);
  // With its defaults, as upstream's decoder leaves it.
  if (!resource.conversion) call.audit?.requestObject(object);
  await trackOwners(
    { core, resource, subresource: "", manager: options.manager, strategy: kind.behaviour, now: call.now },
    undefined,
    object,
  );
  await breathe(call);
  const stored = await insert(core, call, { object, options, hasRevision: Boolean(metadata.resourceVersion) });
  return { type: "object", status: 201, resource, object: stored };
}

export interface Insertion {
  /** In the stored version, defaulted, owners noted; belongs to the callee. */
  readonly object: KubernetesObject;
  readonly options: WriteOptions;
  /** The client said which revision it has; refused where upstream's storage does, after all who have a say. */
  readonly hasRevision?: boolean;
}

/** From mutating admission on. Also what an update and an apply do when there is nothing yet. */
export async function insert(
  core: RegistryCore,
  call: Call,
  { object: sent, options, hasRevision }: Insertion,
): Promise<StoredObject> {
  const { resource, target, warnings, now, user, audit, meter } = call;
  const kind = storedOf(call);
  if (resource.custom?.terminating) {
    const why = "create not allowed while custom resource definition is terminating";
    throw statusError.forbidden(resource, sent.metadata?.name ?? "", why);
  }
  const request: AdmissionRequest = {
    operation: "CREATE",
    resource,
    subresource: "",
    namespace: kind.namespaced ? target.namespace : (sent.metadata?.name ?? ""),
    name: sent.metadata?.name ?? "",
    user,
    dryRun: options.dryRun,
    now,
    object: sent,
    old: undefined,
    options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1", fieldManager: options.manager },
    warnings,
    audit,
    meter,
  };
  await core.admission.mutate(namespaceOf(kind, request));
  const generated = Boolean(sent.metadata?.generateName) && !sent.metadata?.name;
  const warningsBefore = warnings.length;
  const hooks = hooksOf(core, kind);
  // What one attempt was given isn't what the client asked for in the next; and another name may be written in more places than one.
  const copied = generated || hooks?.allocate !== undefined;
  for (let names = 1; ; ) {
    const object = copied ? cloneJson(sent) : sent;
    warnings.length = warningsBefore;
    fillMetadata(kind, object, call);
    const name = object.metadata?.name ?? "";
    const key = objectKey(kind, target.namespace, name);
    // Before the other checks, as upstream does: whoever asks for an address that is taken hears of that alone.
    const side = await hooks?.allocate?.({ object, old: undefined, dryRun: options.dryRun });
    const waiting = prepareNew(kind, object, call);
    if (waiting) await waiting;
    checkNew(kind, object, call);
    const lease = options.dryRun ? undefined : await hooks?.lease?.();
    await breathe(call);
    await core.admission.validate({ ...request, object, name });
    // Upstream answers what it reads back, and what is read is defaulted.
    kind.behaviour.defaults?.(object);
    forgetEmpty(object, kind.schema);
    if (options.dryRun) {
      const there = await core.storage.read(kind, key);
      if (there) throw alreadyThere(call, there, name, false);
      return core.storage.dry(kind, key, object);
    }
    if (hasRevision) throw plainError("resourceVersion should not be set on objects to be created");
    const result = await core.storage.write({ kind, key, object, expected: 0, side, lease });
    if (result.type === "written") return result.object!; // a put answers its object
    if (result.type === "side-lost") continue;
    if (!generated || names++ >= generateAttemptsMax) throw alreadyThere(call, result.current, name, generated);
  }
}

/** For the namespace itself, admission's namespace is its name. */
function namespaceOf(kind: StoredKind, request: AdmissionRequest): AdmissionRequest {
  const isNamespace = kind.group === "" && kind.resource === "namespaces";
  return kind.namespaced || isNamespace ? request : { ...request, namespace: "" };
}

export function storedOf({ resource }: Pick<Call, "resource">): StoredKind {
  if (!resource.stored) throw statusError.methodNotAllowed();
  return resource.stored;
}

export function contextOf({ user, now, resource }: Call, subresource = ""): WriteContext {
  return {
    user,
    now,
    resource: { group: resource.group, resource: resource.resource, version: resource.version },
    subresource,
  };
}

/** What the server says of every object, before its kind has a say: jobs select their pods by uid and name them in labels. */
function fillMetadata(kind: StoredKind, object: KubernetesObject, { target, now }: Call): void {
  const {
    deletionTimestamp: _at,
    deletionGracePeriodSeconds: _period,
    selfLink: _link,
    resourceVersion: _version,
    ...kept
  } = object.metadata ?? {};
  const metadata = kept;
  object.metadata = metadata;
  if (kind.namespaced) {
    if (metadata.namespace && metadata.namespace !== target.namespace) throw namespaceMismatch();
    metadata.namespace = target.namespace;
  } else delete metadata.namespace;
  metadata.uid = randomUUID();
  metadata.creationTimestamp = rfc3339(now);
  if (metadata.generateName && !metadata.name) metadata.name = generateName(metadata.generateName);
}

function prepareNew({ behaviour }: StoredKind, object: KubernetesObject, call: Call): Promise<void> | undefined {
  call.warnings.push(...(behaviour.warningsBeforeCreate?.(object) ?? []));
  behaviour.prepareForCreate?.(object, contextOf(call));
  return behaviour.beforeValidate?.(object, undefined);
}

function checkNew(kind: StoredKind, object: KubernetesObject, call: Call): void {
  const { behaviour } = kind;
  const { resource, warnings } = call;
  const context = contextOf(call);
  const prepared = object.metadata ?? {};
  const name = prepared.name ?? "";
  const { namespaced } = kind;
  const anyFinalizer = resource.itemsHaveKind || behaviour.anyFinalizer === true;
  const errors = [
    ...validateObjectMeta(prepared, {
      namespaced,
      checkName: behaviour.validateName ?? nameIsDnsSubdomain,
      anyFinalizer,
    }),
    ...(behaviour.validate?.(object, context) ?? []),
  ];
  if (errors.length > 0) throw invalid(resource, name, errors);
  const wrongName = name === "" ? [] : nameIsPathSegment(name, false);
  if (wrongName.length > 0) {
    throw invalid(
      resource,
      name,
      wrongName.map((why) => fieldError.invalid(FieldPath.root("metadata").child("name"), name, why)),
    );
  }
  warnings.push(...(behaviour.warningsOnCreate?.(object, context) ?? []));
}

function alreadyThere({ resource }: Call, current: StoredObject | undefined, name: string, generated: boolean) {
  if (generated) return generatedNameTaken(resource, name);
  if (current?.glance().metadata?.deletionTimestamp !== undefined) return stillDeleting(resource, name);
  return statusError.alreadyExists(resource, name);
}
