/**
 * The shape of a type as machinery needs it: enough to decode strictly, to prune, to patch, to merge and to encode.
 * Built-in types come from the API facts, custom ones from their CustomResourceDefinition; nothing here knows a kind.
 */
export type ValueSchema =
  | { readonly kind: "string"; readonly format?: string }
  /** A name on our side, its number in protobuf (CRI; Kubernetes has none). */
  | { readonly kind: "enum"; readonly numbers: ReadonlyMap<string, number> }
  | { readonly kind: "integer"; readonly bits: 32 | 64; readonly unsigned?: boolean }
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
  | AnySchema;

/**
 * `form` says what it is where it isn't anything at all: a JSONSchemaProps or a list of them, a boolean or strings.
 * In protobuf each has a message of its own; `raw` is one with the JSON text in field 1.
 */
export type AnySchema =
  | { readonly kind: "any"; readonly form?: "raw" }
  | {
      readonly kind: "any";
      readonly form: "schema-or-list" | "schema-or-bool" | "schema-or-strings";
      readonly type: TypeSchema;
    };

export interface ListSchema {
  readonly kind: "list";
  readonly items: ValueSchema;
  /** For server-side apply; `atomic` when the facts say nothing. */
  readonly listType: "atomic" | "set" | "map";
  readonly mapKeys: readonly string[];
  /** A list type with a name of its own (ExtraValue): protobuf wraps it in a message with `items = 1`. */
  readonly wrapped?: boolean;
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
  /** `x-kubernetes-map-type: granular`: owned field by field here, though its type is atomic elsewhere. */
  readonly granular?: boolean;
  readonly default?: unknown;
  /**
   * What an unset field is, for types that Go declares; without it `unset`.
   * `unset`: absence and zero differ (a pointer in Go). `omitted`: zero is not printed, so it is the same as absence.
   * `null`: as `unset`, and upstream prints absence as `null`.
   * `printed`: absence is the same as zero, and upstream prints it: `""`, `0`, `false`, `{}`, `null` for lists and times.
   */
  readonly zero?: "unset" | "null" | "omitted" | "printed";
  /** The field belongs to this embedded message of the type: `TypeSchema.embedded`. */
  readonly embedded?: number;
}

export interface TypeSchema {
  /** Unique, e.g. `io.k8s.api.core.v1.PodSpec`. */
  readonly name: string;
  readonly fields: ReadonlyMap<string, FieldSchema>;
  /** Structs that Go embeds: flat in JSON (their fields are also in `fields`), a message with this number in protobuf. */
  readonly embedded?: readonly { readonly number: number; readonly type: TypeSchema }[];
  /** `x-kubernetes-map-type: atomic` on the type itself. */
  readonly atomic: boolean;
  /** Keep fields that are not listed (custom resources with preserve-unknown-fields). */
  readonly preserveUnknown: boolean;
}
