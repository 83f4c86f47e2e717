/**
 * JSON web tokens in compact form: taken apart without believing anything, and checked against a key. The key decides which algorithms are
 * possible, never the token: `none` and HMAC with a public key for a secret are just not among them. node:crypto does the arithmetic, so no
 * library is needed (docs/decisions/0012-tokens-with-node-crypto.md).
 */
import { createHash, type KeyObject, type SignKeyObjectInput, verify } from "node:crypto";

export interface Jwt {
  readonly header: { readonly alg: string; readonly kid: string };
  /** Nothing of it is true before the signature is checked. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly signed: Buffer;
  readonly signature: Buffer;
}

/** Longer ones come in no header; protects against work that a body could cause. */
const tokenCharsMax = 64 * 1024;
const base64url = /^[A-Za-z0-9_-]+$/;

/** Undefined: no signed token, however it may look. */
export function parseJwt(token: string): Jwt | undefined {
  if (token.length > tokenCharsMax) return undefined;
  const parts = token.split(".", 4);
  const [header = "", payload = "", signature = ""] = parts;
  if (parts.length !== 3 || !parts.every((part) => base64url.test(part) && part.length % 4 !== 1)) return undefined;
  const head = readObject(header);
  const claims = readObject(payload);
  if (!head || !claims || typeof head.alg !== "string" || "crit" in head) return undefined;
  if (head.kid !== undefined && typeof head.kid !== "string") return undefined;
  return {
    header: { alg: head.alg, kid: head.kid ?? "" },
    claims,
    signed: Buffer.from(`${header}.${payload}`),
    signature: Buffer.from(signature, "base64url"),
  };
}

function readObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>) // checked
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

interface Algorithm {
  readonly keyType: "rsa" | "ec";
  readonly hash: "sha256" | "sha384" | "sha512";
  /** Of elliptic curves. */
  readonly curve?: string;
  /** RSA-PSS rather than PKCS #1. */
  readonly pss?: true;
}

export const algorithms: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ["RS256", { keyType: "rsa", hash: "sha256" }],
  ["RS384", { keyType: "rsa", hash: "sha384" }],
  ["RS512", { keyType: "rsa", hash: "sha512" }],
  ["ES256", { keyType: "ec", hash: "sha256", curve: "prime256v1" }],
  ["ES384", { keyType: "ec", hash: "sha384", curve: "secp384r1" }],
  ["ES512", { keyType: "ec", hash: "sha512", curve: "secp521r1" }],
  ["PS256", { keyType: "rsa", hash: "sha256", pss: true }],
  ["PS384", { keyType: "rsa", hash: "sha384", pss: true }],
  ["PS512", { keyType: "rsa", hash: "sha512", pss: true }],
]);

const pssPadding = 6; // crypto.constants.RSA_PKCS1_PSS_PADDING
const saltAsLongAsDigest = -1; // crypto.constants.RSA_PSS_SALTLEN_DIGEST

function keyOptions(key: KeyObject, { keyType, pss }: Algorithm): SignKeyObjectInput {
  if (keyType === "ec") return { key, dsaEncoding: "ieee-p1363" };
  return pss ? { key, padding: pssPadding, saltLength: saltAsLongAsDigest } : { key };
}

/** `key`: a public key. False as well when it is no key for the token's algorithm. */
export function isSignedBy({ header, signed, signature }: Jwt, key: KeyObject): boolean {
  const algorithm = algorithms.get(header.alg);
  if (!algorithm || key.asymmetricKeyType !== algorithm.keyType) return false;
  if (algorithm.curve !== undefined && key.asymmetricKeyDetails?.namedCurve !== algorithm.curve) return false;
  return verify(algorithm.hash, signed, keyOptions(key, algorithm), signature);
}

/** With which a key of ours signs, as upstream chooses; undefined: no key for tokens. */
export function algorithmOf(key: KeyObject): string | undefined {
  if (key.asymmetricKeyType === "rsa") return "RS256";
  const curve = key.asymmetricKeyDetails?.namedCurve;
  return [...algorithms].find(([, each]) => each.curve !== undefined && each.curve === curve)?.[0];
}

/** The name that upstream gives a public key: a hash, so that nobody takes it for the key. */
export const keyIdOf = (publicKey: KeyObject): string =>
  createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url");

/** Options of `crypto.sign` for a key and its algorithm. */
export function signingOptions(key: KeyObject): { alg: string; hash: string; options: SignKeyObjectInput } {
  const alg = algorithmOf(key) ?? "";
  const algorithm = algorithms.get(alg);
  if (!algorithm) throw new Error("unknown private key type, must be RSA or an elliptic curve of 256, 384 or 521 bits");
  return { alg, hash: algorithm.hash, options: keyOptions(key, algorithm) };
}
