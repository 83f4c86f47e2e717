/** serviceaccounts/token: makes a token for an account, bound to a pod, secret or node if asked. */
import type { ObjectMeta, Pod, RequestUser, ServiceAccount, TokenRequest, TokenRequestSpec } from "#api";
import { FieldPath, fieldError, StatusError, statusError } from "#machinery";
import type { AccountTokens, Reference } from "./account-tokens.ts";

const secondsMin = 600;
const secondsMax = 2 ** 32;
const secondsDefault = 3600;
/** Upstream's rule for projected tokens of old clients: asked for this odd life, they live a year and warn after it. */
const warnOnlySeconds = 3607;
const extendedSeconds = 365 * 24 * 3600;

export interface TokenRequestContext {
  readonly user: RequestUser;
  readonly account: ServiceAccount;
  /** Rejects with the StatusError of a GET when it isn't there. */
  get(resource: "pods" | "secrets" | "nodes", namespace: string, name: string): Promise<{ metadata: { uid?: string } }>;
  readonly settings?: TokenSettings;
  readonly warnings?: string[];
  /** For the audit log. */
  annotate?(key: string, value: string): void;
}

export interface TokenSettings {
  /** Longer lives are cut, with a warning; 0: none is. */
  readonly lifeSecondsMax?: number;
  /** See `warnOnlySeconds`; true without it. */
  readonly extendLife?: boolean;
}

export function defaultTokenRequest(body: TokenRequest): void {
  body.spec = { ...body.spec, expirationSeconds: body.spec?.expirationSeconds ?? secondsDefault };
}

/** The body is defaulted. */
export async function requestToken(
  body: TokenRequest,
  { account, get, settings = {}, warnings, annotate }: TokenRequestContext,
  tokens: AccountTokens,
): Promise<TokenRequest> {
  const { name = "", namespace = "", uid = "" } = account.metadata;
  const metadata = describeAs(body.metadata ?? {}, { name, namespace, uid });
  const asked = { audiences: [], ...body.spec, expirationSeconds: body.spec?.expirationSeconds ?? secondsDefault };
  const path = FieldPath.root("spec").child("expirationSeconds");
  const detail =
    asked.expirationSeconds < secondsMin
      ? "may not specify a duration less than 10 minutes"
      : asked.expirationSeconds > secondsMax
        ? "may not specify a duration larger than 2^32 seconds"
        : undefined;
  if (detail)
    throw statusError.invalid({ group: "authentication.k8s.io", kind: "TokenRequest" }, "", [
      fieldError.invalid(path, asked.expirationSeconds, detail),
    ]);
  const bound = await bind(asked.boundObjectRef, { account, get, namespace, name });
  const audiences = asked.audiences?.length ? asked.audiences : [...tokens.audiences];
  const { lifeSecondsMax = 0, extendLife = true } = settings;
  if (lifeSecondsMax > 0 && asked.expirationSeconds > lifeSecondsMax) {
    warnings?.push(`requested expiration of ${asked.expirationSeconds} seconds shortened to ${lifeSecondsMax} seconds`);
    asked.expirationSeconds = lifeSecondsMax;
  }
  const extend =
    extendLife &&
    bound.pod !== undefined &&
    asked.expirationSeconds === warnOnlySeconds &&
    audiences.every((audience) => tokens.audiences.includes(audience));
  const { token, expiration, id } = tokens.issue({
    namespace,
    account: { name, uid },
    ...bound,
    audiences,
    lifeSeconds: extend ? extendedSeconds : asked.expirationSeconds,
    ...(extend ? { warnAfterSeconds: asked.expirationSeconds } : {}),
  });
  annotate?.("authentication.kubernetes.io/issued-credential-id", `JTI=${id}`);
  const reportedSeconds = extend ? expiration - extendedSeconds + asked.expirationSeconds : expiration;
  return {
    ...body,
    metadata,
    spec: { ...asked, audiences },
    status: { token, expirationTimestamp: new Date(reportedSeconds * 1000).toISOString().replace(/\.\d+Z$/, "Z") },
  };
}

/** The answer is named like the account; who names another one means another one. */
function describeAs(asked: ObjectMeta, account: { name: string; namespace: string; uid: string }): ObjectMeta {
  const type = { group: "authentication.k8s.io", kind: "TokenRequest" };
  for (const key of ["name", "namespace"] as const)
    if (asked[key] && asked[key] !== account[key])
      throw statusError.invalid(type, account.name, [
        fieldError.invalid(
          FieldPath.root("metadata").child(key),
          asked[key],
          `must match the service account ${key} if specified`,
        ),
      ]);
  if (asked.uid && asked.uid !== account.uid)
    throw statusError.conflict(
      { group: type.group, resource: type.kind },
      account.name,
      `the UID in the token request (${asked.uid}) does not match the UID of the service account (${account.uid})`,
    );
  return { ...asked, ...account, creationTimestamp: new Date().toISOString().replace(/\.\d+Z$/, "Z") };
}

type Bound = { pod?: Reference; secret?: Reference; node?: Reference };

async function bind(
  reference: TokenRequestSpec["boundObjectRef"],
  { account, get, namespace, name }: Pick<TokenRequestContext, "account" | "get"> & { namespace: string; name: string },
): Promise<Bound> {
  if (!reference) return {};
  const { kind = "", apiVersion = "v1", name: boundName = "", uid } = reference;
  const targets = { Pod: ["pods", namespace], Secret: ["secrets", namespace], Node: ["nodes", ""] } as const;
  const known = apiVersion === "v1" && Object.hasOwn(targets, kind);
  const target = known ? targets[kind as keyof typeof targets] : undefined; // looked up
  if (!target) throw statusError.badRequest(`cannot bind token to object of type ${printType(apiVersion, kind)}`);
  const object = await get(target[0], target[1], boundName);
  if (kind === "Pod" && (object as Pod).spec?.serviceAccountName !== account.metadata.name)
    // `get` of pods answers a Pod
    throw statusError.badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(name)} to pod running with different serviceaccount name.`,
    );
  const found = object.metadata.uid ?? "";
  if (uid && uid !== found)
    throw statusError.conflict(
      { group: "", resource: kind },
      boundName,
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  return {
    [kind.toLowerCase()]: { name: boundName, uid: found },
    ...(kind === "Pod" ? await nodeOf(object as Pod, get) : {}), // as above
  };
}

/** Whoever gets the token may ask where the pod runs. A node that is gone is still told by its name. */
async function nodeOf({ spec }: Pod, get: TokenRequestContext["get"]): Promise<Bound> {
  if (!spec?.nodeName) return {};
  const node = await get("nodes", "", spec.nodeName).catch((error: unknown) => {
    if (error instanceof StatusError && error.status.reason === "NotFound") return undefined;
    throw error;
  });
  return { node: { name: spec.nodeName, uid: node?.metadata.uid ?? "" } };
}

/** As Go prints a GroupVersionKind. */
function printType(apiVersion: string, kind: string): string {
  const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  return `${group}/${version}, Kind=${kind}`;
}
