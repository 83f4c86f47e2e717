/**
 * What the loops and the node program against. Typed by `groupVersion/plural` ("v1/pods", "apps/v1/deployments") through the
 * generated ResourceTypes; custom resources pass a ResourceReference.
 */
import type { ResourceTypes } from "#api";
import type { DeepReadonly, KubernetesList, KubernetesObject, Transport } from "#machinery";

export type ResourceName = keyof ResourceTypes & string;

export interface ResourceReference {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespaced: boolean;
}

export interface ListOptions {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continue?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: "Exact" | "NotOlderThan";
}

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: "Orphan" | "Background" | "Foreground";
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

export type PatchType = "json" | "merge" | "strategic" | "apply";

export interface PatchOptions {
  readonly type: PatchType;
  readonly subresource?: string;
  readonly fieldManager?: string;
  readonly force?: boolean;
}

/** One resource in one namespace ("" for cluster-scoped ones and for lists over all namespaces). Answers are read-only: they may be shared. */
export interface ResourceClient<T> {
  get(name: string): Promise<DeepReadonly<T>>;
  list(options?: ListOptions): Promise<DeepReadonly<KubernetesList<T>>>;
  create(object: T): Promise<DeepReadonly<T>>;
  update(object: T): Promise<DeepReadonly<T>>;
  /** PUT to a subresource such as "status" or "scale". */
  updateSubresource<S>(name: string, subresource: string, object: S): Promise<DeepReadonly<S>>;
  updateStatus(object: T): Promise<DeepReadonly<T>>;
  patch(name: string, patch: unknown, options: PatchOptions): Promise<DeepReadonly<T>>;
  delete(name: string, options?: DeleteOptions): Promise<void>;
  deleteCollection(options?: DeleteOptions, list?: ListOptions): Promise<void>;
  getSubresource<S>(name: string, subresource: string): Promise<DeepReadonly<S>>;
  /** POST to a subresource such as "binding", "eviction", "token". */
  createSubresource<S, R = unknown>(name: string, subresource: string, body: S): Promise<DeepReadonly<R>>;
}

export interface Client {
  readonly transport: Transport;
  resource<N extends ResourceName>(name: N, namespace?: string): ResourceClient<ResourceTypes[N]>;
  resource<T extends KubernetesObject>(reference: ResourceReference, namespace?: string): ResourceClient<T>;
}

export interface InformerHandler<T> {
  added?(object: DeepReadonly<T>): void;
  updated?(object: DeepReadonly<T>, old: DeepReadonly<T>): void;
  deleted?(object: DeepReadonly<T>): void;
}

/** A live, local, read-only copy of one resource: list once, then watch; resumes after any failure without losing the final state. */
export interface Informer<T> {
  /** `namespace/name`, or `name` for cluster-scoped kinds. */
  get(key: string): DeepReadonly<T> | undefined;
  list(namespace?: string): readonly DeepReadonly<T>[];
  /** Objects whose index function answered this value. */
  by(index: string, value: string): readonly DeepReadonly<T>[];
  /** Must be called before the informer starts. */
  addIndex(name: string, valuesOf: (object: DeepReadonly<T>) => readonly string[]): void;
  /** Answers a function that removes the handler. A late handler gets `added` for what is there. */
  addHandler(handler: InformerHandler<T>): () => void;
  hasSynced(): boolean;
  /** Resolves after the first complete list was delivered to the handlers. */
  synced(): Promise<void>;
}

/** Narrows an informer to some of a resource's objects. */
export interface InformerSelector {
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  readonly namespace?: string;
}

/** One shared informer for each resource and selector in a process. */
export interface InformerSet {
  of<N extends ResourceName>(name: N, selector?: InformerSelector): Informer<ResourceTypes[N]>;
  of<T extends KubernetesObject>(reference: ResourceReference, selector?: InformerSelector): Informer<T>;
  /** Starts those asked for so far (and later ones at once); resolves when the signal aborts and all have stopped. */
  run(signal: AbortSignal): Promise<void>;
}

/** Keys waiting for work: each at most once, never two workers on one key, failures come back later with back-off. */
export interface WorkQueue {
  add(key: string): void;
  addAfter(key: string, delayMs: number): void;
  /** After a failure: exponential back-off, 5 ms to 1000 s as upstream. */
  addRateLimited(key: string): void;
  forget(key: string): void;
  readonly length: number;
  /** Runs `work` for each key with `concurrency` workers until the signal aborts; a rejection is logged and retried rate-limited. */
  run(signal: AbortSignal, options: { concurrency: number; work: (key: string) => Promise<void> }): Promise<void>;
}

/** Writes Events as upstream's recorder does: same names, counts bumped for repeats, spam filtered. */
export interface EventRecorder {
  event(
    about: DeepReadonly<KubernetesObject>,
    event: {
      type: "Normal" | "Warning";
      reason: string;
      message: string;
      /** What was done about it; only events of a series recorder show it. */
      action?: string;
      /** The other object of a matter between two; only events of a series recorder show it. */
      related?: DeepReadonly<KubernetesObject>;
      annotations?: Record<string, string>;
      fieldPath?: string;
      /** The node, where one recorder speaks for several. */
      host?: string;
    },
  ): void;
}
