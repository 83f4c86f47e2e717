/**
 * PATCH: JSON, merge and strategic patches change what is stored; apply merges what one manager wants with what the others own.
 * All run inside the update loop: when someone else was faster, the patch is applied again to what is there then.
 */
import {
  applyObject,
  type ApplyPatch,
  checkTyped,
  DecodeError,
  decodeApplyPatch,
  decodeCborApply,
  internalPackage,
  type KubernetesObject,
  omitEmpty,
  type PatchMediaType,
  QuantityError,
  readPatch,
  schemeName,
  StatusError,
  statusError,
  TimeError,
} from "#machinery";
import type { Answer } from "../answer.ts";
import { decodeAppliedCustom, decodePatched, finishPatched } from "../custom/decode-custom.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import { withConversions } from "./awaited-conversions.ts";
import type { Resource } from "../resource.ts";
import { breathe } from "./breathe.ts";
import type { Call, RequestBody } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { storedOf } from "./create.ts";
import { plainError } from "./errors.ts";
import { takesCbor } from "./body-types.ts";
import { readWriteOptions, type WriteOptions } from "./options.ts";
import { checkSameName, modify, strategyOf } from "./update.ts";
import { rfc3339 } from "./rfc3339.ts";
import { ownershipRules, toStored, trackOwners, versioned } from "./versions.ts";

const applyType = "application/apply-patch+yaml";
const cborApplyType = "application/apply-patch+cbor";
const patchTypes: readonly string[] = [
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
];

export async function patch(core: RegistryCore, call: Call, subresource: string): Promise<Answer> {
  const { resource } = call;
  const kind = storedOf(call);
  const { contentType } = call.body;
  const apply = isApply(call.body);
  if (!apply && !patchTypes.includes(contentType)) throw unsupportedPatch();
  const body = await call.body.bytes();
  call.audit?.requestPatch(body);
  const options = readWriteOptions(call.query, "PatchOptions", { userAgent: call.userAgent, apply });
  const strategy = strategyOf(kind, subresource);
  const patching: Patching = { core, call, options, subresource, body };
  const { object, created } = await modify(core, call, {
    options,
    subresource,
    strategy,
    // An apply says what should be there, whether it was there or not.
    create: apply && subresource === "",
    make: apply ? (existing) => applyTo(patching, existing) : (existing) => patchOnto(patching, existing),
  });
  return { type: "object", status: created ? 201 : 200, resource, object };
}

export const isApply = (body: RequestBody): boolean =>
  body.contentType === applyType || (body.contentType === cborApplyType && takesCbor(body));

/** Throws StatusError: strategies need types of Go. */
export function checkCustomPatch(body: RequestBody): void {
  if (isApply(body) || customPatchTypes.includes(body.contentType)) return;
  const types = [...customPatchTypes, applyType];
  throw statusError.unsupportedMediaType(takesCbor(body) ? [...types, cborApplyType] : types);
}

const customPatchTypes: readonly string[] = ["application/json-patch+json", "application/merge-patch+json"];

/** What go-restful says before upstream's own negotiation comes to speak. */
export function unsupportedPatch(): StatusError {
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: "415: Unsupported Media Type",
    reason: "UnsupportedMediaType",
    details: {},
    code: 415,
  });
}

interface Patching {
  readonly core: RegistryCore;
  readonly call: Call;
  readonly options: WriteOptions;
  readonly subresource: string;
  readonly body: Buffer;
}

async function patchOnto(
  { core, call, options, subresource, body }: Patching,
  existing: StoredObject | undefined,
): Promise<KubernetesObject> {
  const { resource, target, warnings, now } = call;
  if (!existing) throw statusError.notFound(resource, target.name);
  const mediaType = call.body.contentType as PatchMediaType; // one of the three, checked by the caller
  const original = versioned(resource, existing);
  const parsed = readPatch(body, { mediaType, fieldValidation: options.fieldValidation });
  await breathe(call, existing);
  const { custom } = resource;
  await custom?.schema.load();
  const result = parsed.apply(
    original as Record<string, unknown>,
    custom ? undefined : resource.schema,
    custom
      ? { decode: (patched) => decodePatched(resource, custom, patched) }
      : { kindProblem: (patched) => kindProblem(core, resource, patched) },
  );
  await breathe(call, existing);
  warnings.push(...result.warnings);
  const object: KubernetesObject = result.object;
  if (custom) finishPatched(resource, custom, object);
  checkSameName(object, call);
  const stored = await toStored(resource, object);
  const kind = storedOf(call);
  kind.behaviour.defaults?.(stored);
  const strategy = strategyOf(kind, subresource);
  await trackOwners({ core, resource, subresource, manager: options.manager, strategy, now }, existing, stored);
  return stored;
}

/** What upstream's decoder says of an object that a patch turned into one of another kind. */
function kindProblem(
  { typeOf }: RegistryCore,
  resource: Resource,
  { kind: givenKind, apiVersion: givenVersion }: Record<string, unknown>,
): string | undefined {
  const kind = givenKind ?? "";
  const apiVersion = givenVersion ?? "";
  if (typeof kind !== "string" || typeof apiVersion !== "string") return undefined;
  const wanted = { kind: kind || resource.kind, apiVersion: apiVersion || resource.groupVersion };
  if (wanted.kind === resource.kind && wanted.apiVersion === resource.groupVersion) return undefined;
  if (!typeOf(wanted.apiVersion, wanted.kind))
    return `no kind ${JSON.stringify(wanted.kind)} is registered for version ${JSON.stringify(wanted.apiVersion)} in scheme "${schemeName}"`;
  const version = wanted.apiVersion.slice(wanted.apiVersion.indexOf("/") + 1);
  return `converting (${version}.${wanted.kind}) to (${internalPackage(resource.groupVersion)}.${resource.kind}): unknown conversion`;
}

export async function decodeApplied(call: Call, body: Buffer, { fieldValidation }: WriteOptions): Promise<ApplyPatch> {
  return call.body.contentType === cborApplyType ? decodeCborApply(body) : decodeApplyPatch(body, fieldValidation);
}

/** What was applied became an object of its kind only by being merged. */
function decodeMerged(
  object: KubernetesObject,
  applied: KubernetesObject,
  { schema, kind, groupVersion }: Resource,
): void {
  try {
    checkTyped(object as Record<string, unknown>, schema, { fromMap: true });
  } catch (error) {
    const known = error instanceof DecodeError || error instanceof QuantityError || error instanceof TimeError;
    if (!known) throw error;
    const { name = "", namespace = "" } = applied.metadata ?? {};
    const type = `${groupVersion.includes("/") ? "" : "/"}${groupVersion}, Kind=${kind}`;
    const why = `unable to convert unstructured object to ${type}: ${error.message}`;
    throw plainError(`failed to convert new object (${namespace}/${name}; ${type}) to proper version: ${why}`);
  }
}

async function applyTo(
  { core, call, options, subresource, body }: Patching,
  existing: StoredObject | undefined,
): Promise<KubernetesObject> {
  const { resource, target, warnings, query, now } = call;
  const kind = storedOf(call);
  const strategy = strategyOf(kind, subresource);
  const applied = await decodeApplied(call, body, options);
  await breathe(call, existing);
  const ownership = { core, resource, subresource, manager: options.manager, strategy, now };
  const { object } = await withConversions((convert) =>
    applyObject({
      schema: resource.schema,
      apiVersion: resource.groupVersion,
      kind: resource.kind,
      live: existing && versioned(resource, existing),
      applied: applied.object,
      manager: options.manager,
      subresource,
      force: query.boolean("force"),
      time: rfc3339(now),
      ...ownershipRules(ownership, convert),
    }),
  );
  if (applied.refusal) throw applied.refusal;
  await breathe(call, existing);
  warnings.push(...applied.warnings);
  // Parts are shared with the live object and the patch.
  const own: KubernetesObject = JSON.parse(JSON.stringify(object));
  if (resource.custom) await decodeAppliedCustom(resource, resource.custom, own);
  else decodeMerged(own, applied.object, resource);
  const uid = own.metadata?.uid;
  if (uid && !existing) {
    const why = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;
    throw statusError.conflict(resource, target.name, why);
  }
  checkSameName(own, call);
  const stored = await toStored(resource, own);
  kind.behaviour.defaults?.(stored);
  omitEmpty(stored, kind.schema);
  return stored;
}
