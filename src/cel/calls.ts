/** Calls at run time: which overload applies, what it costs, which arguments are evaluated. */

import type { Evaluate } from "./attributes.ts";
import { type CallCost, callCost, needsResult } from "./cost/call-cost.ts";
import type { FunctionDeclaration, Implementation } from "./functions.ts";
import { equal, isOfType, typeOf } from "./operations.ts";
import type { Run } from "./run.ts";
import { CelError, type CelValue, type Result } from "./values.ts";

/** Everything about a call but its arguments. */
interface BoundCall {
  readonly apply: (args: readonly CelValue[]) => Result;
  readonly cost: CallCost;
  /** The cost is only known afterwards. */
  readonly costsLater: boolean;
  /** Arguments after one that fails aren't evaluated, and the call isn't charged then. */
  readonly stopsAtErrors: boolean;
}

/** A call of the overload that the checker chose, or of whichever fits the values when several could. */
export function planCall(
  declaration: FunctionDeclaration,
  overloads: readonly string[],
  { args, stopsAtErrors }: { args: readonly Evaluate[]; stopsAtErrors: boolean },
): Evaluate {
  const call = boundCall(declaration, overloads);
  const [a, b] = args;
  if (a && !b) return (run) => invoke(run, call, [a(run)]);
  const stops = stopsAtErrors || call.stopsAtErrors || args.length > 2;
  if (a && b && !stops) return (run) => invoke(run, call, [a(run), b(run)]);
  return (run) => {
    const values: Result[] = [];
    for (let i = 0; i < args.length; i++) {
      const value = (args[i] as Evaluate)(run); // within bounds
      if (value instanceof CelError && i < args.length - 1) return value;
      values.push(value);
    }
    return invoke(run, call, values);
  };
}

function invoke(run: Run, call: BoundCall, values: readonly Result[]): Result {
  if (!call.costsLater) run.charge(call.cost(values));
  let result: Result | undefined;
  for (const value of values) if (value instanceof CelError) result ??= value;
  result ??= call.apply(values as readonly CelValue[]); // no error among them
  if (call.costsLater) run.charge(call.cost(values, result));
  return result;
}

function boundCall(declaration: FunctionDeclaration, overloads: readonly string[]): BoundCall {
  const { name, calls } = declaration;
  const overload = overloads.length === 1 ? (overloads[0] ?? "") : "";
  const known = calls.get(overload) as BoundCall | undefined; // only set here
  if (known) return known;
  const call: BoundCall = {
    apply: name === "_==_" ? equals : name === "_!=_" ? differs : bindFunction(declaration, overload),
    cost: callCost(name, overload),
    costsLater: needsResult(name, overload),
    stopsAtErrors:
      overload === "string_format" || (overload === "" && !declaration.apply && declaration.overloads.length > 1),
  };
  calls.set(overload, call);
  return call;
}

const equals = ([a = null, b = null]: readonly CelValue[]): Result => equal(a, b);
const differs = ([a = null, b = null]: readonly CelValue[]): Result => equal(a, b) !== true;

function bindFunction(
  { name, apply, overloads }: FunctionDeclaration,
  overload: string,
): (args: readonly CelValue[]) => Result {
  if (apply) return (args) => run(apply, args);
  const chosen = overloads.filter(({ id }) => overload === "" || id === overload);
  return (args) => {
    for (const { parameters, apply: implementation } of chosen) {
      if (!implementation || parameters.length !== args.length) continue;
      if (parameters.every((type, i) => isOfType(type, args[i] ?? null))) return run(implementation, args);
    }
    return new CelError(`no such overload: ${name}(${args.map((arg) => typeOf(arg).name).join(", ")})`);
  };
}

/** Implementations are declared with the types that their arguments have by then. */
const run = (implementation: Implementation, args: readonly CelValue[]): Result => implementation(...(args as never[]));
