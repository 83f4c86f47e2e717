/** One item of a LimitRange against a pod or a claim: which bounds are broken, in upstream's words. Pure. */
import type { LimitRangeItem, PersistentVolumeClaim, PodSpec } from "#api";
import { addQuantities, compareQuantities, type DeepReadonly, printQuantity, quantityFloat } from "#machinery";

type Amounts = Readonly<Record<string, string>>;
type Limit = DeepReadonly<LimitRangeItem>;

interface Usage {
  readonly requests: Amounts;
  readonly limits: Amounts;
}

export function claimViolations({ spec }: PersistentVolumeClaim, limit: Limit): string[] {
  if (limit.type !== "PersistentVolumeClaim") return [];
  const requests = spec?.resources?.requests ?? {};
  return [
    ...entries(limit.min).map(([name, bound]) => below(limit.type, name, bound, { requests, limits: {} })),
    ...entries(limit.max).map(([name, bound]) => requestAbove(limit.type, name, bound, requests)),
  ].filter((each) => each !== undefined);
}

export function podViolations(spec: PodSpec, limit: Limit): string[] {
  const containers = (spec.containers ?? []).map(usageOf);
  const init = (spec.initContainers ?? []).map(usageOf);
  if (limit.type === "Container") return [...containers, ...init].flatMap((usage) => violations(usage, limit));
  if (limit.type !== "Pod") return [];
  const requests = largest(
    sum(containers.map((each) => each.requests)),
    init.map((each) => each.requests),
  );
  const limits = largest(
    sum(containers.map((each) => each.limits)),
    init.map((each) => each.limits),
  );
  return violations({ requests, limits }, limit);
}

const usageOf = ({ resources }: { resources?: { requests?: Amounts; limits?: Amounts } }): Usage => ({
  requests: resources?.requests ?? {},
  limits: resources?.limits ?? {},
});

const entries = (amounts: Amounts | undefined): [string, string][] => Object.entries(amounts ?? {});

function violations(usage: Usage, { type, min, max, maxLimitRequestRatio }: Limit): string[] {
  return [
    ...entries(min).map(([name, bound]) => below(type, name, bound, usage)),
    ...entries(max).map(([name, bound]) => above(type, name, bound, usage)),
    ...entries(maxLimitRequestRatio).map(([name, bound]) => ratioAbove(type, name, bound, usage)),
  ].filter((each) => each !== undefined);
}

type Check = (...about: [type: string, name: string, bound: string, usage: Usage]) => string | undefined;

const below: Check = (type, name, bound, { requests, limits }) => {
  const [request, limit] = [requests[name], limits[name]];
  const start = `minimum ${name} usage per ${type} is ${bound}`;
  if (request === undefined) return `${start}.  No request is specified`;
  if (compareQuantities(request, bound) < 0) return `${start}, but request is ${request}`;
  return limit !== undefined && compareQuantities(limit, bound) < 0 ? `${start}, but limit is ${limit}` : undefined;
};

const above: Check = (type, name, bound, { requests, limits }) => {
  const [request, limit] = [requests[name], limits[name]];
  const start = `maximum ${name} usage per ${type} is ${bound}`;
  if (limit === undefined) return `${start}.  No limit is specified`;
  if (compareQuantities(limit, bound) > 0) return `${start}, but limit is ${limit}`;
  return request !== undefined && compareQuantities(request, bound) > 0
    ? `${start}, but request is ${request}`
    : undefined;
};

function requestAbove(...[type, name, bound, requests]: [string, string, string, Amounts]): string | undefined {
  const request = requests[name];
  const start = `maximum ${name} usage per ${type} is ${bound}`;
  if (request === undefined) return `${start}.  No request is specified`;
  return compareQuantities(request, bound) > 0 ? `${start}, but request is ${request}` : undefined;
}

const ratioAbove: Check = (type, name, bound, { requests, limits }) => {
  const request = quantityFloat(requests[name] ?? "0");
  const limit = quantityFloat(limits[name] ?? "0");
  const start = `${name} max limit to request ratio per ${type} is ${bound}`;
  if (request === 0) return `${start}, but no request is specified or request is 0`;
  if (limit === 0) return `${start}, but no limit is specified or limit is 0`;
  const ratio = limit / request;
  return ratio > quantityFloat(bound) ? `${start}, but provided ratio is ${ratio.toFixed(6)}` : undefined;
};

/** Only of resources that every container names. */
function sum(all: readonly Amounts[]): Amounts {
  const [first = {}, ...rest] = all;
  const names = Object.keys(first).filter((name) => rest.every((each) => name in each));
  return Object.fromEntries(
    names.map((name) => [
      name,
      rest.reduce((total, each) => printQuantity(addQuantities(total, each[name] ?? "0")), first[name] ?? "0"),
    ]),
  );
}

/** Init containers run one after the other, before the others. */
function largest(together: Amounts, init: readonly Amounts[]): Amounts {
  const result: Record<string, string> = { ...together };
  for (const each of init) {
    for (const [name, amount] of Object.entries(each)) {
      const known = result[name];
      if (known === undefined || compareQuantities(amount, known) > 0) result[name] = amount;
    }
  }
  return result;
}
