/** A network cut into equal parts, handed out one by one. Addresses are bigints, so both families are the same code. */
import { parseIp, printIp } from "#api";

export interface Cidr {
  readonly first: bigint;
  readonly prefix: number;
  /** 32 or 128. */
  readonly bits: number;
}

export class CidrError extends Error {
  override name = "CidrError";
}

/** Throws CidrError. Host bits are cut off. */
export function parseCidr(text: string): Cidr {
  const [address = "", length = ""] = text.split("/");
  const ip = parseIp(address);
  const bits = address.includes(":") ? 128 : 32;
  const prefix = Number(length);
  if (!ip || ip.bytes.length * 8 !== bits || !/^[0-9]+$/.test(length) || prefix > bits) {
    throw new CidrError(`invalid CIDR ${JSON.stringify(text)}: want an address, a slash and a prefix length`);
  }
  const value = ip.bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const size = BigInt(bits - prefix);
  return { first: (value >> size) << size, prefix, bits };
}

export function printCidr({ first, prefix, bits }: Cidr): string {
  const bytes = Array.from({ length: bits / 8 }, (_, index) => Number((first >> BigInt(bits - 8 - 8 * index)) & 255n));
  return `${printIp({ family: bits === 32 ? "IPv4" : "IPv6", bytes })}/${prefix}`;
}

/** Nodes that a network can serve are counted in a set of this size at most. */
const partsMax = 2 ** 16;

export class CidrSet {
  readonly #whole: Cidr;
  readonly #partPrefix: number;
  readonly #parts: number;
  readonly #used = new Set<number>();
  #next = 0;

  /** `partPrefix`: prefix length of each part. */
  constructor(whole: Cidr, partPrefix: number) {
    if (partPrefix < whole.prefix) {
      throw new CidrError(`${printCidr(whole)} is smaller than one node's share, /${partPrefix}`);
    }
    this.#whole = whole;
    this.#partPrefix = partPrefix;
    this.#parts = Math.min(partsMax, 2 ** (partPrefix - whole.prefix));
  }

  /** The next free part; undefined when all are taken. */
  allocate(): Cidr | undefined {
    for (let tried = 0; tried < this.#parts; tried++) {
      const index = (this.#next + tried) % this.#parts;
      if (this.#used.has(index)) continue;
      this.#used.add(index);
      this.#next = (index + 1) % this.#parts;
      const first = this.#whole.first + (BigInt(index) << BigInt(this.#whole.bits - this.#partPrefix));
      return { first, prefix: this.#partPrefix, bits: this.#whole.bits };
    }
    return undefined;
  }

  /** Marks every part that overlaps. Answers false when the network lies elsewhere. */
  occupy(cidr: Cidr): boolean {
    const range = this.#range(cidr);
    for (let index = range?.[0] ?? 0; range && index <= range[1]; index++) this.#used.add(index);
    return range !== undefined;
  }

  release(cidr: Cidr): void {
    const range = this.#range(cidr);
    for (let index = range?.[0] ?? 0; range && index <= range[1]; index++) this.#used.delete(index);
  }

  #range({ first, prefix, bits }: Cidr): readonly [number, number] | undefined {
    if (bits !== this.#whole.bits) return undefined;
    const end = (cidr: { first: bigint; prefix: number }) => cidr.first + (1n << BigInt(bits - cidr.prefix)) - 1n;
    const wholeEnd = end(this.#whole);
    const last = end({ first, prefix });
    if (last < this.#whole.first || first > wholeEnd) return undefined;
    const shift = BigInt(bits - this.#partPrefix);
    const indexOf = (address: bigint) => Number((address - this.#whole.first) >> shift);
    return [Math.max(0, indexOf(first)), Math.min(indexOf(last), this.#parts - 1)];
  }
}
