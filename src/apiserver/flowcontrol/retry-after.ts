/**
 * What a refused client is told to wait: one second, more while many are refused, as TCP would. Upstream's dropped requests tracker:
 * doubled when three for each second of the wait were refused during it, one less when fewer than one were.
 */
const retrySecondsMax = 32;

export class RetryAfter {
  seconds = 1;
  readonly #history: { second: number; refused: number }[] = [];
  #current = { second: 0, refused: 0 };
  #raisedAt = 0;

  /** Once for each refusal. */
  note(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    if (this.#current.second === second) {
      this.#current.refused++;
      return;
    }
    this.#history.push(this.#current);
    // Older ones can't count any more, however long the wait becomes.
    const oldest = this.#current.second - Math.min(2 * this.seconds, retrySecondsMax);
    while (this.#history[0] && this.#history[0].second < oldest) this.#history.shift();
    this.#current = { second, refused: 1 };
    this.#adjust(second);
  }

  #adjust(second: number): void {
    let refused = 0;
    for (const each of this.#history) if (second - each.second <= this.seconds) refused += each.refused;
    if (second - this.#raisedAt >= this.seconds && refused >= 3 * this.seconds) {
      this.seconds = Math.min(2 * this.seconds, retrySecondsMax);
      this.#raisedAt = second;
    } else if (refused < this.seconds && this.seconds > 1) this.seconds--;
  }
}
