/**
 * How many seats a request takes. Lists and the beginnings of watches: by the bytes they gather, at most a megabyte at a time as answers
 * are sent in pieces. Writes: a seat, and afterwards, for a while, those of telling the watchers. Upstream's work estimators of 1.36.
 */
import type { Query } from "../query.ts";
import type { ResourceTarget, Target } from "../request-target.ts";
import type { Work } from "./queue-set.ts";

const bytesPerSeat = 100_000;
const bytesAtOnceMax = 1_000_000;
const listSeatsMax = 100;
const writeSeatsMax = 10;
const watchersPerSeat = 10;
const eventMs = 5;

export interface Stock {
  readonly objects: number;
  readonly bytes: number;
}

export const oneSeat: Work = Object.freeze({ initialSeats: 1, finalSeats: 0, extraMs: 0 });

export interface WorkSources {
  /** What is stored of a resource; undefined: unknown. */
  stock(target: ResourceTarget): Stock | undefined;
  /** Who hears of a write. */
  watchers(target: ResourceTarget): number;
}

interface Asked {
  readonly verb: string;
  readonly target: Target;
  readonly query: Query;
}

/** `seatsMax`: of the priority level; 0: none of its own. */
export function estimateWork({ verb, target, query }: Asked, sources: WorkSources, seatsMax: number): Work {
  if (target.type !== "resource") return oneSeat;
  switch (verb) {
    case "list":
      return estimateList(target, query, { sources, seatsMax });
    case "watch":
      return beginsWithList(query) ? estimateList(target, query, { sources, seatsMax }) : oneSeat;
    case "create":
    case "update":
    case "patch":
    case "delete":
      return estimateWrite(target, sources, seatsMax);
    default:
      return oneSeat;
  }
}

function beginsWithList(query: Query): boolean {
  const version = query.get("resourceVersion");
  return query.boolean("sendInitialEvents") || version === "" || version === "0";
}

function estimateList(
  target: ResourceTarget,
  query: Query,
  { sources, seatsMax }: { sources: WorkSources; seatsMax: number },
): Work {
  const stock = sources.stock(target);
  if (!stock || stock.objects === 0) return oneSeat;
  const limit = Number(query.get("limit"));
  let objects = limit > 0 ? Math.min(limit, stock.objects) : stock.objects;
  if (target.name !== "" || isOfOne(query)) objects = 1;
  const bytes = Math.min((objects * stock.bytes) / stock.objects, bytesAtOnceMax);
  const max = Math.min(seatsMax || listSeatsMax, listSeatsMax);
  const initialSeats = Math.max(1, Math.min(Math.ceil(bytes / bytesPerSeat), max));
  return initialSeats === 1 ? oneSeat : { initialSeats, finalSeats: 0, extraMs: 0 };
}

const isOfOne = (query: Query): boolean =>
  query.has("fieldSelector") && /(^|,)metadata\.name==?[^,]/.test(query.get("fieldSelector"));

function estimateWrite(target: ResourceTarget, sources: WorkSources, seatsMax: number): Work {
  // A token is nobody's event.
  if (target.resource === "serviceaccounts" && target.subresource === "token") return oneSeat;
  const watchers = sources.watchers(target);
  if (watchers < watchersPerSeat) return oneSeat;
  const wanted = Math.ceil(watchers / watchersPerSeat);
  const finalSeats = Math.min(wanted, seatsMax || writeSeatsMax, writeSeatsMax);
  // Narrower and longer: the same work.
  return { initialSeats: 1, finalSeats, extraMs: (wanted * eventMs) / finalSeats };
}
