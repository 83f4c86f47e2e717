/** An address and the length of its network's prefix, as an interface has it: 10.9.8.7/24. */
import { goQuote } from "#machinery";
import { parseCidr, printIp } from "../ip.ts";
import type { Place } from "../place.ts";

/** An IPv4 address inside IPv6 has this many bits before it. */
const mappedPrefixBits = 96;

export function validateInterfaceAddress(text: string, at: Place): void {
  const network = parseCidr(text);
  if (!network) {
    at.invalid(text, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)");
    return;
  }
  const { address, prefixBits } = network;
  const bits = address.family === "IPv4" && prefixBits > 32 ? prefixBits - mappedPrefixBits : prefixBits;
  const canonical = `${printIp(address)}/${bits}`;
  if (text !== canonical) at.invalid(text, `must be in canonical form (${goQuote(canonical)})`);
}
