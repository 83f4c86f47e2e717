/** A limit range, in upstream's order: the names of each list first, then what the amounts of one resource say of each other. */
import { compareQuantities, type FieldError, isQualifiedName, quantityFloat } from "#machinery";
import { Place } from "../../place.ts";
import { isOvercommitAllowed, validateContainerResourceName, validateResourceName } from "../../resource-names.ts";
import type { LimitRange, LimitRangeItem } from "../../types.d.ts";

const standardTypes = ["Pod", "Container", "PersistentVolumeClaim"];

export function validateLimitRange({ spec }: LimitRange): FieldError[] {
  const root = Place.root("spec").child("limits");
  const types = new Set<string>();
  spec?.limits?.forEach((item, i) => {
    const at = root.index(i);
    const { type = "" } = item;
    validateType(type, at.child("type"));
    if (types.has(type)) at.child("type").duplicate(type);
    types.add(type);
    validateItem(item, at);
  });
  return root.errors;
}

function validateType(type: string, at: Place): void {
  const messages = isQualifiedName(type);
  at.invalidEach(type, messages);
  if (messages.length > 0 || type.includes("/") || standardTypes.includes(type)) return;
  at.invalid(type, "must be a standard limit type or fully qualified");
}

type Amounts = Readonly<Record<string, string>>;

function validateItem(item: LimitRangeItem, at: Place): void {
  const isPod = item.type === "Pod";
  const validateName = isPod || item.type === "Container" ? validateContainerResourceName : validateResourceName;
  const names = new Set<string>();
  const read = (field: Exclude<keyof LimitRangeItem, "type">): Amounts => {
    const amounts = item[field] ?? {};
    for (const name of Object.keys(amounts)) {
      validateName(name, at.child(field).key(name));
      names.add(name);
    }
    return amounts;
  };
  const max = read("max");
  const min = read("min");
  if (isPod) forbidDefaults(item, at);
  const limits = isPod ? {} : read("default");
  const requests = isPod ? {} : read("defaultRequest");
  if (item.type === "PersistentVolumeClaim" && !("storage" in min || "storage" in max)) {
    at.child("limits").required("either minimum or maximum storage value is required, but neither was provided");
  }
  const ratios = read("maxLimitRequestRatio");
  for (const name of names) {
    const bounds = { min: min[name], max: max[name], default: limits[name], defaultRequest: requests[name] };
    validateOrder(name, bounds, at);
    validateRatio(name, ratios[name], bounds, at);
    validateSame(name, bounds, at);
  }
}

function forbidDefaults(item: LimitRangeItem, at: Place): void {
  for (const field of ["default", "defaultRequest"] as const) {
    if (Object.keys(item[field] ?? {}).length === 0) continue;
    at.child(field).forbidden("may not be specified when `type` is 'Pod'");
  }
}

type Bound = "min" | "max" | "default" | "defaultRequest";
type Bounds = Readonly<Record<Bound, string | undefined>>;

const words: Readonly<Record<Bound, string>> = {
  min: "min value",
  max: "max value",
  default: "default value",
  defaultRequest: "default request value",
};

/** What may not be above what, where that is said, and which of the two amounts is called invalid. */
const orders: readonly { small: Bound; large: Bound; at: Bound; invalid: "small" | "large"; largeWords?: string }[] = [
  { small: "min", large: "max", at: "min", invalid: "small" },
  { small: "min", large: "defaultRequest", at: "defaultRequest", invalid: "large" },
  { small: "defaultRequest", large: "max", at: "defaultRequest", invalid: "small" },
  {
    small: "defaultRequest",
    large: "default",
    at: "defaultRequest",
    invalid: "small",
    largeWords: "default limit value",
  },
  { small: "min", large: "default", at: "default", invalid: "small" },
  { small: "default", large: "max", at: "default", invalid: "large" },
];

function validateOrder(name: string, bounds: Bounds, at: Place): void {
  for (const order of orders) {
    const small = bounds[order.small];
    const large = bounds[order.large];
    if (small === undefined || large === undefined || compareQuantities(small, large) <= 0) continue;
    const message = `${words[order.small]} ${small} is greater than ${order.largeWords ?? words[order.large]} ${large}`;
    const value = order.invalid === "small" ? small : large;
    at.child(order.at).key(name).invalid(value, message);
  }
}

function validateRatio(name: string, ratio: string | undefined, { min, max }: Bounds, at: Place): void {
  if (ratio === undefined) return;
  const place = at.child("maxLimitRequestRatio").key(name);
  if (compareQuantities(ratio, "1") < 0) place.invalid(ratio, `ratio ${ratio} is less than 1`);
  if (min === undefined || max === undefined) return;
  const ratioMax = quantityFloat(max) / quantityFloat(min);
  if (quantityFloat(ratio) <= ratioMax) return;
  place.invalid(ratio, `ratio ${ratio} is greater than max/min = ${ratioMax.toFixed(6)}`);
}

/** Of what can't be overcommitted, as much is requested as is the limit. */
function validateSame(name: string, { default: limit, defaultRequest: request }: Bounds, at: Place): void {
  if (isOvercommitAllowed(name) || limit === undefined || request === undefined) return;
  if (compareQuantities(limit, request) === 0) return;
  const message = `default value ${limit} must equal to defaultRequest value ${request} in ${name}`;
  at.child("defaultRequest").key(name).invalid(request, message);
}
