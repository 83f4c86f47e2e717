/** Does a write fit into its namespace's quotas, and how much of them is used then? Pure. Follows upstream's CheckRequest. */
import {
  countedNames,
  missingAmounts,
  type Pod,
  type QuotaUsage,
  quotaMatches,
  quotaUsage,
  type ResourceQuota,
} from "#api";
import {
  addQuantities,
  compareQuantities,
  type DeepReadonly,
  parseQuantity,
  printQuantity,
  quantitySign,
  subtractQuantities,
} from "#machinery";
import type { AdmissionRequest } from "./chain.ts";
import { isResource, refuse } from "./refuse.ts";

type Amounts = Readonly<Record<string, string>>;

/** One quota and how much of it is used, counting what was let through since it was read. */
export interface Tally {
  readonly quota: DeepReadonly<ResourceQuota>;
  readonly used: Amounts;
}

/** The tallies after the write, the same ones where it changes nothing. Throws when it doesn't fit. */
export function charge(tallies: readonly Tally[], request: AdmissionRequest): readonly Tally[] {
  const covering = new Set(tallies.filter((tally) => covers(tally, request)));
  if (covering.size === 0) return tallies;
  const { operation, resource, object, old, now } = request;
  const whole: QuotaUsage = new Map(object && quotaUsage(resource, object, now));
  const difference = operation === "UPDATE" && old ? subtract(whole, quotaUsage(resource, old, now)) : whole;
  return tallies.map((tally) => {
    if (!covering.has(tally)) return tally;
    // What a scope didn't cover before the change costs all of it now.
    const isNew = difference !== whole && old && !quotaMatches(tally.quota, resource, old);
    return add(tally, isNew ? whole : difference, request);
  });
}

function covers({ quota, used }: Tally, request: AdmissionRequest): boolean {
  const { resource, object } = request;
  if (!object || !quotaMatches(quota, resource, object)) return false;
  const name = quota.metadata.name ?? "";
  const names = countedNames(resource, Object.keys(quota.status?.hard ?? {})).sort();
  if (isResource(request, "", "pods")) {
    const missing = missingAmounts(names, object as Pod); // as the resource says
    if (missing.length > 0) throw refuse(request, `failed quota: ${name}: must specify ${missing.join("; ")}`);
  }
  // The quota controller hasn't counted yet what there is.
  if (names.some((each) => !(each in used))) {
    throw refuse(request, `status unknown for quota: ${name}, resources: ${names.join()}`);
  }
  return true;
}

/** What a change adds; less than nothing when it gives something back. */
function subtract(after: QuotaUsage, before: QuotaUsage): QuotaUsage {
  const cost = new Map(after);
  for (const [name, amount] of before) cost.set(name, subtractQuantities(cost.get(name) ?? "0", amount));
  for (const [name, amount] of cost) if (quantitySign(amount) === 0) cost.delete(name);
  return cost;
}

function add(tally: Tally, cost: QuotaUsage, request: AdmissionRequest): Tally {
  const { hard = {} } = tally.quota.status ?? {};
  const names = [...cost.keys()].filter((name) => name in hard).sort();
  if (names.length === 0) return tally;
  const sums: Record<string, string> = {};
  const asked: Record<string, string> = {};
  for (const name of names) {
    const amount = cost.get(name)!; // one of its keys
    asked[name] = printQuantity(amount);
    sums[name] = printQuantity(addQuantities(parseQuantity(tally.used[name] ?? "0"), amount));
  }
  const exceeded = names.filter((name) => compareQuantities(sums[name] ?? "0", hard[name] ?? "0") > 0);
  if (exceeded.length === 0) return { ...tally, used: { ...tally.used, ...sums } };
  const print = (amounts: Amounts) => exceeded.map((name) => `${name}=${amounts[name] ?? "0"}`).join();
  const amounts = `requested: ${print(asked)}, used: ${print(tally.used)}, limited: ${print(hard)}`;
  throw refuse(request, `exceeded quota: ${tally.quota.metadata.name}, ${amounts}`);
}
