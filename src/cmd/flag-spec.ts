import type { FlagSpec } from "#base";

/** Short forms of flags, for parts that have dozens of them. */
export const text = (value: string, help: string) => ({ type: "string", value, help }) as const;
/** Separated by commas, or given several times. */
export const list = (value: string, help: string) => ({ type: "strings", value, help }) as const;
/** Given several times; commas are part of a text. */
export const whole = (value: string, help: string) => ({ type: "strings", whole: true, value, help }) as const;
/** Without a default. */
export const time = (help: string) => ({ type: "duration", value: "TIME", help }) as const;

/** The same for each of several. */
export const each = <K extends string, S extends FlagSpec>(names: readonly K[], spec: (name: K) => S): Record<K, S> =>
  Object.fromEntries(names.map((name) => [name, spec(name)])) as Record<K, S>; // the names are the type's

/** Those that begin so and were given (of flags without defaults). */
export const givenFlags = (values: Readonly<Record<string, unknown>>, prefix: string): string[] =>
  Object.keys(values).filter((name) => {
    const value = values[name];
    return name.startsWith(prefix) && value !== undefined && !(Array.isArray(value) && value.length === 0);
  });
