/**
 * The APIService objects as the server looks at them on its way: who serves a version of a group, and in which order groups are shown.
 * Follows the stored objects; looking something up costs a map, and nothing at all while no version is served by others.
 */
import type { APIService } from "#api";
import type { DeepReadonly } from "#machinery";
import { follow, type Followed } from "../cache/follow.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import { printGroupVersion } from "../resource.ts";

export interface ApiServiceEntry {
  /** `v1.apps`. */
  readonly name: string;
  readonly uid: string;
  readonly group: string;
  readonly version: string;
  readonly groupPriority: number;
  readonly versionPriority: number;
  /** Label by which the server knows those it made: `onstart`, `true`. */
  readonly automanaged: string | undefined;
  /** Undefined: served here. */
  readonly remote: RemoteService | undefined;
  readonly available: boolean;
  /** Of the condition `Available`. */
  readonly reason: string;
}

export interface RemoteService {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  /** Base64 of PEM; "": the machine's authorities. */
  readonly caBundle: string;
  readonly insecure: boolean;
}

export const automanagedLabel = "kube-aggregator.kubernetes.io/automanaged";
const defaultPort = 443;

export class ApiServiceIndex {
  readonly #byName = new Map<string, ApiServiceEntry>();
  /** By `group/version`. */
  readonly #remote = new Map<string, ApiServiceEntry>();
  readonly #listeners = new Set<ApiServiceListener>();
  readonly #changed = new Set<string>();
  #generation = 0;

  /** Moves with every change of what is shown or where it leads. */
  get generation(): number {
    return this.#generation;
  }

  all(): Iterable<ApiServiceEntry> {
    return this.#byName.values();
  }

  get(name: string): ApiServiceEntry | undefined {
    return this.#byName.get(name);
  }

  /** Who serves it in our stead. */
  remote(group: string, version: string): ApiServiceEntry | undefined {
    return this.#remote.size === 0 ? undefined : this.#remote.get(printGroupVersion(group, version));
  }

  remotes(): Iterable<ApiServiceEntry> {
    return this.#remote.values();
  }

  listen(listener: ApiServiceListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when it knows all that are stored. */
  follow(followed: Followed): Promise<() => void> {
    return follow(followed, {
      reset: (objects) => {
        const gone = new Set(this.#byName.keys());
        for (const object of objects) {
          gone.delete(object.key);
          this.#put(object.key, object);
        }
        for (const name of gone) this.#put(name, undefined);
      },
      changed: (name, object) => this.#put(name, object),
      flush: () => {
        const changed = [...this.#changed];
        this.#changed.clear();
        for (const listener of this.#listeners) listener(changed);
      },
    });
  }

  #put(name: string, object: StoredObject | undefined): void {
    const before = this.#byName.get(name);
    const entry = object && entryOf(object);
    this.#changed.add(name);
    if (entry) this.#byName.set(name, entry);
    else this.#byName.delete(name);
    if (before?.remote) this.#remote.delete(printGroupVersion(before.group, before.version));
    if (entry?.remote) this.#remote.set(printGroupVersion(entry.group, entry.version), entry);
    this.#generation++;
  }
}

/** Names that changed, or may have. */
export type ApiServiceListener = (names: readonly string[]) => void;

function entryOf(object: StoredObject): ApiServiceEntry {
  const { metadata, spec, status } = object.glance() as DeepReadonly<APIService>; // the kind's type
  const { service } = spec ?? {};
  const condition = status?.conditions?.find(({ type }) => type === "Available");
  return {
    name: object.name,
    uid: metadata.uid ?? "",
    group: spec?.group ?? "",
    version: spec?.version ?? "",
    groupPriority: spec?.groupPriorityMinimum ?? 0,
    versionPriority: spec?.versionPriority ?? 0,
    automanaged: metadata.labels?.[automanagedLabel],
    remote: service && {
      namespace: service.namespace ?? "",
      name: service.name ?? "",
      port: service.port ?? defaultPort,
      caBundle: spec?.caBundle ?? "",
      insecure: spec?.insecureSkipTLSVerify === true,
    },
    available: condition?.status === "True",
    reason: condition?.reason ?? "",
  };
}
