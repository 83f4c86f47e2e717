/**
 * What a controller wrote of a Service's EndpointSlices and its cache doesn't show yet. Names of slices are made up by the server, so a
 * controller that acted on a cache without its own last write would write the same slice twice.
 */
import type { EndpointSlice } from "#api";
import type { Clock } from "#base";
import { type Seen, uidOf } from "./objects.ts";

/** A write that no event ever showed (the slice came and went between two lists) is forgotten after this long. */
const pendingMsMax = 60_000;

interface Pending {
  /** Undefined: deleted. */
  readonly generation: number | undefined;
  readonly since: number;
}

export class SliceTracker {
  readonly #clock: Clock;
  readonly #pending = new Map<string, Map<string, Pending>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wrote(key: string, slice: Seen<EndpointSlice>): void {
    this.#put(key, slice, slice.metadata.generation ?? 0);
  }

  deleted(key: string, slice: Seen<EndpointSlice>): void {
    this.#put(key, slice, undefined);
  }

  #put(key: string, slice: Seen<EndpointSlice>, generation: number | undefined): void {
    let slices = this.#pending.get(key);
    if (!slices) {
      slices = new Map();
      this.#pending.set(key, slices);
    }
    slices.set(uidOf(slice), { generation, since: this.#clock.now() });
  }

  /** Whether these slices lack one of our writes. */
  isBehind(key: string, slices: readonly Seen<EndpointSlice>[]): boolean {
    const pending = this.#pending.get(key);
    if (!pending) return false;
    const shown = new Map(slices.map((slice) => [uidOf(slice), slice.metadata.generation ?? 0]));
    for (const [uid, { generation, since }] of pending) {
      const shownGeneration = shown.get(uid);
      const isShown =
        generation === undefined
          ? shownGeneration === undefined
          : shownGeneration !== undefined && shownGeneration >= generation;
      if (isShown || this.#clock.now() - since > pendingMsMax) pending.delete(uid);
    }
    if (pending.size === 0) this.#pending.delete(key);
    return pending.size > 0;
  }

  /** A slice came by; answers whether we wrote exactly this. */
  isOurs(key: string, slice: Seen<EndpointSlice>): boolean {
    return this.#pending.get(key)?.get(uidOf(slice))?.generation === (slice.metadata.generation ?? 0);
  }

  /** A slice is gone; answers whether by us. */
  isOurDeletion(key: string, slice: Seen<EndpointSlice>): boolean {
    const pending = this.#pending.get(key);
    const entry = pending?.get(uidOf(slice));
    pending?.delete(uidOf(slice));
    return entry !== undefined && entry.generation === undefined;
  }

  forget(key: string): void {
    this.#pending.delete(key);
  }
}
