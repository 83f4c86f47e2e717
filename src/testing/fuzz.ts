/**
 * Random input for tests of decoders: sound input that was broken a little, and values of any shape. Everything follows from a seed,
 * which a failing test prints; `FUZZ_SEED` brings it back, `FUZZ_RUNS` makes it look longer.
 */
export interface Random {
  readonly seed: number;
  /** 0 up to, not including. */
  below(end: number): number;
  pick<T>(items: readonly T[]): T;
}

/** mulberry32: small, and good enough for what is broken at random. */
export function createRandom(seed: number): Random {
  let state = seed | 0;
  const below = (end: number) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  };
  return { seed, below, pick: <T>(items: readonly T[]) => items[below(items.length)] as T }; // never of an empty list
}

export interface Fuzz {
  readonly name: string;
  /** Sound input. */
  readonly samples: readonly (string | Uint8Array)[];
  /** Put in here and there. */
  readonly words?: readonly string[];
  readonly runs: number;
  /** Throws what must not happen. */
  run(input: Buffer, random: Random): unknown;
}

const environment = (name: string): number | undefined => {
  const text = process.env[name];
  return text === undefined ? undefined : Number(text);
};

/** Throws with the seed and the input that did it. */
export async function fuzz({ name, samples, words = [], runs, run }: Fuzz): Promise<void> {
  const seed = environment("FUZZ_SEED") ?? Math.floor(Math.random() * 2 ** 31);
  const random = createRandom(seed);
  const sound = samples.map((sample) => Buffer.from(sample as string)); // both have an overload
  const count = environment("FUZZ_RUNS") ?? runs;
  for (let i = 0; i < count; i++) {
    const input = broken(random.pick(sound), { random, words, others: sound });
    try {
      await run(input, random);
    } catch (error) {
      const shown =
        input.length > shownBytesMax ? `${input.subarray(0, shownBytesMax).toString("hex")}…` : input.toString("hex");
      throw new Error(
        `${name}: seed ${seed}, run ${i}, input ${JSON.stringify(input.toString("latin1").slice(0, 200))} (${shown})`,
        {
          cause: error,
        },
      );
    }
  }
}

const shownBytesMax = 2_000;

interface Breaking {
  readonly random: Random;
  readonly words: readonly string[];
  readonly others: readonly Buffer[];
}

const interesting = [
  0, 1, 0x0a, 0x20, 0x22, 0x27, 0x2c, 0x2d, 0x30, 0x5b, 0x5c, 0x7b, 0x7d, 0x7f, 0x80, 0xc3, 0xed, 0xff,
];

/** One to four changes: bytes, cuts, repetitions, words, pieces of other samples. */
function broken(sample: Buffer, { random, words, others }: Breaking): Buffer {
  let bytes = Buffer.from(sample);
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const at = random.below(bytes.length + 1);
    const end = Math.min(bytes.length, at + random.below(1 + random.pick([2, 8, 64])));
    const splice = (piece: Uint8Array, to = at) => Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(to)]);
    switch (random.below(8)) {
      case 0:
        bytes = bytes.subarray(0, at);
        break;
      case 1:
        bytes = splice(Buffer.alloc(0), end);
        break;
      case 2:
        bytes = splice(Buffer.concat(Array(1 + random.below(40)).fill(bytes.subarray(at, end))));
        break;
      case 3:
        bytes = splice(Buffer.from([random.pick(interesting)]), at + random.below(2));
        break;
      case 4:
        bytes = splice(Buffer.from([random.below(256)]), at + 1);
        break;
      case 5:
        if (words.length > 0) bytes = splice(Buffer.from(random.pick(words)), random.below(2) === 0 ? at : end);
        break;
      case 6: {
        const other = random.pick(others);
        const from = random.below(other.length + 1);
        bytes = splice(other.subarray(from, from + random.below(64)), end);
        break;
      }
      default:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
    }
  }
  return bytes;
}

/** JSON of any shape. */
export function anyJson(random: Random, depth = 3): unknown {
  const kind = random.below(depth > 0 ? 8 : 6);
  if (kind === 0) return null;
  if (kind === 1) return random.below(2) === 0;
  if (kind === 2) return random.pick([0, 1, -1, 1.5, 2 ** 31, 2 ** 53, -(2 ** 63), 1e300]);
  if (kind < 6)
    return random.pick(["", "a", "b", "1", "500m", "x/y", "\u0000", "\ud83d\ude00", "2026-01-01T00:00:00Z"]);
  const length = random.below(4);
  if (kind === 6) return Array.from({ length }, () => anyJson(random, depth - 1));
  const keys = ["a", "b", "name", "metadata", "spec", "labels", "__proto__", "constructor", "$patch", "toString"];
  const entries = Array.from({ length }, () => [random.pick(keys), anyJson(random, depth - 1)] as const);
  return Object.fromEntries(entries);
}
