/**
 * Field paths and field errors: what validation returns and what becomes `details.causes` of a 422.
 * Paths are linked nodes that are printed only when there is an error, because most objects are valid.
 * Follows apimachinery's util/validation/field: types, wording and the way values are printed.
 */
export class FieldPath {
  readonly #parent: FieldPath | undefined;
  readonly #part: string;

  private constructor(parent: FieldPath | undefined, part: string) {
    this.#parent = parent;
    this.#part = part;
  }

  static root(name: string): FieldPath {
    return new FieldPath(undefined, name);
  }

  child(...names: string[]): FieldPath {
    let path: FieldPath = this;
    for (const name of names) path = new FieldPath(path, `.${name}`);
    return path;
  }

  index(position: number): FieldPath {
    return new FieldPath(this, `[${position}]`);
  }

  key(key: string): FieldPath {
    return new FieldPath(this, `[${key}]`);
  }

  toString(): string {
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
  | "FieldValueTooMany"
  | "FieldValueTypeInvalid"
  | "InternalError";

export interface FieldError {
  readonly reason: FieldErrorReason;
  readonly field: string;
  /** Without the field: what a cause shows. */
  readonly message: string;
}

const make = (reason: FieldErrorReason, path: FieldPath | string, message: string): FieldError => ({
  reason,
  field: path.toString(),
  message,
});

/** Constructors named after upstream's; `value` is printed as Go prints it. */
export const fieldError = {
  required: (path: FieldPath, detail = "") => make("FieldValueRequired", path, join("Required value", detail)),
  invalid: (path: FieldPath, value: unknown, detail: string) =>
    make("FieldValueInvalid", path, join(`Invalid value: ${printValue(value)}`, detail)),
  typeInvalid: (path: FieldPath, value: unknown, detail: string) =>
    make("FieldValueTypeInvalid", path, join(`Invalid value: ${printValue(value)}`, detail)),
  forbidden: (path: FieldPath, detail: string) => make("FieldValueForbidden", path, join("Forbidden", detail)),
  duplicate: (path: FieldPath, value: unknown) =>
    make("FieldValueDuplicate", path, `Duplicate value: ${printValue(value)}`),
  notFound: (path: FieldPath, value: unknown) => make("FieldValueNotFound", path, `Not found: ${printValue(value)}`),
  notSupported: (path: FieldPath, value: unknown, supported: readonly string[]) =>
    make(
      "FieldValueNotSupported",
      path,
      join(
        `Unsupported value: ${printValue(value)}`,
        supported.length > 0 ? `supported values: ${supported.map((each) => JSON.stringify(each)).join(", ")}` : "",
      ),
    ),
  tooLong: (path: FieldPath, bytesMax: number) =>
    make("FieldValueTooLong", path, `Too long: may not be more than ${bytesMax} bytes`),
  tooMany: (path: FieldPath, count: number, countMax: number) =>
    make("FieldValueTooMany", path, `Too many: ${count}: must have at most ${countMax} items`),
  internal: (path: FieldPath, detail: string) => make("InternalError", path, `Internal error: ${detail}`),
};

function join(head: string, detail: string): string {
  return detail === "" ? head : `${head}: ${detail}`;
}

/** A value as Go's field errors print it: strings quoted, null for nil, objects and lists as JSON. */
export function printValue(value: unknown): string {
  if (value === undefined || value === null) return "null";
  return typeof value === "object" || typeof value === "string" ? JSON.stringify(value) : String(value);
}
