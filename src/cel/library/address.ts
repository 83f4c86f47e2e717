/** IP addresses and prefixes as Go's net/netip reads and prints them, with its messages. */

import { goQuote } from "#machinery";

/** 4 or 16 numbers below 256. */
export type Address = readonly number[];

export interface Prefix {
  readonly address: Address;
  readonly bits: number;
}

/** Of the address kept for its message only. */
interface ZonedAddress {
  readonly address: Address;
  readonly zone: string;
}

/** The message is Go's. */
class AddressError extends Error {}

function fail(text: string, message: string, at = ""): never {
  throw new AddressError(`ParseAddr(${goQuote(text)}): ${message}${at === "" ? "" : ` (at ${goQuote(at)})`}`);
}

function readAddress(text: string): ZonedAddress {
  const decides = /[.:%]/.exec(text)?.[0];
  if (decides === ".") return { address: readOctets(text, text), zone: "" };
  if (decides === ":") return readV6(text);
  return fail(text, decides === "%" ? "missing IPv6 address" : "unable to parse IP");
}

/** `part` is the end of `text`. */
function readOctets(text: string, part: string): number[] {
  const octets: number[] = [];
  let digits = "";
  for (let i = 0; i < part.length; i++) {
    const c = part[i] ?? "";
    if (c >= "0" && c <= "9") {
      if (digits === "0") fail(text, "IPv4 field has octet with leading zero");
      digits += c;
      if (Number(digits) > 255) fail(text, "IPv4 field has value >255");
    } else if (c === ".") {
      if (digits === "" || i === part.length - 1) fail(text, "IPv4 field must have at least one digit", part.slice(i));
      if (octets.length === 3) fail(text, "IPv4 address too long");
      octets.push(Number(digits));
      digits = "";
    } else fail(text, "unexpected character", part.slice(i));
  }
  if (octets.length < 3) fail(text, "IPv4 address too short");
  return [...octets, Number(digits)];
}

function readV6(text: string): ZonedAddress {
  const percent = text.indexOf("%");
  const zone = percent < 0 ? "" : text.slice(percent + 1);
  if (percent >= 0 && zone === "") fail(text, "zone must be a non-empty string");
  let rest = percent < 0 ? text : text.slice(0, percent);
  const bytes: number[] = [];
  let ellipsis = -1;
  if (rest.startsWith("::")) {
    ellipsis = 0;
    rest = rest.slice(2);
    if (rest === "") return { address: new Array<number>(16).fill(0), zone };
  }
  while (bytes.length < 16) {
    const group = /^[0-9a-fA-F]*/.exec(rest)?.[0] ?? "";
    if (group.length > 4) fail(text, "each group must have 4 or less digits", rest);
    if (group === "") fail(text, "each colon-separated field must have at least one digit", rest);
    if (rest[group.length] === ".") {
      if (ellipsis < 0 && bytes.length !== 12)
        fail(text, "embedded IPv4 address must replace the final 2 fields of the address", rest);
      if (bytes.length > 12) fail(text, "too many hex fields to fit an embedded IPv4 at the end of the address", rest);
      bytes.push(...readOctets(text, rest));
      rest = "";
      break;
    }
    const value = Number.parseInt(group, 16);
    bytes.push(value >> 8, value & 255);
    rest = rest.slice(group.length);
    if (rest === "") break;
    if (!rest.startsWith(":")) fail(text, "unexpected character, want colon", rest);
    if (rest === ":") fail(text, "colon must be followed by more characters", rest);
    rest = rest.slice(1);
    if (!rest.startsWith(":")) continue;
    if (ellipsis >= 0) fail(text, "multiple :: in address", rest);
    ellipsis = bytes.length;
    rest = rest.slice(1);
    if (rest === "") break;
  }
  if (rest !== "") fail(text, "trailing garbage after address", rest);
  if (bytes.length === 16 && ellipsis >= 0) fail(text, "the :: must expand to at least one field of zeros");
  if (bytes.length < 16) {
    if (ellipsis < 0) fail(text, "address string too short");
    bytes.splice(ellipsis, 0, ...new Array<number>(16 - bytes.length).fill(0));
  }
  return { address: bytes, zone };
}

const isMapped = (address: Address): boolean =>
  address.length === 16 &&
  address.slice(0, 10).every((byte) => byte === 0) &&
  address[10] === 255 &&
  address[11] === 255;

/** An address without zone; a text is the complaint. */
export function parseAddress(text: string): Address | string {
  try {
    const { address, zone } = readAddress(text);
    if (zone !== "") return `IP address ${goQuote(text)} with zone value is not allowed`;
    return isMapped(address) ? `IPv4-mapped IPv6 address ${goQuote(text)} is not allowed` : address;
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    return `IP Address ${goQuote(text)} parse error during conversion from string: ${error.message}`;
  }
}

/** Whether a host in brackets is an IPv6 address; a text is the complaint. */
export function v6Problem(text: string): string | undefined {
  try {
    return readAddress(text).address.length === 16 ? undefined : "invalid IP-literal";
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    return `invalid host: ${error.message}`;
  }
}

export function parsePrefix(text: string): Prefix | string {
  const slash = text.lastIndexOf("/");
  const complaint = (why: string): string =>
    `network address parse error during conversion from string: netip.ParsePrefix(${goQuote(text)}): ${why}`;
  if (slash < 0) return complaint("no '/'");
  let found: ZonedAddress;
  try {
    found = readAddress(text.slice(0, slash));
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    return complaint(error.message);
  }
  if (found.zone !== "") return complaint("IPv6 zones cannot be present in a prefix");
  const digits = text.slice(slash + 1);
  if (!/^(?:\d|[1-9]\d*)$/.test(digits)) return complaint(`bad bits after slash: ${goQuote(digits)}`);
  const bits = Number(digits);
  if (bits < 0 || bits > found.address.length * 8) return complaint("prefix length out of range");
  return isMapped(found.address)
    ? `IPv4-mapped IPv6 address ${goQuote(text)} is not allowed`
    : { address: found.address, bits };
}

export function addressText(address: Address): string {
  if (address.length === 4) return address.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((address[2 * i] ?? 0) << 8) | (address[2 * i + 1] ?? 0));
  const zeros = { start: -1, length: 1 };
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (groups[i + length] === 0) length++;
    if (length > zeros.length) Object.assign(zeros, { start: i, length });
  }
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  if (zeros.start < 0) return hex(groups);
  return `${hex(groups.slice(0, zeros.start))}::${hex(groups.slice(zeros.start + zeros.length))}`;
}

export const prefixText = ({ address, bits }: Prefix): string => `${addressText(address)}/${bits}`;

/** The address with everything after the prefix zero. */
export const masked = ({ address, bits }: Prefix): Prefix => ({
  address: address.map((byte, i) => byte & ~(255 >> Math.min(Math.max(bits - i * 8, 0), 8))),
  bits,
});

export const contains = (prefix: Prefix, address: Address): boolean =>
  prefix.address.length === address.length &&
  addressText(masked({ address, bits: prefix.bits }).address) === addressText(masked(prefix).address);

export const overlaps = (a: Prefix, b: Prefix): boolean =>
  contains(a.bits < b.bits ? a : b, (a.bits < b.bits ? b : a).address);

const [first, second] = [0, 1];
const at = (address: Address, index: number): number => address[index] ?? 0;
const isV4 = (address: Address): boolean => address.length === 4;
const rest = (address: Address): boolean => address.slice(0, -1).every((byte) => byte === 0);

export const isUnspecified = (address: Address): boolean => address.every((byte) => byte === 0);
export const isLoopback = (address: Address): boolean =>
  isV4(address) ? at(address, first) === 127 : rest(address) && at(address, 15) === 1;
export const isMulticast = (address: Address): boolean =>
  isV4(address) ? at(address, first) >> 4 === 14 : at(address, first) === 255;
export const isLinkLocalMulticast = (address: Address): boolean =>
  isV4(address)
    ? at(address, first) === 224 && at(address, second) === 0 && at(address, 2) === 0
    : at(address, first) === 255 && (at(address, second) & 15) === 2;
export const isLinkLocalUnicast = (address: Address): boolean =>
  isV4(address)
    ? at(address, first) === 169 && at(address, second) === 254
    : at(address, first) === 254 && at(address, second) >> 6 === 2;
export const isGlobalUnicast = (address: Address): boolean =>
  !isUnspecified(address) &&
  !(isV4(address) && address.every((byte) => byte === 255)) &&
  !isLoopback(address) &&
  !isMulticast(address) &&
  !isLinkLocalUnicast(address);
