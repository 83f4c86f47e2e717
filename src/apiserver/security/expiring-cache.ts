/** Answers kept for a while, at most so many; questions that are under way already are not asked twice. */
import { createHash } from "node:crypto";

export interface ExpiringCacheOptions<V> {
  readonly now: () => number;
  /** How long this answer counts; 0: it isn't kept. */
  readonly lifeMs: (value: V) => number;
  /** Above this the oldest goes: protects memory from a flood of questions. */
  readonly entriesMax: number;
}

export interface ExpiringCache<V> {
  /** The answer to the same question as before, or what `ask` says now. A rejection isn't kept. */
  get(question: string, ask: () => V | Promise<V>): V | Promise<V>;
}

export function createExpiringCache<V>({ now, lifeMs, entriesMax }: ExpiringCacheOptions<V>): ExpiringCache<V> {
  const entries = new Map<string, { value: V; end: number }>();
  const asking = new Map<string, Promise<V>>();

  const keep = (key: string, value: V): V => {
    const life = lifeMs(value);
    entries.delete(key);
    if (life <= 0) return value;
    if (entries.size >= entriesMax) entries.delete(entries.keys().next().value ?? "");
    entries.set(key, { value, end: now() + life });
    return value;
  };
  return {
    get(question, ask) {
      // Questions hold tokens and may be long: what is kept is their hash.
      const key = createHash("sha256").update(question).digest("base64");
      const known = entries.get(key);
      if (known && known.end > now()) return known.value;
      const running = asking.get(key);
      if (running) return running;
      const answer = ask();
      if (!(answer instanceof Promise)) return keep(key, answer);
      const shared = answer.then((value) => keep(key, value)).finally(() => asking.delete(key));
      asking.set(key, shared);
      return shared;
    },
  };
}
