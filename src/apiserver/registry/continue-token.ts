/** Where the next page of a list starts: upstream's continue token, base64url of `{"v","rv","start"}`. */
import { JsonSyntaxError, parseJson, statusError } from "#machinery";

const version = "meta.k8s.io/v1";

export interface ContinueToken {
  /** -1: what is there now (the snapshot of the first page is gone). */
  readonly revision: number;
  /** First key, relative to the list's prefix. */
  readonly start: string;
}

/** Continues right after `lastKey`. */
export function encodeContinue(lastKey: string, revision: number): string {
  return encodeToken(`${lastKey}\0`, revision);
}

export function encodeToken(start: string, revision: number): string {
  return Buffer.from(JSON.stringify({ v: version, rv: revision, start })).toString("base64url");
}

export function decodeContinue(token: string): ContinueToken {
  const wrong = token.search(/[^A-Za-z0-9_-]/);
  const position = wrong >= 0 ? wrong : token.length % 4 === 1 ? token.length - 1 : -1;
  if (position >= 0) throw refuse(`illegal base64 data at input byte ${position}`);
  const bytes = Buffer.from(token, "base64url");
  const [first = 0] = bytes;
  // Go complains about the first byte, not about a character.
  if (first >= 0x80) throw refuse(`invalid character '${String.fromCharCode(first)}' looking for beginning of value`);
  let value: unknown;
  try {
    value = parseJson(bytes);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw refuse(error.message);
    throw error;
  }
  const { v, rv, start } = readFields(value);
  if (v !== version) throw refuse(`server does not recognize this encoded version ${v}`);
  if (rv === 0) throw refuse(`incorrect encoded start resourceVersion (version ${version})`);
  if (start === "") throw refuse(`encoded start key empty (version ${version})`);
  if (start.includes("//") || start.split("/").some((part) => part === "." || part === "..")) throw refuse(start);
  return { revision: rv, start };
}

/** In the words of Go's decoder about what has another type. */
function readFields(value: unknown): { v: string; rv: number; start: string } {
  const fields = { v: "", rv: 0, start: "" };
  if (value === null) return fields;
  if (typeof value !== "object" || Array.isArray(value))
    throw refuse(`json: cannot unmarshal ${goKind(value)} into Go value of type storage.continueToken`);
  for (const [key, type] of [
    ["v", "string"],
    ["rv", "int64"],
    ["start", "string"],
  ] as const) {
    const found = (value as Record<string, unknown>)[key] ?? null;
    if (found === null) continue;
    const fits = type === "string" ? typeof found === "string" : Number.isInteger(found);
    if (!fits) {
      const what = type === "int64" && typeof found === "number" ? `number ${found}` : goKind(found);
      throw refuse(`json: cannot unmarshal ${what} into Go struct field continueToken.${key} of type ${type}`);
    }
    Object.assign(fields, { [key]: found });
  }
  return fields;
}

const goKind = (value: unknown): string => {
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
};

const refuse = (why: string) => statusError.badRequest(`invalid continue token: continue key is not valid: ${why}`);
