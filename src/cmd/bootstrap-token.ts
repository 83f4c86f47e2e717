/** Tokens for joining: how they are written, and the Secrets they live in. Names, fields and defaults are kubeadm's. */
import { randomInt } from "node:crypto";
import type { Secret } from "#api";
import { joinersGroup } from "./joining.ts";

export interface BootstrapToken {
  readonly id: string;
  readonly secret: string;
}

export const tokenPattern = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
export const tokenSecretType = "bootstrap.kubernetes.io/token";
export const tokenSecretPrefix = "bootstrap-token-";
export const tokenNamespace = "kube-system";

/** Undefined: no token. */
export function parseToken(text: string): BootstrapToken | undefined {
  const [, id, secret] = tokenPattern.exec(text) ?? [];
  return id !== undefined && secret !== undefined ? { id, secret } : undefined;
}

const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
const word = (length: number) => Array.from({ length }, () => letters[randomInt(letters.length)]).join("");
export const makeToken = (): BootstrapToken => ({ id: word(6), secret: word(16) });

export interface TokenTerms {
  /** Ms since 1970; undefined: it never ends. */
  readonly expiresAt?: number | undefined;
  readonly usages?: readonly string[];
  readonly groups?: readonly string[];
  readonly description?: string | undefined;
}

export const defaultUsages = ["signing", "authentication"] as const;
export const defaultGroups = [joinersGroup] as const;

export function tokenSecret({ id, secret }: BootstrapToken, terms: TokenTerms): Secret {
  const { expiresAt, usages = defaultUsages, groups = defaultGroups, description } = terms;
  const ends = expiresAt !== undefined && new Date(expiresAt).toISOString().replace(/\.\d+Z$/, "Z");
  const data = {
    "token-id": id,
    "token-secret": secret,
    ...(ends && { expiration: ends }),
    ...(description && { description }),
    ...(usages.includes("authentication") && groups.length > 0 && { "auth-extra-groups": groups.join(",") }),
    ...Object.fromEntries(usages.map((usage) => [`usage-bootstrap-${usage}`, "true"])),
  };
  return {
    metadata: { name: tokenSecretPrefix + id, namespace: tokenNamespace },
    type: tokenSecretType,
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")])),
  };
}
