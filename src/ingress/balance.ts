/** Which of a backend's endpoints gets the next request: each in turn; clients with affinity keep theirs. */
import type { Endpoint, Upstream } from "./upstream.ts";

/** Clients remembered for one backend with affinity; beyond it the one that is remembered longest may be sent elsewhere. */
const clientsMax = 20_000;
/** An endpoint that could not be connected to is tried only if nothing else is left, for this long. */
const restMs = 5_000;

export class Balancer {
  #endpoints: readonly Endpoint[] = [];
  #affinityMs = 0;
  #next = 0;
  /** When each that failed may be tried again. */
  readonly #resting = new Map<string, number>();
  /** Oldest first. */
  readonly #clients = new Map<string, { readonly id: string; readonly until: number }>();

  update({ endpoints, affinityMs }: Upstream): void {
    this.#endpoints = endpoints;
    this.#affinityMs = affinityMs;
    const known = new Set(endpoints.map(({ id }) => id));
    for (const id of this.#resting.keys()) if (!known.has(id)) this.#resting.delete(id);
    if (affinityMs === 0) this.#clients.clear();
  }

  /** Undefined: all were tried. Times are milliseconds of any clock, always the same. */
  choose(client: string, { tried, now }: { tried: ReadonlySet<string>; now: number }): Endpoint | undefined {
    const kept = this.#affinityMs > 0 ? this.#keptOf(client, now) : undefined;
    const chosen = kept && !tried.has(kept.id) && !this.#rests(kept.id, now) ? kept : this.#inTurn(tried, now);
    if (chosen && this.#affinityMs > 0) this.#keep(client, { id: chosen.id, until: now + this.#affinityMs });
    return chosen;
  }

  failed(id: string, now: number): void {
    this.#resting.set(id, now + restMs);
  }

  #inTurn(tried: ReadonlySet<string>, now: number): Endpoint | undefined {
    const count = this.#endpoints.length;
    let spare: Endpoint | undefined;
    for (let i = 0; i < count; i++) {
      const endpoint = this.#endpoints[(this.#next + i) % count];
      if (!endpoint || tried.has(endpoint.id)) continue;
      if (this.#resting.size > 0 && this.#rests(endpoint.id, now)) spare ??= endpoint;
      else {
        this.#next = (this.#next + i + 1) % count;
        return endpoint;
      }
    }
    return spare;
  }

  #rests(id: string, now: number): boolean {
    const until = this.#resting.get(id);
    if (until === undefined) return false;
    if (until > now) return true;
    this.#resting.delete(id);
    return false;
  }

  #keptOf(client: string, now: number): Endpoint | undefined {
    const kept = this.#clients.get(client);
    return kept && kept.until > now ? this.#endpoints.find(({ id }) => id === kept.id) : undefined;
  }

  #keep(client: string, kept: { id: string; until: number }): void {
    this.#clients.delete(client);
    this.#clients.set(client, kept);
    if (this.#clients.size <= clientsMax) return;
    for (const oldest of this.#clients.keys()) {
      this.#clients.delete(oldest);
      break;
    }
  }
}
