/** Lists and maps whose sizes are limited: one that is too long is not looked at any further. */
import { longerThan } from "#machinery";
import type { Place } from "../place.ts";

type Check<T> = (item: T, at: Place) => void;

export function validateList<T>(
  list: readonly T[] | null | undefined,
  at: Place,
  { countMax, check }: { countMax?: number; check: Check<T> },
): void {
  if (countMax !== undefined && (list?.length ?? 0) > countMax) at.tooMany(list?.length ?? 0, countMax);
  else {
    list?.forEach((item, i) => {
      check(item, at.index(i));
    });
  }
}

/** No two items have the same key. `print`: the key, as a message shows it. */
export function validateSet<T>(
  list: readonly T[] | null | undefined,
  at: Place,
  rules: { countMax?: number; check: Check<T>; key: (item: T) => string; print?: (item: T) => unknown },
): void {
  const { countMax, key, print = key } = rules;
  validateList(list, at, rules);
  if (!list || (countMax !== undefined && list.length > countMax)) return;
  const seen = new Set<string>();
  list.forEach((item, i) => {
    if (seen.has(key(item))) at.index(i).duplicate(print(item));
    seen.add(key(item));
  });
}

/** Long keys are shortened in the middle wherever they are part of a path. */
export function validateMap<T>(
  map: Readonly<Record<string, T>> | undefined,
  at: Place,
  rules: { countMax?: number; keyBytesShown: number; checkKey: Check<string>; check?: Check<T> },
): void {
  const { countMax, keyBytesShown, checkKey, check } = rules;
  const entries = Object.entries(map ?? {});
  if (countMax !== undefined && entries.length > countMax) {
    at.tooMany(entries.length, countMax);
    return;
  }
  for (const [key, value] of entries) {
    const place = at.key(shorten(key, keyBytesShown));
    checkKey(key, place);
    check?.(value, place);
  }
}

const ellipsis = "...";

function shorten(text: string, bytesMax: number): string {
  if (!longerThan(text, bytesMax)) return text;
  const bytes = Buffer.from(text);
  const left = bytesMax - ellipsis.length;
  const head = bytes.subarray(0, Math.ceil(left / 2)).toString();
  return `${head}${ellipsis}${bytes.subarray(bytes.length - Math.floor(left / 2)).toString()}`;
}
