/**
 * Validation's walk through an object: a place knows its path and where errors go. Paths are printed only when something is
 * wrong, so a valid object costs two small allocations for each level that is visited.
 * Rejected: lists of errors that are concatenated on the way up, as upstream does; most objects have none.
 */
import { type FieldError, FieldPath, fieldError, negativeMessage } from "#machinery";

export class Place {
  readonly path: FieldPath;
  readonly errors: FieldError[];

  private constructor(path: FieldPath, errors: FieldError[]) {
    this.path = path;
    this.errors = errors;
  }

  /** A walk of its own that starts at a field of the object, e.g. "spec". */
  static root(name: string, errors: FieldError[] = []): Place {
    return new Place(FieldPath.root(name), errors);
  }

  /** The object as a whole. Go prints a path without a name so. */
  static whole(errors: FieldError[] = []): Place {
    return Place.root("[]", errors);
  }

  child(name: string): Place {
    return new Place(this.path.child(name), this.errors);
  }

  index(position: number): Place {
    return new Place(this.path.index(position), this.errors);
  }

  key(key: string): Place {
    return new Place(this.path.key(key), this.errors);
  }

  toString(): string {
    return this.path.toString();
  }

  required(detail = ""): void {
    this.errors.push(fieldError.required(this.path, detail));
  }

  invalid(value: unknown, detail: string): void {
    this.errors.push(fieldError.invalid(this.path, value, detail));
  }

  /** Where upstream leaves the value out. */
  wrong(detail: string): void {
    this.errors.push({ reason: "FieldValueInvalid", field: this.toString(), message: `Invalid value: ${detail}` });
  }

  /** What a check of the machinery's found. */
  add(errors: readonly FieldError[]): void {
    for (const error of errors) this.errors.push(error);
  }

  /** One error for each message of a format check. */
  invalidEach(value: unknown, messages: readonly string[]): void {
    for (const message of messages) this.invalid(value, message);
  }

  /** Of a count; nothing is fine. */
  notNegative(value: number | undefined): void {
    if (value !== undefined && value < 0) this.invalid(value, negativeMessage);
  }

  forbidden(detail: string): void {
    this.errors.push(fieldError.forbidden(this.path, detail));
  }

  notSupported(value: unknown, supported: readonly string[]): void {
    this.errors.push(fieldError.notSupported(this.path, value, supported));
  }

  duplicate(value: unknown, detail = ""): void {
    this.#add(fieldError.duplicate(this.path, value), detail);
  }

  notFound(value: unknown, detail = ""): void {
    this.#add(fieldError.notFound(this.path, value), detail);
  }

  tooLong(bytesMax: number): void {
    this.errors.push(fieldError.tooLong(this.path, bytesMax));
  }

  tooMany(count: number, countMax: number): void {
    this.errors.push(fieldError.tooMany(this.path, count, countMax));
  }

  internal(detail: string): void {
    this.errors.push(fieldError.internal(this.path, detail));
  }

  #add(error: FieldError, detail: string): void {
    this.errors.push(detail === "" ? error : { ...error, message: `${error.message}: ${detail}` });
  }
}
