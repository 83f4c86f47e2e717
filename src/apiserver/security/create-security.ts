/**
 * Puts authentication and authorization together over the server's own caches. What a configuration file says about issuers of tokens and
 * about authorizers may be replaced while the server runs.
 */
import type { RequestUser, Secret } from "#api";
import type { Clock, Logger } from "#base";
import type { DeepReadonly, Transport } from "#machinery";
import type { AdmissionPlugin } from "../admission/chain.ts";
import { certificatePlugins } from "../admission/certificates.ts";
import { deviceClaims } from "../admission/device-claims.ts";
import { nodeRestriction } from "../admission/node-restriction.ts";
import type { PathHandler } from "../paths.ts";
import type { CallHandlers } from "../registry/registry.ts";
import type { Authenticator } from "../security.ts";
import { type AccountTokens, createAccountTokens, lastUsedLabel } from "./account-tokens.ts";
import { type AnonymousOptions, createAuthenticator } from "./authn/authenticator.ts";
import { type Authorities, readAuthorities } from "./authn/client-certificate.ts";
import type { TrustedAuthentication } from "./authn/extension-authentication.ts";
import type { JwtConfiguration } from "./authn/jwt-shape.ts";
import { createJwtTokens } from "./authn/jwt-tokens.ts";
import { createHeaderRemoval, createRequestHeaders, type RequestHeaderSettings } from "./authn/request-header.ts";
import { createTokenChain, forServer, type TokenSource, withAuthenticated } from "./authn/token-chain.ts";
import { createWebhookTokens, type WebhookTokensOptions } from "./authn/webhook-tokens.ts";
import type { AbacPolicy } from "./authz/abac.ts";
import { type ConfiguredAuthorizer, createAuthorizers } from "./authz/authorizers.ts";
import type { RulesAuthorizer } from "./authz/chain.ts";
import { bootstrapTokenNamespace, createBootstrapTokens } from "./bootstrap-tokens.ts";
import { ClusterObjects, type ClusterSource } from "./cluster-objects.ts";
import { escalationCheck } from "./escalation.ts";
import { discoveryPaths } from "./issuer-discovery.ts";
import { createNodeAuthorizer } from "./node-authorizer.ts";
import { createRbac } from "./rbac.ts";
import { reviewHandlers } from "./review-handlers.ts";

export interface AccountSettings {
  /** PEM private key that signs service-account tokens. */
  readonly signingKey: string;
  /** PEM keys whose tokens are accepted; none: the signing key's. */
  readonly verificationKeys?: readonly string[];
  /** `https://kubernetes.default.svc`; the first is that of new tokens. */
  readonly issuers: readonly string[];
  /** Of this server; none: the issuers. */
  readonly audiences?: readonly string[];
  /** Where others find the keys. */
  readonly jwksUri?: string | undefined;
  /** Longest life of a token that is asked for; 0: any. */
  readonly lifeSecondsMax?: number;
  /** Tokens that pods get by default live a year and warn after an hour, for clients of old. */
  readonly extendLife?: boolean;
}

/** What an administrator decides. */
export interface SecurityConfiguration {
  readonly accounts: AccountSettings;
  readonly staticTokens?: ReadonlyMap<string, RequestUser>;
  /** Machines may join by a token; true without it. */
  readonly bootstrapTokens?: boolean;
  /** Everybody may ask without it. */
  readonly anonymous?: AnonymousOptions;
  /** PEM; without it nobody is recognized by a certificate. */
  readonly clientAuthorities?: string | undefined;
  readonly requestHeader?: RequestHeaderSettings | undefined;
  /** Issuers elsewhere whose tokens are accepted. */
  readonly jwt?: readonly JwtConfiguration[];
  readonly tokenWebhook?: Pick<WebhookTokensOptions, "target" | "version" | "cacheTtlMs"> | undefined;
  /** Node and RBAC without it. */
  readonly authorizers?: readonly ConfiguredAuthorizer[];
  readonly abac?: readonly AbacPolicy[];
}

export interface SecurityOptions extends SecurityConfiguration {
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Security {
  readonly authenticator: Authenticator;
  readonly authorizer: RulesAuthorizer;
  readonly accountTokens: AccountTokens;
  /** For the server's registry and paths. */
  readonly handlers: CallHandlers;
  readonly paths: ReadonlyMap<string, PathHandler>;
  /** For the server's admission, and what comes last there. */
  readonly admission: readonly AdmissionPlugin[];
  readonly guards: readonly AdmissionPlugin[];
  /** Loads what every request needs from then on. `self`: acts as the server itself. */
  attach(server: ClusterSource, self: Transport): Promise<void>;
  /** What extension servers are told. */
  trusted(): TrustedAuthentication;
  /** When every new issuer answers; rejects when one doesn't within a minute, and those before stay. */
  setJwt(configured: readonly JwtConfiguration[]): Promise<void>;
  /** From the next request on. */
  setAuthorizers(configured: readonly ConfiguredAuthorizer[]): void;
  /** For connections from then on; the listener has to know them as well. */
  setAuthorities(change: { clients?: string; requestHeader?: string }): void;
  close(): void;
}

const defaultAuthorizers: readonly ConfiguredAuthorizer[] = [{ type: "Node" }, { type: "RBAC" }];
/** Ten seconds apart. */
const issuerTries = 6;
const lingerMs = 60_000;
const everybody: AnonymousOptions = { enabled: true, paths: new Set() };

export function createSecurity(options: SecurityOptions): Security {
  const { accounts, clock, log, anonymous = everybody } = options;
  const objects = new ClusterObjects();
  let self: Transport | undefined;
  const rbac = createRbac(objects.roles);
  const nodes = createNodeAuthorizer((group, resource) => objects.cache(group, resource));
  const audiences = accounts.audiences?.length ? accounts.audiences : accounts.issuers;
  const accountTokens = createAccountTokens({
    key: accounts.signingKey,
    ...(accounts.verificationKeys && { verificationKeys: accounts.verificationKeys }),
    issuers: accounts.issuers,
    audiences,
    now: clock.now,
    lookUp: (resource, namespace, name) => objects.get(resource, namespace, name),
    onLegacyUse: (secret, day) => {
      noteUse(self, secret, day).catch((error: unknown) =>
        log.error("the use of a token in a Secret could not be noted", { secret: secret.metadata.name, error }),
      );
    },
  });

  let chain: RulesAuthorizer;
  const setAuthorizers = (configured: readonly ConfiguredAuthorizer[]) => {
    chain = createAuthorizers(configured, { rbac, nodes, abac: options.abac ?? [], clock });
  };
  setAuthorizers(options.authorizers ?? defaultAuthorizers);
  const authorizer: RulesAuthorizer = {
    authorize(attributes) {
      const waiting = objects.ready();
      return waiting ? waiting.then(() => chain.authorize(attributes)) : chain.authorize(attributes);
    },
    rulesFor: (user, namespace) => chain.rulesFor(user, namespace),
  };

  const authorities: { clients?: Authorities | undefined; requestHeader?: Authorities } = {
    clients: options.clientAuthorities === undefined ? undefined : readAuthorities(options.clientAuthorities),
  };
  const { requestHeader } = options;
  if (requestHeader) authorities.requestHeader = readAuthorities(requestHeader.authorities);
  const noAuthorities: Authorities = { certificates: "", fingerprints: new Set() };
  let jwt = createJwtTokens(options.jwt ?? [], { ...options, audiences });
  const sources = tokenSources(options, {
    accountTokens,
    objects,
    audiences,
    jwt: (token, wanted) => jwt.authenticate(token, wanted),
  });
  const tokens = createTokenChain(sources, audiences);
  const authenticator = createAuthenticator({
    requestHeaders:
      requestHeader &&
      createRequestHeaders({ ...requestHeader, authorities: () => authorities.requestHeader ?? noAuthorities }),
    removeHeaders: requestHeader && createHeaderRemoval(requestHeader),
    clientAuthorities: () => authorities.clients,
    tokens,
    anonymous,
    authorizer,
    now: clock.now,
  });
  return {
    accountTokens,
    authorizer,
    authenticator: {
      authenticate(credentials, context) {
        const waiting = objects.ready();
        return waiting
          ? waiting.then(() => authenticator.authenticate(credentials, context))
          : authenticator.authenticate(credentials, context);
      },
    },
    handlers: reviewHandlers({ tokens, authorizer, accountTokens, settings: accounts }),
    paths: discoveryPaths(accountTokens, accounts.jwksUri),
    admission: [nodeRestriction(authorizer), ...certificatePlugins(authorizer), deviceClaims(authorizer)],
    guards: [escalationCheck({ rbac, source: objects.roles, authorizer })],
    setAuthorizers,
    async setJwt(configured) {
      const next = createJwtTokens(configured, { ...options, audiences });
      const problem = await next.health(issuerTries);
      if (problem) {
        next.close();
        throw new Error(problem);
      }
      const before = jwt;
      jwt = next;
      // Requests under way may still need its keys.
      clock.after(lingerMs, () => before.close());
    },
    close: () => jwt.close(),
    setAuthorities(change) {
      if (change.clients !== undefined) authorities.clients = readAuthorities(change.clients);
      if (change.requestHeader !== undefined) authorities.requestHeader = readAuthorities(change.requestHeader);
    },
    trusted: () => ({
      clientAuthorities: authorities.clients?.certificates ?? "",
      requestHeader: requestHeader && {
        ...requestHeader,
        authorities: authorities.requestHeader?.certificates ?? "",
      },
    }),
    async attach(server, transport) {
      self = transport;
      objects.attach(server);
      await objects.ready();
    },
  };
}

/** So that tokens nobody uses can be found. */
async function noteUse(self: Transport | undefined, secret: DeepReadonly<Secret>, day: string): Promise<void> {
  const { name = "", namespace = "", uid = "" } = secret.metadata;
  await self?.request({
    method: "PATCH",
    path: `/api/v1/namespaces/${namespace}/secrets/${name}`,
    contentType: "application/merge-patch+json",
    body: { metadata: { uid, labels: { [lastUsedLabel]: day } } },
  });
}

interface TokenSourceParts {
  readonly accountTokens: AccountTokens;
  readonly objects: ClusterObjects;
  readonly audiences: readonly string[];
  readonly jwt: TokenSource;
}

/** In upstream's order: those in memory first, those over the network last. */
function tokenSources(
  options: SecurityOptions,
  { accountTokens, objects, audiences, jwt }: TokenSourceParts,
): TokenSource[] {
  const { clock, staticTokens, tokenWebhook } = options;
  const listed = new Map([...(staticTokens ?? [])].map(([token, user]) => [token, withAuthenticated(user)]));
  const bootstrapTokens = createBootstrapTokens({
    now: clock.now,
    secret: (name) => objects.get("secrets", bootstrapTokenNamespace, name) as DeepReadonly<Secret> | undefined, // secrets only
  });
  return [
    ...(listed.size > 0 ? [forServer((token) => listed.get(token), audiences)] : []),
    (token, wanted) => accountTokens.authenticate(token, wanted),
    ...(options.bootstrapTokens === false ? [] : [forServer(bootstrapTokens, audiences)]),
    jwt,
    ...(tokenWebhook ? [createWebhookTokens({ ...tokenWebhook, audiences, clock })] : []),
  ];
}
