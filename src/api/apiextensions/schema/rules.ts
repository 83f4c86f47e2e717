/**
 * Rules of one part of a schema (`x-kubernetes-validations`), compiled. Follows apiserver/schema/cel/compilation.go; done when a value of
 * that part first comes by, and kept as long as the schema is.
 */
import { atOnce } from "#base";
import type { DeclType, Environment, Program } from "#cel";
import type { DeepReadonly, FieldPath } from "#machinery";
import type { ValidationRule } from "../../types.d.ts";
import { celEngine } from "../../cel-engine.ts";
import { findField } from "./field-path.ts";
import { isEmbedded, type JsonSchema } from "./json-schema.ts";

/** Of the largest request upstream reckons with. */
const requestBytesMax = 3 * 1024 * 1024;

export interface CompiledRule {
  readonly rule: DeepReadonly<ValidationRule>;
  /** Undefined with an error, or of an empty rule. */
  readonly program?: Program | undefined;
  readonly error?: string | undefined;
  readonly usesOldSelf: boolean;
  /** At most, for one value. */
  readonly costMax: number;
  readonly message?: Program | undefined;
  readonly messageError?: string | undefined;
  readonly messageCostMax: number;
  /** Below the value; printed as it stands behind the value's own path. */
  readonly fieldPath: string;
}

export interface CompiledRules {
  readonly rules: readonly CompiledRule[];
  /** How often a value of this part can stand in one request. */
  readonly timesMax: number;
}

export type EnvironmentOf = (expression: string, use: "rule" | "messageExpression") => Environment;

export interface RulePlace {
  /** The whole object. */
  readonly root: boolean;
  readonly environmentOf: EnvironmentOf;
}

interface Known {
  readonly root: boolean;
  /** Of each expression. */
  readonly environments: readonly Environment[];
  readonly compiled: CompiledRules | undefined;
}

const known = new WeakMap<JsonSchema, Known>();

/** Undefined: nothing in expressions corresponds to values of this schema. */
export function compileRules(schema: JsonSchema, place: RulePlace): CompiledRules | undefined {
  const found = known.get(schema);
  const same =
    found?.root === place.root && environmentsOf(schema, place).every((each, i) => each === found.environments[i]);
  return found && same ? found.compiled : atOnce(compileSteps(schema, place));
}

/** The same in steps; what comes out is remembered. */
export function* compileInSteps(schema: JsonSchema, place: RulePlace): Generator<void> {
  const compiled = yield* compileSteps(schema, place);
  known.set(schema, { root: place.root, environments: environmentsOf(schema, place), compiled });
}

const environmentsOf = (schema: JsonSchema, { environmentOf }: RulePlace): Environment[] =>
  (schema["x-kubernetes-validations"] ?? []).flatMap(({ rule, messageExpression = "" }) => [
    environmentOf(rule, "rule"),
    environmentOf(messageExpression, "messageExpression"),
  ]);

/** A step for each rule. */
export function* compileSteps(
  schema: JsonSchema,
  { root, environmentOf }: RulePlace,
): Generator<void, CompiledRules | undefined> {
  const { schemaDeclType, assignTypeName } = celEngine();
  const declared = schemaDeclType(schema, root || isEmbedded(schema));
  if (!declared) return undefined;
  yield;
  const type = assignTypeName(declared, "selfType");
  const rules: CompiledRule[] = [];
  for (const rule of schema["x-kubernetes-validations"] ?? []) {
    yield;
    rules.push(compileRule(rule, { schema, type, environmentOf }));
  }
  return { rules, timesMax: Math.floor(requestBytesMax / (declared.minSerializedSize + 1)) };
}

interface Compiling {
  readonly schema: JsonSchema;
  readonly type: DeclType;
  readonly environmentOf: EnvironmentOf;
}

const unused = { usesOldSelf: false, costMax: 0, messageCostMax: 0, fieldPath: "" };

function compileRule(rule: DeepReadonly<ValidationRule>, { schema, type, environmentOf }: Compiling): CompiledRule {
  const { rule: expression = "", messageExpression = "", optionalOldSelf = false, fieldPath = "" } = rule;
  if (expression.trim() === "") return { rule, ...unused };
  const { optionalType, declTypeSizeEstimator } = celEngine();
  const { celType } = type;
  const oldSelf = optionalOldSelf ? optionalType(celType) : celType;
  const extended = (base: Environment, withOld = true): Environment =>
    base.extend({ variables: { self: celType, ...(withOld && { oldSelf }) }, declTypes: [type] });
  const environment = extended(environmentOf(expression, "rule"));
  const { program, issues } = environment.compile(expression);
  if (!program) return { rule, ...unused, error: `compilation failed: ${issues}` };
  if (program.outputType.kind !== "bool") return { rule, ...unused, error: "cel expression must evaluate to a bool" };
  const sizes = declTypeSizeEstimator({ self: type });
  // Upstream takes every name for one of the variables, those of types too.
  const estimator: typeof sizes = ({ path: [root, ...parts], ...node }) =>
    sizes({ ...node, path: root === undefined ? [] : ["self", ...parts] });
  // Whether it is only a word in a text shows when the expression doesn't do without.
  const usesOldSelf =
    /\boldSelf\b/.test(expression) &&
    extended(environmentOf(expression, "rule"), false).compile(expression).program === undefined;
  const found = fieldPath === "" ? undefined : findField(fieldPath, schema, true);
  const path = found && found.error === undefined ? found.path.toString() : "";
  const compiled = { rule, program, usesOldSelf, costMax: program.estimateCost(estimator).max, fieldPath: path };
  if (messageExpression === "") return { ...compiled, messageCostMax: 0 };
  const text = extended(environmentOf(messageExpression, "messageExpression")).compile(messageExpression);
  const messageError = !text.program
    ? `messageExpression compilation failed: ${text.issues}`
    : text.program.outputType.kind !== "string"
      ? "messageExpression must evaluate to a string"
      : undefined;
  if (!text.program || messageError !== undefined)
    return { ...compiled, messageError, messageCostMax: 0, fieldPath: "" };
  return { ...compiled, message: text.program, messageCostMax: text.program.estimateCost(estimator).max };
}

/** A path behind another; the second may begin with a key. */
export function pathBehind(path: FieldPath, below: string): FieldPath {
  return below === "" ? path : path.child(below);
}
