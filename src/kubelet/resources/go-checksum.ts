/**
 * Checksums of upstream's state files: FNV-1a of 32 bits over the value as Go's printer shows it. Each file says how its own value is shown;
 * here is what they have in common.
 */
export function fnv32a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/** `map[a:1 b:2]`: by key as texts are compared there. */
export const printGoMap = (entries: readonly (readonly [key: string, shown: string])[]): string =>
  `map[${[...entries]
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([key, shown]) => `${key}:${shown}`)
    .join(" ")}]`;

export const printGoList = (items: readonly (string | number)[]): string => `[${items.join(" ")}]`;
