/**
 * What the server asks of security: who is it, and may they. Implemented in `security/`; tests use a table of tokens.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { RequestUser } from "#api";
import type { PeerCertificate } from "./http/exchange.ts";
import type { FieldRequirement, LabelRequirement } from "#machinery";

/** What identifies a caller. */
export interface Credentials {
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turns, as they came: only here a repeated header and a comma in a value can be told apart. */
  readonly rawHeaders: readonly string[];
  /** As in the URL. */
  readonly path: string;
  readonly remoteAddress: string;
  peerCertificate(): PeerCertificate | undefined;
}

/** Hears what comes out on the way. */
export interface AuthenticationObserver {
  /** Who it is, before they act as somebody else; undefined: nobody can say. Rejects when the request must not go on. */
  authenticated(user: RequestUser | undefined): Promise<void>;
  /** Who they act as, and by which verb if that isn't plain `impersonate`. */
  impersonated(user: RequestUser, constraint?: string): void;
  /** For the audit log. */
  annotate(key: string, value: string): void;
}

/** What else there is to know about a request that comes with credentials. */
export interface AuthenticationContext {
  readonly observer?: AuthenticationObserver | undefined;
  /** For Warning headers. */
  readonly warnings?: string[];
  /** What it asks for, as this user: constrained impersonation depends on it. */
  readonly attributes?: (user: RequestUser) => Attributes;
}

export interface Authenticator {
  /**
   * The user (impersonation applied), undefined when nobody can say who it is: answered with 401.
   * Anonymous is a user. Rejects with a StatusError for another answer (impersonation forbidden: 403).
   */
  authenticate(
    credentials: Credentials,
    context?: AuthenticationContext,
  ): RequestUser | undefined | Promise<RequestUser | undefined>;
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
  /** Of a list, watch or deletecollection, as far as they can be read, for authorizers that look at them (nodes, webhooks). */
  readonly fieldSelector?: readonly FieldRequirement[];
  readonly labelSelector?: readonly LabelRequirement[];
}

export interface Decision {
  readonly allowed: boolean;
  /** A no that nobody who is asked later overrules; otherwise not being allowed only means that this one has no opinion. */
  readonly denied?: boolean;
  /** Why not, or by what; shown to the client when denied. */
  readonly reason: string;
  /** What went wrong on the way: whoever isn't allowed all the same gets an internal error instead of a refusal. */
  readonly error?: string;
}

export interface Authorizer {
  authorize(attributes: Attributes): Decision | Promise<Decision>;
}

export const allowAll: Authorizer = { authorize: () => ({ allowed: true, reason: "" }) };
