/** Devices that several may use at once, each taking some of their capacity. */
import type { CapacityRequestPolicy, CapacityRequirements, DeviceCapacity } from "#api";
import {
  addQuantities,
  compareQuantities,
  type DeepReadonly,
  parseQuantity,
  type Quantity,
  quantityOf,
  quantityValue,
  subtractQuantities,
} from "#machinery";

export type Amounts = ReadonlyMap<string, Quantity>;
type Capacities = Readonly<Record<string, DeepReadonly<DeviceCapacity>>>;
type Requirements = DeepReadonly<CapacityRequirements> | undefined;

export const noAmounts: Amounts = new Map();

export function addAmounts(a: Amounts, b: Amounts): Amounts {
  const sum = new Map(a);
  for (const [name, amount] of b) {
    const before = sum.get(name);
    sum.set(name, before ? addQuantities(before, amount) : amount);
  }
  return sum;
}

/** Undefined when nothing is left. */
export function subtractAmounts(a: Amounts, b: Amounts): Amounts | undefined {
  const rest = new Map<string, Quantity>();
  for (const [name, amount] of a) {
    const less = b.get(name);
    rest.set(name, less ? subtractQuantities(amount, less) : amount);
  }
  return [...rest.values()].some(({ unscaled }) => unscaled !== 0n) ? rest : undefined;
}

/** Whether a device has room for a request beside what is taken. A request for what it doesn't have fits nowhere. */
export function hasRoom(
  request: Requirements,
  capacity: Capacities | undefined = {},
  taken: readonly (Amounts | undefined)[] = [],
): boolean {
  for (const name of Object.keys(request?.requests ?? {})) if (!Object.hasOwn(capacity, name)) return false;
  for (const [name, has] of Object.entries(capacity)) {
    let amount = amountOf(request, name, has);
    if (violates(amount, has.requestPolicy)) return false;
    for (const amounts of taken) {
      const used = amounts?.get(name);
      if (used) amount = addQuantities(amount, used);
    }
    if (compareQuantities(amount, has.value) > 0) return false;
  }
  return true;
}

/** What a request takes of each capacity. */
export const amountsOf = (request: Requirements, capacity: Capacities | undefined = {}): Amounts =>
  new Map(Object.entries(capacity).map(([name, has]) => [name, amountOf(request, name, has)]));

function amountOf(
  request: Requirements,
  name: string,
  { value, requestPolicy }: DeepReadonly<DeviceCapacity>,
): Quantity {
  const asked = request?.requests?.[name];
  if (asked === undefined) return parseQuantity(requestPolicy?.default ?? value);
  const { validRange, validValues } = requestPolicy ?? {};
  const wanted = parseQuantity(asked);
  if (validRange?.min !== undefined) {
    const { min, step } = validRange;
    if (compareQuantities(wanted, min) < 0) return parseQuantity(min);
    if (step === undefined) return wanted;
    const first = quantityValue(min);
    const size = quantityValue(step);
    return quantityOf(first + size * Math.ceil((quantityValue(wanted) - first) / size), "BinarySI");
  }
  const fitting = validValues?.find((each) => compareQuantities(wanted, each) <= 0);
  return fitting === undefined ? wanted : parseQuantity(fitting);
}

function violates(amount: Quantity, policy: DeepReadonly<CapacityRequestPolicy> | undefined): boolean {
  if (!policy || (policy.default !== undefined && compareQuantities(amount, policy.default) === 0)) return false;
  const { validRange, validValues = [] } = policy;
  if (validRange) {
    const { min, max, step } = validRange;
    if (max !== undefined && compareQuantities(amount, max) > 0) return true;
    return step !== undefined && (quantityValue(amount) - quantityValue(min)) % quantityValue(step) !== 0;
  }
  return validValues.length > 0 && !validValues.some((each) => compareQuantities(amount, each) === 0);
}
