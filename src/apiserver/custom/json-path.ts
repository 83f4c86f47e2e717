/**
 * Paths into objects: the simple ones of scale and selectable fields (`.spec.replicas`), and those of printer columns, which are
 * client-go's JSONPath. Only what definitions use is understood: members, indices, slices, wildcards, recursion and filters that
 * compare one member with a constant. What isn't understood finds nothing, as upstream shows an empty cell.
 */
export type SimplePath = readonly string[];

/** Upstream splits at dots, whatever else is in there. */
export const simplePath = (text: string): SimplePath => text.replace(/^\./, "").split(".");

/** Thrown where the path leads through something that is no object. */
export class PathError extends Error {}

export function valueAt(object: unknown, path: SimplePath): unknown {
  let value: unknown = object;
  for (const [depth, name] of path.entries()) {
    if (value === undefined) return undefined;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      const at = `.${path.slice(0, depth + 1).join(".")}`;
      const found = `${goPrint(value)} is of the type ${goTypeOf(value)}`;
      throw new PathError(`${at} accessor error: ${found}, expected map[string]interface{}`);
    }
    value = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  }
  return value;
}

export function setAt(object: object, path: SimplePath, value: unknown): void {
  let at = object as Record<string, unknown>;
  for (const name of path.slice(0, -1)) {
    const next = at[name];
    if (typeof next !== "object" || next === null) at[name] = {};
    at = at[name] as Record<string, unknown>; // made above if it wasn't there
  }
  at[path.at(-1) ?? ""] = value;
}

const goPrint = (value: unknown): string => (value === null ? "<nil>" : String(value));

export function goTypeOf(value: unknown): string {
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return "[]interface {}";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  return typeof value === "boolean" ? "bool" : typeof value;
}

type Step = (values: readonly unknown[]) => unknown[];

/** Compiled once for a column; answers all that is found, in order. */
export function compileJsonPath(text: string): (object: unknown) => readonly unknown[] {
  const steps: Step[] = [];
  let rest = text.trim();
  while (rest !== "" && rest !== ".") {
    const step = nextStep(rest);
    if (!step) return () => [];
    steps.push(step.step);
    rest = rest.slice(step.length);
  }
  return (object) => steps.reduce<readonly unknown[]>((values, step) => step(values), [object]);
}

const member =
  (name: string): Step =>
  (values) =>
    values.flatMap((value) => {
      if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return [];
      return [(value as Record<string, unknown>)[name]];
    });

const children = (value: unknown): unknown[] =>
  Array.isArray(value) ? value : typeof value === "object" && value !== null ? Object.values(value) : [];

const descend = (value: unknown): unknown[] => [value, ...children(value).flatMap(descend)];

function nextStep(text: string): { step: Step; length: number } | undefined {
  if (text.startsWith("..")) {
    const name = /^\.\.((?:\\.|[^.[\]\\])+)/.exec(text);
    if (!name) return undefined;
    const inner = member(unescaped(name[1] ?? ""));
    return { step: (values) => inner(values.flatMap(descend)), length: name[0].length };
  }
  const wild = /^(\.\*|\[\*\])/.exec(text);
  if (wild) return { step: (values) => values.flatMap(children), length: wild[0].length };
  const name = /^\.((?:\\.|[^.[\]\\])+)/.exec(text);
  if (name) return { step: member(unescaped(name[1] ?? "")), length: name[0].length };
  const quoted = /^\.?\[(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)")\]/.exec(text);
  if (quoted) return { step: member(unescaped(quoted[1] ?? quoted[2] ?? "")), length: quoted[0].length };
  const slice = /^\.?\[(-?\d*)(?:(:)(-?\d*))?\]/.exec(text);
  if (slice)
    return { step: sliceStep(slice[1] ?? "", slice[2] !== undefined, slice[3] ?? ""), length: slice[0].length };
  const filter =
    /^\.?\[\?\(\s*@((?:\.[^\s=!<>()]+)+)\s*(?:(==|!=|<=|>=|<|>)\s*("[^"]*"|'[^']*'|[^\s()]+)\s*)?\)\]/.exec(text);
  if (filter) {
    const [all, path = "", operator, constant = ""] = filter;
    return { step: filterStep(path, operator, constant), length: all.length };
  }
  return undefined;
}

const unescaped = (text: string): string => text.replace(/\\(.)/g, "$1");

const sliceStep =
  (from: string, isSlice: boolean, to: string): Step =>
  (values) =>
    values.flatMap((value) => {
      if (!Array.isArray(value)) return [];
      if (!isSlice) return value.slice(Number(from), from === "-1" ? undefined : Number(from) + 1);
      return value.slice(from === "" ? 0 : Number(from), to === "" ? undefined : Number(to));
    });

function filterStep(path: string, operator: string | undefined, constant: string): Step {
  const find = compileJsonPath(path);
  const wanted: unknown = /^['"]/.test(constant)
    ? constant.slice(1, -1)
    : constant === "true" || constant === "false"
      ? constant === "true"
      : Number(constant);
  const holds = (found: unknown): boolean => {
    if (operator === undefined) return true;
    if (operator === "==") return found === wanted;
    if (operator === "!=") return found !== wanted;
    const [a, b] = [found as number, wanted as number]; // or texts, which compare as well
    if (typeof a !== typeof b) return false;
    return operator === "<" ? a < b : operator === "<=" ? a <= b : operator === ">" ? a > b : a >= b;
  };
  return (values) =>
    values
      .flatMap((value) => (Array.isArray(value) ? value : []))
      .filter((item) => {
        const [found] = find(item);
        return found !== undefined && holds(found);
      });
}
