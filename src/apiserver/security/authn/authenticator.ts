/**
 * Who is calling: a proxy in front that names somebody, a client certificate, a token, or nobody (anonymous). Then, if asked and allowed, who
 * they act as. A credential that is there but wrong is refused unless another one is right; it never falls back to anonymous.
 */
import type { RequestUser } from "#api";
import type { AuthenticationContext, Authenticator, Authorizer, Credentials } from "../../security.ts";
import { everyone } from "../groups.ts";
import { createImpersonation } from "../impersonate.ts";
import { bearerToken, webSocketToken } from "./bearer-token.ts";
import { type Authorities, isTrusted, userOfCertificate } from "./client-certificate.ts";
import type { RequestHeaders } from "./request-header.ts";
import { type ChainResult, type TokenAuthenticator, withAuthenticated } from "./token-chain.ts";

export interface AnonymousOptions {
  readonly enabled: boolean;
  /** Decoded paths to which it is limited; empty: all. */
  readonly paths: ReadonlySet<string>;
}

export interface AuthenticatorOptions {
  readonly requestHeaders?: RequestHeaders | undefined;
  /** Takes what only this server understands out of a request that may be passed on. */
  readonly removeHeaders?: ((headers: Credentials["headers"]) => void) | undefined;
  /** Of client certificates; undefined: nobody is recognized by one. */
  readonly clientAuthorities: () => Authorities | undefined;
  readonly tokens: TokenAuthenticator;
  readonly anonymous: AnonymousOptions;
  readonly authorizer: Authorizer;
  readonly now: () => number;
}

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const impersonate = createImpersonation(options.authorizer);
  return {
    authenticate(credentials, context) {
      const user = identify(options, credentials, context);
      options.removeHeaders?.(credentials.headers);
      if (user instanceof Promise) return user.then((found) => found && impersonate(found, credentials, context));
      return user && impersonate(user, credentials, context);
    },
  };
}

type Found = RequestUser | undefined;

function identify(
  options: AuthenticatorOptions,
  credentials: Credentials,
  context: AuthenticationContext | undefined,
): Found | Promise<Found> {
  const shown = certificateUser(options, credentials);
  if (typeof shown === "object") return shown;
  const warnings = context?.warnings;
  const authenticate = (token: string) => options.tokens.authenticate(token);
  const take = (result: ChainResult): Found => {
    if (!("user" in result)) return undefined;
    if (result.warnings) warnings?.push(...result.warnings);
    return result.user;
  };
  let refused = shown === "refused";
  const token = bearerToken(credentials.headers.authorization, warnings);
  if (token !== "") {
    const result = authenticate(token);
    if (result instanceof Promise) return result.then((found) => take(found) ?? throughWebSocket(true));
    const user = take(result);
    if (user) return user;
    refused = true;
  }
  return throughWebSocket(refused);

  function throughWebSocket(refused: boolean): Found | Promise<Found> {
    const token = webSocketToken(credentials.headers);
    if (token === undefined) return undefined;
    if (token === "") return refused ? undefined : anonymousUser(options.anonymous, credentials);
    const result = authenticate(token);
    return result instanceof Promise ? result.then(take) : take(result);
  }
}

function certificateUser(
  { requestHeaders, clientAuthorities, now }: AuthenticatorOptions,
  credentials: Credentials,
): RequestUser | "refused" | undefined {
  const peer = credentials.peerCertificate();
  if (!peer) return undefined;
  const named = requestHeaders?.(peer, credentials.rawHeaders, now());
  if (typeof named === "object") return withAuthenticated(named);
  const authorities = clientAuthorities();
  if (!authorities) return named;
  if (!isTrusted(peer, authorities, now())) return "refused";
  const user = userOfCertificate(peer.certificate);
  if (typeof user === "object") return withAuthenticated(user);
  return user === "refused" ? "refused" : named;
}

const anonymous: RequestUser = { name: everyone.anonymous, uid: "", groups: [everyone.unauthenticated], extra: {} };

function anonymousUser({ enabled, paths }: AnonymousOptions, { path }: Credentials): Found {
  if (!enabled || (paths.size > 0 && !paths.has(decodePath(path)))) return undefined;
  return anonymous;
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // such a path is refused before anyone asks who it is
  }
}
