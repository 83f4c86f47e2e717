/**
 * Service-account tokens: JSON web tokens signed with the cluster's key, bound to an account and perhaps to a pod, secret or node, and the
 * older ones that live in a Secret for as long as that does. A signature is checked once for each token and remembered; whether the bound
 * objects still exist is asked every time, so a token dies with its pod. Claims and checks follow upstream's pkg/serviceaccount.
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomUUID, sign, timingSafeEqual } from "node:crypto";
import type { RequestUser, Secret, ServiceAccount } from "#api";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import { goQuote } from "#machinery";
import { isSignedBy, type Jwt, keyIdOf, parseJwt, signingOptions } from "./authn/jwt.ts";
import { type TokenResult, withAuthenticated } from "./authn/token-chain.ts";
import { accountGroups, accountUserName, parseAccountUserName } from "./groups.ts";

export interface Reference {
  readonly name: string;
  readonly uid: string;
}

export interface AccountTokenRequest {
  readonly namespace: string;
  readonly account: Reference;
  readonly pod?: Reference;
  readonly secret?: Reference;
  readonly node?: Reference;
  readonly audiences: readonly string[];
  /** Seconds from `now` until the token ends. */
  readonly lifeSeconds: number;
  /** Seconds after which use is noted as stale (tokens whose life the server extended). */
  readonly warnAfterSeconds?: number;
}

type Resource = "serviceaccounts" | "pods" | "secrets" | "nodes";

/** The object as it is now; undefined: gone. */
export type LookUp = (
  resource: Resource,
  namespace: string,
  name: string,
) => DeepReadonly<KubernetesObject> | undefined;

export interface AccountTokensOptions {
  /** PEM private key that signs new tokens. */
  readonly key: string;
  /** PEM public or private keys whose tokens are accepted beside; several in one text are fine. */
  readonly verificationKeys?: readonly string[];
  /** The first is that of new tokens, tokens of all are accepted. */
  readonly issuers: readonly string[];
  /** Audiences of the API server itself; a token without any other is for these. */
  readonly audiences: readonly string[];
  readonly now: () => number;
  readonly lookUp: LookUp;
  /** A token from a Secret was used and the Secret doesn't say so for today. */
  readonly onLegacyUse?: (secret: DeepReadonly<Secret>, day: string) => void;
}

/** Verified tokens kept: above this the oldest goes, so a flood of tokens can't fill memory (about 1 kB each). */
const verifiedTokensMax = 4096;
/** Clock difference between machines that is forgiven, as upstream's JWT library does. */
const leewaySeconds = 60;
export const legacyIssuer = "kubernetes/serviceaccount";
export const lastUsedLabel = "kubernetes.io/legacy-token-last-used";
const invalidSinceLabel = "kubernetes.io/legacy-token-invalid-since";
const dayMs = 24 * 3600 * 1000;

export interface AccountTokens {
  /** `id`: of this token, in the claims too. */
  issue(request: AccountTokenRequest): { token: string; expiration: number; id: string };
  authenticate(token: string, wantedAudiences?: readonly string[]): TokenResult;
  /** The public keys as a JSON web key set. */
  keySet(): { keys: Record<string, unknown>[] };
  readonly issuer: string;
  readonly audiences: readonly string[];
}

interface Verified {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly audiences: readonly string[];
  /** Whom the claims name; made on first use. */
  user?: RequestUser;
}

export function createAccountTokens(options: AccountTokensOptions): AccountTokens {
  const { issuers, now, lookUp } = options;
  const [issuer = ""] = issuers;
  const privateKey = createPrivateKey(options.key);
  const signing = signingOptions(privateKey);
  const ownKey = createPublicKey(privateKey);
  const keys = new Map<string, KeyObject>();
  // Given keys take the place of our own, as upstream's flags say; the signing key is usually one of them.
  const accepted = options.verificationKeys?.length ? options.verificationKeys.flatMap(readPublicKeys) : [ownKey];
  for (const key of accepted) keys.set(keyIdOf(key), key);
  const header = encode({ alg: signing.alg, kid: keyIdOf(ownKey) });
  const verified = new Map<string, Verified>();

  const verify = (token: string): Verified | string => {
    const jwt = parseJwt(token);
    if (!jwt || !isOurs(jwt)) return "";
    const { kid } = jwt.header;
    const candidates = kid === "" ? [...keys.values()] : [keys.get(kid)].filter((key) => key !== undefined);
    if (candidates.length === 0) return "invalid signature, no keys found";
    if (!candidates.some((key) => isSignedBy(jwt, key))) return "go-jose/go-jose: error in cryptographic primitive";
    const { aud } = jwt.claims;
    const named = typeof aud === "string" ? [aud] : strings(aud);
    return { claims: jwt.claims, audiences: named.length > 0 ? named : options.audiences };
  };
  const isOurs = ({ claims }: Jwt) => claims.iss === legacyIssuer || issuers.includes(String(claims.iss));

  return {
    issuer,
    audiences: options.audiences,
    issue(request) {
      const issuedAt = Math.floor(now() / 1000);
      const expiration = issuedAt + request.lifeSeconds;
      const { namespace, node, pod, secret, account, warnAfterSeconds } = request;
      const id = randomUUID();
      const claims = {
        aud: request.audiences,
        exp: expiration,
        iat: issuedAt,
        iss: issuer,
        jti: id,
        "kubernetes.io": {
          namespace,
          ...(node ? { node: { name: node.name, ...(node.uid ? { uid: node.uid } : {}) } } : {}),
          ...(pod ? { pod } : {}),
          ...(secret ? { secret } : {}),
          serviceaccount: account,
          ...(warnAfterSeconds ? { warnafter: issuedAt + warnAfterSeconds } : {}),
        },
        nbf: issuedAt,
        sub: accountUserName(namespace, account.name),
      };
      const signed = `${header}.${encode(claims)}`;
      const signature = sign(signing.hash, Buffer.from(signed), signing.options);
      return { token: `${signed}.${signature.toString("base64url")}`, expiration, id };
    },

    authenticate(token, wantedAudiences = options.audiences) {
      let known = verified.get(token);
      if (!known) {
        const found = verify(token);
        if (typeof found === "string") return { why: found };
        known = found;
        if (verified.size >= verifiedTokensMax) verified.delete(verified.keys().next().value ?? "");
        verified.set(token, known);
      }
      const { claims } = known;
      const audiences = wantedAudiences.filter((audience) => known.audiences.includes(audience));
      if (audiences.length === 0)
        return {
          why: `token audiences ${printList(known.audiences)} is invalid for the target audiences ${printList(wantedAudiences)}`,
        };
      if (claims.iss === legacyIssuer) return legacyUser(token, claims, { ...options, audiences });
      const seconds = now() / 1000;
      const why = whyNotNow(claims, seconds) || whyUnbound(claims, { seconds, lookUp });
      if (why) return { why };
      known.user ??= withAuthenticated(userOf(claims));
      return { user: known.user, audiences };
    },

    keySet: () => ({
      keys: [...keys].map(([kid, key]) => ({
        use: "sig",
        ...key.export({ format: "jwk" }),
        kid,
        alg: signingOptions(key).alg,
      })),
    }),
  };
}

/** Every key of a PEM text; of private ones their public half. */
export function readPublicKeys(pem: string): KeyObject[] {
  const blocks = pem.match(/-----BEGIN [A-Z ]+-----[\s\S]*?-----END [A-Z ]+-----/g) ?? [];
  const keys = blocks.filter((block) => !/BEGIN EC PARAMETERS/.test(block)).map((block) => createPublicKey(block));
  if (keys.length === 0) throw new Error("data does not contain any valid RSA or ECDSA public keys");
  for (const key of keys) signingOptions(key); // refuses keys that no token can be checked with
  return keys;
}

function whyNotNow({ exp, nbf, iat }: Verified["claims"], seconds: number): string {
  if (typeof nbf === "number" && seconds + leewaySeconds < nbf) return "service account token is not valid yet";
  if (typeof exp === "number" && seconds - leewaySeconds > exp) return "service account token has expired";
  if (typeof iat === "number" && seconds + leewaySeconds < iat) return "service account token is issued in the future";
  return "";
}

interface BoundClaims {
  readonly namespace: string;
  readonly serviceaccount: Reference;
  readonly pod?: Reference;
  readonly secret?: Reference;
  readonly node?: Reference;
}

/** Signed by one of our keys under one of our issuers, so of the shape that we gave it. */
const boundClaims = (claims: Verified["claims"]) => (claims["kubernetes.io"] ?? {}) as BoundClaims;

/** Which object the token was bound to has gone; "" when all are there. */
function whyUnbound(claims: Verified["claims"], { seconds, lookUp }: { seconds: number; lookUp: LookUp }): string {
  const { namespace = "", serviceaccount, pod, secret, node } = boundClaims(claims);
  const { name = "", uid = "" } = serviceaccount ?? {};
  const account = lookUp("serviceaccounts", namespace, name);
  if (!account) return `serviceaccounts ${goQuote(name)} not found`;
  const { uid: accountUid = "" } = account.metadata ?? {};
  if (accountUid !== uid) return `service account UID (${accountUid}) does not match claim (${uid})`;
  if (isGone(account, seconds)) return `service account ${namespace}/${name} has been deleted`;
  for (const [resource, reference, kind] of [
    ["secrets", secret, "secret"],
    ["pods", pod, "pod"],
    // A pod's token outlives its node object.
    ["nodes", pod ? undefined : node, "node"],
  ] as const) {
    if (!reference) continue;
    const found = lookUp(resource, resource === "nodes" ? "" : namespace, reference.name);
    if (!found) return "service account token has been invalidated";
    const { uid: foundUid = "" } = found.metadata ?? {};
    if (foundUid !== reference.uid)
      return `${kind} UID (${foundUid}) does not match service account ${kind} ref claim (${reference.uid})`;
    if (isGone(found, seconds)) return "service account token has been invalidated";
  }
  return "";
}

/** Deleted and past its grace; an object on its way out still counts for a moment. */
const isGone = ({ metadata }: DeepReadonly<KubernetesObject>, seconds: number): boolean =>
  metadata?.deletionTimestamp !== undefined && Date.parse(metadata.deletionTimestamp) / 1000 < seconds - leewaySeconds;

function userOf(claims: Verified["claims"]): RequestUser {
  const { namespace, serviceaccount, pod, node } = boundClaims(claims);
  const key = (name: string) => `authentication.kubernetes.io/${name}`;
  return {
    name: accountUserName(namespace, serviceaccount.name),
    uid: serviceaccount.uid,
    groups: accountGroups(namespace),
    extra: {
      ...(typeof claims.jti === "string" ? { [key("credential-id")]: [`JTI=${claims.jti}`] } : {}),
      ...(pod ? { [key("pod-name")]: [pod.name], [key("pod-uid")]: [pod.uid] } : {}),
      // A node that was gone when the token was made has no uid.
      ...(node ? { [key("node-name")]: [node.name], ...(node.uid ? { [key("node-uid")]: [node.uid] } : {}) } : {}),
    },
  };
}

const legacyClaim = (name: string) => `kubernetes.io/serviceaccount/${name}`;
const autoGenerated =
  "Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated secret-based tokens.";

/** A token that lives in a Secret: good as long as the Secret holds this very text. */
function legacyUser(
  token: string,
  claims: Verified["claims"],
  { lookUp, now, onLegacyUse, audiences }: AccountTokensOptions,
): TokenResult {
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  const namespace = text(claims[legacyClaim("namespace")]);
  const secretName = text(claims[legacyClaim("secret.name")]);
  const name = text(claims[legacyClaim("service-account.name")]);
  const uid = text(claims[legacyClaim("service-account.uid")]);
  for (const [value, claim] of [
    [text(claims.sub), "sub"],
    [namespace, "namespace"],
    [secretName, "secretName"],
    [name, "serviceAccountName"],
    [uid, "serviceAccountUID"],
  ])
    if (value === "") return { why: `${claim} claim is missing` };
  const subject = parseAccountUserName(text(claims.sub));
  if (subject?.namespace !== namespace || subject.name !== name) return { why: "sub claim is invalid" };
  const secret = lookUp("secrets", namespace, secretName) as DeepReadonly<Secret> | undefined; // secrets only
  if (!secret || secret.metadata.deletionTimestamp) return { why: "Token has been invalidated" };
  const stored = Buffer.from(secret.data?.token ?? "", "base64");
  const given = Buffer.from(token);
  if (stored.length !== given.length || !timingSafeEqual(stored, given))
    return { why: "Token does not match server's copy" };
  const account = lookUp("serviceaccounts", namespace, name) as DeepReadonly<ServiceAccount> | undefined; // accounts only
  if (!account) return { why: `serviceaccounts ${goQuote(name)} not found` };
  if (account.metadata.deletionTimestamp) return { why: `ServiceAccount ${namespace}/${name} has been deleted` };
  if (account.metadata.uid !== uid)
    return { why: `ServiceAccount UID (${account.metadata.uid}) does not match claim (${uid})` };
  noteUse(secret, { now, onLegacyUse });
  if (secret.metadata.labels?.[invalidSinceLabel])
    return {
      why: `the token in secret ${namespace}/${secretName} for service account ${namespace}/${name} has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '${invalidSinceLabel}' label from the secret to temporarily allow use of this token`,
    };
  const warns = account.secrets?.some((reference) => reference.name === secretName);
  const user = { name: accountUserName(namespace, name), uid, groups: accountGroups(namespace), extra: {} };
  return { user, audiences, ...(warns ? { warnings: [autoGenerated] } : {}) };
}

function noteUse(
  secret: DeepReadonly<Secret>,
  { now, onLegacyUse }: Pick<AccountTokensOptions, "now" | "onLegacyUse">,
): void {
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const used = secret.metadata.labels?.[lastUsedLabel];
  if (used !== day(now()) && used !== day(now() + dayMs)) onLegacyUse?.(secret, day(now()));
}

/** A token for a Secret; it has no end. */
export function issueLegacyToken(key: string, secret: { namespace: string; name: string }, account: Reference): string {
  const privateKey = createPrivateKey(key);
  const { alg, hash, options } = signingOptions(privateKey);
  const claims = {
    iss: legacyIssuer,
    [legacyClaim("namespace")]: secret.namespace,
    [legacyClaim("secret.name")]: secret.name,
    [legacyClaim("service-account.name")]: account.name,
    [legacyClaim("service-account.uid")]: account.uid,
    sub: accountUserName(secret.namespace, account.name),
  };
  const signed = `${encode({ alg, kid: keyIdOf(createPublicKey(privateKey)) })}.${encode(claims)}`;
  return `${signed}.${sign(hash, Buffer.from(signed), options).toString("base64url")}`;
}

const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : [];

/** As Go's %q prints a list. */
const printList = (list: readonly string[]) => `[${list.map(goQuote).join(" ")}]`;

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
