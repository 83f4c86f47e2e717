/**
 * Tokens with which machines join: `id.secret`, kept as Secrets of their own type in kube-system. Upstream's bootstrap token
 * authenticator; why a token is no good stays between the server and its owner.
 */
import { timingSafeEqual } from "node:crypto";
import type { RequestUser, Secret } from "#api";
import { type DeepReadonly, writtenTimeMs } from "#machinery";

export const bootstrapTokenNamespace = "kube-system";
const secretType = "bootstrap.kubernetes.io/token";
const groupPrefix = "system:bootstrappers";
const tokenPattern = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const groupPattern = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

export interface BootstrapTokensOptions {
  readonly now: () => number;
  /** A Secret of kube-system. */
  readonly secret: (name: string) => DeepReadonly<Secret> | undefined;
}

export type BootstrapTokens = (token: string) => RequestUser | undefined;

export function createBootstrapTokens({ now, secret }: BootstrapTokensOptions): BootstrapTokens {
  return (token) => {
    const [, id = "", key = ""] = tokenPattern.exec(token) ?? [];
    const found = id === "" ? undefined : secret(`bootstrap-token-${id}`);
    if (!found || found.metadata.deletionTimestamp || found.type !== secretType) return undefined;
    const data = (name: string) => Buffer.from(found.data?.[name] ?? "", "base64").toString("utf8");
    if (!isSame(data("token-secret"), key) || data("token-id") !== id) return undefined;
    if (hasExpired(data("expiration"), now()) || data("usage-bootstrap-authentication") !== "true") return undefined;
    const groups = data("auth-extra-groups")
      .split(",")
      .filter((group) => group !== "");
    if (!groups.every((group) => groupPattern.test(group))) return undefined;
    const all = [...new Set([groupPrefix, ...groups])].sort();
    return { name: `system:bootstrap:${id}`, uid: "", groups: all, extra: {} };
  };
}

/** Takes as long for a near miss as for a wild guess. */
function isSame(stored: string, given: string): boolean {
  const [a, b] = [Buffer.from(stored), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** A time that can't be read is in the past: such a token was meant to end. */
function hasExpired(expiration: string, now: number): boolean {
  if (expiration === "") return false;
  const at = writtenTimeMs(expiration);
  return Number.isNaN(at) || at <= now;
}
