/**
 * What authentication and authorization look up in every request, from the server's own caches: roles count as soon as they are written,
 * tokens live as long as their objects. The caches exist only after the server that needs an authenticator, so `attach` comes later.
 */
import { assert } from "#base";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { ResourceCache } from "../cache/resource-cache.ts";
import type { WatchCaches } from "../cache/watch-caches.ts";
import type { ResourceTable, StoredKind } from "../resource.ts";
import type { Binding, RbacSource } from "./rbac.ts";
import type { PolicyRule } from "./rules.ts";

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

export interface ClusterSource {
  readonly table: ResourceTable;
  readonly caches: WatchCaches;
}

export class ClusterObjects {
  #server: ClusterSource | undefined;
  readonly #kinds = new Map<Name, StoredKind>();

  attach(server: ClusterSource): void {
    this.#server = server;
  }

  cache(group: string, resource: string): ResourceCache | Promise<ResourceCache> {
    assert(this.#server, "security is attached before the first request");
    const kind = this.#server.table.stored(group, resource);
    assert(kind, `${resource} of ${group} is a built-in kind`);
    return this.#server.caches.of(kind);
  }

  /** Everything needed is in memory; a promise when a cache has to be loaded first (start, or after the store's watch broke). */
  ready(): Promise<unknown> | undefined {
    // Twice in every request: nothing is made here unless there is something to wait for.
    for (const name of allNames)
      if (this.#cacheOf(name) instanceof Promise) return Promise.all(allNames.map((each) => this.#cacheOf(each)));
    return undefined;
  }

  get(
    resource: "serviceaccounts" | "pods" | "secrets" | "nodes",
    namespace: string,
    name: string,
  ): DeepReadonly<KubernetesObject> | undefined {
    return this.#loaded(resource)
      .get(resource === "nodes" ? name : `${namespace}/${name}`)
      ?.decoded();
  }

  readonly roles: RbacSource = {
    bindingsVersion: () =>
      Math.max(this.#loaded("clusterRoleBindings").changedAt, this.#loaded("roleBindings").changedAt),
    clusterRoleBindings: () => this.#all<Binding>("clusterRoleBindings"),
    roleBindings: () => this.#all<Binding>("roleBindings"),
    roleRules: (namespace, name) => {
      const role =
        namespace === "" ? this.#loaded("clusterRoles").get(name) : this.#loaded("roles").get(`${namespace}/${name}`);
      return role && ((role.decoded() as { rules?: readonly PolicyRule[] }).rules ?? []);
    },
  };

  #cacheOf(name: Name): ResourceCache | Promise<ResourceCache> {
    assert(this.#server, "security is attached before the first request");
    let kind = this.#kinds.get(name);
    if (!kind) {
      const [group, resource] = names[name];
      kind = this.#server.table.stored(group, resource);
      assert(kind, `${name} is a built-in kind`);
      this.#kinds.set(name, kind);
    }
    return this.#server.caches.of(kind);
  }

  #loaded(name: Name): ResourceCache {
    const cache = this.#cacheOf(name);
    assert(!(cache instanceof Promise), `the cache of ${name} is loaded`);
    return cache;
  }

  *#all<T>(name: Name): Generator<T> {
    for (const object of this.#loaded(name).all()) yield object.decoded() as T; // each name stands for one kind
  }
}
