/** Which objects a list or a watch is about. Compiled once; asked for every object and event. */
import { everyFieldSelector, everythingSelector, type FieldMatcher, type LabelMatcher } from "#machinery";
import type { StoredKind } from "../resource.ts";
import type { StoredObject } from "./stored-object.ts";

/** Fields with an index of their own: every kubelet asks for its pods all the time. */
const indexedFields: Readonly<Record<string, string>> = { "/pods": "spec.nodeName" };

export const indexedFieldOf = ({ group, resource }: StoredKind): string | undefined =>
  indexedFields[`${group}/${resource}`];

export interface SelectionOptions {
  readonly kind: StoredKind;
  /** "": all. */
  readonly namespace: string;
  /** A single object: `/watch/…/name`. */
  readonly name?: string;
  readonly labels?: LabelMatcher;
  readonly fields?: FieldMatcher;
}

export class Selection {
  /** Where keys of the namespace start; "" without a namespace. */
  readonly keyPrefix: string;
  /** The only key that can match. */
  readonly exactKey: string | undefined;
  /** The only value of the kind's indexed field that can match. */
  readonly indexValue: string | undefined;
  readonly #labels: LabelMatcher | undefined;
  readonly #fields: FieldMatcher | undefined;

  constructor({ kind, namespace, name, labels = everythingSelector, fields = everyFieldSelector }: SelectionOptions) {
    const scope = kind.namespaced ? namespace || fields.exactValue("metadata.namespace") || "" : "";
    const only = name ?? fields.exactValue("metadata.name");
    this.keyPrefix = scope === "" ? "" : `${scope}/`;
    this.exactKey = only === undefined || (kind.namespaced && scope === "") ? undefined : this.keyPrefix + only;
    const indexed = indexedFieldOf(kind);
    this.indexValue = indexed === undefined ? undefined : fields.exactValue(indexed);
    this.#labels = labels.everything ? undefined : labels;
    this.#fields = fields.everything ? undefined : fields;
  }

  /** Every object under `keyPrefix` matches. */
  get everything(): boolean {
    return this.exactKey === undefined && !this.#labels && !this.#fields;
  }

  matches(object: StoredObject): boolean {
    if (this.exactKey !== undefined ? object.key !== this.exactKey : !object.key.startsWith(this.keyPrefix))
      return false;
    if (this.#labels && !this.#labels.matches(object.labels())) return false;
    return this.#fields === undefined || this.#fields.matches((field) => object.field(field) ?? "");
  }
}
