/**
 * The schema of one version at work: what an object of it is after decoding, and whether it is valid. Read from the stored definition
 * when first needed.
 */
import {
  applyDefaults,
  checkListTypes,
  coerceEmbedded,
  coerceMetadata,
  Correlated,
  hasRules,
  dropNulls,
  isDecodeFailure,
  type JsonSchema,
  loadEngines,
  propertyOf,
  pruneDefaults,
  pruneObject,
  rulesInSteps,
  validateEmbedded,
  validateInSteps,
} from "#api";
import { atOnce, inTurns } from "#base";
import {
  cloneJson,
  DecodeError,
  type DeepReadonly,
  type FieldError,
  FieldPath,
  fieldError,
  jsonEqual,
  type KubernetesObject,
  type TypeSchema,
} from "#machinery";
import { objectType } from "./type-schema.ts";

type Json = Record<string, unknown>;

export class CustomSchema {
  readonly #name: string;
  /** As the definition has it, read anew each time. */
  readonly published: () => JsonSchema | undefined;
  /** The old way of keeping all unknown fields. */
  readonly preserve: boolean;
  #read: (() => JsonSchema) | undefined;
  #schema: JsonSchema | undefined;
  #type: TypeSchema | undefined;
  readonly #warnings = new WeakMap<KubernetesObject, readonly string[]>();
  readonly #checked = new WeakMap<KubernetesObject, Checked>();

  constructor(name: string, read: () => JsonSchema | undefined, preserve: boolean) {
    this.#name = name;
    this.published = read;
    this.preserve = preserve;
    this.#read = () => {
      const schema = read() ?? { type: "object", "x-kubernetes-preserve-unknown-fields": true };
      pruneDefaults(schema);
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
    return loadEngines(this.json);
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

  /** What was stored in this version, as today's definition has it; the same object if that is how it is. */
  refreshed(object: DeepReadonly<KubernetesObject>): DeepReadonly<KubernetesObject> {
    const copy = cloneJson(object) as KubernetesObject;
    pruneObject(copy as Json, this.json);
    dropNulls(copy, this.json);
    applyDefaults(copy, this.json);
    if (copy.metadata && !copy.metadata.generation) copy.metadata.generation = 1;
    return jsonEqual(copy, object) ? object : copy;
  }

  /** Does what `validate` would do at once, as far as it takes long. */
  beforeValidate(object: KubernetesObject, checking: Checking): Promise<void> | undefined {
    const keep = (errors: FieldError[]): void => {
      this.#checked.set(object, { ...checking, errors });
    };
    const errors = inTurns(this.#check(object, checking));
    if (errors instanceof Promise) return errors.then(keep);
    keep(errors);
    return undefined;
  }

  validate(object: KubernetesObject, checking: Checking): FieldError[] {
    const checked = this.#checked.get(object);
    this.#checked.delete(object);
    if (checked && checked.old === checking.old && checked.part === checking.part) return checked.errors;
    return atOnce(this.#check(object, checking));
  }

  *#check(object: KubernetesObject, { old, part, more }: Checking): Generator<void, FieldError[]> {
    const both = old && new Correlated(object, old, this.json);
    const values =
      part === "status" ? this.#statusErrors(object, both) : validateInSteps(object, this.json, { old: both });
    const errors = [...(yield* values)];
    yield;
    errors.push(...more(object));
    // Only its status is held to the schema, all of it to rules.
    if (part === "all") errors.push(...validateEmbedded(object as Json, this.json));
    yield;
    errors.push(...this.#listErrors(object, old));
    if (!hasRules(this.json)) return errors;
    if (errors.some(({ reason }) => blocking.has(reason))) return [...errors, unchecked];
    const subject = { value: object, old: both?.old, root: true, correlated: both };
    const found = yield* rulesInSteps(this.json, subject);
    if (found.warnings.length > 0) this.#warnings.set(object, found.warnings);
    return [...errors, ...found.errors];
  }

  *#statusErrors(object: KubernetesObject, both: Correlated | undefined): Generator<void, readonly FieldError[]> {
    const { status } = object as Json;
    const schema = propertyOf(this.json, "status");
    if (status === undefined || !schema) return [];
    return yield* validateInSteps(status, schema, { at: FieldPath.root("status"), old: both?.key("status") });
  }

  /** What was wrong before an update and still is, as far as it is only told. Once for each object. */
  takeWarnings(object: KubernetesObject): readonly string[] {
    const warnings = this.#warnings.get(object) ?? [];
    this.#warnings.delete(object);
    return warnings;
  }

  /** What an object already did wrong isn't held against its update. */
  #listErrors(object: KubernetesObject, old: KubernetesObject | undefined): FieldError[] {
    const errors = checkListTypes(object as Json, this.json);
    return errors.length > 0 && old && checkListTypes(old as Json, this.json).length > 0 ? [] : errors;
  }
}

/** Rules may count on types, required fields and bounds. */
const blocking = new Set([
  "FieldValueNotSupported",
  "FieldValueRequired",
  "FieldValueTooLong",
  "FieldValueTooMany",
  "FieldValueTypeInvalid",
]);
const unchecked = fieldError.invalid(
  FieldPath.none,
  null,
  "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
);

interface Checking {
  readonly old: KubernetesObject | undefined;
  readonly part: "all" | "status";
  /** What others find, told between what the schema says and what lists are. */
  more(object: KubernetesObject): readonly FieldError[];
}

interface Checked extends Checking {
  readonly errors: FieldError[];
}

function decodeMetadata(object: Json): string[] {
  try {
    return coerceMetadata(object, "");
  } catch (error) {
    throw isDecodeFailure(error) ? new DecodeError(error.message) : error;
  }
}
