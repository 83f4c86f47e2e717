/** Addresses and ranges that are valid but not written as they should be: upstream's GetWarningsForIP and GetWarningsForCIDR. */
import { type Address, parseCidr, parseIp, printIp } from "./ip.ts";
import type { Place } from "./place.ts";

const quote = (text: string): string => JSON.stringify(text);

const nonStandard = (what: string, text: string, standard: string): string =>
  `non-standard ${what} ${quote(text)} will be considered invalid in a future Kubernetes release: use ${quote(standard)}`;

const nonCanonical = (what: string, text: string, canonical: string): string =>
  `IPv6 ${what} ${quote(text)} should be in RFC 5952 canonical format (${quote(canonical)})`;

/** None for what is no address. */
export function ipWarnings(text: string, at: Place): string[] {
  const address = parseIp(text);
  const canonical = address ? printIp(address) : text;
  if (canonical === text) return [];
  const print = address?.family === "IPv4" ? nonStandard : nonCanonical;
  return [`${at}: ${print(address?.family === "IPv4" ? "IP address" : "address", text, canonical)}`];
}

/** A range's address has no bits after the prefix; otherwise it may be meant as an address. */
export function cidrWarnings(text: string, at: Place): string[] {
  const network = parseCidr(text);
  if (!network) return [];
  const { address, prefixBits } = network;
  const written = printIp(address);
  const range = `${printIp(firstOf(address, prefixBits))}/${prefixBits}`;
  const warnings: string[] = [];
  if (range !== `${written}/${prefixBits}`) {
    const single = `${written}/${8 * address.bytes.length}`;
    const question = `(should be ${quote(range)} or ${quote(single)}?)`;
    warnings.push(`${at}: CIDR value ${quote(text)} is ambiguous in this context ${question}`);
  }
  if (text === `${written}/${prefixBits}`) return warnings;
  if (address.family === "IPv4") warnings.push(`${at}: ${nonStandard("CIDR value", text, range)}`);
  else if (warnings.length === 0) warnings.push(`${at}: ${nonCanonical("CIDR value", text, range)}`);
  return warnings;
}

function firstOf(address: Address, prefixBits: number): Address {
  const bytes = address.bytes.map((byte, i) => {
    const kept = Math.min(8, Math.max(0, prefixBits - 8 * i));
    return byte & (0xff << (8 - kept)) & 0xff;
  });
  return { ...address, bytes };
}
