/** Environments: which variables, types and functions expressions may use; and the programs made from expressions. */

import { assert } from "#base";
import { check } from "./checker.ts";
import type {
  Compiled,
  Environment,
  EnvironmentOptions,
  EvaluateOptions,
  Evaluation,
  Program,
  Variables,
} from "./contract.ts";
import type { CostEstimate, SizeEstimator } from "./cost/estimate.ts";
import { estimateCost } from "./cost/static-cost.ts";
import type { Evaluate } from "./attributes.ts";
import { declareFunctions, type FunctionDeclaration, type Library } from "./functions.ts";
import { baseLibraries, extraLibraries } from "./library/mod.ts";
import { formatValidators } from "./library/format-string.ts";
import { perCallLimit } from "./limits.ts";
import { PlanError, plan } from "./planner.ts";
import { createRegexCompiler, type RegexCompiler } from "./regex.ts";
import { Cancelled, Run } from "./run.ts";
import type { Expr } from "./syntax/ast.ts";
import { Issues } from "./syntax/issues.ts";
import type { MacroSet } from "./syntax/macros.ts";
import { parse } from "./syntax/parser.ts";
import { createTypeRegistry, type TypeRegistry, type TypeSources } from "./type-registry.ts";
import { type CelType, dynType } from "./types.ts";
import { validate } from "./validators.ts";
import { CelError } from "./values.ts";
import { PendingChecks } from "./library/authorizer.ts";

/** Everything an environment consists of; parts are shared between an environment and those that extend it. */
interface Parts {
  readonly functions: ReadonlyMap<string, FunctionDeclaration>;
  readonly macros: MacroSet;
  readonly variables: ReadonlyMap<string, CelType>;
  readonly sources: TypeSources;
  readonly regex: RegexCompiler;
}

/** Makes about 300 functions known: keep the environment and extend it. */
export function createEnvironment(options: EnvironmentOptions = {}): Environment {
  const regex = createRegexCompiler();
  const minor = Number(options.version?.split(".")[1] ?? Number.POSITIVE_INFINITY);
  const libraries = baseLibraries(regex).filter(({ since = 0 }) => since <= minor);
  const empty: Parts = {
    functions: new Map(),
    macros: new Map(),
    variables: new Map(),
    sources: { named: new Map(), declTypes: [], structTypes: [] },
    regex,
  };
  return environmentOf(extendParts(withLibraries(empty, libraries), options));
}

function withLibraries(parts: Parts, libraries: readonly Library[]): Parts {
  if (libraries.length === 0) return parts;
  const named = new Map(parts.sources.named);
  for (const type of libraries.flatMap(({ types = [] }) => types)) named.set(type.name, type);
  return {
    ...parts,
    functions: declareFunctions(libraries, parts.functions),
    macros: new Map([...parts.macros, ...libraries.flatMap(({ macros }) => (macros ? [...macros] : []))]),
    sources: { ...parts.sources, named },
  };
}

function extendParts(given: Parts, options: Omit<EnvironmentOptions, "version">): Parts {
  const parts = withLibraries(
    given,
    (options.libraries ?? []).map((name) => extraLibraries[name]),
  );
  const { sources } = parts;
  const resolvers = [options.resolveType, sources.resolveType].filter((resolve) => resolve !== undefined);
  return {
    ...parts,
    variables: new Map([...parts.variables, ...Object.entries(options.variables ?? {})]),
    sources: {
      ...sources,
      declTypes: [...sources.declTypes, ...(options.declTypes ?? [])],
      structTypes: [...sources.structTypes, ...(options.structTypes ?? [])],
      ...(resolvers.length > 0 && {
        resolveType: (name) => resolvers.map((resolve) => resolve(name)).find((type) => type !== undefined),
      }),
    },
  };
}

function environmentOf(parts: Parts): Environment {
  const types = createTypeRegistry(parts.sources);
  return {
    compile: (source) => compile(source, parts, types),
    extend: (options) => environmentOf(extendParts(parts, options)),
  };
}

function compile(source: string, parts: Parts, types: TypeRegistry): Compiled {
  const issues = new Issues(source);
  const failed = (): Compiled => ({ issues: issues.toString(), stage: "compile" });
  const { functions, variables, macros, regex } = parts;
  const tree = parse(issues, { macros, optionalSyntax: functions.has("optional.of") });
  if (issues.count > 0) return failed();
  check(tree, { functions, variables, types }, issues);
  if (issues.count > 0) return failed();
  validate(tree, issues, { regex, calls: formatValidators });
  if (issues.count > 0) return failed();
  try {
    return { program: new CompiledProgram(tree, plan(tree, { functions, types, regex })) };
  } catch (error) {
    if (error instanceof PlanError) return { issues: error.message, stage: "program" };
    throw error;
  }
}

class CompiledProgram implements Program {
  readonly outputType: CelType;
  /** Only estimates need it; it is let go with the first evaluation, because programs are many and live long. */
  #tree: Expr | undefined;
  readonly #evaluate: Evaluate;

  constructor(tree: Expr, evaluate: Evaluate) {
    this.outputType = tree.type ?? dynType;
    this.#tree = tree;
    this.#evaluate = evaluate;
  }

  estimateCost(estimator?: SizeEstimator): CostEstimate {
    assert(this.#tree, "the cost of a program is estimated before it is evaluated");
    return estimateCost(this.#tree, estimator);
  }

  evaluate(variables: Variables, { costLimit = perCallLimit, interrupted }: EvaluateOptions = {}): Evaluation {
    this.#tree = undefined;
    const run = new Run(variables, { costLimit, interrupted });
    try {
      const value = this.#evaluate(run);
      return value instanceof CelError ? { error: value, cost: run.cost } : { value, cost: run.cost };
    } catch (error) {
      if (error instanceof Cancelled) return { error: error.reason, cost: run.cost };
      // A text grew beyond what JavaScript holds.
      if (error instanceof RangeError)
        return { error: new CelError(`internal error: ${error.message}`), cost: run.cost };
      throw error;
    }
  }

  async evaluateAsync(variables: Variables, options: EvaluateOptions = {}): Promise<Evaluation> {
    for (;;) {
      try {
        return this.evaluate(variables, options);
      } catch (error) {
        if (!(error instanceof PendingChecks)) throw error;
        await error.answered;
      }
    }
  }
}
