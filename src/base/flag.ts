/**
 * Command-line flags declared as data. Each flag can also be given by environment (`--data-dir` is SAMPAN_DATA_DIR) and by a
 * configuration file (`data-dir: /x`); the command line wins over the environment, which wins over the file, which wins over the default.
 * Unknown flags, unknown keys in the file and values out of range fail before anything is started.
 */
import { durationProblem, parseDuration, printDuration } from "./duration.ts";

export type FlagSpec =
  | { type: "string"; default?: string; choices?: readonly string[]; short?: string; value?: string; help: string }
  /** Given several times, or separated by commas; `whole`: commas are part of a text. */
  | {
      type: "strings";
      default?: readonly string[];
      whole?: true;
      short?: string;
      value?: string;
      help: string;
    }
  /** As Go writes them, `1h30m`; milliseconds. */
  | { type: "duration"; default?: number; short?: string; value?: string; help: string }
  | { type: "int"; default?: number; min?: number; max?: number; short?: string; value?: string; help: string }
  /** `either`: not given is something else than false. */
  | { type: "bool"; default?: boolean; either?: true; short?: string; help: string };

export type FlagSpecs = Readonly<Record<string, FlagSpec>>;

type ValueOf<S> = S extends { type: "string" }
  ? S extends { default: string }
    ? string
    : string | undefined
  : S extends { type: "strings" }
    ? readonly string[]
    : S extends { type: "int" }
      ? NumberOf<S>
      : S extends { type: "duration" }
        ? NumberOf<S>
        : S extends { either: true }
          ? boolean | undefined
          : boolean;

type NumberOf<S> = S extends { default: number } ? number : number | undefined;

/** `{ "data-dir": … }` becomes `values["data-dir"]`, typed. */
export type FlagValues<S extends FlagSpecs> = { readonly [K in keyof S]: ValueOf<S[K]> };

/** Bad usage; the message is for the person who typed it. */
export class FlagError extends Error {
  override name = "FlagError";
}

export interface FlagInput {
  args: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  /** Keys of the configuration file, if one was read. */
  file?: { path: string; values: Readonly<Record<string, unknown>> };
}

export function parseFlags<S extends FlagSpecs>(
  specs: S,
  input: FlagInput,
): { values: FlagValues<S>; positionals: string[] } {
  const typed = readArguments(specs, input.args);
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const variable = environmentName(name);
    const fromEnvironment = input.env[variable];
    const fromFile = input.file?.values[name];
    if (typed.given.has(name)) values[name] = check(spec, typed.given.get(name), `--${name}`);
    else if (fromEnvironment !== undefined) values[name] = check(spec, [fromEnvironment], variable);
    else if (fromFile !== undefined)
      values[name] = check(
        spec,
        fileTexts(spec, fromFile, `${input.file?.path}: ${name}`),
        `${input.file?.path}: ${name}`,
      );
    else values[name] = spec.default ?? absent(spec);
  }
  for (const key of Object.keys(input.file?.values ?? {}))
    if (!(key in specs))
      throw new FlagError(`${input.file?.path}: unknown key ${JSON.stringify(key)}${nearest(key, specs)}`);
  return { values: values as FlagValues<S>, positionals: typed.positionals }; // each key was checked against its spec above
}

function absent(spec: FlagSpec): unknown {
  if (spec.type === "bool") return spec.either ? undefined : false;
  return spec.type === "strings" ? [] : undefined;
}

export const environmentName = (flag: string): string => `SAMPAN_${flag.toUpperCase().replaceAll("-", "_")}`;

/** Help text, one flag a line (or two when it is long). */
export function describeFlags(specs: FlagSpecs): string {
  return Object.entries(specs)
    .map(([name, spec]) => {
      const short = spec.short ? `-${spec.short}, ` : "    ";
      const value = spec.type === "bool" ? "" : ` ${spec.value ?? (spec.type === "int" ? "N" : "TEXT")}`;
      const printed = spec.type === "duration" ? printDuration(spec.default ?? 0) : String(spec.default);
      const standard = spec.default === undefined || spec.default === false ? "" : ` (default ${printed})`;
      return `  ${`${short}--${name}${value}`.padEnd(34)} ${spec.help}${standard}`;
    })
    .join("\n");
}

function readArguments(specs: FlagSpecs, args: readonly string[]) {
  const given = new Map<string, string[]>();
  const positionals: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    if (arg === "--") {
      positionals.push(...args.slice(at + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      positionals.push(arg);
      continue;
    }
    const [head = "", inline] = splitOnce(arg);
    const name = head.startsWith("--") ? head.slice(2) : shortName(specs, head.slice(1));
    const spec = name === undefined ? undefined : specs[name];
    if (name === undefined || !spec)
      throw new FlagError(`unknown flag: ${head}${nearest(head.replace(/^-+/, ""), specs)}`);
    let value = inline;
    if (value === undefined && spec.type === "bool") value = "true";
    if (value === undefined) {
      value = args[++at];
      if (value === undefined) throw new FlagError(`flag needs a value: ${head}`);
    }
    given.set(name, [...(given.get(name) ?? []), value]);
  }
  return { given, positionals };
}

function splitOnce(arg: string): [string, string | undefined] {
  const at = arg.indexOf("=");
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)];
}

const shortName = (specs: FlagSpecs, letter: string) =>
  Object.entries(specs).find(([, spec]) => spec.short === letter)?.[0];

function nearest(name: string, specs: FlagSpecs): string {
  const close = Object.keys(specs).find((flag) => flag.startsWith(name.slice(0, 4)) && name.length > 3);
  return close ? `; did you mean --${close}?` : "";
}

/** A key's value in a file: one plain value, for "strings" also a list of them. */
function fileTexts(spec: FlagSpec, value: unknown, source: string): string[] {
  const list = Array.isArray(value) && spec.type === "strings" ? value : [value];
  if (list.some((one) => one === null || typeof one === "object"))
    throw new FlagError(
      `${source}: want ${spec.type === "strings" ? "a list of plain values" : "one plain value"}, have ${JSON.stringify(value)}`,
    );
  return list.map(String);
}

function check(spec: FlagSpec, texts: readonly string[] = [], source: string): unknown {
  const last = texts.at(-1) ?? "";
  switch (spec.type) {
    case "string":
      if (spec.choices && !spec.choices.includes(last))
        throw new FlagError(`${source}: ${JSON.stringify(last)} is not one of ${spec.choices.join(", ")}`);
      return last;
    case "strings":
      return texts.flatMap((text) => (spec.whole ? [text] : text.split(","))).filter((text) => text !== "");
    case "duration": {
      const ms = parseDuration(last);
      if (ms === undefined) throw new FlagError(`${source}: ${durationProblem(last)}`);
      return ms;
    }
    case "int": {
      const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = spec;
      const number = Number(last);
      if (last.trim() === "" || !Number.isInteger(number) || number < min || number > max)
        throw new FlagError(`${source}: want a whole number from ${min} to ${max}, have ${JSON.stringify(last)}`);
      return number;
    }
    case "bool":
      if (last !== "true" && last !== "false")
        throw new FlagError(`${source}: want true or false, have ${JSON.stringify(last)}`);
      return last === "true";
  }
}
