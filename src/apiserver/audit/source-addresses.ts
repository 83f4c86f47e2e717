/** Where a request came from, as the audit log says it: what proxies tell, then the other end of the connection, which can't be made up. */
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";

export function sourceAddresses(headers: IncomingHttpHeaders, remoteAddress: string): string[] {
  const found = text(headers["x-forwarded-for"])
    .split(",")
    .flatMap((part) => canonical(part.trim()) ?? []);
  const real = canonical(text(headers["x-real-ip"]));
  if (real !== undefined && !found.includes(real)) found.push(real);
  const remote = canonical(remoteAddress);
  if (remote !== undefined && found.at(-1) !== remote) found.push(remote);
  return found;
}

const text = (value: string | string[] | undefined): string => (Array.isArray(value) ? value.join(",") : (value ?? ""));

/** Undefined: not an address. IPv4 in the clothes of IPv6 is IPv4. */
function canonical(address: string): string | undefined {
  const version = isIP(address);
  if (version !== 6) return version === 4 ? address : undefined;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return mapped ?? address.toLowerCase();
}
