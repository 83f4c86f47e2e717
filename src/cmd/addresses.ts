/** The flags that say where things are in the network, judged together before anything is started. */
import { BlockList, isIP } from "node:net";
import { parseServiceRanges } from "#apiserver";
import { FlagError } from "#base";

export interface AddressFlags {
  readonly "bind-address": string;
  readonly "service-cidr": string;
  readonly "cluster-domain": string;
  readonly "advertise-address"?: string | undefined;
  readonly "cluster-cidr"?: string;
  readonly "node-ip"?: string | undefined;
  readonly "node-name"?: string | undefined;
}

/** Services need room for the API server's address and DNS's; more than a /12 has no use and takes memory for its bits. */
const serviceBits = { min: 12, max: 28 };
/** A node's pods get a /24. */
const clusterBits = { min: 8, max: 24 };
const label = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";
const subdomain = new RegExp(`^${label}(\\.${label})*$`);
const nameLengthMax = 253;
const nameWanted = "lower case letters, digits, '-' and '.', starting and ending with a letter or digit";

/** Throws a FlagError that says what was found and what was expected. `ownAddresses`: those of this machine's interfaces. */
export function checkAddresses(flags: AddressFlags, ownAddresses: readonly string[]): void {
  for (const name of ["bind-address", "advertise-address", "node-ip"] as const)
    if (flags[name] !== undefined && isIP(flags[name]) === 0)
      throw wrong(name, flags[name], "an IP address such as 192.0.2.10");
  const services = serviceRanges(flags);
  const pods =
    flags["cluster-cidr"] === undefined ? undefined : range("cluster-cidr", flags["cluster-cidr"], clusterBits);
  if (pods && services.some((range) => overlap(range, pods)))
    throw new FlagError(
      `--cluster-cidr ${flags["cluster-cidr"]} and --service-cidr ${flags["service-cidr"]} overlap: want ranges of their own for pods and Services`,
    );
  const nodeIp = flags["node-ip"];
  if (nodeIp !== undefined && !ownAddresses.includes(nodeIp))
    throw wrong("node-ip", nodeIp, `an address of this machine (${ownAddresses.join(", ") || "it has none"})`);
  for (const name of ["node-name", "cluster-domain"] as const) {
    const value = flags[name];
    if (value !== undefined && (value.length > nameLengthMax || !subdomain.test(value)))
      throw wrong(name, value, nameWanted);
  }
}

/** What an agent is told of its machine. Throws a FlagError. */
export function checkNode(name: string, ips: readonly string[], ownAddresses: readonly string[]): void {
  if (name.length > nameLengthMax || !subdomain.test(name)) throw wrong("node-name", name, nameWanted);
  for (const ip of ips)
    if (!ownAddresses.includes(ip))
      throw wrong("node-ip", ip, `addresses of this machine (${ownAddresses.join(", ") || "it has none"})`);
}

/** Those of IPv4: a node's own parts know no others. */
function serviceRanges(flags: AddressFlags): Range[] {
  const { "service-cidr": text, "advertise-address": address } = flags;
  const cidrs = /[,:]/.test(text) ? readRanges(text) : [text];
  const [first = ""] = cidrs;
  if (flags["cluster-cidr"] !== undefined && first.includes(":"))
    throw wrong("service-cidr", text, "an IPv4 range first, as pods have IPv4 addresses");
  if (address !== undefined && address.includes(":") !== first.includes(":"))
    throw new FlagError(
      `service IP family ${JSON.stringify(first)} must match public address family ${JSON.stringify(address)}`,
    );
  return cidrs.filter((cidr) => !cidr.includes(":")).map((cidr) => range("service-cidr", cidr, serviceBits));
}

function readRanges(text: string): string[] {
  try {
    return parseServiceRanges(text);
  } catch (error) {
    throw new FlagError((error as Error).message);
  }
}

interface Range {
  readonly first: string;
  readonly bits: number;
}

/** Throws a FlagError. */
export function checkRange(name: string, text: string, bits: { min: number; max: number }): void {
  range(name, text, bits);
}

function range(name: string, text: string, { min, max }: { min: number; max: number }): Range {
  const [first = "", bits = "", more] = text.split("/");
  if (isIP(first) !== 4 || !/^\d{1,2}$/.test(bits) || Number(bits) < min || Number(bits) > max || more !== undefined)
    throw wrong(name, text, `an IPv4 range ADDRESS/BITS with ${min} to ${max} bits, such as 10.96.0.0/16`);
  return { first, bits: Number(bits) };
}

/** One of two ranges that share an address contains the other's first. */
function overlap(one: Range, other: Range): boolean {
  return contains(one, other.first) || contains(other, one.first);
}

function contains({ first, bits }: Range, address: string): boolean {
  const list = new BlockList();
  list.addSubnet(first, bits, "ipv4");
  return list.check(address, "ipv4");
}

const wrong = (name: string, found: string, wanted: string) =>
  new FlagError(`--${name} ${JSON.stringify(found)}: want ${wanted}`);
