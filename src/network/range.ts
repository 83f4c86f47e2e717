/** Parts and addresses of ranges, of either family. */
import { parseCidr, parseIp, printIp } from "#api";
import { NetworkError } from "./network-error.ts";

export type Family = "IPv4" | "IPv6";

export interface Range {
  readonly family: Family;
  readonly first: bigint;
  readonly bits: number;
}

const bitsMax = { IPv4: 32, IPv6: 128 } as const;
/** A node's share unless the cluster says otherwise: 254 pods, or a whole IPv6 subnet. */
const nodeBits = { IPv4: 24, IPv6: 64 } as const;

export const isIpv6 = (text: string): boolean => text.includes(":");
export const familyOf = (text: string): Family => (isIpv6(text) ? "IPv6" : "IPv4");

const toNumber = (bytes: readonly number[]) => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

/** As `ip` prints it; undefined when it is none. */
export const addressText = (text: string): string | undefined => {
  const address = parseIp(text);
  return address && printIp(address);
};

/** `172.16.5.9/16` begins at 172.16.0.0. Undefined when it is none. */
export function readRange(text: string): Range | undefined {
  const found = parseCidr(text);
  if (!found) return undefined;
  const { family, bytes } = found.address;
  const range = { family, bits: found.prefixBits, first: toNumber(bytes) };
  return { ...range, first: startOf(range, range.bits) };
}

/** Where the range of this size begins that has this one's first address. */
export function startOf({ family, first }: Range, bits: number): bigint {
  const shift = BigInt(bitsMax[family] - bits);
  return (first >> shift) << shift;
}

export const printRange = ({ family, first, bits }: Range): string => `${addressAt(family, first)}/${bits}`;

function addressAt(family: Family, value: bigint): string {
  const bytes = Array.from({ length: bitsMax[family] / 8 }, (_, i) =>
    Number((value >> BigInt(bitsMax[family] - 8 * (i + 1))) & 255n),
  );
  return printIp({ family, bytes });
}

/** Whether all of `inner` is in `outer`. */
export function contains(outer: Range, inner: Range): boolean {
  return outer.family === inner.family && outer.bits <= inner.bits && startOf(inner, outer.bits) === outer.first;
}

/** Ranges either lie apart or one in the other. */
export const overlap = (one: Range, other: Range): boolean => contains(one, other) || contains(other, one);

/** A node's part of the cluster's addresses: subnet number `index` with `bits` bits. Throws when there is none. */
export function subnetOf(cidr: string, index: number, bits?: number): string {
  const whole = readRange(cidr);
  if (!whole) throw new NetworkError(`--cluster-cidr ${cidr}: want ranges such as 10.244.0.0/16`);
  // A small range is one node's, as the controller that gives them out has it.
  const want = Math.max(bits ?? nodeBits[whole.family], whole.bits);
  const step = BigInt(bitsMax[whole.family] - want);
  if (want > bitsMax[whole.family] || BigInt(index) >> BigInt(want - whole.bits) > 0n)
    throw new NetworkError(`--cluster-cidr ${cidr}: want a range with room for a /${want} for node ${index + 1}`);
  return `${addressAt(whole.family, whole.first + (BigInt(index) << step))}/${want}`;
}

/** The address at `offset` in a range: 1 is the first usable one. */
export function addressIn(cidr: string, offset: number): string {
  const range = readRange(cidr);
  if (!range) throw new NetworkError(`${cidr}: want a range such as 10.244.0.0/16`);
  return addressAt(range.family, range.first + BigInt(offset));
}
