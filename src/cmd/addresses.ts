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

/** Services need room for the API server's address and DNS's; more than that has no use and takes memory for its bits. */
const serviceBits = { 4: { min: 12, max: 28 }, 6: { min: 64, max: 124 } };
/** A node's pods get a /24, or a /64. */
const clusterBits = { 4: { min: 8, max: 24 }, 6: { min: 16, max: 64 } };
const label = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";
const subdomain = new RegExp(`^${label}(\\.${label})*$`);
const nameLengthMax = 253;
const nameWanted = "lower case letters, digits, '-' and '.', starting and ending with a letter or digit";

/** Throws a FlagError that says what was found and what was expected. `ownAddresses`: those of this machine's interfaces. */
export function checkAddresses(flags: AddressFlags, ownAddresses: readonly string[]): void {
  for (const name of ["bind-address", "advertise-address"] as const)
    if (flags[name] !== undefined && isIP(flags[name]) === 0)
      throw wrong(name, flags[name], "an IP address such as 192.0.2.10");
  const services = serviceRanges(flags);
  const pods = flags["cluster-cidr"] === undefined ? [] : podRanges(flags["cluster-cidr"]);
  if (pods.length > 0 && !pods.some(({ family }) => family === services[0]?.family))
    throw wrong(
      "service-cidr",
      flags["service-cidr"],
      `an IPv${pods[0]?.family} range first, as pods have IPv${pods[0]?.family} addresses`,
    );
  if (pods.some((range) => services.some((other) => overlap(range, other))))
    throw new FlagError(
      `--cluster-cidr ${flags["cluster-cidr"]} and --service-cidr ${flags["service-cidr"]} overlap: want ranges of their own for pods and Services`,
    );
  const nodeIps = flags["node-ip"]?.split(",") ?? [];
  if (nodeIps.some((ip) => isIP(ip) === 0) || new Set(nodeIps.map((ip) => isIP(ip))).size < nodeIps.length)
    throw wrong(
      "node-ip",
      flags["node-ip"] ?? "",
      "an IP address such as 192.0.2.10, or one of each family with a comma between",
    );
  checkOwn(nodeIps, ownAddresses);
  for (const name of ["node-name", "cluster-domain"] as const) {
    const value = flags[name];
    if (value !== undefined && (value.length > nameLengthMax || !subdomain.test(value)))
      throw wrong(name, value, nameWanted);
  }
}

/** What an agent is told of its machine. Throws a FlagError. */
export function checkNode(name: string, ips: readonly string[], ownAddresses: readonly string[]): void {
  if (name.length > nameLengthMax || !subdomain.test(name)) throw wrong("node-name", name, nameWanted);
  checkOwn(ips, ownAddresses);
}

function checkOwn(ips: readonly string[], ownAddresses: readonly string[]): void {
  for (const ip of ips)
    if (!ownAddresses.includes(ip))
      throw wrong("node-ip", ip, `an address of this machine (${ownAddresses.join(", ") || "it has none"})`);
}

function serviceRanges(flags: AddressFlags): Range[] {
  const { "service-cidr": text, "advertise-address": address } = flags;
  const cidrs = /[,:]/.test(text) ? readRanges(text) : [text];
  const [first = ""] = cidrs;
  if (address !== undefined && address.includes(":") !== first.includes(":"))
    throw new FlagError(
      `service IP family ${JSON.stringify(first)} must match public address family ${JSON.stringify(address)}`,
    );
  return cidrs.map((cidr) => range("service-cidr", cidr, serviceBits));
}

function podRanges(text: string): Range[] {
  const ranges = text.split(",").map((cidr) => range("cluster-cidr", cidr, clusterBits));
  if (new Set(ranges.map(({ family }) => family)).size < ranges.length)
    throw wrong("cluster-cidr", text, "one range, or one of each family with a comma between");
  return ranges;
}

function readRanges(text: string): string[] {
  try {
    return parseServiceRanges(text);
  } catch (error) {
    throw new FlagError((error as Error).message);
  }
}

interface Range {
  readonly family: 4 | 6;
  readonly first: string;
  readonly bits: number;
}

interface Bits {
  readonly min: number;
  readonly max: number;
}

/** Of IPv4. Throws a FlagError. */
export function checkRange(name: string, text: string, bits: Bits): void {
  range(name, text, { 4: bits });
}

function range(name: string, text: string, allowed: { readonly 4: Bits; readonly 6?: Bits }): Range {
  const [first = "", bits = "", more] = text.split("/");
  const family = isIP(first) === 6 && allowed[6] ? 6 : 4;
  const { min, max } = (family === 6 && allowed[6]) || allowed[4];
  const isWrong = isIP(first) !== family || !/^\d{1,3}$/.test(bits) || Number(bits) < min || Number(bits) > max;
  if (isWrong || more !== undefined)
    throw wrong(
      name,
      text,
      `an IPv${family} range ADDRESS/BITS with ${min} to ${max} bits, such as ${family === 6 ? `fd00:10::/${min}` : "10.96.0.0/16"}`,
    );
  return { family, first, bits: Number(bits) };
}

/** One of two ranges that share an address contains the other's first. */
function overlap(one: Range, other: Range): boolean {
  return contains(one, other.first) || contains(other, one.first);
}

function contains({ family, first, bits }: Range, address: string): boolean {
  const list = new BlockList();
  list.addSubnet(first, bits, `ipv${family}`);
  return list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

const wrong = (name: string, found: string, wanted: string) =>
  new FlagError(`--${name} ${JSON.stringify(found)}: want ${wanted}`);
