/** The custom kinds in the table of resources. A kind whose definition changed in a way that matters is made anew, its watches end. */
import type { CustomResourceDefinition, CustomResourceDefinitionNames } from "#api";
import type { DeepReadonly } from "#machinery";
import type { StoredObject } from "../cache/stored-object.ts";
import type { RegistryCore } from "../registry/core.ts";
import { printGroupVersion } from "../resource.ts";
import type { ConversionWebhooks } from "./conversion-webhook.ts";
import { type CustomKind, customKind, type DefinitionSource, terminating } from "./resources.ts";

type Definition = DeepReadonly<CustomResourceDefinition>;
type Names = DeepReadonly<CustomResourceDefinitionNames>;

interface Installed {
  /** Changes when the kind has to be made anew. */
  readonly mark: string;
  readonly kind: CustomKind;
  readonly source: DefinitionSource;
}

/** Of all custom groups, as upstream registers them; versions of one group go by their names. */
const groupPriority = 1_000;
const versionPriority = 100;

export class InstalledKinds {
  readonly #core: RegistryCore;
  readonly #webhooks: ConversionWebhooks;
  readonly #installed = new Map<string, Installed>();
  /** By `group/version`: how many kinds it has. Versions of built-in groups aren't counted. */
  readonly #versions = new Map<string, number>();

  constructor(core: RegistryCore, webhooks: ConversionWebhooks) {
    this.#core = core;
    this.#webhooks = webhooks;
  }

  names(): Iterable<string> {
    return this.#installed.keys();
  }

  put(object: StoredObject, definition: Definition, names: Names): void {
    const mark = `${definition.metadata.uid} ${definition.metadata.generation} ${JSON.stringify(names)}`;
    const found = this.#installed.get(object.name);
    if (found?.mark === mark) {
      found.source.object = object;
      return;
    }
    if (this.overlapsBuiltIn(definition)) return;
    this.remove(object.name);
    const source = { object };
    const kind = customKind(source, names, this.#webhooks);
    this.#installed.set(object.name, { mark, kind, source });
    this.#serve(kind);
  }

  /** A built-in kind lives at that place: the definition is never served, and its objects aren't its own. */
  overlapsBuiltIn({ metadata, spec }: Definition): boolean {
    const { name = "" } = metadata;
    return !this.#installed.has(name) && this.#core.table.stored(spec.group, spec.names.plural) !== undefined;
  }

  /** What is served while the objects go; made if this server never knew it. */
  terminate(object: StoredObject, definition: Definition): CustomKind {
    const names = definition.status?.acceptedNames ?? definition.spec.names;
    if (!this.#installed.has(object.name)) this.put(object, definition, names);
    const found = this.#installed.get(object.name);
    if (!found) return customKind({ object }, names, this.#webhooks);
    if (found.mark === "terminating") return found.kind;
    const kind = terminating(found.kind);
    this.#installed.set(object.name, { ...found, mark: "terminating", kind });
    for (const resource of kind.served) this.#core.table.add(resource);
    return kind;
  }

  remove(name: string): void {
    const found = this.#installed.get(name);
    if (!found) return;
    this.#installed.delete(name);
    const { table, storage } = this.#core;
    for (const resource of found.kind.served) {
      table.remove(resource);
      const { group, version, groupVersion } = resource;
      const count = this.#versions.get(groupVersion);
      if (count === undefined) continue;
      if (count > 1) this.#versions.set(groupVersion, count - 1);
      else {
        this.#versions.delete(groupVersion);
        table.withdraw(group, version);
      }
    }
    for (const stored of found.kind.stored) storage.caches.drop(stored);
  }

  #serve({ served, storage }: CustomKind): void {
    const { table } = this.#core;
    for (const { group, version } of served) {
      const key = printGroupVersion(group, version);
      const count = this.#versions.get(key);
      if (count === undefined && table.hasVersion(group, version)) continue;
      this.#versions.set(key, (count ?? 0) + 1);
      if (count === undefined) {
        table.declare({ group, version, groupPriority, versionPriority, custom: true });
      }
    }
    // The stored version last: it is the one the table names for the kind.
    for (const resource of served) if (resource !== storage) table.add(resource);
    if (served.includes(storage)) table.add(storage);
  }
}
