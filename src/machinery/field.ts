/**
 * Field paths and field errors: what validation returns and what becomes `details.causes` of a 422.
 * Paths are linked nodes that are printed only when there is an error, because most objects are valid.
 * Follows apimachinery's util/validation/field of 1.36: types, wording and the way values are printed.
 */
import { goJson, goNumber, goQuote } from "./go-text.ts";

export class FieldPath {
  readonly #parent: FieldPath | undefined;
  readonly #part: string;

  private constructor(parent: FieldPath | undefined, part: string) {
    this.#parent = parent;
    this.#part = part;
  }

  /** No path yet: the first child is the root. Upstream prints it `<nil>`. */
  static readonly none: FieldPath = new FieldPath(undefined, "");

  static root(name: string): FieldPath {
    return new FieldPath(undefined, name);
  }

  child(...names: string[]): FieldPath {
    let path: FieldPath = this;
    for (const name of names) {
      path = path === FieldPath.none ? new FieldPath(undefined, name) : new FieldPath(path, `.${name}`);
    }
    return path;
  }

  index(position: number): FieldPath {
    return new FieldPath(this, `[${position}]`);
  }

  key(key: string): FieldPath {
    return new FieldPath(this, `[${key}]`);
  }

  toString(): string {
    if (this === FieldPath.none) return "<nil>";
    let text = this.#part;
    for (let path = this.#parent; path; path = path.#parent) text = path.#part + text;
    return text;
  }
}

export type FieldErrorReason =
  | "FieldValueNotFound"
  | "FieldValueRequired"
  | "FieldValueDuplicate"
  | "FieldValueInvalid"
  | "FieldValueNotSupported"
  | "FieldValueForbidden"
  | "FieldValueTooLong"
  | "FieldValueTooShort"
  | "FieldValueTooMany"
  | "FieldValueTooFew"
  | "FieldValueTypeInvalid"
  | "InternalError";

export interface FieldError {
  readonly reason: FieldErrorReason;
  readonly field: string;
  /** Without the field: what a cause shows. */
  readonly message: string;
}

/** Whatever prints as a field's path: a FieldPath, or a validation's own walk. */
export interface PrintablePath {
  toString(): string;
}

const make = (reason: FieldErrorReason, path: PrintablePath, message: string): FieldError => ({
  reason,
  field: path.toString(),
  message,
});

/** Constructors named after upstream's; `value` is printed as Go prints it. */
export const fieldError = {
  required: (path: PrintablePath, detail = "") => make("FieldValueRequired", path, join("Required value", detail)),
  invalid: (path: PrintablePath, value: unknown, detail: string) =>
    make("FieldValueInvalid", path, join(`Invalid value: ${printValue(value)}`, detail)),
  typeInvalid: (path: PrintablePath, value: unknown, detail: string) =>
    make("FieldValueTypeInvalid", path, join(`Invalid value: ${printValue(value)}`, detail)),
  forbidden: (path: PrintablePath, detail: string) => make("FieldValueForbidden", path, join("Forbidden", detail)),
  duplicate: (path: PrintablePath, value: unknown) =>
    make("FieldValueDuplicate", path, `Duplicate value: ${printValue(value)}`),
  notFound: (path: PrintablePath, value: unknown) =>
    make("FieldValueNotFound", path, `Not found: ${printValue(value)}`),
  notSupported: (path: PrintablePath, value: unknown, supported: readonly string[]) =>
    make(
      "FieldValueNotSupported",
      path,
      join(
        `Unsupported value: ${printValue(value)}`,
        supported.length > 0 ? `supported values: ${supported.map(goQuote).join(", ")}` : "",
      ),
    ),
  tooLong: (path: PrintablePath, bytesMax: number) =>
    make("FieldValueTooLong", path, `Too long: may not be more than ${count(bytesMax, "byte")}`),
  tooLongCharacters: (path: PrintablePath, charactersMax: number) =>
    make("FieldValueTooLong", path, `Too long: may not be more than ${count(charactersMax, "character")}`),
  tooShort: (path: PrintablePath, charactersMin: number) =>
    make("FieldValueTooShort", path, `Too short: must be at least ${count(charactersMin, "character")}`),
  tooMany: (path: PrintablePath, have: number, countMax: number) =>
    make("FieldValueTooMany", path, `Too many: ${have}: must have at most ${count(countMax, "item")}`),
  tooFew: (path: PrintablePath, have: number, countMin: number) =>
    make("FieldValueTooFew", path, `Too few: ${have}: must have at least ${count(countMin, "item")}`),
  internal: (path: PrintablePath, detail: string) => make("InternalError", path, `Internal error: ${detail}`),
};

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function join(head: string, detail: string): string {
  return detail === "" ? head : `${head}: ${detail}`;
}

/** A value as Go's field errors print it: strings quoted, `null` for nil, objects and lists as JSON. */
export function printValue(value: unknown): string {
  if (typeof value === "string") return goQuote(value);
  if (typeof value === "number") return goNumber(value);
  return goJson(value);
}

/** Errors as one text, each once: `a: Required value`, or a list in brackets when there are several. */
export function printFieldErrors(errors: readonly FieldError[]): string {
  const texts = [...new Set(errors.map(({ field, message }) => `${field}: ${message}`))];
  return texts.length === 1 ? texts.join() : `[${texts.join(", ")}]`;
}
