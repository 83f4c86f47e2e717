/** Who comes from where, for portals: ranges of clients, and the addresses that are this machine's own. */
import { BlockList, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";

/** `::ffff:10.0.0.1`, as sockets of both families tell it, is an IPv4 address. */
export const plainAddress = (address: string): string => address.replace(/^::ffff:(?=[0-9.]+$)/, "");

export interface Ranges {
  has(address: string): boolean;
}

export function rangesOf(cidrs: readonly string[]): Ranges {
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [address = "", bits] = cidr.split("/");
    list.addSubnet(address, Number(bits ?? (isIPv6(address) ? 128 : 32)), isIPv6(address) ? "ipv6" : "ipv4");
  }
  return { has: (address) => list.check(address.replace(/%.*/, ""), isIPv6(address) ? "ipv6" : "ipv4") };
}

/** Of the machine's interfaces; what a local route makes ours is none of them. */
export function machineAddresses(): ReadonlySet<string> {
  return new Set(Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address)));
}
