/** What all handlers of the registry work with. Built once by the server. */
import type { DeepReadonly, KubernetesObject, TypeSchema } from "#machinery";
import type { AdmissionChain } from "../admission/chain.ts";
import type { ResourceTable } from "../resource.ts";
import type { Authorizer } from "../security.ts";
import type { DeletionPlan, DeletionRequest } from "./deletion.ts";
import type { SideWrites, Storage } from "./storage.ts";

export interface RegistryCore {
  readonly storage: Storage;
  readonly table: ResourceTable;
  readonly admission: AdmissionChain;
  readonly authorizer: Authorizer;
  /** Who may can delete what can't be read (feature gate AllowUnsafeMalformedObjectDeletion). */
  readonly unsafeDeletion: boolean;
  /** By `group/resource` of the stored kind (`/services`). */
  readonly hooks: ReadonlyMap<string, KindHooks>;
  typeOf(apiVersion: string, kind: string): TypeSchema | undefined;
}

export interface HookRequest {
  /** Undefined: it is deleted. May be changed. */
  readonly object: KubernetesObject | undefined;
  /** Undefined: it is created. */
  readonly old: DeepReadonly<KubernetesObject> | undefined;
  readonly dryRun: boolean;
}

/** What storing one kind needs beside the object itself. */
export interface KindHooks {
  /**
   * Fills in what must be unique among all objects (addresses, ports) and answers the keys that reserve it, written in the same
   * transaction. Called again when one of them was taken meanwhile. Throws a StatusError to refuse.
   */
  allocate?(request: HookRequest): Promise<SideWrites | undefined>;
  /** Something beside finalizers keeps an object that is being deleted (the content of a namespace). */
  holdsDeletion?(object: DeepReadonly<KubernetesObject>): boolean;
  /** Instead of the usual rules: namespaces go in two steps. */
  planDeletion?(request: DeletionRequest): DeletionPlan;
  /** The store's lease that ends the object's life. */
  lease?(): Promise<number>;
}

export const hooksOf = (
  core: RegistryCore,
  { group, resource }: { group: string; resource: string },
): KindHooks | undefined => core.hooks.get(`${group}/${resource}`);
