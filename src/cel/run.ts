/** One evaluation: variables, the state of its loops, what it has cost and how far it may go. */

import { checkFrequency } from "./limits.ts";
import { CelError, type CelValue, type Result } from "./values.ts";

export const costExceeded = new CelError("operation cancelled: actual cost limit exceeded", "cost");
export const interrupted = new CelError("operation interrupted", "interrupted");

/** Thrown: ends the evaluation at once, whatever the expression would make of an error. */
export class Cancelled extends Error {
  readonly reason: CelError;
  constructor(reason: CelError) {
    super(reason.message);
    this.reason = reason;
  }
}

/** Content of a loop variable before it has a value. */
export const unset = Symbol("unset");

export interface RunOptions {
  readonly costLimit: number;
  /** Asked every checkFrequency iterations. */
  readonly interrupted?: (() => boolean) | undefined;
}

/** Wall-clock bound of one evaluation: what costs don't count, such as deep comparisons, must not stop the server. */
const evaluationMsMax = 3_000;
/** Iterations between two looks at the clock. */
const clockFrequency = 8;

export class Run {
  cost = 0;
  /** Variables of comprehensions, at indices that the planner gave them. */
  readonly slots: (Result | typeof unset)[] = [];
  readonly #variables: Readonly<Record<string, CelValue | (() => Result)>>;
  readonly #known = new Map<string, Result>();
  readonly #options: RunOptions;
  readonly #end = performance.now() + evaluationMsMax;
  #iterations = 0;

  constructor(variables: Readonly<Record<string, CelValue | (() => Result)>>, options: RunOptions) {
    this.#variables = variables;
    this.#options = options;
  }

  charge(cost: number): void {
    this.cost += cost;
    if (this.cost > this.#options.costLimit) throw new Cancelled(costExceeded);
  }

  /** Called once per iteration of any loop. */
  iterate(): void {
    this.#iterations++;
    const isOver = this.#iterations % clockFrequency === 0 && performance.now() > this.#end;
    if (isOver || (this.#iterations % checkFrequency === 0 && this.#options.interrupted?.()))
      throw new Cancelled(interrupted);
  }

  variable(name: string): Result {
    if (!Object.hasOwn(this.#variables, name)) return new CelError(`no such attribute(s): ${name}`);
    const value = this.#variables[name] ?? null;
    if (typeof value !== "function") return value;
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const made = value();
    this.#known.set(name, made);
    return made;
  }
}
