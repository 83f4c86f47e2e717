/**
 * Finds devices for all requests of some claims on one node: tries candidates one after the other, marks each as taken and goes on to
 * the next device, and takes it back when that leads nowhere. The first solution is taken. Within a request devices are
 * tried in one order only, for their order doesn't matter there. Follows upstream's allocator step by step, so that both find the same.
 */
import { toleratesDeviceTaint } from "#api";
import type { AllocatedDevices } from "./allocated.ts";
import { addAmounts, type Amounts, amountsOf, hasRoom, noAmounts, subtractAmounts } from "./capacity.ts";
import type { Constraint } from "./constraints.ts";
import type { Counters } from "./counters.ts";
import { deviceId, isOnNode, type Pool, type ReadonlyDevice, type Slice } from "./pools.ts";
import { type Candidate, type Choice, claimKey, type Request, type Wanted } from "./requests.ts";
import type { Selectors } from "./selectors.ts";
import type { SelectableNode } from "#machinery";

/** Devices in one claim's allocation. */
export const devicesMax = 32;

export interface Picked {
  readonly request: Request;
  readonly candidate: Candidate;
  /** Of a device that others may use, too. */
  readonly consumed: Amounts | undefined;
}

/** "too many": the claim would get more devices than it may have, whatever is tried next. */
type Outcome = boolean | "too many";

/** Where to go on: the claim, its request, the alternative, and which of its devices. */
interface Position {
  readonly claim: number;
  readonly request: number;
  readonly alternative: number;
  readonly device: number;
}

interface Location {
  readonly pool: number;
  readonly slice: number;
  readonly device: number;
}

const start: Location = { pool: 0, slice: 0, device: 0 };

export interface SearchOptions {
  readonly node: SelectableNode;
  readonly pools: readonly Pool[];
  readonly claims: readonly { readonly choices: readonly Choice[]; readonly constraints: readonly Constraint[] }[];
  readonly allocated: AllocatedDevices;
  readonly counters: Counters;
  readonly selectors: Selectors;
  /** Throws when it takes too long. */
  readonly checkTime: () => void;
}

export class Search {
  readonly #options: SearchOptions;
  readonly picked: Picked[][];
  /** Which claims are about to get a device. */
  readonly #allocating = new Map<string, Set<number>>();
  /** What they are about to take of devices that several use. */
  readonly #taking = new Map<string, Amounts>();

  constructor(options: SearchOptions) {
    this.#options = options;
    this.picked = options.claims.map(() => []);
  }

  run(): boolean {
    return this.#next({ claim: 0, request: 0, alternative: 0, device: 0 }, false, start) === true;
  }

  #next(at: Position, isChosen: boolean, from: Location): Outcome {
    this.#options.checkTime();
    const claim = this.#options.claims[at.claim];
    if (!claim) return true;
    const choice = claim.choices[at.request];
    if (!choice) {
      const outcome = this.#next({ claim: at.claim + 1, request: 0, alternative: 0, device: 0 }, false, start);
      // Another device of an earlier claim may make a smaller alternative possible.
      return outcome === "too many" ? false : outcome;
    }
    if (choice.isChoice && !isChosen) return this.#choose(at, choice);
    const request = choice.alternatives[at.alternative] as Request; // a position in the list
    const { everything } = request;
    if (everything?.length === 0) return false;
    if (at.device >= request.size)
      return this.#next({ claim: at.claim, request: at.request + 1, alternative: 0, device: 0 }, false, start);
    if ((this.picked[at.claim]?.length ?? 0) + request.size - at.device > devicesMax) return "too many";
    const following = { ...at, device: at.device + 1 };
    if (everything) {
      const undo = this.#pick(at, request, everything[at.device] as Candidate); // below its size
      if (!undo) return false;
      const outcome = this.#next(following, isChosen, start);
      if (outcome !== true) undo();
      return outcome;
    }
    const { pools } = this.#options;
    for (let p = from.pool; p < pools.length; p++) {
      const pool = pools[p] as Pool;
      for (let s = p === from.pool ? from.slice : 0; s < pool.slices.length; s++) {
        const slice = pool.slices[s] as Slice;
        const devices = slice.spec.devices ?? [];
        for (let d = p === from.pool && s === from.slice ? from.device : 0; d < devices.length; d++) {
          const device = devices[d] as ReadonlyDevice;
          const id = deviceId(slice, device.name);
          if (this.#isTaken(id, request, at.claim) || !this.isSelectable(request, slice, device)) continue;
          if (!this.#hasRoom(request, id, device)) continue;
          const undo = this.#pick(at, request, { id, device, slice, pool });
          if (!undo) continue;
          const outcome = this.#next(following, isChosen, { pool: p, slice: s, device: d + 1 });
          if (outcome === true) return true;
          undo();
          if (outcome === "too many") return outcome;
        }
      }
    }
    return false;
  }

  #choose(at: Position, choice: Choice): Outcome {
    let areAllTooMany = true;
    for (let alternative = 0; alternative < choice.alternatives.length; alternative++) {
      const outcome = this.#next({ ...at, alternative }, true, start);
      if (outcome === "too many") continue;
      areAllTooMany = false;
      if (!outcome) continue;
      choice.chosen = alternative;
      return true;
    }
    return areAllTooMany ? "too many" : false;
  }

  #isTaken(id: string, { isAdmin }: Wanted, claim: number): boolean {
    const claims = this.#allocating.get(id);
    return isAdmin ? (claims?.has(claim) ?? false) : this.#options.allocated.isDedicated(id) || (claims?.size ?? 0) > 0;
  }

  #hasRoom({ capacity }: Wanted, id: string, device: ReadonlyDevice): boolean {
    return hasRoom(capacity, device.capacity, [this.#options.allocated.taken(id), this.#taking.get(id)]);
  }

  /** By class and selectors. */
  isSelectable(request: Omit<Request, "size">, slice: Slice, device: ReadonlyDevice): boolean {
    const { matches, deviceClass } = request;
    const id = deviceId(slice, device.name);
    const known = matches.get(id);
    if (known !== undefined) return known;
    const { node, selectors } = this.#options;
    const test = (of: string, list: Wanted["selectors"] = []) =>
      list.every(({ cel }, at) => {
        try {
          return selectors.matches(cel?.expression ?? "", slice, device);
        } catch (error) {
          throw new Error(`${of}: selector #${at}: ${(error as Error).message}`, { cause: error }); // Selectors throws those
        }
      });
    const found =
      test(`class ${deviceClass.metadata.name}`, deviceClass.spec.selectors) &&
      test(`claim ${claimKey(request.claim)}`, request.selectors) &&
      (!slice.spec.perDeviceNodeSelection || isOnNode(device, node));
    matches.set(id, found);
    return found;
  }

  /** Takes a device for a request; answers how to undo it, or undefined when it can't be had. */
  #pick(at: Position, request: Request, candidate: Candidate): (() => void) | undefined {
    const { id, device, slice, pool } = candidate;
    const { allocated, counters, claims } = this.#options;
    const isShared = device.allowMultipleAllocations === true;
    if (isShared && request.isAdmin ? false : this.#isTaken(id, request, at.claim)) return undefined;
    const undo: (() => void)[] = [];
    const fail = (): undefined => {
      for (const step of undo.reverse()) step();
    };
    // Counters are taken by the first of those that share a device.
    const inUse = isShared && (allocated.taken(id) !== undefined || this.#taking.has(id));
    if (!inUse && device.consumesCounters) {
      if (!counters.take(pool, device)) return undefined;
      undo.push(() => counters.giveBack(pool, device));
    }
    if (isRepelled(device, request)) return fail();
    for (const constraint of claims[at.claim]?.constraints ?? []) {
      if (!constraint.add(request.reference, device, slice.spec.driver)) {
        fail();
        if (!request.everything) return undefined;
        const what = `claim ${claimKey(request.claim)}, request ${request.name}`;
        throw new Error(`${what}: cannot add device ${id} because a claim constraint would not be satisfied`);
      }
      undo.push(() => constraint.remove(request.reference));
    }
    if (!isShared) {
      const users = this.#allocating.get(id) ?? new Set();
      this.#allocating.set(id, users.add(at.claim));
      undo.push(() => users.delete(at.claim));
    }
    if (!this.#hasRoom(request, id, device)) return fail();
    const consumed = isShared ? amountsOf(request.capacity, device.capacity) : undefined;
    if (consumed) {
      const before = this.#taking.get(id);
      this.#taking.set(id, addAmounts(before ?? noAmounts, consumed));
      undo.push(() => {
        const rest = subtractAmounts(this.#taking.get(id) ?? noAmounts, consumed) ?? (before && noAmounts);
        if (rest) this.#taking.set(id, rest);
        else this.#taking.delete(id);
      });
    }
    const picked = this.picked[at.claim] as Picked[]; // made for each claim
    picked.push({ request, candidate, consumed });
    undo.push(() => picked.pop());
    return fail;
  }
}

/** Tainted, and the request doesn't tolerate it. */
function isRepelled({ taints = [] }: ReadonlyDevice, { tolerations = [] }: Wanted): boolean {
  return taints.some(
    (taint) =>
      (taint.effect === "NoSchedule" || taint.effect === "NoExecute") &&
      !tolerations.some((toleration) => toleratesDeviceTaint(toleration, taint)),
  );
}
