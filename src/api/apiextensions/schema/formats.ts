/**
 * Formats of strings that upstream checks (apiserver/validation/formats.go, kube-openapi's strfmt); others are only documentation.
 * Dashes in a name don't matter.
 */
import { isIPv4, isIPv6 } from "node:net";
import { isIntOrString, type JsonSchema } from "./json-schema.ts";

type Check = (text: string) => boolean;

const matches =
  (pattern: RegExp): Check =>
  (text) =>
    pattern.test(text);

const hexadecimal = "[0-9a-f]";
const uuid = (version: string, variant: string): Check => {
  const h = hexadecimal;
  return matches(
    new RegExp(
      `^${h}{8}-?${h}{4}-?${version}${h}{${version ? 3 : 4}}-?${variant}${h}{${variant ? 3 : 4}}-?${h}{12}$`,
      "i",
    ),
  );
};

const digits = (text: string): string => text.replace(/[\s-]/g, "");

function isIsbn10(text: string): boolean {
  const code = digits(text);
  if (!/^[0-9]{9}[0-9X]$/.test(code)) return false;
  let sum = 0;
  for (let i = 0; i < 10; i++) sum += (10 - i) * (code[i] === "X" ? 10 : Number(code[i]));
  return sum % 11 === 0;
}

function isIsbn13(text: string): boolean {
  const code = digits(text);
  if (!/^[0-9]{13}$/.test(code)) return false;
  let sum = 0;
  for (let i = 0; i < 13; i++) sum += Number(code[i]) * (i % 2 === 0 ? 1 : 3);
  return sum % 10 === 0;
}

const cardPattern =
  /^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|(?:222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11}|6[27][0-9]{14})$/;

function isCreditCard(text: string): boolean {
  const code = text.replace(/[^0-9]+/g, "");
  if (!cardPattern.test(code)) return false;
  let sum = 0;
  for (let i = 0; i < code.length; i++) {
    const digit = Number(code[code.length - 1 - i]) * (i % 2 === 0 ? 1 : 2);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 === 0;
}

const hostnamePattern =
  /^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$/u;

const isHostname: Check = (text) =>
  // The length first: it bounds what the pattern may cost.
  Buffer.byteLength(text) <= 255 &&
  text.split(".").every((part) => Buffer.byteLength(part) <= 63) &&
  hostnamePattern.test(text);

const isEmail: Check = (text) => {
  const address = /<([^<>]*)>\s*$/.exec(text)?.[1] ?? text.trim();
  const at = address.lastIndexOf("@");
  if (at < 1 || at === address.length - 1) return false;
  const local = address.slice(0, at);
  const domain = address.slice(at + 1);
  const atoms = /^[^\s()<>[\]:;@\\,."]+(\.[^\s()<>[\]:;@\\,."]+)*$/;
  const quoted = /^"(\\.|[^"\\])*"$/;
  return (atoms.test(local) || quoted.test(local)) && (atoms.test(domain) || /^\[[^[\]\\\s]*\]$/.test(domain));
};

function isCidr(text: string): boolean {
  const [, address = "", length = ""] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  return length !== "" && ((isIPv4(address) && Number(length) <= 32) || (isIPv6(address) && Number(length) <= 128));
}

const unfit = /[\s\p{Cc}]/u;
const badEscape = /%(?![0-9a-fA-F]{2})/;

const isUri: Check = (text) =>
  /^(\/|[a-zA-Z][a-zA-Z0-9+.-]*:)/.test(text) && !unfit.test(text) && !badEscape.test(text.split("?", 1)[0] ?? "");

const monthDays = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function isDate(text: string): boolean {
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text) ?? [];
  if (year === undefined) return false;
  const leap = Number(year) % 4 === 0 && (Number(year) % 100 !== 0 || Number(year) % 400 === 0);
  const most = month === "02" && !leap ? 28 : (monthDays[Number(month) - 1] ?? 0);
  return Number(day) >= 1 && Number(day) <= most;
}

function isDateTime(text: string): boolean {
  if (text.length < 4) return false;
  const [date = "", time = "", more] = text.toLowerCase().split("t");
  if (more !== undefined || !isDate(date)) return false;
  const [, hour, minute, second] = /^(\d{2}):(\d{2}):(\d{2})(?:\.\d+)?(?:z|[+-]\d{2}:\d{2})$/.exec(time) ?? [];
  return hour !== undefined && Number(hour) <= 23 && Number(minute) <= 59 && Number(second) <= 59;
}

const goDuration = /^[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$/;
const durationUnit = /^(ns|us|µs|ms|s|m|h|hr|d|w|wk|nano.*|micro.*|milli.*|sec.*|min.*|hour.*|day.*|week.*)$/i;
const largestInt = 2n ** 63n - 1n;

/** As Go prints durations, or any text in which a number stands before a unit. */
function isDuration(text: string): boolean {
  if (goDuration.test(text)) return true;
  let found = false;
  // Step by step: one pattern for all of it would try every part of a long row of digits.
  for (const { 0: digits, index } of text.matchAll(/\d+/g)) {
    const unitPattern = /[A-Za-zµ]+/y;
    const spaces = /\s*/y;
    spaces.lastIndex = index + digits.length;
    spaces.test(text);
    unitPattern.lastIndex = spaces.lastIndex;
    const [unit] = unitPattern.exec(text) ?? [];
    if (unit === undefined) continue;
    if (digits.length > 19 || BigInt(digits) > largestInt) return false;
    found ||= durationUnit.test(unit);
  }
  return found;
}

const formats: Readonly<Record<string, Check>> = {
  bsonobjectid: matches(/^[0-9a-fA-F]{24}$/),
  uri: isUri,
  email: isEmail,
  hostname: isHostname,
  ipv4: isIPv4,
  ipv6: isIPv6,
  cidr: isCidr,
  mac: matches(
    /^([0-9a-f]{2}([:-])([0-9a-f]{2}\2){4,6}[0-9a-f]{2}|[0-9a-f]{2}([:-])([0-9a-f]{2}\4){18}[0-9a-f]{2}|([0-9a-f]{4}\.){2,3}[0-9a-f]{4}|([0-9a-f]{4}\.){9}[0-9a-f]{4})$/i,
  ),
  uuid: uuid("", ""),
  uuid3: uuid("3", ""),
  uuid4: uuid("4", "[89ab]"),
  uuid5: uuid("5", "[89ab]"),
  isbn: (text) => isIsbn10(text) || isIsbn13(text),
  isbn10: isIsbn10,
  isbn13: isIsbn13,
  creditcard: isCreditCard,
  ssn: matches(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/),
  hexcolor: matches(/^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  rgbcolor: matches(
    /^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$/,
  ),
  byte: matches(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/),
  password: () => true,
  date: isDate,
  duration: isDuration,
  datetime: isDateTime,
  // Since 1.34: names of Kubernetes.
  k8sshortname: matches(/^(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?$/),
  k8slongname: matches(/^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/),
};

/** Undefined: nobody checks it. */
export function formatCheck(format: string): Check | undefined {
  const name = format.replaceAll("-", "");
  return Object.hasOwn(formats, name) ? formats[name] : undefined;
}

/** Formats that are checked where they stand; elsewhere they are only documentation. */
const numberFormats: Readonly<Record<string, readonly string[]>> = {
  integer: ["int32", "int64"],
  number: ["float", "double"],
};

/** The format that is checked; "": none. */
export function formatOf(schema: JsonSchema): string {
  const { format = "", type = "" } = schema;
  if (format === "" || isIntOrString(schema)) return "";
  if (type === "" || type === "string") return formatCheck(format) ? format : "";
  return numberFormats[type]?.includes(format) ? format : "";
}
