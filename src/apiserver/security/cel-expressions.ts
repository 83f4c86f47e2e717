/**
 * Expressions of configuration files in CEL: about the claims of a token, the user that was made of it, or an access review. Loaded only when a
 * file is given, because of the language behind it.
 */
import {
  anyType,
  ArrayList,
  type CelType,
  type CelValue,
  CelError,
  CelList,
  CelMap,
  createEnvironment,
  type Environment,
  listType,
  mapType,
  objectType,
  type Result,
  type StructType,
  stringType,
  unescapeName,
} from "#cel";
import type { CompileExpression, ExpressionScope } from "./expression-types.ts";

const strings = listType(stringType);
const stringMap = mapType(stringType, strings);

/** Of object types, by name. */
const structs: Readonly<Record<string, Readonly<Record<string, CelType>>>> = {
  "kubernetes.UserInfo": { username: stringType, uid: stringType, groups: strings, extra: stringMap },
  "kubernetes.SubjectAccessReviewSpec": {
    resourceAttributes: objectType("kubernetes.ResourceAttributes"),
    nonResourceAttributes: objectType("kubernetes.NonResourceAttributes"),
    user: stringType,
    groups: strings,
    extra: stringMap,
    uid: stringType,
  },
  "kubernetes.ResourceAttributes": {
    ...Object.fromEntries(
      ["namespace", "verb", "group", "version", "resource", "subresource", "name"].map((name) => [name, stringType]),
    ),
    fieldSelector: objectType("kubernetes.FieldSelectorAttributes"),
    labelSelector: objectType("kubernetes.LabelSelectorAttributes"),
  },
  "kubernetes.NonResourceAttributes": { path: stringType, verb: stringType },
  "kubernetes.FieldSelectorAttributes": {
    rawSelector: stringType,
    requirements: listType(objectType("kubernetes.SelectorRequirement")),
  },
  "kubernetes.LabelSelectorAttributes": {
    rawSelector: stringType,
    requirements: listType(objectType("kubernetes.SelectorRequirement")),
  },
  "kubernetes.SelectorRequirement": { key: stringType, operator: stringType, values: strings },
};

const structTypes: StructType[] = Object.entries(structs).map(([name, fields]) => ({
  name,
  field: (field) => (Object.hasOwn(fields, field) ? fields[field] : undefined),
}));

const variableTypes: Readonly<Record<ExpressionScope, CelType>> = {
  claims: mapType(stringType, anyType),
  user: objectType("kubernetes.UserInfo"),
  request: objectType("kubernetes.SubjectAccessReviewSpec"),
};

export function createExpressionCompiler(): CompileExpression {
  const base = createEnvironment();
  const environments = new Map<ExpressionScope, Environment>();
  const environmentOf = (scope: ExpressionScope): Environment => {
    let found = environments.get(scope);
    if (!found) {
      found = base.extend({ structTypes, variables: { [scope]: variableTypes[scope] } });
      environments.set(scope, found);
    }
    return found;
  };
  return (source, { scope, returns }) => {
    const compiled = environmentOf(scope).compile(source);
    if (!compiled.program) {
      const what = compiled.stage === "program" ? "program instantiation failed" : "compilation failed";
      return { problem: `${what}: ${compiled.issues}` };
    }
    const { program } = compiled;
    if (returns === "bool" && program.outputType.kind !== "bool")
      return { problem: `must evaluate to bool${scope === "request" ? ` but got ${program.outputType}` : ""}` };
    return {
      source,
      evaluate(subject) {
        const { value, error } = program.evaluate({ [scope]: adapt(subject) });
        return error ? { error: error.message } : { value: plain(value) };
      },
      selects: (variable, field) => selectOf(variable, field).test(withoutTexts(source)),
    };
  };
}

/** The text of an expression without its literals: what is left of `claims.email` in it is a selection. */
const withoutTexts = (source: string): string =>
  source.replace(/"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\/\/[^\n]*/g, '""');

const selectOf = (variable: string, field: string): RegExp =>
  new RegExp(`(?<![\\w.])${variable}\\s*\\.\\s*\\??\\s*${field}(?!\\w)`);

/** What mappings and rules know to do something with; everything else is an object, which nobody takes for a text. */
function plain(value: CelValue): unknown {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (!(value instanceof CelList)) return {};
  return [...value].map((each) => (each instanceof CelError ? {} : plain(each)));
}

/** As Go reads JSON: every number is a double. Keys may be written as identifiers, `claims.kubernetes__dot__io`. */
function adapt(value: unknown): CelValue {
  if (typeof value === "string" || typeof value === "boolean" || typeof value === "number") return value;
  if (Array.isArray(value)) return new ArrayList(value.map(adapt));
  if (typeof value === "object" && value !== null) return new JsonObject(value as Readonly<Record<string, unknown>>); // JSON has nothing else
  return null;
}

class JsonObject extends CelMap {
  readonly #json: Readonly<Record<string, unknown>>;

  constructor(json: Readonly<Record<string, unknown>>) {
    super();
    this.#json = json;
  }

  get size(): number {
    return Object.keys(this.#json).length;
  }

  keys(): Iterable<CelValue> {
    return Object.keys(this.#json);
  }

  find(key: CelValue): Result | undefined {
    if (typeof key !== "string") return undefined;
    const name = unescapeName(key) ?? key;
    return Object.hasOwn(this.#json, name) ? adapt(this.#json[name]) : undefined;
  }
}
