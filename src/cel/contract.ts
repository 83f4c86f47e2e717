/** What users of the expression language see of it: environments, programs and their outcomes. */

import type { CostEstimate, SizeEstimator } from "./cost/estimate.ts";
import type { DeclType } from "./decl-type.ts";
import type { StructType } from "./struct-type.ts";
import type { CelType } from "./types.ts";
import type { CelError, CelValue, Result } from "./values.ts";

/** Function sets beyond those that every Kubernetes environment of a version has. */
export type LibraryName = "jsonpatch" | "bindings";

export interface EnvironmentOptions {
  /** Release whose functions are known, `1.36`. Without it the newest: for expressions that are stored already. */
  readonly version?: string;
  readonly variables?: Readonly<Record<string, CelType>>;
  /** Object types from schemas, named by `assignTypeName`; variables refer to them by their `celType`. */
  readonly declTypes?: readonly DeclType[];
  /** Further object types with named fields, such as `kubernetes.variables`. */
  readonly structTypes?: readonly StructType[];
  /** Types found by name, such as `Object.spec.containers`; asked before the others. */
  readonly resolveType?: (name: string) => StructType | undefined;
  readonly libraries?: readonly LibraryName[];
}

export interface Environment {
  /** Parses, checks and plans. `issues` is cel-go's text: every error with its position and a line that points there. */
  compile(source: string): Compiled;
  /** The same environment with more variables, types or libraries. Cheap. */
  extend(options: Omit<EnvironmentOptions, "version">): Environment;
}

export type Compiled =
  | { readonly program: Program; readonly issues?: undefined }
  | {
      readonly issues: string;
      /** `program`: the expression is well typed but cannot work, such as `int("x")`; issues is then a plain sentence. */
      readonly stage: "compile" | "program";
      readonly program?: undefined;
    };

/** A variable is given as a value or, when it is expensive, as a function that is called once if it is used. */
export type Variables = Readonly<Record<string, CelValue | (() => Result)>>;

export interface EvaluateOptions {
  /** Default: perCallLimit. Infinity turns the limit off. */
  readonly costLimit?: number;
  /** Asked every checkFrequency iterations of a comprehension; true cancels the evaluation. */
  readonly interrupted?: () => boolean;
}

export type Evaluation =
  | { readonly value: CelValue; readonly cost: number; readonly error?: undefined }
  | { readonly error: CelError; readonly cost: number; readonly value?: undefined };

export interface Program {
  readonly outputType: CelType;
  /**
   * The most and the least that an evaluation can cost, for inputs as large as the estimator says. Only before the first
   * evaluation: then the syntax tree is let go.
   */
  estimateCost(estimator?: SizeEstimator): CostEstimate;
  evaluate(variables: Variables, options?: EvaluateOptions): Evaluation;
  /** As evaluate, for variables with an authorizer: waits for its answers. */
  evaluateAsync(variables: Variables, options?: EvaluateOptions): Promise<Evaluation>;
}
