/**
 * Service-account tokens: JSON web tokens signed RS256 with the cluster's key, bound to an account and perhaps to a pod, secret or node.
 * A signature is checked once for each token and remembered; whether the bound objects still exist is asked every time,
 * so a token dies with its pod. Claims and checks follow upstream's pkg/serviceaccount.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomUUID, sign, verify } from "node:crypto";
import type { RequestUser } from "#api";
import { accountGroups, accountUserName } from "./groups.ts";

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

interface Claims {
  aud: string[];
  exp: number;
  iat: number;
  iss: string;
  jti: string;
  nbf: number;
  sub: string;
  "kubernetes.io": {
    namespace: string;
    node?: Reference;
    pod?: Reference;
    secret?: Reference;
    serviceaccount: Reference;
    warnafter?: number;
  };
}

/** The uid and whether it is on its way out, or undefined: gone. */
export type LookUp = (
  resource: "serviceaccounts" | "pods" | "secrets" | "nodes",
  namespace: string,
  name: string,
) => { uid: string; deletionTimestamp?: string } | undefined;

export interface AccountTokensOptions {
  /** PEM private key. */
  readonly key: string;
  readonly issuer: string;
  /** Audiences of the API server itself; a token without any other is for these. */
  readonly audiences: readonly string[];
  readonly now: () => number;
  readonly lookUp: LookUp;
}

/** Verified tokens kept: above this the oldest goes, so a flood of tokens can't fill memory (about 1 kB each). */
const verifiedTokensMax = 4096;
/** Clock difference between machines that is forgiven, as upstream's JWT library does. */
const leewaySeconds = 60;

export type TokenResult =
  /** `audiences`: the wanted ones that the token has. */
  | { readonly user: RequestUser; readonly audiences: readonly string[] }
  /** Why it is no good; "" when it isn't one of our tokens at all. */
  | { readonly why: string };

export interface AccountTokens {
  issue(request: AccountTokenRequest): { token: string; expiration: number };
  authenticate(token: string, wantedAudiences?: readonly string[]): TokenResult;
  /** The public key as a JSON web key set. */
  keySet(): { keys: Record<string, unknown>[] };
  readonly issuer: string;
  readonly audiences: readonly string[];
}

export function createAccountTokens(options: AccountTokensOptions): AccountTokens {
  const { issuer, now, lookUp } = options;
  const privateKey = createPrivateKey(options.key);
  const publicKey = createPublicKey(privateKey);
  const keyId = createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url");
  const header = encode({ alg: "RS256", kid: keyId });
  const verified = new Map<string, Claims>();

  /** Which object the token was bound to has gone; "" when all are there. */
  const whyUnbound = (claims: Claims, seconds: number): string => {
    const { namespace, serviceaccount, pod, secret, node } = claims["kubernetes.io"];
    const account = lookUp("serviceaccounts", namespace, serviceaccount.name);
    if (!account) return `serviceaccounts ${JSON.stringify(serviceaccount.name)} not found`;
    if (isGone(account, seconds)) return `service account ${namespace}/${serviceaccount.name} has been deleted`;
    if (account.uid !== serviceaccount.uid)
      return `service account UID (${account.uid}) does not match claim (${serviceaccount.uid})`;
    for (const [resource, reference, kind] of [
      ["secrets", secret, "secret"],
      ["pods", pod, "pod"],
    ] as const) {
      if (!reference) continue;
      const found = lookUp(resource, namespace, reference.name);
      if (!found || isGone(found, seconds)) return "service account token has been invalidated";
      if (found.uid !== reference.uid)
        return `${kind} UID (${found.uid}) does not match service account ${kind === "pod" ? "pod" : "token"} ref claim (${reference.uid})`;
    }
    // A pod's token outlives its node object, as upstream's.
    if (node && !pod && lookUp("nodes", "", node.name)?.uid !== node.uid)
      return "service account token has been invalidated";
    return "";
  };

  return {
    issuer,
    audiences: options.audiences,
    issue(request) {
      const issuedAt = Math.floor(now() / 1000);
      const expiration = issuedAt + request.lifeSeconds;
      const { namespace, node, pod, secret, account, warnAfterSeconds } = request;
      const claims: Claims = {
        aud: [...request.audiences],
        exp: expiration,
        iat: issuedAt,
        iss: issuer,
        jti: randomUUID(),
        "kubernetes.io": {
          namespace,
          ...(node ? { node } : {}),
          ...(pod ? { pod } : {}),
          ...(secret ? { secret } : {}),
          serviceaccount: account,
          ...(warnAfterSeconds ? { warnafter: issuedAt + warnAfterSeconds } : {}),
        },
        nbf: issuedAt,
        sub: accountUserName(namespace, account.name),
      };
      const signed = `${header}.${encode(claims)}`;
      return {
        token: `${signed}.${sign("sha256", Buffer.from(signed), privateKey).toString("base64url")}`,
        expiration,
      };
    },

    authenticate(token, wantedAudiences = options.audiences) {
      let claims = verified.get(token);
      if (!claims) {
        claims = readClaims(token, publicKey);
        if (claims?.iss !== issuer) return { why: "" };
        if (verified.size >= verifiedTokensMax) verified.delete(verified.keys().next().value ?? "");
        verified.set(token, claims);
      }
      const seconds = now() / 1000;
      if (claims.exp + leewaySeconds < seconds) return { why: "service account token has expired" };
      if (claims.nbf - leewaySeconds > seconds) return { why: "service account token is not valid yet" };
      const audiences = wantedAudiences.filter((audience) => claims.aud.includes(audience));
      if (audiences.length === 0)
        return {
          why: `token audiences ${printList(claims.aud)} is invalid for the target audiences ${printList(wantedAudiences)}`,
        };
      const why = whyUnbound(claims, seconds);
      if (why) return { why };
      return { user: userOf(claims), audiences };
    },

    keySet: () => ({
      keys: [{ use: "sig", ...publicKey.export({ format: "jwk" }), kid: keyId, alg: "RS256" }],
    }),
  };
}

/** Deleted and past its grace; an object on its way out still counts for a moment. */
const isGone = (found: { deletionTimestamp?: string }, seconds: number): boolean =>
  found.deletionTimestamp !== undefined && Date.parse(found.deletionTimestamp) / 1000 < seconds - leewaySeconds;

/** As Go's %q prints a list. */
const printList = (list: readonly string[]) => `[${list.map((each) => JSON.stringify(each)).join(" ")}]`;

function userOf(claims: Claims): RequestUser {
  const { namespace, serviceaccount, pod, node } = claims["kubernetes.io"];
  return {
    name: accountUserName(namespace, serviceaccount.name),
    uid: serviceaccount.uid,
    groups: accountGroups(namespace),
    extra: {
      "authentication.kubernetes.io/credential-id": [`JTI=${claims.jti}`],
      ...(pod
        ? { "authentication.kubernetes.io/pod-name": [pod.name], "authentication.kubernetes.io/pod-uid": [pod.uid] }
        : {}),
      ...(node
        ? {
            "authentication.kubernetes.io/node-name": [node.name],
            // The node was gone when the token was made.
            ...(node.uid ? { "authentication.kubernetes.io/node-uid": [node.uid] } : {}),
          }
        : {}),
    },
  };
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Claims of a token that our key signed; anything else, however malformed, is undefined. */
function readClaims(token: string, publicKey: KeyObject): Claims | undefined {
  const [header, payload, signature, ...more] = token.split(".");
  if (!header || !payload || !signature || more.length > 0) return undefined;
  // The signature is checked before anything inside is looked at; the algorithm is ours, never the token's.
  if (!verify("sha256", Buffer.from(`${header}.${payload}`), publicKey, Buffer.from(signature, "base64url")))
    return undefined;
  return JSON.parse(Buffer.from(payload, "base64url").toString()) as Claims; // signed by us, so of our shape
}
