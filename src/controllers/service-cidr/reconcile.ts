/** Which ranges of Services depend on each other, and which may go. Pure. Follows pkg/api/servicecidr and pkg/controller/servicecidrs. */
import { type Address, parseCidr, parseIp, type ServiceCIDR } from "#api";
import { nameOf, type Seen } from "../lib/objects.ts";

type Range = Seen<ServiceCIDR>;

interface Block {
  readonly family: Address["family"];
  readonly first: bigint;
  readonly last: bigint;
}

/** None of the addresses would be left without a range. */
export function mayGo(range: Range, ranges: readonly Range[], addresses: Iterable<string>): boolean {
  const others = ranges.filter((other) => nameOf(other) !== nameOf(range)).flatMap(blocksOf);
  const own = blocksOf(range);
  if (own.every((block) => others.some((other) => covers(other, block)))) return true;
  for (const text of addresses)
    if (own.some((block) => gives(block, text)) && !others.some((block) => gives(block, text))) return false;
  return true;
}

/** What becomes of a range concerns these, itself too. */
export function overlapping(range: Range, ranges: readonly Range[]): Range[] {
  const own = blocksOf(range);
  return ranges.filter((other) => blocksOf(other).some((block) => own.some((each) => overlap(block, each))));
}

export const containing = (address: string, ranges: readonly Range[]): Range[] =>
  ranges.filter((range) => blocksOf(range).some((block) => gives(block, address)));

function blocksOf({ spec }: Range): Block[] {
  return (spec?.cidrs ?? []).flatMap((text) => {
    const network = parseCidr(text);
    if (!network) return []; // never accepted
    const { address, prefixBits } = network;
    const hosts = BigInt(address.bytes.length * 8 - prefixBits);
    const first = (numberOf(address) >> hosts) << hosts;
    return [{ family: address.family, first, last: first + (1n << hosts) - 1n }];
  });
}

/** The range's own address is nobody's, nor is the broadcast one of IPv4. */
function gives({ family, first, last }: Block, text: string): boolean {
  const address = parseIp(text);
  if (address?.family !== family) return false;
  const value = numberOf(address);
  return value > first && (family === "IPv4" ? value < last : value <= last);
}

const covers = (outer: Block, inner: Block) =>
  outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;
const overlap = (one: Block, other: Block) => covers(one, other) || covers(other, one);

const numberOf = ({ bytes }: Address): bigint => bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
