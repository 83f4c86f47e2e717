/** How strings and numbers look to a reader of YAML 1.1: the rules of go.yaml.in/yaml/v2. */

/** Written as it stands. */
export class PlainNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const int64Min = -(2n ** 63n);
const uint64Max = 2n ** 64n - 1n;

/** A number of JSON as upstream reads and prints it again. */
export function plainNumber(source: string, value: number): PlainNumber {
  if (/^-?\d+$/.test(source)) {
    const integer = BigInt(source);
    if (integer >= int64Min && integer <= uint64Max) return new PlainNumber(String(integer));
  }
  return new PlainNumber(goFloat(value));
}

/** `strconv.FormatFloat(value, 'g', -1, 64)`. */
function goFloat(value: number): string {
  const [digits = "", exponent = "0"] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(value);
  const sign = power < 0 ? "-" : "+";
  return `${digits}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
}

const words = new Set(
  "y Y yes Yes YES true True TRUE on On ON n N no No NO false False FALSE off Off OFF ~ null Null NULL .nan .NaN .NAN .inf .Inf .INF +.inf +.Inf +.INF -.inf -.Inf -.INF"
    .split(" ")
    .concat(""),
);

/** Without quotes it would be no string. */
export function readsAsOther(text: string): boolean {
  if (words.has(text)) return true;
  const first = text.charCodeAt(0);
  if (first === 0x2e) return fraction.test(text) && Number.isFinite(Number(text.replaceAll("_", "")));
  const digitOrSign = (first >= 0x30 && first <= 0x39) || first === 0x2b || first === 0x2d;
  return digitOrSign && (isTime(text) || isNumber(text.replaceAll("_", "")) || sexagesimal.test(text));
}

const fraction = /^\.\d+(?:_\d+)*(?:[eE][-+]?\d+(?:_\d+)*)?$/;
const sexagesimal = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
const decimal = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const based = /^([-+]?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)$/;

function isNumber(text: string): boolean {
  if (/^0b[-+][01]+$/.test(text)) return true;
  if (decimal.test(text)) return Number.isFinite(Number(text));
  const [, sign = "", digits] = based.exec(text) ?? [];
  if (digits === undefined) return false;
  const value = BigInt(digits);
  return sign === "" ? value <= uint64Max : sign === "-" ? -value >= int64Min : value < -int64Min;
}

const time =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?(?:Z|[-+](\d\d):(\d\d))| (\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?)?$/;

function isTime(text: string): boolean {
  const parts = time
    .exec(text)
    ?.slice(1)
    .map((part) => Number(part ?? 0));
  if (!parts) return false;
  const [year = 0, month = 0, day = 0, h1 = 0, m1 = 0, s1 = 0, zoneHour = 0, zoneMinute = 0, h2 = 0, m2 = 0, s2 = 0] =
    parts;
  const clock = h1 + h2 < 24 && m1 + m2 < 60 && s1 + s2 < 60 && zoneHour <= 24 && zoneMinute < 60;
  const leap = new Date(Date.UTC(2000, 1, 29));
  leap.setUTCFullYear(year, month, 0);
  return clock && month >= 1 && month <= 12 && day >= 1 && day <= leap.getUTCDate();
}

const isLetter = (character: string): boolean => /^\p{L}$/u.test(character);
const isDigit = (character: string | undefined): boolean => character !== undefined && /^\p{Nd}$/u.test(character);

/** The order of keys: numbers in them by value, letters behind everything else. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [[...a], [...b]];
  for (let i = 0; i < left.length && i < right.length; i++) {
    const [l = "", r = ""] = [left[i], right[i]];
    if (l === r) continue;
    const [letterL, letterR] = [isLetter(l), isLetter(r)];
    if (letterL !== letterR) return letterR ? -1 : 1;
    if (!letterL) {
      const start = l === "0" || r === "0" ? insideNumber(left, i) : 0;
      const [numberL, endL] = readNumber(left, i, start);
      const [numberR, endR] = readNumber(right, i, start);
      if (numberL !== numberR) return numberL < numberR ? -1 : 1;
      if (endL !== endR) return endL - endR;
    }
    return codeOf(l) - codeOf(r);
  }
  return left.length - right.length;
}

const codeOf = (character: string): number => character.codePointAt(0) ?? 0;

/** 1 when a number that began before goes on here. */
function insideNumber(text: readonly string[], at: number): number {
  for (let i = at - 1; i >= 0 && isDigit(text[i]); i--) if (text[i] !== "0") return 1;
  return 0;
}

function readNumber(text: readonly string[], from: number, start: number): [number: number, end: number] {
  let number = start;
  let end = from;
  for (; isDigit(text[end]); end++) number = number * 10 + codeOf(text[end] ?? "") - 0x30;
  return [number, end];
}
