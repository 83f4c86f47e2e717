/**
 * What the server asks of security: who is it, and may they. Implemented in `security/`; tests use a table of tokens.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { RequestUser } from "#api";
import type { PeerCertificate } from "./http/exchange.ts";
import type { FieldRequirement } from "#machinery";

/** What identifies a caller. */
export interface Credentials {
  readonly headers: IncomingHttpHeaders;
  readonly remoteAddress: string;
  peerCertificate(): PeerCertificate | undefined;
}

export interface Authenticator {
  /**
   * The user (impersonation applied), undefined when nobody can say who it is: answered with 401.
   * Anonymous is a user. Rejects with a StatusError for another answer (impersonation forbidden: 403).
   */
  authenticate(credentials: Credentials): RequestUser | undefined | Promise<RequestUser | undefined>;
}

export interface Attributes {
  readonly user: RequestUser;
  readonly verb: string;
  /** False: only `path` and `verb` (the HTTP method in lower case) count. */
  readonly resourceRequest: boolean;
  readonly path: string;
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** Of a list or watch, for authorizers that look at them (nodes). */
  readonly fieldSelector?: readonly FieldRequirement[];
}

export interface Decision {
  readonly allowed: boolean;
  /** Why not, or by what; shown to the client when denied. */
  readonly reason: string;
}

export interface Authorizer {
  authorize(attributes: Attributes): Decision | Promise<Decision>;
}

export const allowAll: Authorizer = { authorize: () => ({ allowed: true, reason: "" }) };
