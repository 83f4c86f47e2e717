/**
 * One revision of one object, as its encoded bytes. Answers are made by copying bytes; a decoded view exists only while someone uses it.
 * Stored bytes don't know their own revision (the store assigns it), so resourceVersion is spliced in once, here, right after the uid.
 */
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { StoredKind } from "../resource.ts";
import type { DecodedPool } from "./decoded-pool.ts";

export class StoredObject {
  readonly kind: StoredKind;
  /** `namespace/name`, or `name` for cluster-scoped kinds: the order of lists. */
  readonly key: string;
  readonly revision: number;
  /** All behind the head: `"metadata":{…},"spec":{…}}`, resourceVersion included. Never changed. */
  readonly body: Buffer;
  /** What is stored would look otherwise if it were written today: an update writes it even if it changes nothing. */
  readonly outdated: boolean;
  readonly #pool: DecodedPool;
  #decoded: DeepReadonly<KubernetesObject> | WeakRef<DeepReadonly<KubernetesObject>> | undefined;
  #slim: WeakRef<DeepReadonly<KubernetesObject>> | undefined;
  #labels: Readonly<Record<string, string>> | undefined;
  #fields: Readonly<Record<string, string>> | undefined;

  constructor(options: StoredObjectOptions) {
    this.kind = options.kind;
    this.key = options.key;
    this.revision = options.revision;
    this.body = options.body;
    this.outdated = options.outdated === true;
    this.#pool = options.pool;
    if (options.decoded) {
      this.#hold(options.decoded);
      this.extract();
    }
  }

  get name(): string {
    return this.key.slice(this.key.indexOf("/") + 1);
  }

  get namespace(): string {
    return this.kind.namespaced ? this.key.slice(0, this.key.indexOf("/")) : "";
  }

  /** The object in its stored version. Shared by everyone who asks: read-only. */
  decoded(): DeepReadonly<KubernetesObject> {
    const held = this.#decoded;
    if (held !== undefined) {
      if (!(held instanceof WeakRef)) return held;
      const alive = held.deref();
      if (alive) return alive;
    }
    const object: DeepReadonly<KubernetesObject> = this.parse();
    this.#hold(object);
    return object;
  }

  /** The same without `managedFields`, for caches in this process; shared and read-only, too. They go with the decoded view. */
  slim(): DeepReadonly<KubernetesObject> {
    const held = this.#slim?.deref();
    if (held) return held;
    const object = this.decoded();
    const { managedFields: _owners, ...metadata } = object.metadata ?? {};
    const slim = { ...object, metadata };
    this.#slim = new WeakRef(slim);
    return slim;
  }

  /** The same for one look: a cold object is decoded and not kept. Read-only. */
  glance(): DeepReadonly<KubernetesObject> {
    return (this.#decoded instanceof WeakRef ? this.#decoded.deref() : this.#decoded) ?? this.parse();
  }

  /** A copy that the caller may change. */
  parse(): KubernetesObject {
    return JSON.parse(this.kind.head + this.body.toString("utf8"));
  }

  labels(): Readonly<Record<string, string>> {
    if (this.#labels === undefined) this.extract();
    return this.#labels ?? noLabels;
  }

  /** A selectable field as text; undefined: the kind has no such field. */
  field(name: string): string | undefined {
    if (name === "metadata.name") return this.name;
    if (name === "metadata.namespace") return this.namespace;
    if (this.#fields === undefined) this.extract();
    return this.#fields?.[name];
  }

  /** Lets the decoded view go as soon as nobody else holds it. */
  release(): void {
    if (this.#decoded !== undefined && !(this.#decoded instanceof WeakRef)) this.#decoded = new WeakRef(this.#decoded);
  }

  /**
   * Keeps what selectors look at. Done when an object comes in, so that the first selector over thousands of them needn't decode them all;
   * a cold object is decoded for it once and let go.
   */
  extract(): void {
    // Kinds are asked with their own type; what is stored is of that type.
    const object = this.glance() as KubernetesObject;
    this.#labels = object.metadata?.labels ?? noLabels;
    this.#fields = this.kind.behaviour.selectableFields?.(object) ?? noLabels;
  }

  #hold(object: DeepReadonly<KubernetesObject>): void {
    this.#decoded = object;
    this.#pool.add(this);
  }
}

const noLabels: Readonly<Record<string, string>> = Object.freeze({});

export interface StoredObjectOptions {
  readonly kind: StoredKind;
  readonly key: string;
  readonly revision: number;
  readonly body: Buffer;
  readonly pool: DecodedPool;
  /** If someone has it at hand. Nobody may change it any more. */
  readonly decoded?: DeepReadonly<KubernetesObject> | undefined;
  readonly outdated?: boolean;
}
