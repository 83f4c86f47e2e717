/** Compile errors and how they are shown: cel-go's text, which clients match on (common/error.go, errors.go). */

/** More errors are only counted. */
const issuesMax = 100;
/** Longer lines aren't shown (bytes). */
const snippetBytesMax = 16_384;
const wideDot = "\uff0e";
const wideCaret = "\uff3e";

interface Issue {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export class Issues {
  readonly source: string;
  readonly #issues: Issue[] = [];
  #count = 0;

  constructor(source: string) {
    this.source = source;
  }

  get count(): number {
    return this.#count;
  }

  /** `at` is an index into the source; -1: the error has no place. */
  report(at: number, message: string): void {
    this.#count++;
    if (this.#count > issuesMax) return;
    this.#issues.push({ ...this.#locate(at), message });
  }

  #locate(at: number): { line: number; column: number } {
    if (at < 0) return { line: -1, column: -1 };
    const before = this.source.slice(0, at);
    const lineStart = before.lastIndexOf("\n") + 1;
    let line = 1;
    for (let i = before.indexOf("\n"); i >= 0; i = before.indexOf("\n", i + 1)) line++;
    return { line, column: [...before.slice(lineStart)].length };
  }

  toString(): string {
    const shown = this.#issues
      .toSorted((a, b) => a.line - b.line || a.column - b.column)
      .map((issue) => this.#show(issue));
    if (this.#count > issuesMax) shown.push(`${this.#count - issuesMax} more errors were truncated`);
    return shown.join("\n");
  }

  #show({ line, column, message }: Issue): string {
    const head = `ERROR: <input>:${line}:${column + 1}: ${message}`;
    const text = this.source === "" ? undefined : this.source.split("\n")[line - 1];
    if (text === undefined || Buffer.byteLength(text) > snippetBytesMax) return head;
    const snippet = text.replaceAll("\t", " ");
    const characters = [...snippet];
    const isWide = (i: number): boolean => (characters[i]?.codePointAt(0) ?? 0) > 0x7f;
    const pointer = characters.slice(0, column).map((_, i) => (isWide(i) ? wideDot : "."));
    return `${head}\n | ${snippet}\n | ${pointer.join("")}${isWide(column) ? wideCaret : "^"}`;
  }
}
