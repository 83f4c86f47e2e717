/**
 * An issuer of tokens somewhere else: where its keys are, and the keys, read when a token comes that none of the known ones has signed. Nobody
 * waits for an issuer that can't be reached except those who show its tokens. Upstream's go-oidc, with one difference: tokens that no key
 * has signed make the keys be read again at most once a second.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import type { Clock, Logger } from "#base";
import { goQuote } from "#machinery";
import { httpsGet } from "./https-get.ts";
import { isSignedBy, type Jwt } from "./jwt.ts";

export interface OidcProviderOptions {
  readonly issuer: string;
  /** Where its document is, if not below the issuer. */
  readonly discoveryUrl?: string | undefined;
  /** PEM. */
  readonly authorities?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface OidcProvider {
  /** "": its keys can be asked for. */
  readonly problem: string;
  /** Resolves when it is ready, or has tried `attempts` times in vain. */
  ready(attempts: number): Promise<void>;
  /** Why the signature isn't the issuer's; "": it is. */
  verify(jwt: Jwt): string | Promise<string>;
  close(): void;
}

const retryMs = 10_000;
const refetchMs = 1_000;
/** Keys that end so soon are read again. */
const expiryDeltaMs = 30_000;
/** Protects the check of a token from a set made to be slow. */
const keysMax = 1_000;

interface Key {
  readonly id: string;
  readonly key: KeyObject;
}

export function createOidcProvider(options: OidcProviderOptions): OidcProvider {
  const { issuer, clock, log, authorities } = options;
  const closing = new AbortController();
  const get = (url: string) => httpsGet(url, { authorities, signal: closing.signal });
  let problem = `oidc: authenticator for issuer ${goQuote(issuer)} is not initialized`;
  let keysUrl = "";
  let keys: readonly Key[] = [];
  let expiryMs = 0;
  let fetchedMs = Number.NEGATIVE_INFINITY;
  let fetching: Promise<string> | undefined;
  let cancelRetry: (() => void) | undefined;
  const attempts: { count: number; wake: (() => void) | undefined } = { count: 0, wake: undefined };

  const discover = async (): Promise<void> => {
    try {
      keysUrl = await discoverKeys(options, get);
      problem = "";
    } catch (error) {
      problem = (error as Error).message; // of ours or of a socket
      if (closing.signal.aborted) return;
      log.error("an issuer of tokens can't be reached; it is tried again", { issuer, problem });
      cancelRetry = clock.after(retryMs, () => void discover());
    }
    attempts.count++;
    attempts.wake?.();
  };
  void discover();

  /** Why there are none; "": they are there. */
  const fetchKeys = (): Promise<string> => {
    fetching ??= (async () => {
      fetchedMs = clock.now();
      try {
        const { status, statusText, body, headers } = await get(keysUrl);
        if (status !== 200) return `fetching keys oidc: get keys failed: ${statusText} ${body}`;
        keys = readKeys(body);
        expiryMs = clock.now() + maxAgeMs(headers["cache-control"]);
        return "";
      } catch (error) {
        return `fetching keys oidc: get keys failed ${(error as Error).message}`; // of ours or of a socket
      } finally {
        fetching = undefined;
      }
    })();
    return fetching;
  };
  const isSigned = (jwt: Jwt) =>
    keys.some(({ id, key }) => (jwt.header.kid === "" || jwt.header.kid === id) && isSignedBy(jwt, key));
  const unsigned = "failed to verify signature: failed to verify id token signature";

  return {
    get problem() {
      return problem;
    },
    async ready(tries) {
      while (problem !== "" && attempts.count < tries && !closing.signal.aborted)
        await new Promise<void>((resolve) => {
          attempts.wake = resolve;
        });
    },
    verify(jwt) {
      if (isSigned(jwt)) return "";
      const now = clock.now();
      if (now + expiryDeltaMs <= expiryMs || (!fetching && now - fetchedMs < refetchMs)) return unsigned;
      return fetchKeys().then((why) => {
        if (why) return `failed to verify signature: ${why}`;
        return isSigned(jwt) ? "" : unsigned;
      });
    },
    close() {
      closing.abort();
      cancelRetry?.();
      attempts.wake?.();
    },
  };
}

async function discoverKeys(
  { issuer, discoveryUrl }: OidcProviderOptions,
  get: (url: string) => ReturnType<typeof httpsGet>,
): Promise<string> {
  const { status, statusText, body } = await get(
    discoveryUrl || `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`,
  );
  if (status !== 200) throw new Error(`${statusText}: ${body}`);
  const document = parseObject(body);
  if (!document) throw new Error("oidc: failed to decode provider discovery object: it is no JSON object");
  const { issuer: told, jwks_uri: keysUrl } = document;
  if (told !== issuer)
    throw new Error(
      `oidc: issuer did not match the issuer returned by provider, expected ${goQuote(issuer)} got ${goQuote(String(told ?? ""))}`,
    );
  if (typeof keysUrl !== "string" || keysUrl === "") throw new Error("provider did not return JWKS URL");
  return keysUrl;
}

/** Those that tokens can be checked with; what else is in the set is for others. */
function readKeys(body: string): Key[] {
  const set = parseObject(body)?.keys;
  if (!Array.isArray(set)) throw new Error("oidc: failed to decode keys: it is no key set");
  return set.slice(0, keysMax).flatMap((jwk: unknown) => {
    if (typeof jwk !== "object" || jwk === null) return [];
    const { kid } = jwk as { kid?: unknown };
    try {
      // Secrets (`oct`) are no public keys: nothing is ever checked with them.
      const key = createPublicKey({ key: jwk as Record<string, string>, format: "jwk" });
      return [{ id: typeof kid === "string" ? kid : "", key }];
    } catch {
      return []; // of a kind that isn't known here
    }
  });
}

function maxAgeMs(cacheControl: string | undefined): number {
  if (/\bno-(store|cache)\b/.test(cacheControl ?? "")) return 0;
  return Number(/\bmax-age=(\d{1,9})\b/.exec(cacheControl ?? "")?.[1] ?? 0) * 1000;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>) // checked
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
