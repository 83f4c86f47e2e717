/**
 * The expressions of webhooks and admission policies: what they may speak of, and what they must answer. Compiled when an object with
 * some is validated, and once more by the server that evaluates them. Follows apiserver/pkg/admission/plugin/cel.
 */
import type { CelType, DeclType, Environment, Program, StructType } from "#cel";
import { celEngine } from "../cel-engine.ts";
import type { Place } from "../place.ts";

/** New expressions may only use what the release before has, too: they must survive a step back. Stored ones are taken as they are. */
type Mode = "new" | "stored";
const newExpressionsVersion = "1.35";

export interface ExpressionContext {
  readonly params: boolean;
  readonly authorizer: boolean;
  /** `Object{…}` and `JSONPatch{…}`: for mutations. */
  readonly patches?: boolean;
}

export type Returns = "any" | "bool" | "string" | "string or null" | "JSON patches" | "apply configuration";

/** `error`: why it can't be evaluated, in upstream's words. */
export interface CompiledExpression {
  readonly source: string;
  readonly program?: Program;
  readonly error?: string;
}

export interface CompileOptions extends ExpressionContext {
  readonly returns: Returns;
}

/** What is known of the objects that expressions speak of; without it they may have any field. */
export interface ExpressionTypes {
  readonly object?: DeclType | undefined;
  readonly params?: DeclType | undefined;
}

export interface ExpressionCompilerOptions {
  readonly types?: ExpressionTypes;
  /** Expressions may speak of `variables`. */
  readonly composed: boolean;
  /** Expressions that the stored object has. */
  readonly stored: ReadonlySet<string> | "all";
}

const variablesName = "kubernetes.variables";

/** Expressions that may use each other's results as `variables.NAME`: those of one policy. `loadCel` comes first. */
export class ExpressionCompiler {
  readonly variables = new Map<string, CompiledExpression>();
  readonly #environments = new Map<string, Environment>();
  readonly #options: ExpressionCompilerOptions;

  constructor(options: ExpressionCompilerOptions) {
    this.#options = options;
  }

  /** Known to what is compiled after it. */
  addVariable(name: string, source: string, options: ExpressionContext): CompiledExpression {
    const compiled = this.compile(source, { ...options, returns: "any" });
    this.variables.set(name, compiled);
    return compiled;
  }

  compile(source: string, options: CompileOptions): CompiledExpression {
    const { stored } = this.#options;
    const mode: Mode = stored === "all" || stored.has(source) ? "stored" : "new";
    const compiled = this.#environment(options, mode).compile(source);
    if (!compiled.program) {
      const stage = compiled.stage === "program" ? "program instantiation failed" : "compilation failed";
      return { source, error: `${stage}: ${compiled.issues}` };
    }
    const wanted = returnTypes(options.returns);
    const { outputType } = compiled.program;
    if (wanted.length === 0 || wanted.some((type) => celEngine().sameType(type, outputType)))
      return { source, program: compiled.program };
    const [only] = wanted;
    const expected = wanted.length === 1 ? `${only}` : `one of [${wanted.join(" ")}]`;
    return { source, error: `must evaluate to ${expected} but got ${outputType}` };
  }

  #environment(context: ExpressionContext, mode: Mode): Environment {
    const { composed, types } = this.#options;
    if (!composed && !types) return baseEnvironment(context, mode);
    const key = environmentKey(context, mode);
    const known = this.#environments.get(key);
    if (known) return known;
    const base = types ? typedEnvironment(context, types) : baseEnvironment(context, mode);
    const made = base.extend({
      variables: { variables: celEngine().objectType(variablesName) },
      structTypes: [{ name: variablesName, field: (name) => this.#typeOf(name) }],
    });
    this.#environments.set(key, made);
    return made;
  }

  #typeOf(name: string): CelType | undefined {
    const variable = this.variables.get(name);
    return variable && plainType(variable.program?.outputType);
  }
}

/** What a variable can be seen as from another expression: its own type where that needs no schema. */
function plainType(type: CelType | undefined): CelType {
  const { dynType, listType, mapType } = celEngine();
  if (type?.kind === "list") return listType(plainType(type.parameters[0]));
  if (type?.kind === "map") return mapType(plainType(type.parameters[0]), plainType(type.parameters[1]));
  return type && plainKinds.has(type.kind) ? type : dynType;
}

const plainKinds = new Set([
  ...["any", "bool", "bytes", "double", "duration", "int", "null", "string", "timestamp", "uint"],
]);

function returnTypes(returns: Returns): CelType[] {
  const { boolType, listType, nullType, objectType, stringType } = celEngine();
  switch (returns) {
    case "any":
      return [];
    case "bool":
      return [boolType];
    case "string":
      return [stringType];
    case "string or null":
      return [stringType, nullType];
    case "JSON patches":
      return [listType(objectType("JSONPatch"))];
    case "apply configuration":
      return [objectType("Object")];
  }
}

const environmentKey = ({ params, authorizer, patches }: ExpressionContext, mode: Mode) =>
  `${mode} ${params} ${authorizer} ${patches ?? false}`;

// Made on first use and shared, like the engine: each knows hundreds of functions.
const environments = new Map<string, Environment>();

function baseEnvironment(context: ExpressionContext, mode: Mode): Environment {
  const key = environmentKey(context, mode);
  const known = environments.get(key);
  if (known) return known;
  const { createEnvironment, dynType, objectType } = celEngine();
  const root = environments.get(mode) ?? createEnvironment(mode === "new" ? { version: newExpressionsVersion } : {});
  environments.set(mode, root);
  const made = root.extend({
    variables: {
      object: dynType,
      oldObject: dynType,
      namespaceObject: objectType("kubernetes.Namespace"),
      request: objectType("kubernetes.AdmissionRequest"),
      ...(context.params && { params: dynType }),
      ...(context.authorizer && {
        authorizer: objectType("kubernetes.authorization.Authorizer"),
        "authorizer.requestResource": objectType("kubernetes.authorization.ResourceCheck"),
      }),
    },
    structTypes: requestTypes(),
    ...(context.patches && { resolveType: celEngine().resolveMutationType, libraries: ["jsonpatch"] }),
  });
  environments.set(key, made);
  return made;
}

/** For type checking, which is about what is stored. */
function typedEnvironment(context: ExpressionContext, { object, params }: ExpressionTypes): Environment {
  return baseEnvironment(context, "stored").extend({
    variables: {
      ...(object && { object: object.celType, oldObject: object.celType }),
      ...(params && context.params && { params: params.celType }),
    },
    declTypes: [object, params].filter((type) => type !== undefined),
  });
}

/** `request` and `namespaceObject`: a field's type, `[T]` a list of it, `{T}` a map of strings to it. */
function requestTypes(): StructType[] {
  const strings = (names: string) => Object.fromEntries(names.split(" ").map((name) => [name, "string"]));
  const types: Record<string, Record<string, string>> = {
    GroupVersionKind: strings("group version kind"),
    GroupVersionResource: strings("group version resource"),
    UserInfo: { ...strings("username uid"), groups: "[string]", extra: "{[string]}" },
    AdmissionRequest: {
      ...strings("subResource requestSubResource name namespace operation"),
      kind: "GroupVersionKind",
      resource: "GroupVersionResource",
      requestKind: "GroupVersionKind",
      requestResource: "GroupVersionResource",
      userInfo: "UserInfo",
      dryRun: "bool",
      options: "dyn",
    },
    NamespaceSpec: { finalizers: "[string]" },
    NamespaceCondition: { ...strings("status type message reason"), lastTransitionTime: "timestamp" },
    NamespaceStatus: { conditions: "[NamespaceCondition]", phase: "string" },
    NamespaceMetadata: {
      ...strings("name generateName namespace UID resourceVersion"),
      labels: "{string}",
      annotations: "{string}",
      creationTimestamp: "timestamp",
      deletionGracePeriodSeconds: "int",
      deletionTimestamp: "timestamp",
      generation: "int",
      finalizers: "[string]",
    },
    Namespace: { metadata: "NamespaceMetadata", spec: "NamespaceSpec", status: "NamespaceStatus" },
  };
  const { boolType, dynType, intType, listType, mapType, objectType, stringType, timestampType } = celEngine();
  const simple: Record<string, CelType> = {
    bool: boolType,
    dyn: dynType,
    int: intType,
    string: stringType,
    timestamp: timestampType,
  };
  const parse = (text: string): CelType => {
    const inner = text.slice(1, -1);
    if (text.startsWith("[")) return listType(parse(inner));
    if (text.startsWith("{")) return mapType(stringType, parse(inner));
    return simple[text] ?? objectType(`kubernetes.${text}`);
  };
  return Object.entries(types).map(([name, fields]) => ({
    name: `kubernetes.${name}`,
    field: (field) => (Object.hasOwn(fields, field) ? parse(fields[field] ?? "") : undefined),
  }));
}

/** Adds what is wrong with an expression to the object's errors. */
export function checkExpression(at: Place, { source, error }: CompiledExpression): void {
  if (error !== undefined) at.invalid(source, error);
}
