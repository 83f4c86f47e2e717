/** A network cut into equal parts, handed out one by one. Addresses are bigints, so both families are the same code. */
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
  const bits = address.includes(":") ? 128 : 32;
  const prefix = Number(length);
  const value = bits === 128 ? parseIpv6(address) : parseIpv4(address);
  if (value === undefined || !/^[0-9]+$/.test(length) || prefix > bits) {
    throw new CidrError(`invalid CIDR ${JSON.stringify(text)}: want an address, a slash and a prefix length`);
  }
  const size = BigInt(bits - prefix);
  return { first: (value >> size) << size, prefix, bits };
}

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^[0-9]{1,3}$/.test(part) && Number(part) < 256)) return undefined;
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groups = (half: string | undefined) => (half ? half.split(":") : []);
  const head = groups(halves[0]);
  const tail = groups(halves[1]);
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...Array.from({ length: halves.length === 2 ? missing : 0 }, () => "0"), ...tail];
  if (!all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

export function printCidr({ first, prefix, bits }: Cidr): string {
  if (bits === 32) {
    const parts = [24n, 16n, 8n, 0n].map((shift) => (first >> shift) & 255n);
    return `${parts.join(".")}/${prefix}`;
  }
  const groups = Array.from({ length: 8 }, (_, index) => ((first >> BigInt(112 - 16 * index)) & 0xffffn).toString(16));
  // The longest run of zeroes is left out, as everybody writes it.
  const text = groups.join(":");
  const runs = [...text.matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].sort((a, b) => b[0].length - a[0].length);
  const [run] = runs;
  if (!run) return `${text}/${prefix}`;
  const before = text.slice(0, run.index);
  const after = text.slice(run.index + run[0].length).replace(/^:/, "");
  return `${before}::${after}/${prefix}`;
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
