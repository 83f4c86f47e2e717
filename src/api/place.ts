/**
 * Validation's walk through an object: a place knows its path and where errors go. The path is a chain of parts that is printed
 * only when something is wrong, so a valid object costs one small allocation for each level that is visited.
 * Rejected: lists of errors that are concatenated on the way up, as upstream does; most objects have none.
 */
import { type FieldError, fieldError } from "#machinery";

export class Place {
  readonly errors: FieldError[];
  readonly #parent: Place | undefined;
  readonly #part: string | number;

  private constructor(parent: Place | undefined, part: string | number, errors: FieldError[]) {
    this.#parent = parent;
    this.#part = part;
    this.errors = errors;
  }

  /** A walk of its own that starts at a field of the object, e.g. "spec". */
  static root(name: string, errors: FieldError[] = []): Place {
    return new Place(undefined, name, errors);
  }

  child(name: string): Place {
    return new Place(this, `.${name}`, this.errors);
  }

  index(position: number): Place {
    return new Place(this, position, this.errors);
  }

  key(key: string): Place {
    return new Place(this, `[${key}]`, this.errors);
  }

  toString(): string {
    const part = typeof this.#part === "number" ? `[${this.#part}]` : this.#part;
    return this.#parent ? `${this.#parent}${part}` : part;
  }

  required(detail = ""): void {
    this.errors.push(fieldError.required(this, detail));
  }

  invalid(value: unknown, detail: string): void {
    this.errors.push(fieldError.invalid(this, value, detail));
  }

  /** One error for each message of a format check. */
  invalidEach(value: unknown, messages: readonly string[]): void {
    for (const message of messages) this.invalid(value, message);
  }

  forbidden(detail: string): void {
    this.errors.push(fieldError.forbidden(this, detail));
  }

  notSupported(value: unknown, supported: readonly string[]): void {
    this.errors.push(fieldError.notSupported(this, value, supported));
  }

  duplicate(value: unknown, detail = ""): void {
    this.#add(fieldError.duplicate(this, value), detail);
  }

  notFound(value: unknown, detail = ""): void {
    this.#add(fieldError.notFound(this, value), detail);
  }

  tooLong(bytesMax: number): void {
    this.errors.push(fieldError.tooLong(this, bytesMax));
  }

  tooMany(count: number, countMax: number): void {
    this.errors.push(fieldError.tooMany(this, count, countMax));
  }

  internal(detail: string): void {
    this.errors.push(fieldError.internal(this, detail));
  }

  #add(error: FieldError, detail: string): void {
    this.errors.push(detail === "" ? error : { ...error, message: `${error.message}: ${detail}` });
  }
}
