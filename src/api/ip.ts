/**
 * IP addresses and CIDRs as the API takes them in fields older than strict parsing: octets may have leading zeros, which are
 * ignored. Follows k8s.io/utils/net and apimachinery's util/validation/ip.go.
 */
import { isIPv6 } from "node:net";
import type { Place } from "./place.ts";

export interface Address {
  readonly family: "IPv4" | "IPv6";
  /** Four or sixteen bytes; an IPv4 address inside IPv6 has four. */
  readonly bytes: readonly number[];
}

export function parseIp(text: string): Address | undefined {
  if (!text.includes(":")) {
    const bytes = parseIpv4(text);
    return bytes && { family: "IPv4", bytes };
  }
  const plain = withoutLeadingZeros(text);
  if (plain.includes("%") || !isIPv6(plain)) return undefined;
  const bytes = ipv6Bytes(plain);
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return mapped ? { family: "IPv4", bytes: bytes.slice(12) } : { family: "IPv6", bytes };
}

function parseIpv4(text: string): number[] | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = parts.map((part) => (/^[0-9]+$/.test(part) ? Number(part) : 256));
  return bytes.every((byte) => byte < 256) ? bytes : undefined;
}

/** In the IPv4 tail of an IPv6 address. */
const withoutLeadingZeros = (text: string): string =>
  text.includes(".") ? text.replace(/(^|[:.])0+(?=[0-9]+(\.|$))/g, "$1") : text;

function ipv6Bytes(text: string): number[] {
  let hex = text;
  const dot = text.lastIndexOf(":");
  if (text.includes(".")) {
    const [a = 0, b = 0, c = 0, d = 0] = parseIpv4(text.slice(dot + 1)) ?? [];
    hex = `${text.slice(0, dot + 1)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = "", tail] = hex.split("::");
  const groups = (half: string) => (half === "" ? [] : half.split(":").map((group) => Number.parseInt(group, 16)));
  const start = groups(head);
  const end = tail === undefined ? [] : groups(tail);
  const zeros = tail === undefined ? 0 : 8 - start.length - end.length;
  return [...start, ...new Array<number>(zeros).fill(0), ...end].flatMap((group) => [group >> 8, group & 255]);
}

/** As Go prints it: shortest form, lower case. */
export function printIp({ family, bytes }: Address): string {
  if (family === "IPv4") return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  const runs = [
    ...groups
      .map((group) => (group === "0" ? "0" : "x"))
      .join("")
      .matchAll(/00+/g),
  ];
  const longest = runs.sort((a, b) => b[0].length - a[0].length || a.index - b.index)[0];
  if (!longest) return groups.join(":");
  return `${groups.slice(0, longest.index).join(":")}::${groups.slice(longest.index + longest[0].length).join(":")}`;
}

export const isIpv6Text = (text: string): boolean => parseIp(text)?.family === "IPv6";

export function validateIp(text: string, at: Place): boolean {
  if (parseIp(text)) return true;
  at.invalid(text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  return false;
}

const prefixBitsMax = { IPv4: 32, IPv6: 128 };

export interface Network {
  readonly address: Address;
  readonly prefixBits: number;
}

export function parseCidr(text: string): Network | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (!address || !/^[0-9]+$/.test(length)) return undefined;
  const family = text.includes(":") ? "IPv6" : "IPv4";
  const prefixBits = Number(length);
  return prefixBits <= prefixBitsMax[family] ? { address, prefixBits } : undefined;
}

export function validateCidr(text: string, at: Place): void {
  if (!parseCidr(text)) at.invalid(text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
}

/** One address of each family. */
export function isDualStack(addresses: readonly (Address | undefined)[]): boolean {
  const families = new Set(addresses.map((address) => address?.family));
  return families.has("IPv4") && families.has("IPv6");
}

/** What can't be the address of an endpoint: unspecified, loopback and link-local ones. */
export function validateNonSpecialIp(text: string, at: Place): void {
  const address = parseIp(text);
  if (!address) {
    at.invalid(text, "must be a valid IP address");
    return;
  }
  const { family, bytes } = address;
  const [a = 0, b = 0, c = 0] = bytes;
  const isIpv4 = family === "IPv4";
  const restIsZero = bytes.slice(0, -1).every((byte) => byte === 0);
  if (restIsZero && bytes.at(-1) === 0) at.invalid(text, `may not be unspecified (${text})`);
  if (isIpv4 ? a === 127 : restIsZero && bytes.at(-1) === 1) {
    at.invalid(text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
  }
  if (isIpv4 ? a === 169 && b === 254 : a === 0xfe && (b & 0xc0) === 0x80) {
    at.invalid(text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  }
  if (isIpv4 ? a === 224 && b === 0 && c === 0 : a === 0xff && (b & 0x0f) === 0x02) {
    at.invalid(text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
  }
}
