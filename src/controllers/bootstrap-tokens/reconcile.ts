/** What Secrets with tokens for joining say, and what they sign: `cluster-info`, which whoever joins reads before it trusts anybody. */
import { createHmac } from "node:crypto";
import type { Secret } from "#api";
import { writtenTimeMs } from "#machinery";
import { nameOf, type Seen } from "../lib/objects.ts";

export const tokenType = "bootstrap.kubernetes.io/token";
const namePattern = /^bootstrap-token-([a-z0-9]{6})$/;
const signaturePrefix = "jws-kubeconfig-";

const dataOf = (secret: Seen<Secret>, key: string) => Buffer.from(secret.data?.[key] ?? "", "base64").toString();

/** When it ends, ms; Infinity: never. A time that can't be read is in the past. */
export function tokenEnd(secret: Seen<Secret>): number {
  const text = dataOf(secret, "expiration");
  return text === "" ? Infinity : writtenTimeMs(text) || 0;
}

/** Id and secret of those that may sign now. */
function signingToken(secret: Seen<Secret>, now: number): [id: string, key: string] | undefined {
  const [id, key] = [dataOf(secret, "token-id"), dataOf(secret, "token-secret")];
  const isNamed = id !== "" && namePattern.exec(nameOf(secret))?.[1] === id;
  const maySign = dataOf(secret, "usage-bootstrap-signing") === "true" && tokenEnd(secret) > now;
  return isNamed && key !== "" && maySign ? [id, key] : undefined;
}

/** A JSON web signature without what it is about. */
export function detachedSignature(content: string, id: string, key: string): string {
  const encode = (text: string) => Buffer.from(text).toString("base64url");
  const header = encode(JSON.stringify({ alg: "HS256", kid: id }));
  const signature = createHmac("sha256", key)
    .update(`${header}.${encode(content)}`)
    .digest("base64url");
  return `${header}..${signature}`;
}

/** The data of `cluster-info` with one signature for each token; undefined when it is so already, or there is nothing to sign. */
export function signedData(
  data: Readonly<Record<string, string>> | undefined,
  secrets: readonly Seen<Secret>[],
  now: number,
): Record<string, string> | undefined {
  const content = data?.kubeconfig;
  if (data === undefined || content === undefined) return undefined;
  const rest = Object.entries(data).filter(([key]) => !key.startsWith(signaturePrefix));
  const tokens = secrets.map((secret) => signingToken(secret, now)).filter((token) => token !== undefined);
  const signatures = tokens.map(([id, key]) => [signaturePrefix + id, detachedSignature(content, id, key)] as const);
  const isSame =
    Object.keys(data).length === rest.length + signatures.length &&
    signatures.every(([key, signature]) => data[key] === signature);
  return isSame ? undefined : Object.fromEntries([...rest, ...signatures]);
}
