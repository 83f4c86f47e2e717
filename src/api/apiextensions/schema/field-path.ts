/** Paths that rules and selectable fields name: only through fields and maps that the schema knows. Follows cel.ValidFieldPath. */
import { FieldPath } from "#machinery";
import { additionalOf, type JsonSchema } from "./json-schema.ts";

export type FoundPath =
  | { readonly path: FieldPath; readonly schema: JsonSchema; readonly error?: undefined }
  | { readonly error: string };

const escapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "'": "'",
  "\\": "\\",
};

/** `brackets`: also `['name']`. */
export function findField(text: string, root: JsonSchema, brackets: boolean): FoundPath {
  const tokens = text.match(/^'(?:[^'\\]|\\.)*'|\.|\[|\]|'(?:.*?[^\\])?'|[^.[\]]+/gs) ?? [];
  let path = FieldPath.none;
  let schema: JsonSchema = root;
  const fail = (error: string): FoundPath => ({ error });
  const step = (name: string): string | undefined => {
    const { properties } = schema;
    if (properties !== undefined) {
      path = path.child(name);
      const next = Object.hasOwn(properties, name) ? properties[name] : undefined;
      if (!next) return "does not refer to a valid field";
      schema = next;
      return undefined;
    }
    const next = additionalOf(schema);
    if (!next) return "does not refer to a valid field";
    path = path.key(name);
    schema = next;
    return undefined;
  };
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] ?? "";
    if (token === ".") {
      const name = tokens[++i];
      if (name === undefined) return fail("unexpected end of JSON path");
      const wrong = step(name);
      if (wrong) return fail(wrong);
    } else if (token === "[") {
      if (!brackets) return fail("array notation is not allowed");
      const quoted = tokens[++i];
      if (quoted === undefined) return fail("unexpected end of JSON path");
      if (!/^'.*'$/s.test(quoted) || quoted.length < 2) return fail(`expected single quoted string but got ${quoted}`);
      const bad = /\\(?![abfnrtv'\\])./s.exec(quoted);
      if (bad) return fail(`invalid string literal: invalid escape char ${bad[0]}`);
      const wrong = step(quoted.slice(1, -1).replace(/\\(.)/gs, (_, letter: string) => escapes[letter] ?? ""));
      if (wrong) return fail(wrong);
      const end = tokens[++i];
      if (end === undefined) return fail("unexpected end of JSON path");
      if (end !== "]") return fail(`expected ] but got ${end}`);
    } else return fail(`expected [ or . but got: ${token}`);
  }
  return { path, schema };
}
