/** Regular expressions in linear time: Go's syntax by re2js. Compiled patterns are kept, a few. */

import { RE2JS } from "re2js";
import { CelError } from "./values.ts";

/** Patterns that are kept compiled: an expression may make any number of them. */
const patternsMax = 64;

export interface Regex {
  test(text: string): boolean;
  /** The first match. */
  find(text: string): string;
  /** At most `limit` matches that don't overlap; -1: all. */
  findAll(text: string, limit: number): string[];
}

export type RegexCompiler = (pattern: string) => Regex | CelError;

export function createRegexCompiler(): RegexCompiler {
  const known = new Map<string, Regex | CelError>();
  return (pattern) => {
    const found = known.get(pattern);
    if (found) return found;
    const compiled = compile(pattern);
    if (known.size >= patternsMax) known.clear();
    known.set(pattern, compiled);
    return compiled;
  };
}

/** The error's message is Go's. */
function compile(pattern: string): Regex | CelError {
  let re: RE2JS;
  try {
    re = RE2JS.compile(pattern);
  } catch (error) {
    return new CelError(error instanceof Error ? error.message : String(error));
  }
  return {
    test: (text) => re.matcher(text).find(),
    find: (text) => {
      const matcher = re.matcher(text);
      return matcher.find() ? (matcher.group() ?? "") : "";
    },
    findAll: (text, limit) => {
      const found: string[] = [];
      const matcher = re.matcher(text);
      while (found.length !== limit && matcher.find()) found.push(matcher.group() ?? "");
      return found;
    },
  };
}
