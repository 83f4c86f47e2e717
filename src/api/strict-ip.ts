/**
 * IP addresses and CIDRs as the API takes them since strict parsing: what different programs could read differently is
 * refused. Fields from before that rule keep what a stored object has. Follows apimachinery's util/validation/ip.go.
 */
import { goQuote } from "#machinery";
import { type Address, type Network, parseCidr, parseIp, printIp } from "./ip.ts";
import type { Place } from "./place.ts";

const hasLeadingZeros = (ip: string): boolean => /(^|[.:])0[0-9]+(\.|$)/.test(ip) && ip.includes(".");

const isMapped = (ip: string): boolean => ip.includes(":") && parseIp(ip)?.family === "IPv4";

/** `known`: what the stored object has, which stays. */
export function validateStrictIp(ip: string, at: Place, known: ReadonlySet<string> = nothing): Address | undefined {
  if (known.has(ip)) return parseIp(ip);
  const address = parseIp(ip);
  if (!address) at.invalid(ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  else if (hasLeadingZeros(ip)) at.invalid(ip, "must not have leading 0s");
  else if (isMapped(ip)) at.invalid(ip, "must not be an IPv4-mapped IPv6 address");
  return address;
}

const nothing: ReadonlySet<string> = new Set();

export function validateCanonicalIp(ip: string, at: Place): void {
  const before = at.errors.length;
  const address = validateStrictIp(ip, at);
  if (!address || at.errors.length > before) return;
  const canonical = printIp(address);
  if (ip !== canonical) at.invalid(ip, `must be in canonical form (${goQuote(canonical)})`);
}

/** Answers the network even when it isn't strictly written. */
export function validateStrictCidr(cidr: string, at: Place, known: ReadonlySet<string> = nothing): Network | undefined {
  const network = parseCidr(cidr);
  if (known.has(cidr)) return network;
  const [ip = "", length = ""] = cidr.split("/");
  if (!network) at.invalid(cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
  else if (hasLeadingZeros(ip) || /^0[0-9]/.test(length)) {
    at.invalid(cidr, "must not have leading 0s in IP or prefix length");
  } else if (isMapped(ip)) at.invalid(cidr, "must not have an IPv4-mapped IPv6 address");
  else if (!isWithin(network.address, network)) at.invalid(cidr, "must not have bits set beyond the prefix length");
  return network;
}

export function validateCanonicalCidr(cidr: string, at: Place): void {
  const before = at.errors.length;
  const network = validateStrictCidr(cidr, at);
  if (!network || at.errors.length > before) return;
  const canonical = printNetwork(network);
  if (cidr !== canonical) at.invalid(cidr, `must be in canonical form (${goQuote(canonical)})`);
}

/** Bytes of the address with the bits after the prefix cleared. */
function maskBytes({ address, prefixBits }: Network): number[] {
  return address.bytes.map((byte, i) => {
    const kept = Math.min(8, Math.max(0, prefixBits - 8 * i));
    return byte & (0xff << (8 - kept)) & 0xff;
  });
}

/** The first address itself, not another one of the network. */
const isWithin = ({ bytes }: Address, network: Network): boolean =>
  maskBytes(network).every((byte, i) => byte === bytes[i]);

const printNetwork = (network: Network): string =>
  `${printIp({ family: network.address.family, bytes: maskBytes(network) })}/${network.prefixBits}`;

/** Whether all of `inner` is in `outer`, and not all of it. */
export function isStrictSubset(inner: Network, outer: Network): boolean {
  if (inner.address.family !== outer.address.family || inner.prefixBits <= outer.prefixBits) return false;
  const masked = maskBytes({ address: inner.address, prefixBits: outer.prefixBits });
  return maskBytes(outer).every((byte, i) => byte === masked[i]);
}
