/** Query parameters as Go reads them: the first value counts, booleans by strconv, unknown ones are ignored. */

export class Query {
  readonly #values: URLSearchParams | undefined;

  constructor(text: string) {
    // Most requests have none: no object for them.
    this.#values = text === "" ? undefined : new URLSearchParams(text);
  }

  get(name: string): string {
    return this.#values?.get(name) ?? "";
  }

  has(name: string): boolean {
    return this.#values?.has(name) ?? false;
  }

  all(name: string): string[] {
    return this.#values?.getAll(name) ?? [];
  }

  /** Anything but an explicit no is a yes when the parameter is there. */
  boolean(name: string): boolean {
    if (!this.#values?.has(name)) return false;
    return !/^(0|false)$/i.test(this.get(name));
  }

  optionalBoolean(name: string): boolean | undefined {
    return this.has(name) ? this.boolean(name) : undefined;
  }

  /** Undefined when missing or not a whole number. */
  integer(name: string): number | undefined {
    const text = this.get(name);
    return /^[+-]?\d+$/.test(text) ? Number(text) : undefined;
  }

  entries(): IterableIterator<[string, string]> {
    return (this.#values ?? new URLSearchParams()).entries();
  }
}
