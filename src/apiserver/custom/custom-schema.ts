/**
 * The schema of one version at work: what an object of it is after decoding, and whether it is valid. Read from the stored definition
 * when first needed.
 */
import {
  applyDefaults,
  checkListTypes,
  coerceEmbedded,
  coerceMetadata,
  dropNulls,
  isDecodeFailure,
  type JsonSchema,
  loadPatterns,
  pruneObject,
  validateEmbedded,
  validateValue,
} from "#api";
import { DecodeError, type FieldError, type KubernetesObject, type TypeSchema } from "#machinery";
import { objectType } from "./type-schema.ts";

type Json = Record<string, unknown>;

export class CustomSchema {
  readonly #name: string;
  #read: (() => JsonSchema) | undefined;
  #schema: JsonSchema | undefined;
  #type: TypeSchema | undefined;

  /** `preserve`: the old way of keeping all unknown fields. */
  constructor(name: string, read: () => JsonSchema | undefined, preserve: boolean) {
    this.#name = name;
    this.#read = () => {
      const schema = read() ?? { type: "object", "x-kubernetes-preserve-unknown-fields": true };
      return preserve ? { ...schema, "x-kubernetes-preserve-unknown-fields": true } : schema;
    };
  }

  get json(): JsonSchema {
    if (this.#read) {
      this.#schema = this.#read();
      this.#read = undefined;
    }
    return this.#schema!; // read above
  }

  get type(): TypeSchema {
    this.#type ??= objectType(this.json, this.#name);
    return this.#type;
  }

  /** Before `validate`. */
  load(): Promise<void> | undefined {
    return loadPatterns(this.json);
  }

  /** Unknown fields go, metadata is decoded. Changes the object, answers what went. Throws DecodeError. */
  coerce(object: KubernetesObject): string[] {
    const json = object as Json;
    const unknown = decodeMetadata(json);
    unknown.push(...pruneObject(json, this.json));
    dropNulls(json, this.json);
    const embedded = coerceEmbedded(json, this.json);
    if (embedded.error) throw new DecodeError(`${embedded.error.field}: ${embedded.error.message}`);
    return [...unknown, ...embedded.unknown];
  }

  applyDefaults(object: KubernetesObject): void {
    applyDefaults(object, this.json);
  }

  /** For what another version's schema let through. */
  prune(object: KubernetesObject): void {
    pruneObject(object as Json, this.json);
    dropNulls(object, this.json);
  }

  validate(object: KubernetesObject, old?: KubernetesObject): FieldError[] {
    return [...validateValue(object, this.json, { old })];
  }

  validateParts(object: KubernetesObject, old?: KubernetesObject): FieldError[] {
    const json = object as Json;
    const errors = validateEmbedded(json, this.json);
    // What an object already did wrong isn't held against its update.
    if (old && checkListTypes(old as Json, this.json).length > 0) return errors;
    return [...errors, ...checkListTypes(json, this.json)];
  }
}

function decodeMetadata(object: Json): string[] {
  try {
    return coerceMetadata(object, "");
  } catch (error) {
    throw isDecodeFailure(error) ? new DecodeError(error.message) : error;
  }
}
