/**
 * Resource quantities: `100m`, `1.5Gi`, `2e3`. Exact: an integer times a power of ten.
 * Parsing, rounding and the canonical form follow apimachinery's resource.Quantity, including the strings that it keeps
 * as they were written because they look canonical to it (`1.500`, `+5`).
 */

export type QuantityFormat = "DecimalSI" | "BinarySI" | "DecimalExponent";

export interface Quantity {
  /** The value is `unscaled * 10 ** scale`. */
  readonly unscaled: bigint;
  readonly scale: number;
  readonly format: QuantityFormat;
  /** The text it was read from, when that is printed again unchanged. */
  readonly text?: string;
}

/** A text that is no quantity; the message is what clients see. */
export class QuantityError extends Error {
  override name = "QuantityError";
}

const wrongFormat = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const wrongSuffix = "unable to parse quantity's suffix";

/** Beyond this, arithmetic would need numbers with thousands of digits. Upstream has no bound. */
const exponentMax = 1000;
/** Decimal digits that upstream keeps in an int64. */
const fastDigitsMax = 18;
const nanoScale = -9;
const binaryMax = 2n ** 63n - 1n;

const decimalExponents: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  "": 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const decimalSuffixes = new Map(Object.entries(decimalExponents).map(([suffix, exponent]) => [exponent, suffix]));
const binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

interface Suffix {
  readonly base: 2 | 10;
  readonly exponent: number;
  readonly format: QuantityFormat;
}

function readSuffix(text: string): Suffix {
  if (Object.hasOwn(decimalExponents, text)) {
    return { base: 10, exponent: decimalExponents[text] ?? 0, format: "DecimalSI" };
  }
  const binary = text === "" ? -1 : binarySuffixes.indexOf(text);
  if (binary > 0) return { base: 2, exponent: binary * 10, format: "BinarySI" };
  if (!/^[eE][+-]?[0-9]+$/.test(text)) throw new QuantityError(wrongSuffix);
  const exponent = Number(text.slice(1));
  if (Math.abs(exponent) > exponentMax) throw new QuantityError(wrongSuffix);
  return { base: 10, exponent, format: "DecimalExponent" };
}

const pattern = /^([+-]?)0*([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)$/;

/** Arithmetic on millions of digits would hold up everyone; nobody means as many. */
const lengthMax = 1000;

/** Texts repeat (`100m`, `128Mi`): the last few parsed ones are kept. Bounds what hostile clients can make us remember. */
const cacheEntriesMax = 1000;
const cache = new Map<string, Quantity>();

/** Throws QuantityError. */
export function parseQuantity(text: string): Quantity {
  const known = cache.get(text);
  if (known) return known;
  const quantity = parse(text);
  if (cache.size >= cacheEntriesMax) cache.clear();
  if (text.length <= fastDigitsMax) cache.set(text, quantity);
  return quantity;
}

function parse(text: string): Quantity {
  if (text === "" || text.length > lengthMax) throw new QuantityError(wrongFormat);
  if (text === "0") return { unscaled: 0n, scale: 0, format: "DecimalSI", text };
  const match = pattern.exec(text);
  if (!match) throw new QuantityError(wrongFormat);
  const [, sign = "", digits = "", fraction = "", suffix = ""] = match;
  const { base, exponent, format } = readSuffix(suffix);
  const number = digits === "" ? "0" : digits;
  const shifted = number + fraction;
  const signed = (value: bigint) => (sign === "-" ? -value : value);
  const fast = parseFast({ text, number, fraction, base, exponent, format });
  if (fast) return { ...fast, unscaled: signed(fast.unscaled) };
  if (!/^[+-]?\.?[0-9]/.test(text)) throw new QuantityError("unable to parse numeric part of quantity");

  let unscaled = BigInt(shifted);
  let scale = -fraction.length;
  if (base === 10) scale += exponent;
  else unscaled *= 2n ** BigInt(exponent);
  const rounded = atScale({ unscaled, scale }, nanoScale);
  if (format === "BinarySI") {
    if (compare(rounded, { unscaled: binaryMax, scale: 0 }) > 0) {
      return { unscaled: signed(binaryMax), scale: 0, format };
    }
    const belowOne = rounded.unscaled > 0n && compare(rounded, { unscaled: 1n, scale: 0 }) < 0;
    if (belowOne) return { ...rounded, unscaled: signed(rounded.unscaled), format: "DecimalSI" };
  }
  return { ...rounded, unscaled: signed(rounded.unscaled), format };
}

/** The values that upstream holds in an int64; only they may keep their text. */
function parseFast(parts: Suffix & { text: string; number: string; fraction: string }): Quantity | undefined {
  const { text, number, fraction, base, exponent, format } = parts;
  const shifted = number + fraction;
  if (base === 2) {
    const precision = 15 - number.length - Math.trunc((exponent * 3) / 10) - 1;
    if (fraction !== "" || precision < 0) return undefined;
    const value = BigInt(number);
    const keeps = value % 8n !== 0n;
    return { unscaled: value * 2n ** BigInt(exponent), scale: 0, format, ...(keeps ? { text } : {}) };
  }
  const scale = exponent - fraction.length;
  if (shifted.length > fastDigitsMax || scale < nanoScale) return undefined;
  const keeps = scale % 3 === 0 && !shifted.endsWith("000") && !shifted.startsWith("0");
  return { unscaled: BigInt(shifted), scale, format, ...(keeps ? { text } : {}) };
}

interface Amount {
  readonly unscaled: bigint;
  readonly scale: number;
}

const tenTo = (exponent: number): bigint => 10n ** BigInt(exponent);

/** At this scale or a coarser one that it has; rounds away from zero. */
function atScale(amount: Amount, scale: number): Amount {
  if (amount.scale >= scale) return amount;
  const divisor = tenTo(scale - amount.scale);
  const quotient = amount.unscaled / divisor;
  const rest = amount.unscaled % divisor;
  return { unscaled: quotient + (rest > 0n ? 1n : rest < 0n ? -1n : 0n), scale };
}

function compare(a: Amount, b: Amount): number {
  const scale = Math.min(a.scale, b.scale);
  const difference = a.unscaled * tenTo(a.scale - scale) - b.unscaled * tenTo(b.scale - scale);
  return difference > 0n ? 1 : difference < 0n ? -1 : 0;
}

/** Where arithmetic takes a quantity it also takes its text. */
export type QuantityLike = Quantity | string;

const toQuantity = (value: QuantityLike): Quantity => (typeof value === "string" ? parseQuantity(value) : value);

/** An integer number of units. */
export function quantityOf(value: number | bigint, format: QuantityFormat = "DecimalSI"): Quantity {
  return { unscaled: BigInt(value), scale: 0, format };
}

/** An integer number of thousandths. */
export function milliQuantityOf(milliValue: number | bigint, format: QuantityFormat = "DecimalSI"): Quantity {
  return { unscaled: BigInt(milliValue), scale: -3, format };
}

/** Negative, zero or positive, for sorting. */
export function compareQuantities(a: QuantityLike, b: QuantityLike): number {
  return a === b ? 0 : compare(toQuantity(a), toQuantity(b));
}

export function addQuantities(a: QuantityLike, b: QuantityLike): Quantity {
  const left = toQuantity(a);
  const right = toQuantity(b);
  const scale = Math.min(left.scale, right.scale);
  const unscaled = left.unscaled * tenTo(left.scale - scale) + right.unscaled * tenTo(right.scale - scale);
  return { unscaled, scale, format: left.unscaled === 0n ? right.format : left.format };
}

export function subtractQuantities(a: QuantityLike, b: QuantityLike): Quantity {
  return addQuantities(a, negateQuantity(b));
}

export function negateQuantity(value: QuantityLike): Quantity {
  const { unscaled, scale, format } = toQuantity(value);
  return { unscaled: -unscaled, scale, format };
}

export const quantitySign = (value: QuantityLike): number => {
  const { unscaled } = toQuantity(value);
  return unscaled > 0n ? 1 : unscaled < 0n ? -1 : 0;
};

/** In whole units, rounded away from zero. */
export const quantityValue = (value: QuantityLike): number => scaledValue(toQuantity(value), 0);

/** In thousandths, rounded away from zero. */
export const quantityMilliValue = (value: QuantityLike): number => scaledValue(toQuantity(value), -3);

function scaledValue(quantity: Quantity, scale: number): number {
  const amount = atScale(quantity, scale);
  return Number(amount.unscaled * tenTo(amount.scale - scale));
}

/** Approximate, for ratios and metrics. */
export function quantityFloat(value: QuantityLike): number {
  const { unscaled, scale } = toQuantity(value);
  return Number(`${unscaled}e${scale}`);
}

/** The canonical text: what the API shows. */
export function printQuantity(quantity: Quantity): string {
  if (quantity.text !== undefined) return quantity.text;
  if (quantity.unscaled === 0n) return "0";
  return (quantity.format === "BinarySI" && printBinary(quantity)) || printDecimal(quantity);
}

function printBinary(quantity: Quantity): string | undefined {
  const { unscaled, scale } = atScale(quantity, 0);
  let number = unscaled * tenTo(scale);
  const exact = compare(quantity, { unscaled: number, scale: 0 }) === 0;
  if (!exact || (number > -1024n && number < 1024n)) return undefined;
  let power = 0;
  for (; number % 1024n === 0n; power++) number /= 1024n;
  return `${number}${binarySuffixes[power] ?? ""}`;
}

function printDecimal({ unscaled, scale, format }: Quantity): string {
  let number = unscaled;
  let exponent = scale;
  for (; number % 10n === 0n; exponent++) number /= 10n;
  for (; exponent % 3 !== 0; exponent--) number *= 10n;
  if (format === "DecimalExponent") return exponent === 0 ? String(number) : `${number}e${exponent}`;
  return `${number}${decimalSuffixes.get(exponent) ?? ""}`;
}

// Up to three digits and a usual suffix are canonical already; nearly every request is of this form.
const surelyCanonical = /^[1-9][0-9]{0,2}(?:m|k|M|G|T|Ki|Mi|Gi|Ti)?$/;

/** The text that the API answers for a text that a client sent. Throws QuantityError. */
export function canonicalQuantity(text: string): string {
  return surelyCanonical.test(text) ? text : printQuantity(parseQuantity(text));
}
