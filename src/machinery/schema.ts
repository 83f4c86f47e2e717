/**
 * The shape of a type as machinery needs it: enough to decode strictly, to prune, to patch, to merge and to encode.
 * Built-in types come from the API facts, custom ones from their CustomResourceDefinition; nothing here knows a kind.
 */
export type ValueSchema =
  | { readonly kind: "string"; readonly format?: string }
  | { readonly kind: "integer"; readonly bits: 32 | 64 }
  | { readonly kind: "number" }
  | { readonly kind: "boolean" }
  /** base64 text on the wire. */
  | { readonly kind: "bytes" }
  /** RFC 3339; `micro` has six digits of a second. */
  | { readonly kind: "time"; readonly micro: boolean }
  | { readonly kind: "quantity" }
  | { readonly kind: "int-or-string" }
  | { readonly kind: "map"; readonly values: ValueSchema }
  | ListSchema
  | { readonly kind: "object"; readonly type: TypeSchema }
  /** Any JSON: RawExtension, JSONSchemaProps defaults, managed fields' FieldsV1. */
  | { readonly kind: "any" };

export interface ListSchema {
  readonly kind: "list";
  readonly items: ValueSchema;
  /** For server-side apply; `atomic` when the facts say nothing. */
  readonly listType: "atomic" | "set" | "map";
  readonly mapKeys: readonly string[];
}

export interface FieldSchema {
  readonly name: string;
  readonly value: ValueSchema;
  readonly required: boolean;
  /** Field number in the .proto file; 0 where the type has no protobuf form. */
  readonly number: number;
  /** Strategic merge patch: `merge`, `replace`, `retainKeys` or several. */
  readonly patchStrategy: readonly ("merge" | "replace" | "retainKeys")[];
  readonly patchMergeKey?: string;
  /** `x-kubernetes-map-type: atomic` on an object or map field. */
  readonly atomic: boolean;
  readonly default?: unknown;
}

export interface TypeSchema {
  /** Unique, e.g. `io.k8s.api.core.v1.PodSpec`. */
  readonly name: string;
  readonly fields: ReadonlyMap<string, FieldSchema>;
  /** `x-kubernetes-map-type: atomic` on the type itself. */
  readonly atomic: boolean;
  /** Keep fields that are not listed (custom resources with preserve-unknown-fields). */
  readonly preserveUnknown: boolean;
}
