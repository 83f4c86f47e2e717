/**
 * Blocks of addresses with holes, as ranges that neither overlap nor touch. nft refuses overlapping intervals, and clients may
 * write what they like: the same block twice, holes that overlap, a hole as large as its block.
 */
import { type Address, parseCidr, printIp } from "#api";
import type { Family } from "./words.ts";

export interface Block {
  readonly cidr: string;
  readonly except?: readonly string[] | undefined;
}

/** First and last number, inclusive. */
export type Range = readonly [first: bigint, last: bigint];

const bitsOf = { IPv4: 32, IPv6: 128 } as const;

/** `10.0.0.0-10.0.255.255`, or an address alone; of one family. */
export function rangesOf(blocks: readonly Block[], family: Family): string[] {
  const ranges = blocks.flatMap(({ cidr, except = [] }) => {
    const whole = rangeOf(cidr, family);
    return whole ? without(whole, merged(except.map((each) => rangeOf(each, family)))) : [];
  });
  return merged(ranges).map(([first, last]) =>
    first === last ? print(first, family) : `${print(first, family)}-${print(last, family)}`,
  );
}

/** Those that overlap or touch become one; in order. */
export function merged(ranges: readonly (Range | undefined)[]): Range[] {
  const result: Range[] = [];
  const ordered = ranges.filter((each) => each !== undefined).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  for (const [first, last] of ordered) {
    const before = result.at(-1);
    if (!before || first > before[1] + 1n) result.push([first, last]);
    else if (last > before[1]) result[result.length - 1] = [before[0], last];
  }
  return result;
}

function without([first, last]: Range, holes: readonly Range[]): Range[] {
  const result: Range[] = [];
  let from = first;
  for (const [start, end] of holes) {
    if (end < from || start > last) continue;
    if (start > from) result.push([from, start - 1n]);
    from = end + 1n;
  }
  return from <= last ? [...result, [from, last]] : result;
}

function rangeOf(cidr: string, family: Family): Range | undefined {
  const network = parseCidr(cidr);
  const bits = bitsOf[family];
  if (!network || network.address.family !== family || network.prefixBits > bits) return undefined;
  const rest = (1n << BigInt(bits - network.prefixBits)) - 1n;
  const value = network.address.bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return [value & ~rest, value | rest];
}

function print(value: bigint, family: Family): string {
  const length = bitsOf[family] / 8;
  const bytes = Array.from({ length }, (_, at) => Number((value >> BigInt(8 * (length - 1 - at))) & 255n));
  const address: Address = { family, bytes };
  return printIp(address);
}
