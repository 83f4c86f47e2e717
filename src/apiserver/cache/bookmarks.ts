/**
 * Bookmarks tell a quiet watch how far the server has come, so that it can resume from there. One timer for all watches, and none
 * when nobody asked for bookmarks.
 */
import type { Clock } from "#base";

/** As upstream: about once a minute. */
export const bookmarkEveryMs = 60_000;

export interface BookmarkReceiver {
  bookmark(revision: number): void;
}

export class BookmarkTimer {
  readonly #clock: Clock;
  readonly #revision: () => number;
  readonly #receivers = new Set<BookmarkReceiver>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, revision: () => number) {
    this.#clock = clock;
    this.#revision = revision;
  }

  add(receiver: BookmarkReceiver): () => void {
    this.#receivers.add(receiver);
    this.#cancel ??= this.#clock.after(bookmarkEveryMs, () => this.#tick());
    return () => {
      this.#receivers.delete(receiver);
      if (this.#receivers.size === 0) this.close();
    };
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #tick(): void {
    this.#cancel = this.#clock.after(bookmarkEveryMs, () => this.#tick());
    const revision = this.#revision();
    for (const receiver of this.#receivers) receiver.bookmark(revision);
  }
}
