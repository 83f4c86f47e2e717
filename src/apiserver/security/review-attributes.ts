/**
 * What an access review asks about, as the authorizers see it. Selectors narrow a question: those that can't be read are left out, so that the
 * answer is about more than was asked, never about less, and the answer says so. Upstream's pkg/registry/authorization/util.
 */
import type {
  FieldSelectorAttributes,
  LabelSelectorAttributes,
  NonResourceAttributes,
  RequestUser,
  ResourceAttributes,
} from "#api";
import {
  type FieldError,
  FieldPath,
  type FieldRequirement,
  fieldError,
  type LabelRequirement,
  labelRequirement,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
  validateLabelSelectorRequirement,
} from "#machinery";
import type { Attributes } from "../security.ts";

export interface AskedAttributes {
  readonly resourceAttributes?: ResourceAttributes;
  readonly nonResourceAttributes?: NonResourceAttributes;
}

/** `errors`: for `status.evaluationError`. */
export function askedAttributes(
  { resourceAttributes: resource, nonResourceAttributes: path }: AskedAttributes,
  user: RequestUser,
): { attributes: Attributes; errors: string[] } {
  if (!resource) {
    const none = { apiGroup: "", apiVersion: "", resource: "", subresource: "", namespace: "", name: "" };
    const { verb = "", path: of = "" } = path ?? {};
    return { attributes: { user, verb, path: of, resourceRequest: false, ...none }, errors: [] };
  }
  const fields = read(resource.fieldSelector, (text) => parseFieldSelector(text).requirements, fieldRequirement);
  const labels = read(resource.labelSelector, (text) => parseLabelSelector(text).requirements, labelRequirementOf);
  const attributes: Attributes = {
    user,
    verb: resource.verb ?? "",
    resourceRequest: true,
    path: "",
    apiGroup: resource.group ?? "",
    apiVersion: resource.version || "*",
    resource: resource.resource ?? "",
    subresource: resource.subresource ?? "",
    namespace: resource.namespace ?? "",
    name: resource.name ?? "",
    ...(fields.found.length > 0 ? { fieldSelector: fields.found } : {}),
    ...(labels.found.length > 0 ? { labelSelector: labels.found } : {}),
  };
  const errors = [["fieldSelector", fields] as const, ["labelSelector", labels] as const].flatMap(
    ([name, { found, failed }]) =>
      failed
        ? [`spec.resourceAttributes.${name} ${found.length > 0 ? "partially ignored" : "ignored"} due to parse error`]
        : [],
  );
  return { attributes, errors };
}

interface Selector<R> {
  readonly rawSelector?: string;
  readonly requirements?: readonly R[];
}

function read<R, T>(
  selector: Selector<R> | undefined,
  parse: (text: string) => readonly T[],
  /** Undefined: it can't be said so. */
  convert: (requirement: R) => T | undefined,
): { found: readonly T[]; failed: boolean } {
  if (selector?.requirements?.length) {
    const found = selector.requirements.flatMap((each) => convert(each) ?? []);
    return { found, failed: found.length < selector.requirements.length };
  }
  try {
    return { found: selector?.rawSelector ? parse(selector.rawSelector) : [], failed: false };
  } catch (error) {
    if (error instanceof SelectorError) return { found: [], failed: true };
    throw error;
  }
}

type GivenField = NonNullable<FieldSelectorAttributes["requirements"]>[number];
type GivenLabel = NonNullable<LabelSelectorAttributes["requirements"]>[number];

/** Field selectors know equality only. */
function fieldRequirement({ key, operator, values = [] }: GivenField): FieldRequirement | undefined {
  const [value, ...more] = values;
  if (value === undefined || more.length > 0 || (operator !== "In" && operator !== "NotIn")) return undefined;
  return { field: key, operator: operator === "In" ? "=" : "!=", value };
}

const labelOperators = { In: "in", NotIn: "notin", Exists: "exists", DoesNotExist: "!" } as const;

function labelRequirementOf({ key, operator, values = [] }: GivenLabel): LabelRequirement | undefined {
  if (!Object.hasOwn(labelOperators, operator)) return undefined;
  try {
    return labelRequirement(key, labelOperators[operator as keyof typeof labelOperators], values); // looked up above
  } catch (error) {
    if (error instanceof SelectorError) return undefined;
    throw error;
  }
}

export function checkSelectors(resource: ResourceAttributes | undefined): FieldError[] {
  const at = FieldPath.root("spec.resourceAttributes");
  return [
    ...checkSelector(resource?.fieldSelector, at.child("fieldSelector"), checkField),
    // Operators that aren't known are fine: a newer client may ask.
    ...checkSelector(resource?.labelSelector, at.child("labelSelector"), (requirement, path) =>
      validateLabelSelectorRequirement(requirement, path, { anyOperator: true }),
    ),
  ];
}

function checkField({ key, operator, values = [] }: GivenField, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (!key) errors.push(fieldError.required(path.child("key"), "must be specified"));
  if ((operator === "In" || operator === "NotIn") && values.length === 0)
    errors.push(fieldError.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"));
  if ((operator === "Exists" || operator === "DoesNotExist") && values.length > 0)
    errors.push(
      fieldError.forbidden(path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
    );
  return errors;
}

function checkSelector<R>(
  selector: Selector<R> | undefined,
  at: FieldPath,
  check: (requirement: R, path: FieldPath) => FieldError[],
): FieldError[] {
  if (!selector) return [];
  const { rawSelector = "", requirements = [] } = selector;
  const errors = requirements.flatMap((each, position) => check(each, at.child("requirements").index(position)));
  if (rawSelector !== "" && requirements.length > 0)
    errors.unshift(
      fieldError.invalid(at.child("rawSelector"), rawSelector, "may not specified at the same time as requirements"),
    );
  if (rawSelector === "" && requirements.length === 0)
    errors.push(
      fieldError.required(
        at.child("requirements"),
        `when ${at.toString()} is specified, requirements or rawSelector is required`,
      ),
    );
  return errors;
}
