/**
 * The addresses of one service range: which there are, and where to look first. Addresses that people choose come from the start of the
 * range, the server's own from the rest, so that they seldom meet (upstream's static and dynamic bands).
 */
import { randomInt } from "node:crypto";
import { type Address, type IpFamily, parseCidr, parseIp, printIp } from "#api";
import { assert } from "#base";

const bandMin = 16n;
const bandMax = 256n;
const bandStep = 16n;
/** A whole number from a large range needs no more randomness than this. */
const randomMax = 2 ** 47;

/** Answers a whole number below its argument. */
export type Random = (below: number) => number;

export class AddressRange {
  /** `10.96.0.0/16` */
  readonly text: string;
  readonly family: IpFamily;
  readonly #base: bigint;
  /** Usable addresses: without the network's own and, of IPv4, the last (broadcast). */
  readonly #size: bigint;
  readonly #band: bigint;
  readonly prefixBits: number;

  /** The text is a valid CIDR. */
  constructor(cidr: string) {
    const network = parseCidr(cidr);
    assert(network, `service range ${cidr}: expected a CIDR like 10.96.0.0/16`);
    const { address, prefixBits } = network;
    this.family = address.family;
    this.prefixBits = prefixBits;
    const hostBits = BigInt(address.bytes.length * 8 - prefixBits);
    const count = 1n << hostBits;
    this.#base = (numberOf(address) >> hostBits) << hostBits;
    this.text = `${this.#print(this.#base)}/${prefixBits}`;
    const usable = count - (this.family === "IPv4" ? 2n : 1n);
    this.#size = usable > 0n ? usable : 0n;
    const band = count / bandStep;
    this.#band = count <= bandMin ? 0n : band < bandMin ? bandMin : band > bandMax ? bandMax : band;
  }

  contains(address: string): boolean {
    const parsed = parseIp(address);
    if (parsed?.family !== this.family) return false;
    const value = numberOf(parsed);
    return value > this.#base && value <= this.#base + this.#size;
  }

  /** The other lies within. */
  covers(other: AddressRange): boolean {
    return this.overlaps(other) && this.prefixBits <= other.prefixBits;
  }

  overlaps(other: AddressRange): boolean {
    if (other.family !== this.family) return false;
    const shift = BigInt((this.family === "IPv4" ? 32 : 128) - Math.min(this.prefixBits, other.prefixBits));
    return this.#base >> shift === other.#base >> shift;
  }

  /** The address of the `kubernetes` Service, in the default range. */
  first(): string {
    return this.#print(this.#base + 1n);
  }

  /** Its own address, which nobody gets. */
  network(): string {
    return this.#print(this.#base);
  }

  /** Candidates: the dynamic band from a random place on, then the static one. */
  *candidates(random: Random = randomInt): Iterable<string> {
    yield* this.#ring(this.#band, this.#size - this.#band, random);
    yield* this.#ring(0n, this.#band, random);
  }

  *#ring(from: bigint, count: bigint, random: Random): Iterable<string> {
    if (count <= 0n) return;
    const start = BigInt(random(Number(count < BigInt(randomMax) ? count : BigInt(randomMax))));
    for (let i = 0n; i < count; i++) yield this.#print(this.#base + 1n + from + ((start + i) % count));
  }

  #print(value: bigint): string {
    const bytes: number[] = [];
    for (let i = this.family === "IPv4" ? 4 : 16; i > 0; i--) bytes.push(Number((value >> BigInt(8 * (i - 1))) & 255n));
    return printIp({ family: this.family, bytes });
  }
}

function numberOf({ bytes }: Address): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}
