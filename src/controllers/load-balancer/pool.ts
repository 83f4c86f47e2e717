/** Addresses that load balancers may get, as `--load-balancer-pool` says them: `192.168.7.0/28`, `192.168.7.20-192.168.7.29`, with commas between. Pure. */
import { type Address, parseCidr, parseIp, printIp } from "#api";

export type Family = Address["family"];

interface Range {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
  readonly text: string;
}

export interface AddressPool {
  readonly text: string;
  has(family: Family): boolean;
  contains(address: string): boolean;
  /** The first one that isn't taken; undefined: all are. */
  free(family: Family, isTaken: (address: string) => boolean): string | undefined;
  /** One of its ranges that shares an address with this CIDR. */
  overlap(cidr: string): string | undefined;
}

const bitsOf = { IPv4: 32, IPv6: 128 } as const;
const numberOf = ({ bytes }: Address): bigint => bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
function addressOf(family: Family, number: bigint): string {
  const length = bitsOf[family] / 8;
  const byte = (at: number) => Number((number >> BigInt(8 * (length - 1 - at))) & 255n);
  return printIp({ family, bytes: Array.from({ length }, (_, at) => byte(at)) });
}

/** As the API prints it, so that two texts of one address are the same; undefined: no address. */
export function canonicalIp(text: string): string | undefined {
  const parsed = parseIp(text);
  return parsed && printIp(parsed);
}

export const familyOf = (text: string): Family | undefined => parseIp(text)?.family;

/** Throws what is wrong. */
export function parsePool(texts: readonly string[]): AddressPool {
  const ranges = texts.map((text) => parseRange(text.trim()));
  for (const [at, range] of ranges.entries()) {
    const other = ranges.slice(0, at).find((each) => doOverlap(each, range));
    if (other) throw new Error(`${other.text} and ${range.text} overlap`);
  }
  const inside = (address: Address | undefined) =>
    address !== undefined &&
    ranges.some(({ family, first, last }) => {
      if (family !== address.family) return false;
      const number = numberOf(address);
      return first <= number && number <= last;
    });
  return {
    text: ranges.map(({ text }) => text).join(","),
    has: (family) => ranges.some((range) => range.family === family),
    contains: (address) => inside(parseIp(address)),
    free(family, isTaken) {
      for (const range of ranges) {
        if (range.family !== family) continue;
        for (let number = range.first; number <= range.last; number++) {
          const address = addressOf(family, number);
          if (!isTaken(address)) return address;
        }
      }
      return undefined;
    },
    overlap: (cidr) => ranges.find((range) => doOverlap(range, parseRange(cidr)))?.text,
  };
}

const doOverlap = (a: Range, b: Range) => a.family === b.family && a.first <= b.last && b.first <= a.last;

function parseRange(text: string): Range {
  const network = parseCidr(text);
  if (network) {
    const { family } = network.address;
    const size = 1n << BigInt(bitsOf[family] - network.prefixBits);
    const first = (numberOf(network.address) / size) * size;
    return { family, first, last: first + size - 1n, text };
  }
  const [from = "", to = from, ...more] = text.split("-");
  const first = parseIp(from.trim());
  const last = parseIp(to.trim());
  if (!first || !last || more.length > 0)
    throw new Error(`want CIDR or FIRST-LAST, like 192.168.7.0/28 or 192.168.7.20-192.168.7.29, have "${text}"`);
  if (first.family !== last.family || numberOf(first) > numberOf(last))
    throw new Error(`"${text}" ends before it begins`);
  return { family: first.family, first: numberOf(first), last: numberOf(last), text };
}
