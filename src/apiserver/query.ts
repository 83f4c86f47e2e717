/**
 * Query parameters as Go reads them: the first value counts, a pair that can't be read is left out, booleans are anything but an
 * explicit no.
 */

export class Query {
  /** Most requests have no parameters: no map for them. */
  readonly #values: ReadonlyMap<string, readonly string[]> | undefined;

  constructor(text: string) {
    this.#values = text === "" ? undefined : parse(text);
  }

  get(name: string): string {
    return this.#values?.get(name)?.[0] ?? "";
  }

  has(name: string): boolean {
    return this.#values?.has(name) ?? false;
  }

  all(name: string): readonly string[] {
    return this.#values?.get(name) ?? [];
  }

  boolean(name: string): boolean {
    return this.has(name) && !/^(0|false)$/i.test(this.get(name));
  }

  /** As Go prints what it has read: by name, without what couldn't be read. */
  encode(): string {
    if (!this.#values) return "";
    const names = [...this.#values.keys()].sort();
    return names
      .flatMap((name) => this.all(name).map((value) => `${escapeQuery(name)}=${escapeQuery(value)}`))
      .join("&");
  }

  optionalBoolean(name: string): boolean | undefined {
    return this.has(name) ? this.boolean(name) : undefined;
  }
}

const escapeQuery = (text: string): string =>
  encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");

function parse(text: string): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, string[]>();
  for (const pair of text.split("&")) {
    if (pair === "" || pair.includes(";")) continue;
    const equals = pair.indexOf("=");
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? "" : decode(pair.slice(equals + 1));
    if (name === undefined || value === undefined) continue;
    const list = values.get(name);
    if (list) list.push(value);
    else values.set(name, [value]);
  }
  return values;
}

function decode(text: string): string | undefined {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
