/**
 * Rules of a schema applied to a value. Follows apiserver/schema/cel/validation.go: which old value a part is compared with, what a failed
 * rule is told as, and how the budget of a request runs out. Parts without rules below them are not looked at.
 */
import { atOnce } from "#base";
import type { CelError, CelValue, Result } from "#cel";
import { type DeepReadonly, type FieldError, FieldPath, fieldError, goQuote, printFieldErrors } from "#machinery";
import type { ValidationRule } from "../../types.d.ts";
import { type Correlated, isMapList, OldItems } from "./correlation.ts";
import { celEngine } from "../../cel-engine.ts";
import { ruleEnvironment } from "./engines.ts";
import { additionalOf, isEmbedded, isJsonObject, itemsOf, type JsonSchema, schemaHas } from "./json-schema.ts";
import { type CompiledRule, type CompiledRules, compileSteps } from "./rules.ts";

/** Cost units of all rules for one object: about a second upstream. */
export const ruleBudget = 10_000_000;
/** Of a text that a rule makes about itself. */
const messageBytesMax = 5 * 1024;

export interface RuleOutcome {
  readonly errors: readonly FieldError[];
  /** What failed, but is as it was before. */
  readonly warnings: readonly string[];
  /** Negative: it ran out. */
  readonly budget: number;
}

export interface RuleSubject {
  readonly value: unknown;
  /** Undefined: there was nothing. */
  readonly old?: unknown;
  readonly at?: FieldPath;
  /** The value is a whole object. */
  readonly root: boolean;
  /** For ratcheting; without it everything that fails is an error. */
  readonly correlated?: Correlated | undefined;
  readonly budget?: number;
}

const rulesBelow = new WeakMap<JsonSchema, boolean>();

/** Whether a value of this schema is held to any rule. */
export function hasRules(schema: JsonSchema): boolean {
  let answer = rulesBelow.get(schema);
  if (answer === undefined) {
    answer = schemaHas(schema, (part) => (part["x-kubernetes-validations"]?.length ?? 0) > 0);
    rulesBelow.set(schema, answer);
  }
  return answer;
}

/** After `loadEngines`. */
export const evaluateRules = (schema: JsonSchema, subject: RuleSubject): RuleOutcome =>
  atOnce(rulesInSteps(schema, subject));

/** A step for each rule and value: rules of one object may take a second. */
export function* rulesInSteps(schema: JsonSchema, subject: RuleSubject): Generator<void, RuleOutcome> {
  const { value, old, at = FieldPath.none, root, correlated, budget = ruleBudget } = subject;
  const run = new Run(budget);
  if (hasRules(schema)) yield* run.visit(schema, { value, old, at, root, current: correlated, parent: undefined });
  return { errors: run.errors, warnings: run.warnings, budget: run.budget };
}

interface Part {
  readonly value: unknown;
  readonly old: unknown;
  readonly at: FieldPath;
  readonly root: boolean;
  /** Undefined below what can't be compared; then the nearest part that can. */
  readonly current: Correlated | undefined;
  readonly parent: Correlated | undefined;
}

/** Compiled with all that any release knew: what is stored was checked when it came. */
const compiled = new WeakMap<JsonSchema, { root?: CompiledRules | undefined; part?: CompiledRules | undefined }>();

function* rulesOf(schema: JsonSchema, root: boolean): Generator<void, CompiledRules | undefined> {
  let known = compiled.get(schema);
  if (!known) {
    known = {};
    compiled.set(schema, known);
  }
  const place = root ? "root" : "part";
  if (!(place in known))
    known[place] = yield* compileSteps(schema, { root, environmentOf: () => ruleEnvironment("stored") });
  return known[place];
}

class Run {
  readonly errors: FieldError[] = [];
  readonly warnings: string[] = [];
  budget: number;

  constructor(budget: number) {
    this.budget = budget;
  }

  *visit(schema: JsonSchema, part: Part): Generator<void> {
    const { value } = part;
    // Who wants to say something about null says it where the value stands.
    if (value === null || value === undefined || this.budget < 0) return;
    if ((schema["x-kubernetes-validations"]?.length ?? 0) > 0) yield* this.#rules(schema, part);
    if (Array.isArray(value)) yield* this.#items(schema, value, part);
    else if (isJsonObject(value)) yield* this.#members(schema, value, part);
  }

  *#items(schema: JsonSchema, items: readonly unknown[], { old, at, current, parent }: Part): Generator<void> {
    const itemSchema = itemsOf(schema);
    if (!itemSchema || !hasRules(itemSchema)) return;
    const before = Array.isArray(old) && isMapList(schema) ? new OldItems(old, schema) : undefined;
    for (let i = 0; i < items.length && this.budget >= 0; i++) {
      const next = current ? { current: current.index(i), parent: current } : { current, parent };
      const item = { value: items[i], old: before?.find(items[i]), at: at.index(i), root: false, ...next };
      yield* this.visit(itemSchema, item);
    }
  }

  *#members(schema: JsonSchema, value: Record<string, unknown>, { old, at, current, parent }: Part): Generator<void> {
    const mapType = schema["x-kubernetes-map-type"];
    const before = isJsonObject(old) && [undefined, "granular", "atomic"].includes(mapType) ? old : {};
    const additional = additionalOf(schema);
    const { properties } = schema;
    for (const name of Object.keys(value)) {
      if (this.budget < 0) return;
      const property = properties && Object.hasOwn(properties, name) ? properties[name] : undefined;
      const member = additional ?? property;
      if (!member || !hasRules(member)) continue;
      // Both sides are in one version, whatever was sent.
      const hidden = !parent && (name === "apiVersion" || name === "kind");
      const next = !current
        ? { current, parent }
        : hidden
          ? { current: undefined, parent: undefined }
          : { current: current.key(name), parent: current };
      const oldMember = Object.hasOwn(before, name) ? before[name] : undefined;
      const path = additional ? at.key(name) : at.child(name);
      yield* this.visit(member, { value: value[name], old: oldMember, at: path, root: false, ...next });
    }
  }

  *#rules(schema: JsonSchema, part: Part): Generator<void> {
    const known = yield* rulesOf(schema, part.root);
    const { type = "" } = schema;
    const fail = (why: string): void => {
      this.errors.push(fieldError.invalid(part.at, type, why));
    };
    if (!known) {
      fail("rule compiler initialization error: failed to convert to declType for CEL validation rules");
      return;
    }
    const old = part.old ?? undefined;
    const values = valuesOf(part.value, old, part.root && !isEmbedded(schema) ? wholeOf(schema) : schema);
    const transitions = old !== undefined && known.rules.some(({ usesOldSelf }) => usesOldSelf);
    for (const each of known.rules) {
      yield;
      const { rule, program, usesOldSelf, error } = each;
      const { optionalOldSelf = false } = rule;
      if (this.budget <= 0) {
        fail(exhausted);
        this.budget = -1;
        return;
      }
      if (error !== undefined) fail(`rule compile error: ${error}`);
      if (!program || (usesOldSelf && old === undefined && !optionalOldSelf)) continue;
      const { self } = values;
      const oldSelf = optionalOldSelf ? values.optionalOldSelf : values.oldSelf;
      const { value: answer, error: failure, cost } = program.evaluate({ self, ...(usesOldSelf && { oldSelf }) });
      this.budget -= cost;
      if (this.budget < 0) fail(exhausted);
      else if (failure) {
        fail(failureText(failure, rule));
        if (failure.code !== "evaluation") this.budget = -1;
      } else if (answer !== true) {
        this.#failed(each, { part, type, variables: { self, ...(transitions && { oldSelf: values.oldSelf }) } });
      }
      if (this.budget < 0) return;
    }
  }

  #failed(
    each: CompiledRule,
    { part, type, variables }: { part: Part; type: string; variables: Record<string, () => Result> },
  ): void {
    const { at, value, current, parent } = part;
    const { rule, usesOldSelf, fieldPath } = each;
    const ratcheted = !usesOldSelf && (current ? current.unchanged : parent?.unchanged === true);
    const path = fieldPath === "" ? at : at.child(fieldPath);
    const { text, fatal } = this.#message(each, variables);
    const detail = text ?? (rule.message?.trim() || `failed rule: ${textOf(rule)}`);
    const found =
      fatal === undefined ? failed(path, { value, type, rule, detail }) : fieldError.invalid(path, type, fatal);
    if (ratcheted) this.warnings.push(printFieldErrors([found]));
    else this.errors.push(found);
    if (fatal !== undefined) this.budget = -1;
  }

  /** Neither: the rule's own text is taken. */
  #message(
    { rule, message }: CompiledRule,
    variables: Record<string, () => Result>,
  ): { text?: string; fatal?: string } {
    if (!message) return {};
    const { value, error, cost } = message.evaluate(variables);
    if (cost > this.budget) {
      const why = "messageExpression evaluation failed due to running out of cost budget";
      return { fatal: `${why}, no further validation rules will be run` };
    }
    if (error?.code === "cost") {
      const why = "no further validation rules will be run due to call cost exceeds limit for messageExpression";
      return { fatal: `${why}: ${goQuote(rule.messageExpression ?? "")}` };
    }
    this.budget -= cost;
    if (typeof value !== "string") return {};
    const text = value.trim();
    return text === "" || text.includes("\n") || Buffer.byteLength(text) > messageBytesMax ? {} : { text };
  }
}

const exhausted = "validation failed due to running out of cost budget, no further validation rules will be run";

/** Made when a rule looks at them. */
function valuesOf(value: unknown, old: unknown, schema: JsonSchema) {
  const { fromJson, Optional } = celEngine();
  const oldSelf = (): Result => fromJson(old, schema);
  return {
    self: (): Result => fromJson(value, schema),
    oldSelf,
    // What was stored fitted its schema.
    optionalOldSelf: (): Result => (old === undefined ? new Optional() : new Optional(oldSelf() as CelValue)),
  };
}

function failureText({ message, code }: CelError, rule: DeepReadonly<ValidationRule>): string {
  if (code !== "evaluation") {
    const why = "no further validation rules will be run due to call cost exceeds limit for rule";
    return `'${message}': ${why}: ${textOf(rule)}`;
  }
  if (!message.startsWith("no such overload")) return `${message} evaluating rule: ${textOf(rule)}`;
  const why = "call arguments did not match a supported operator, function or macro signature for rule";
  return `'${message}': ${why}: ${textOf(rule)}`;
}

const textOf = ({ rule, message = "" }: DeepReadonly<ValidationRule>): string =>
  (message === "" ? rule : message).trim();

interface Failure {
  readonly value: unknown;
  readonly type: string;
  readonly rule: DeepReadonly<ValidationRule>;
  readonly detail: string;
}

function failed(path: FieldPath, { value, type, rule, detail }: Failure): FieldError {
  switch (rule.reason) {
    case "FieldValueForbidden":
      return fieldError.forbidden(path, detail);
    case "FieldValueRequired":
      return fieldError.required(path, detail);
  }
  // Objects and lists are left out of what is said about them.
  const whole = type === "object" || type === "array";
  const at = path.toString();
  if (rule.reason === "FieldValueDuplicate")
    return whole
      ? { reason: "FieldValueDuplicate", field: at, message: "Duplicate value" }
      : fieldError.duplicate(path, value);
  return whole
    ? { reason: "FieldValueInvalid", field: at, message: `Invalid value: ${detail}` }
    : fieldError.invalid(path, value, detail);
}

const wholes = new WeakMap<JsonSchema, JsonSchema>();

/** With what every object has, for rules at the root. */
function wholeOf(schema: JsonSchema): JsonSchema {
  let whole = wholes.get(schema);
  if (!whole) {
    whole = { ...schema, "x-kubernetes-embedded-resource": true };
    wholes.set(schema, whole);
  }
  return whole;
}
