/**
 * Rules of a definition: whether they compile, what they may cost, and where they may stand. Follows apiextensions/validation
 * (ValidateCustomResourceDefinitionOpenAPISchema and cel_validation.go).
 */
import { type FieldError, type FieldPath, fieldError } from "#machinery";
import { semanticEqual } from "../../equality.ts";
import type { CustomResourceDefinition, ValidationRule } from "../../types.d.ts";
import { printedRule } from "../internal-form.ts";
import { ruleEnvironment } from "./engines.ts";
import { findField } from "./field-path.ts";
import { type JsonSchema, schemaHas } from "./json-schema.ts";
import { compileRules, type EnvironmentOf } from "./rules.ts";

/** Estimated, of one rule. */
const ruleCostMax = 10_000_000;
/** Of all rules of one schema. */
const totalCostMax = 100_000_000;
/** How many of the dearest are named. */
const dearestMax = 4;
const uint64Max = 2 ** 64;
const reasons = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/** What is forgiven because it was there before. */
export interface RuleOptions {
  /** Expressions of the old definition may use what only a newer release knew. */
  readonly known: { readonly rules: ReadonlySet<string>; readonly messages: ReadonlySet<string> };
  /** Versions whose schema didn't change: their rules may cost what they cost. */
  readonly unchanged: ReadonlySet<string>;
}

export const newRules: RuleOptions = { known: { rules: new Set(), messages: new Set() }, unchanged: new Set() };

export function rulesOfUpdate(definition: CustomResourceDefinition, old: CustomResourceDefinition): RuleOptions {
  const rules = new Set<string>();
  const messages = new Set<string>();
  const before = old.spec.versions ?? [];
  for (const { schema } of before)
    schemaHas(schema?.openAPIV3Schema, (part) => {
      for (const { rule, messageExpression } of part["x-kubernetes-validations"] ?? []) {
        rules.add(rule);
        if (messageExpression) messages.add(messageExpression);
      }
      return false;
    });
  const same = (definition.spec?.versions ?? []).filter(({ name, schema }) => {
    const found = before.find((version) => version.name === name);
    return found && semanticEqual(found.schema, schema);
  });
  return { known: { rules, messages }, unchanged: new Set(same.map(({ name }) => name)) };
}

/** What the walk through a schema knows at one part of it. */
export interface RuleContext {
  readonly checker: RuleChecker;
  /** How often the part can stand in one object; undefined: nobody knows. */
  readonly times: number | undefined;
  readonly root: boolean;
}

export const environmentsFor =
  ({ known }: RuleOptions): EnvironmentOf =>
  (expression, use) => {
    const before = use === "rule" ? known.rules : known.messages;
    return ruleEnvironment(before.has(expression) ? "stored" : "new");
  };

/** Checks the rules of one schema. */
export class RuleChecker {
  readonly #environmentOf: EnvironmentOf;
  readonly #anyCost: boolean;
  readonly #dearest: { path: FieldPath; cost: number }[] = [];
  #total = 0;

  constructor(options: RuleOptions, version: string) {
    this.#anyCost = options.unchanged.has(version);
    this.#environmentOf = environmentsFor(options);
  }

  /** `uncorrelated`: within which part old and new values can't be told to belong together. */
  check(
    schema: JsonSchema,
    context: RuleContext,
    { at, uncorrelated }: { at: FieldPath; uncorrelated: FieldPath | undefined },
  ): FieldError[] {
    const rules = schema["x-kubernetes-validations"] ?? [];
    const place = at.child("x-kubernetes-validations");
    const compiled = compileRules(schema, { root: context.root, environmentOf: this.#environmentOf });
    if (!compiled) {
      const why =
        "internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations";
      return [fieldError.internal(place, why)];
    }
    const errors: FieldError[] = [];
    const times = context.times ?? compiled.timesMax;
    compiled.rules.forEach((each, i) => {
      const path = place.index(i);
      const rule = rules[i]!; // one for each
      this.#cost(path.child("rule"), { cost: multiplied(each.costMax, times), what: "estimated rule cost" }, errors);
      if (each.error !== undefined) errors.push(fieldError.invalid(path.child("rule"), printedRule(rule), each.error));
      if (each.messageError !== undefined)
        errors.push(fieldError.invalid(path.child("messageExpression"), printedRule(rule), each.messageError));
      else if (each.message) {
        const cost = { cost: each.messageCostMax, what: "estimated messageExpression cost" };
        this.#cost(path.child("messageExpression"), cost, errors);
      }
      if (each.usesOldSelf && uncorrelated) {
        const why = `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelated}`;
        errors.push(fieldError.invalid(path.child("rule"), rule.rule, why));
      } else if (!each.usesOldSelf && rule.optionalOldSelf !== undefined) {
        const why = "may not be set if oldSelf is not used in rule";
        errors.push(fieldError.invalid(path.child("optionalOldSelf"), rule.optionalOldSelf, why));
      }
    });
    return errors;
  }

  #cost(path: FieldPath, { cost, what }: { cost: number; what: string }, errors: FieldError[]): void {
    if (!this.#anyCost && cost > ruleCostMax) errors.push(fieldError.forbidden(path, tooDear(what, cost, ruleCostMax)));
    this.#total = Math.min(this.#total + cost, uint64Max);
    if (cost < totalCostMax / 100) return;
    this.#dearest.push({ path, cost });
    this.#dearest.sort((a, b) => b.cost - a.cost);
    this.#dearest.splice(dearestMax);
  }

  /** All rules together; after the walk. */
  total(at: FieldPath): FieldError[] {
    if (this.#total <= totalCostMax) return [];
    const each = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
    const all = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
    return [
      ...this.#dearest.map(({ path }) => fieldError.forbidden(path, each)),
      fieldError.forbidden(at, tooDear(all, this.#total, totalCostMax)),
    ];
  }
}

const multiplied = (cost: number, times: number): number => (cost === 0 ? 0 : Math.min(cost * times, uint64Max));

function tooDear(what: string, cost: number, max: number): string {
  const times = cost / max;
  const factor = times > 100 ? "more than 100x" : `${times.toFixed(times < 1.5 ? 6 : 1)}x`;
  return `${what} exceeds budget by factor of ${factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`;
}

/** How often parts of `schema` can stand in one object, if `schema` itself can so often. */
export function timesBelow(
  { type, additionalProperties, maxProperties, maxItems }: JsonSchema,
  times: number | undefined,
) {
  if (times === undefined) return undefined;
  const factor =
    type === "array" ? maxItems : type === "object" && additionalProperties !== undefined ? maxProperties : 1;
  return factor === undefined ? undefined : multiplied(times, Math.max(factor, 0));
}

/** The form of rules, which needs no engine. */
export function checkRuleForm(schema: JsonSchema, at: FieldPath, errors: FieldError[]): void {
  schema["x-kubernetes-validations"]?.forEach((rule, i) => {
    const place = at.child("x-kubernetes-validations").index(i);
    checkTexts(rule, place, errors);
    const { reason, fieldPath = "" } = rule;
    if (reason !== undefined && !reasons.includes(reason))
      errors.push(fieldError.notSupported(place.child("reason"), reason, reasons));
    if (fieldPath === "") return;
    const path = place.child("fieldPath");
    const fail = (why: string) => errors.push(fieldError.invalid(path, fieldPath, why));
    if (fieldPath.trim() === "") fail("must be non-empty if specified");
    if (hasNewlines(fieldPath)) fail("must not contain line breaks");
    if (findField(fieldPath, schema, true).error !== undefined) fail("must be a valid path");
  });
}

const hasNewlines = (text: string): boolean => /[\n\r]/.test(text);

function checkTexts(
  { rule = "", message = "", messageExpression = "" }: Readonly<ValidationRule>,
  place: FieldPath,
  errors: FieldError[],
): void {
  const text = message.trim();
  const at = place.child("message");
  if (rule.trim() === "") errors.push(fieldError.required(place.child("rule"), "rule is not specified"));
  else if (message !== "" && text === "")
    errors.push(fieldError.invalid(at, message, "must be non-empty if specified"));
  else if (hasNewlines(text)) errors.push(fieldError.invalid(at, message, "must not contain line breaks"));
  else if (hasNewlines(rule.trim()) && text === "")
    errors.push(fieldError.required(at, "message must be specified if rule contains line breaks"));
  if (messageExpression !== "" && messageExpression.trim() === "")
    errors.push(
      fieldError.required(place.child("messageExpression"), "messageExpression must be non-empty if specified"),
    );
}
