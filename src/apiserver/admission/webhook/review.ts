/** The AdmissionReview that a webhook is sent, and what its answer says. Pure; versions v1 and v1beta1, which look alike on the wire. */
import type { RequestUser } from "#api";
import type { DeepReadonly, JsonPatchOperation, KubernetesObject, Status } from "#machinery";
import { AnswerTextError, readAnswer } from "./answer-text.ts";

export const reviewVersions = ["v1", "v1beta1"] as const;
export type ReviewVersion = (typeof reviewVersions)[number];

interface GroupVersion {
  readonly group: string;
  readonly version: string;
}

export interface ReviewRequest {
  readonly uid: string;
  /** As the webhook sees it; `request…` as the client sent it. */
  readonly kind: GroupVersion & { readonly kind: string };
  readonly resource: GroupVersion & { readonly resource: string };
  readonly subresource: string;
  readonly requestKind: GroupVersion & { readonly kind: string };
  readonly requestResource: GroupVersion & { readonly resource: string };
  readonly name: string;
  readonly namespace: string;
  readonly operation: string;
  readonly user: RequestUser;
  readonly object: DeepReadonly<KubernetesObject> | undefined;
  readonly old: DeepReadonly<KubernetesObject> | undefined;
  readonly dryRun: boolean;
  /** Undefined for connections. */
  readonly options: object | undefined;
}

export function encodeReview(version: ReviewVersion, review: ReviewRequest): Buffer {
  const { user, subresource, name, namespace } = review;
  const request = {
    uid: review.uid,
    kind: review.kind,
    resource: review.resource,
    ...(subresource && { subResource: subresource }),
    requestKind: review.requestKind,
    requestResource: review.requestResource,
    ...(subresource && { requestSubResource: subresource }),
    ...(name && { name }),
    ...(namespace && { namespace }),
    operation: review.operation,
    userInfo: {
      ...(user.name && { username: user.name }),
      ...(user.uid && { uid: user.uid }),
      ...(user.groups.length > 0 && { groups: user.groups }),
      ...(Object.keys(user.extra).length > 0 && { extra: user.extra }),
    },
    object: review.object ?? null,
    oldObject: review.old ?? null,
    dryRun: review.dryRun,
    options: review.options ?? null,
  };
  return Buffer.from(JSON.stringify({ kind: "AdmissionReview", apiVersion: `admission.k8s.io/${version}`, request }));
}

export interface ReviewAnswer {
  readonly allowed: boolean;
  readonly result: Partial<Status> | undefined;
  readonly warnings: readonly string[];
  readonly patch: readonly JsonPatchOperation[];
  /** For the audit log, without the webhook's name. */
  readonly auditAnnotations: Readonly<Record<string, string>>;
}

/** The webhook's fault, told in upstream's words. */
export class ReviewError extends Error {
  override name = "ReviewError";
}

/** The webhook means well but its patch can't be read: not its failure policy's business. */
export class PatchTextError extends Error {
  override name = "PatchTextError";
}

interface WireResponse {
  uid?: string;
  allowed?: boolean;
  status?: Partial<Status>;
  patch?: string;
  patchType?: string;
  warnings?: string[];
  auditAnnotations?: Record<string, string>;
}

export interface Expectation {
  readonly uid: string;
  readonly version: ReviewVersion;
  readonly mutating: boolean;
}

export function readReview(text: string, { uid, version, mutating }: Expectation): ReviewAnswer {
  const { kind = "", apiVersion = "", response } = parse(text);
  if (!response) throw new ReviewError("webhook response was absent");
  const patch = response.patch ?? "";
  if (version === "v1") {
    if ((response.uid ?? "") !== uid)
      throw new ReviewError(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response.uid ?? "")}`);
    if (apiVersion !== "admission.k8s.io/v1" || kind !== "AdmissionReview")
      throw new ReviewError(
        `expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got ${printKind(apiVersion, kind)}`,
      );
    checkPatch(patch, response.patchType, mutating);
  }
  return {
    allowed: response.allowed === true,
    result: response.status,
    warnings: response.warnings ?? [],
    patch: mutating && patch !== "" ? readPatchText(patch) : [],
    auditAnnotations: response.auditAnnotations ?? {},
  };
}

function parse(text: string): { kind?: string; apiVersion?: string; response?: WireResponse } {
  try {
    return readAnswer(text);
  } catch (error) {
    throw error instanceof AnswerTextError ? new ReviewError(error.message) : error;
  }
}

const printKind = (apiVersion: string, kind: string) => `${apiVersion === "" ? "/" : apiVersion}, Kind=${kind}`;

function checkPatch(patch: string, type: string | undefined, mutating: boolean): void {
  if (!mutating) {
    if (patch !== "") throw new ReviewError("validating webhook may not return response.patch");
    if (type !== undefined) throw new ReviewError("validating webhook may not return response.patchType");
    return;
  }
  if (patch !== "" && type === undefined)
    throw new ReviewError("webhook returned response.patch but not response.patchType");
  if (patch === "" && type !== undefined)
    throw new ReviewError("webhook returned response.patchType but not response.patch");
  if (type === "") throw new ReviewError('webhook returned invalid response.patchType of ""');
  if (type !== undefined && type !== "JSONPatch")
    throw new ReviewError(`unsupported patch type ${JSON.stringify(type)}`);
}

function readPatchText(encoded: string): readonly JsonPatchOperation[] {
  try {
    const operations: unknown = JSON.parse(Buffer.from(encoded, "base64").toString("utf8"));
    if (Array.isArray(operations)) return operations;
  } catch (error) {
    throw new PatchTextError((error as Error).message); // a SyntaxError
  }
  throw new PatchTextError("json: cannot unmarshal object into Go value of type jsonpatch.Patch");
}
