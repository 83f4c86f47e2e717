/** Numbers as Go's strconv and fmt read and print them, where JavaScript does otherwise. */

/** The shortest digits that read back the same, without an exponent: `0.000000001`, `100000000000000000000000`. */
export function plainNumber(value: number): string {
  const text = String(value);
  const [, sign = "", whole = "", fraction = "", exponent] = /^(-?)(\d+)\.?(\d*)e([+-]\d+)$/.exec(text) ?? [];
  if (exponent === undefined) return Object.is(value, -0) ? "-0" : (special(value) ?? text);
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  if (point >= digits.length) return sign + digits.padEnd(point, "0");
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** `%g`: with an exponent of at least two digits below 1e-4 and from 1e6 on. */
export function goDouble(value: number): string {
  const known = special(value);
  if (known !== undefined) return known;
  const [, mantissa = "", exponentText = "0"] = /^(.*)e([+-]\d+)$/.exec(value.toExponential()) ?? [];
  const exponent = Number(exponentText);
  if (exponent >= -4 && exponent < 6) return plainNumber(value);
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

function special(value: number): string | undefined {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  return undefined;
}

const floatPattern = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** strconv.ParseFloat; undefined when it fails. */
export function parseDouble(text: string): number | undefined {
  if (floatPattern.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : undefined;
  }
  const [, sign, word = ""] = /^([+-]?)(inf|infinity|nan)$/i.exec(text) ?? [];
  if (word === "") return undefined;
  if (/^nan$/i.test(word)) return sign === "" ? Number.NaN : undefined;
  return sign === "-" ? -Infinity : Infinity;
}

/** strconv.ParseInt in base 10 with the sign optional; undefined when it is no integer at all. */
export function parseInteger(text: string): bigint | undefined {
  return /^[+-]?\d+$/.test(text) ? BigInt(text.replace(/^\+/, "")) : undefined;
}

export const int64Max = 2n ** 63n - 1n;
export const int64Min = -(2n ** 63n);
export const uint64Max = 2n ** 64n - 1n;
