/**
 * Who is calling: a client certificate, a bearer token, or nobody (anonymous). Then, if asked and allowed, who they act as.
 * A credential that is there but wrong is refused; it never falls back to anonymous.
 */
import type { RequestUser } from "#api";
import type { Authenticator, Authorizer, Credentials } from "../security.ts";
import type { AccountTokens, TokenResult } from "./account-tokens.ts";
import type { BootstrapTokens } from "./bootstrap-tokens.ts";
import { everyone } from "./groups.ts";
import { impersonate } from "./impersonate.ts";

export interface AuthenticatorOptions {
  readonly staticTokens: ReadonlyMap<string, RequestUser>;
  readonly accountTokens: AccountTokens;
  /** Absent: nobody joins by a token. */
  readonly bootstrapTokens?: BootstrapTokens;
  readonly authorizer: Authorizer;
  /** Requests without credentials become system:anonymous; otherwise 401. */
  readonly anonymous: boolean;
}

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const tokens = createTokenAuthenticator(options);
  return {
    authenticate(credentials, observer) {
      const user = identify(credentials, tokens, options.anonymous);
      return user && impersonate(user, credentials.headers, options.authorizer, observer);
    },
  };
}

export type TokenAuthenticator = (token: string, audiences?: readonly string[]) => TokenResult;

/** Also what TokenReview asks. */
export function createTokenAuthenticator(
  options: Pick<AuthenticatorOptions, "staticTokens" | "accountTokens" | "bootstrapTokens">,
): TokenAuthenticator {
  const { staticTokens, accountTokens, bootstrapTokens } = options;
  return (token, audiences) => {
    const listed = staticTokens.get(token) ?? bootstrapTokens?.(token);
    if (listed) {
      // Static tokens know no audience: they are for the API server.
      const shared = accountTokens.audiences.filter((audience) => !audiences?.length || audiences.includes(audience));
      return shared.length > 0 ? { user: withAuthenticated(listed), audiences: shared } : { why: "" };
    }
    const found = accountTokens.authenticate(token, audiences?.length ? audiences : undefined);
    return "user" in found ? { ...found, user: withAuthenticated(found.user) } : found;
  };
}

function identify(credentials: Credentials, tokens: TokenAuthenticator, anonymous: boolean): RequestUser | undefined {
  const peer = credentials.peerCertificate();
  if (peer?.trusted) {
    const subject = parseSubject(peer.certificate.subject);
    if (subject.name !== "")
      return withAuthenticated({ name: subject.name, uid: "", groups: subject.groups, extra: {} });
  }
  const header = credentials.headers.authorization ?? "";
  const [scheme = "", token = ""] = header.trim().split(/\s+/);
  // Other schemes are not ours and count as no credential, as upstream does.
  if (scheme.toLowerCase() === "bearer" && token !== "") {
    const result = tokens(token);
    return "user" in result ? result.user : undefined;
  }
  return anonymous ? { name: everyone.anonymous, uid: "", groups: [everyone.unauthenticated], extra: {} } : undefined;
}

function withAuthenticated(user: RequestUser): RequestUser {
  if (user.groups.includes(everyone.authenticated) || user.name === everyone.anonymous) return user;
  return { ...user, groups: [...user.groups, everyone.authenticated] };
}

/** CN and every O of a subject as Node.js prints it: one `KEY=value` a line, RFC 2253 escapes. */
export function parseSubject(subject: string | undefined): { name: string; groups: string[] } {
  let name = "";
  const groups: string[] = [];
  for (const line of (subject ?? "").split("\n")) {
    const at = line.indexOf("=");
    const value = line.slice(at + 1).replace(/\\(.)/g, "$1");
    if (line.slice(0, at) === "CN") name = value;
    if (line.slice(0, at) === "O") groups.push(value);
  }
  return { name, groups };
}
