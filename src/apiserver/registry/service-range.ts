/**
 * The addresses of a service range: which there are, and where to look first. Addresses that people choose come from the start of the
 * range, the server's own from the rest, so that they seldom meet (upstream's static and dynamic bands).
 */
import { assert } from "#base";

const bandMin = 16;
const bandMax = 256;

export class ServiceRange {
  readonly text: string;
  readonly #base: number;
  /** Usable addresses: without the network's own and the last (broadcast). */
  readonly #size: number;
  readonly #band: number;

  /** `10.96.0.0/16`. */
  constructor(cidr: string) {
    const [address = "", bits = ""] = cidr.split("/");
    const base = parseIpv4(address);
    const prefix = Number(bits);
    assert(
      base !== undefined && prefix >= 12 && prefix <= 30,
      `service range ${cidr}: expected IPv4 with 12 to 30 bits`,
    );
    this.#base = base - (base % 2 ** (32 - prefix));
    this.text = `${printIpv4(this.#base)}/${prefix}`;
    this.#size = 2 ** (32 - prefix) - 2;
    this.#band = this.#size <= bandMin ? 0 : Math.min(bandMax, Math.max(bandMin, Math.floor(this.#size / 16)));
  }

  contains(address: string): boolean {
    const value = parseIpv4(address);
    return value !== undefined && value > this.#base && value <= this.#base + this.#size;
  }

  /** The address of the `kubernetes` Service. */
  first(): string {
    return printIpv4(this.#base + 1);
  }

  /** Candidates: the dynamic band from a random place on, then the static one. `random` answers a whole number below its argument. */
  *candidates(random: (below: number) => number): Iterable<string> {
    yield* this.#ring(this.#band, this.#size - this.#band, random);
    yield* this.#ring(0, this.#band, random);
  }

  *#ring(from: number, count: number, random: (below: number) => number): Iterable<string> {
    if (count === 0) return;
    const start = random(count);
    for (let i = 0; i < count; i++) yield printIpv4(this.#base + 1 + from + ((start + i) % count));
  }
}

export function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  const bytes = match.slice(1).map(Number);
  if (bytes.some((byte) => byte > 255)) return undefined;
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

const printIpv4 = (value: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
