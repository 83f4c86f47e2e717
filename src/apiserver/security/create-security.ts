/**
 * Puts authentication and authorization together over the server's own caches: tokens live as long as their objects, roles count
 * as soon as they are written. The server needs an authenticator before its caches exist, so `attach` comes after.
 */
import type { KubernetesObject } from "#machinery";
import type { RequestUser, Secret } from "#api";
import { assert } from "#base";
import { certificatePlugins } from "../admission/certificates.ts";
import { nodeRestriction } from "../admission/node-restriction.ts";
import type { AdmissionPlugin } from "../admission/chain.ts";
import type { ResourceCache } from "../cache/resource-cache.ts";
import type { WatchCaches } from "../cache/watch-caches.ts";
import type { PathHandler } from "../paths.ts";
import type { CallHandlers } from "../registry/registry.ts";
import type { ResourceTable, StoredKind } from "../resource.ts";
import type { Authenticator, Authorizer } from "../security.ts";
import { type AccountTokens, createAccountTokens, type LookUp } from "./account-tokens.ts";
import { createAuthenticator, createTokenAuthenticator } from "./authenticate.ts";
import { bootstrapTokenNamespace, createBootstrapTokens } from "./bootstrap-tokens.ts";
import { escalationCheck } from "./escalation.ts";
import { discoveryPaths } from "./issuer-discovery.ts";
import { createNodeAuthorizer, withNodes } from "./node-authorizer.ts";
import { type Binding, createRbac, type Rbac, type RbacSource } from "./rbac.ts";
import { reviewHandlers } from "./review-handlers.ts";
import type { PolicyRule } from "./rules.ts";

export interface SecurityOptions {
  /** PEM private key that signs service-account tokens. */
  readonly serviceAccountKey: string;
  /** `https://kubernetes.default.svc` */
  readonly issuer: string;
  readonly staticTokens: ReadonlyMap<string, RequestUser>;
  readonly anonymous: boolean;
  readonly now: () => number;
}

export interface Security {
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly rbac: Rbac;
  readonly accountTokens: AccountTokens;
  /** For the server's registry and paths. */
  readonly handlers: CallHandlers;
  readonly paths: ReadonlyMap<string, PathHandler>;
  /** For the server's admission, and what comes last there. */
  readonly admission: readonly AdmissionPlugin[];
  readonly guards: readonly AdmissionPlugin[];
  /** Loads what every request needs from then on. */
  attach(server: { table: ResourceTable; caches: WatchCaches }): Promise<void>;
}

const rbacGroup = "rbac.authorization.k8s.io";
const names = {
  clusterRoles: [rbacGroup, "clusterroles"],
  clusterRoleBindings: [rbacGroup, "clusterrolebindings"],
  roles: [rbacGroup, "roles"],
  roleBindings: [rbacGroup, "rolebindings"],
  serviceaccounts: ["", "serviceaccounts"],
  pods: ["", "pods"],
  secrets: ["", "secrets"],
  nodes: ["", "nodes"],
} as const;
type Name = keyof typeof names;
const allNames = Object.keys(names) as Name[]; // its keys

export function createSecurity(options: SecurityOptions): Security {
  let server: { table: ResourceTable; caches: WatchCaches } | undefined;

  const kindOf = new Map<Name, StoredKind>();
  const cacheOf = (name: Name): ResourceCache | Promise<ResourceCache> => {
    assert(server, "security is attached before the first request");
    let kind = kindOf.get(name);
    if (!kind) {
      const [group, resource] = names[name];
      kind = server.table.stored(group, resource);
      assert(kind, `${name} is a built-in kind`);
      kindOf.set(name, kind);
    }
    return server.caches.of(kind);
  };
  /** Everything needed is in memory; a promise when a cache has to be loaded first (start, or after the store's watch broke). */
  const ready = (): Promise<unknown> | undefined => {
    // Twice in every request: nothing is made here unless there is something to wait for.
    for (const name of allNames) if (cacheOf(name) instanceof Promise) return Promise.all(allNames.map(cacheOf));
    return undefined;
  };
  const loaded = (name: Name): ResourceCache => {
    const cache = cacheOf(name);
    assert(!(cache instanceof Promise), `the cache of ${name} is loaded`);
    return cache;
  };
  const objectsOf = function* <T>(name: Name): Generator<T> {
    for (const object of loaded(name).all()) yield object.decoded() as T; // each name stands for one kind
  };

  const source: RbacSource = {
    bindingsVersion: () => Math.max(loaded("clusterRoleBindings").changedAt, loaded("roleBindings").changedAt),
    clusterRoleBindings: () => objectsOf<Binding>("clusterRoleBindings"),
    roleBindings: () => objectsOf<Binding>("roleBindings"),
    roleRules(namespace, name) {
      const role = namespace === "" ? loaded("clusterRoles").get(name) : loaded("roles").get(`${namespace}/${name}`);
      return role && ((role.decoded() as { rules?: readonly PolicyRule[] }).rules ?? []);
    },
  };
  const rbac = createRbac(source);
  const lookUp: LookUp = (resource, namespace, name) => {
    const object = loaded(resource)
      .get(resource === "nodes" ? name : `${namespace}/${name}`)
      ?.decoded() as KubernetesObject | undefined; // every kind has metadata
    const { uid = "", deletionTimestamp } = object?.metadata ?? {};
    return object && { uid, ...(deletionTimestamp ? { deletionTimestamp } : {}) };
  };
  const accountTokens = createAccountTokens({
    key: options.serviceAccountKey,
    issuer: options.issuer,
    audiences: [options.issuer],
    now: options.now,
    lookUp,
  });
  const nodes = createNodeAuthorizer((group, resource) => {
    assert(server, "security is attached before the first request");
    const kind = server.table.stored(group, resource);
    assert(kind, `${resource} of ${group} is a built-in kind`);
    return server.caches.of(kind);
  });
  const union = withNodes(nodes, rbac);
  const authorizer: Authorizer = {
    authorize(attributes) {
      const waiting = ready();
      return waiting ? waiting.then(() => union.authorize(attributes)) : union.authorize(attributes);
    },
  };
  const { staticTokens, anonymous } = options;
  const bootstrapTokens = createBootstrapTokens({
    now: options.now,
    secret: (name) => loaded("secrets").get(`${bootstrapTokenNamespace}/${name}`)?.decoded() as Secret | undefined, // secrets only
  });
  const sources = { staticTokens, accountTokens, bootstrapTokens };
  const authenticator = createAuthenticator({ ...sources, authorizer, anonymous });
  return {
    rbac,
    accountTokens,
    authorizer,
    authenticator: {
      authenticate(credentials, observer) {
        const waiting = ready();
        return waiting
          ? waiting.then(() => authenticator.authenticate(credentials, observer))
          : authenticator.authenticate(credentials, observer);
      },
    },
    handlers: reviewHandlers({
      tokens: createTokenAuthenticator(sources),
      rbac,
      authorizer,
      accountTokens,
    }),
    paths: discoveryPaths(accountTokens),
    admission: [nodeRestriction(authorizer), ...certificatePlugins(authorizer)],
    guards: [escalationCheck({ rbac, source, authorizer })],
    async attach(to) {
      server = to;
      await ready();
    },
  };
}
