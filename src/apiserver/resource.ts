/**
 * What the server serves. A stored kind is one range of keys; a resource is one way to see it (group, version, plural).
 * Several resources may show one stored kind: autoscaling/v1 and v2, events of the core group and of events.k8s.io.
 * Built-in resources come from the API facts, custom ones are added and removed while the server runs.
 */
import { compareVersions } from "./custom/version-order.ts";
import { plainKind } from "./registry/plain-kind.ts";
import type { JSONSchemaProps, Kind, ResourceFacts, SubresourceFacts } from "#api";
import type { DeepReadonly, GroupResource, KubernetesObject, TypeSchema } from "#machinery";

export interface StoredKind extends GroupResource {
  readonly kind: string;
  readonly listKind: string;
  readonly version: string;
  readonly apiVersion: string;
  readonly namespaced: boolean;
  /** Of all its keys: `/registry/pods/`. */
  readonly prefix: string;
  /** The start of every stored value. */
  readonly head: string;
  readonly behaviour: Kind;
  /** Of the stored version. */
  readonly schema: TypeSchema;
  /** What the store has isn't what is read: custom kinds. Each of their versions is a kind of its own here, over the same keys. */
  readonly form?: StoredForm | undefined;
}

/** Between what is stored and one version of a custom kind. All may throw or reject with a StatusError. */
export interface StoredForm {
  /** The one that is stored. */
  readonly version: string;
  /** The start of a stored value. */
  readonly head: string;
  /** Stored objects as this version shows them, one for each; those that need no change are the same. */
  read(
    stored: readonly DeepReadonly<KubernetesObject>[],
  ): readonly DeepReadonly<KubernetesObject>[] | Promise<readonly DeepReadonly<KubernetesObject>[]>;
  /** An object of this version as it is stored. May change and return its argument. */
  write(object: KubernetesObject): KubernetesObject | Promise<KubernetesObject>;
  /** Written today it would be the same. */
  isCurrent(stored: DeepReadonly<KubernetesObject>, shown: DeepReadonly<KubernetesObject>): boolean;
}

export interface Resource extends GroupResource {
  readonly version: string;
  /** `v1`, `apps/v1`: the apiVersion of its objects. */
  readonly groupVersion: string;
  readonly singular: string;
  readonly kind: string;
  readonly listKind: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly SubresourceFacts[];
  readonly schema: TypeSchema;
  /** What every encoded object starts with: `{"kind":"Pod","apiVersion":"v1",`. */
  readonly head: Buffer;
  /** Undefined: nothing is stored (reviews, bindings). */
  readonly stored: StoredKind | undefined;
  /** Items of lists say what they are: custom resources do, built-in ones don't. */
  readonly itemsHaveKind: boolean;
  /** Objects differ in shape from the stored version. */
  readonly conversion: Conversion | undefined;
  /** Of custom resources. */
  readonly custom?: CustomVersion;
}

/** A version of a custom resource: its schema does what Go's types do for built-in ones. */
export interface CustomVersion {
  readonly schema: {
    /** Comes before the others; nothing to wait for: undefined. */
    load(): Promise<void> | undefined;
    /** What decoding does: unknown fields go and are answered, metadata is decoded. Throws DecodeError. */
    coerce(object: KubernetesObject): string[];
    applyDefaults(object: KubernetesObject): void;
    /** As the definition has it; absent: everything is kept. Read anew each time. */
    published(): DeepReadonly<JSONSchemaProps> | undefined;
    /** The definition keeps unknown fields in the old way. */
    readonly preserve: boolean;
  };
  /** Told to everyone who uses it. */
  readonly deprecation: string | undefined;
  /** Its definition is going: nothing new is created. */
  readonly terminating: boolean;
  /** An object of any version of the kind in this one. May change and return its argument. */
  convert(object: KubernetesObject): KubernetesObject | Promise<KubernetesObject>;
}

/** Both may change and return their argument. */
export interface Conversion {
  toStored(object: KubernetesObject): KubernetesObject | Promise<KubernetesObject>;
  fromStored(object: KubernetesObject): KubernetesObject;
}

export const printGroupVersion = (group: string, version: string): string =>
  group === "" ? version : `${group}/${version}`;

export const headOf = (kind: string, apiVersion: string): string =>
  `{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(apiVersion)},`;

/** `pods`, `apps/deployments`: the part of a key between `/registry/` and the object. No group is named like a core resource. */
export const routeOf = ({ group, resource }: GroupResource): string =>
  group === "" ? resource : `${group}/${resource}`;

export const keyPrefix = "/registry/";

export const storageKey = ({ prefix, namespaced }: StoredKind, namespace: string, name: string): string =>
  namespaced ? `${prefix}${namespace}/${name}` : prefix + name;

/** Kept under another name than the one they are served with. */
const storedAs: Readonly<Record<string, GroupResource>> = {
  "events.k8s.io/events": { group: "", resource: "events" },
};

export interface ResourceTableSource {
  readonly groupVersions: readonly GroupVersion[];
  readonly resources: readonly ResourceFacts[];
  readonly kinds: readonly Kind[];
  typeOf(groupVersion: string, kind: string): TypeSchema | undefined;
}

/** A version of a group, and where discovery puts it. */
export interface GroupVersion {
  readonly group: string;
  readonly version: string;
  /** Higher ones first; upstream's groupPriorityMinimum. */
  readonly groupPriority: number;
  readonly versionPriority: number;
  /** From definitions, not built in. */
  readonly custom?: boolean;
  /** Served here only as long as nobody else does: its API service is anybody's to change. */
  readonly replaceable?: boolean;
}

/** All that is served. `generation` moves with every change, so that discovery documents can be kept. */
export class ResourceTable {
  readonly #resources = new Map<string, Resource>();
  readonly #stored = new Map<string, StoredKind>();
  readonly #groupVersions = new Map<string, GroupVersion>();
  readonly #listeners = new Set<(changed: GroupVersion) => void>();
  #generation = 0;

  get generation(): number {
    return this.#generation;
  }

  find(group: string, version: string, resource: string): Resource | undefined {
    return this.#resources.get(`${printGroupVersion(group, version)}/${resource}`);
  }

  /** By the object's own words, for owner references and the like. */
  findKind(apiVersion: string, kind: string): Resource | undefined {
    for (const resource of this.#resources.values()) {
      if (resource.groupVersion === apiVersion && resource.kind === kind) return resource;
    }
    return undefined;
  }

  /** In the order of discovery: groups by priority and name, versions by priority. The core group is among them. */
  groupVersions(): readonly GroupVersion[] {
    return [...this.#groupVersions.values()].sort(
      (a, b) =>
        b.groupPriority - a.groupPriority ||
        (a.group < b.group ? -1 : a.group > b.group ? 1 : 0) ||
        b.versionPriority - a.versionPriority ||
        compareVersions(a.version, b.version),
    );
  }

  /** `apps/v1`; undefined: not served here. */
  version(groupVersion: string): GroupVersion | undefined {
    return this.#groupVersions.get(groupVersion);
  }

  /** Told of versions that come and go. */
  listen(listener: (changed: GroupVersion) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  hasGroup(group: string): boolean {
    for (const each of this.#groupVersions.values()) if (each.group === group) return true;
    return false;
  }

  /** All its versions come from definitions. */
  isCustomGroup(group: string): boolean {
    for (const each of this.#groupVersions.values()) if (each.group === group && !each.custom) return false;
    return this.hasGroup(group);
  }

  hasVersion(group: string, version: string): boolean {
    return this.#groupVersions.has(printGroupVersion(group, version));
  }

  declare(groupVersion: GroupVersion): void {
    this.#groupVersions.set(printGroupVersion(groupVersion.group, groupVersion.version), groupVersion);
    this.#generation++;
    for (const listener of this.#listeners) listener(groupVersion);
  }

  withdraw(group: string, version: string): void {
    const key = printGroupVersion(group, version);
    const gone = this.#groupVersions.get(key);
    if (!gone) return;
    this.#groupVersions.delete(key);
    this.#generation++;
    for (const listener of this.#listeners) listener(gone);
  }

  /** The stored kind of a group and plural, whatever the version. */
  stored(group: string, resource: string): StoredKind | undefined {
    return this.#stored.get(routeOf({ group, resource }));
  }

  all(): Iterable<Resource> {
    return this.#resources.values();
  }

  add(resource: Resource): void {
    this.#resources.set(`${resource.groupVersion}/${resource.resource}`, resource);
    if (resource.stored) this.#stored.set(routeOf(resource.stored), resource.stored);
    this.#generation++;
  }

  remove({ groupVersion, resource }: Pick<Resource, "groupVersion" | "resource">): void {
    const found = this.#resources.get(`${groupVersion}/${resource}`);
    if (!found) return;
    this.#resources.delete(`${groupVersion}/${resource}`);
    const { stored } = found;
    if (stored && this.#stored.get(routeOf(stored)) === stored) {
      // Versions of a custom kind are kinds of their own.
      const other = [...this.#resources.values()].find((each) => each.stored?.prefix === stored.prefix);
      if (other?.stored) this.#stored.set(routeOf(stored), other.stored);
      else this.#stored.delete(routeOf(stored));
    }
    this.#generation++;
  }
}

/** The built-in resources of the facts, with the behaviour of their kinds. */
export function builtInResources({ groupVersions, resources, kinds, typeOf }: ResourceTableSource): ResourceTable {
  const table = new ResourceTable();
  for (const each of groupVersions) table.declare(each);
  const behaviours = new Map(kinds.map((kind) => [routeOf(kind), kind]));
  const storedKinds = new Map<string, StoredKind>();
  const storedKindOf = (facts: ResourceFacts): StoredKind | undefined => {
    // Component statuses are made up, and yet shown like objects.
    if (!facts.verbs.includes("get") || !(facts.verbs.includes("create") || facts.verbs.includes("list")))
      return undefined;
    const route = `${facts.group === "" ? "" : `${facts.group}/`}${facts.plural}`;
    const alias = storedAs[route];
    const at = alias ?? { group: facts.group, resource: facts.plural };
    let stored = storedKinds.get(routeOf(at));
    if (!stored) {
      const behaviour = behaviours.get(routeOf(at)) ?? plainKind(at, facts);
      const apiVersion = printGroupVersion(at.group, behaviour.storageVersion);
      stored = {
        ...at,
        kind: facts.kind,
        listKind: facts.listKind,
        version: behaviour.storageVersion,
        apiVersion,
        namespaced: facts.namespaced,
        prefix: `${keyPrefix}${routeOf(at)}/`,
        head: headOf(facts.kind, apiVersion),
        behaviour,
        schema: typeOf(apiVersion, facts.kind) ?? anyType(facts.kind),
      };
      storedKinds.set(routeOf(at), stored);
    }
    return stored;
  };
  for (const facts of resources) {
    const stored = storedKindOf(facts);
    const convert = stored?.behaviour.convert;
    const { group, version, groupVersion, plural, kind, listKind, singular, namespaced, verbs } = facts;
    const { shortNames, categories, subresources } = facts;
    table.add({
      group,
      version,
      groupVersion,
      resource: plural,
      singular,
      kind,
      listKind,
      namespaced,
      verbs,
      shortNames,
      categories,
      subresources,
      schema: typeOf(groupVersion, kind) ?? anyType(kind),
      head: Buffer.from(headOf(kind, groupVersion)),
      stored,
      itemsHaveKind: false,
      conversion:
        stored && convert && stored.apiVersion !== groupVersion
          ? {
              toStored: (object) => convert.toStorage(object, version),
              fromStored: (object) => convert.fromStorage(object, version),
            }
          : undefined,
    });
  }
  return table;
}

/** Facts name a type for everything they list; this only keeps an unknown one from breaking the start. */
const anyType = (name: string): TypeSchema => ({ name, fields: new Map(), atomic: false, preserveUnknown: true });
