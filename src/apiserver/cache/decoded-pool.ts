/**
 * Which decoded views are kept alive: the last few hundred that anyone asked for. Older ones stay shared as long as an informer
 * in this process holds them (a weak reference finds them), and go when it doesn't.
 */

/** A decoded pod takes some 15 kB: at most about 8 MB. */
export const decodedObjectsMax = 512;

export interface Releasable {
  release(): void;
}

export class DecodedPool {
  readonly #ring: (Releasable | undefined)[] = [];
  #next = 0;

  add(object: Releasable): void {
    this.#ring[this.#next]?.release();
    this.#ring[this.#next] = object;
    this.#next = (this.#next + 1) % decodedObjectsMax;
  }
}
