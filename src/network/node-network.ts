/**
 * What a node's network needs before any pod: forwarding, the bridge with its address, and a way for the node itself to
 * addresses of Services on machines without a default route. Everything is idempotent and undone by `removeNodeNetwork`.
 */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { promisify } from "node:util";

/** What the machine refused, or what was asked for and can't be. */
export class NetworkError extends Error {
  override name = "NetworkError";
}

/** The bridge that pods hang on. */
export const bridgeName = "sampan0";

export interface NodeNetwork {
  readonly nodeAddress: string;
  /** The bridge's address: gateway of the pods, and where DNS listens. */
  readonly gateway: string;
  readonly podCidr: string;
  readonly bridge: string;
}

export interface NodeNetworkOptions {
  readonly bridge: string;
  /** The data folder: two clusters in one network namespace would take each other's packets. */
  readonly owner: string;
  readonly podCidr: string;
  readonly serviceCidr: string;
  readonly nodeAddress?: string | undefined;
}

const run = promisify(execFile);

/** The node's part of the cluster's addresses: subnet number `index` with `prefix` bits. Throws when there is none. */
export function subnetOf(cidr: string, index: number, prefix = 24): string {
  const [base = "", bits = ""] = cidr.split("/");
  if (isIP(base) !== 4 || !(Number(bits) <= prefix) || index >= 2 ** (prefix - Number(bits)))
    throw new NetworkError(
      `--cluster-cidr ${cidr}: want an IPv4 range with room for a /${prefix} for node ${index + 1}`,
    );
  const start = toNumber(base) & (bits === "0" ? 0 : (-1 << (32 - Number(bits))) >>> 0);
  return `${toAddress((start >>> 0) + index * 2 ** (32 - prefix))}/${prefix}`;
}

/** The address at `offset` in a range: 1 is the first usable one. */
export function addressIn(cidr: string, offset: number): string {
  return toAddress(toNumber(cidr.split("/")[0] ?? "") + offset);
}

const toNumber = (address: string) => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
const toAddress = (value: number) => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");

export async function prepareNodeNetwork(options: NodeNetworkOptions): Promise<NodeNetwork> {
  const { bridge, podCidr, serviceCidr, owner } = options;
  const gateway = addressIn(podCidr, 1);
  const found = await bridgeOwner(bridge);
  if (found !== undefined && found !== "" && found !== owner)
    throw new NetworkError(
      `interface ${bridge} belongs to the cluster of ${found}; \`sampan down --data-dir ${found}\` removes it`,
    );
  if (found === undefined) await ip("link", "add", bridge, "type", "bridge");
  await ip("link", "set", bridge, "alias", owner);
  await ip("link", "set", "lo", "up");
  await ip("address", "replace", `${gateway}/${podCidr.split("/")[1]}`, "dev", bridge);
  await ip("link", "set", bridge, "up");
  await setSysctl("net/ipv4/ip_forward", "1");
  // Without it, pods on one bridge would get answers from an endpoint's address instead of the Service's.
  await setSysctl("net/bridge/bridge-nf-call-iptables", "1");
  const route = (await ipJson<{ dst: string; dev: string; prefsrc?: string }>("route", "show", "default"))[0];
  // A packet needs a route before the rules for Services can turn it; the bridge is as good as any.
  if (!route) await ip("route", "replace", serviceCidr, "dev", bridge, "src", gateway);
  const nodeAddress = options.nodeAddress ?? (route ? await addressOf(route) : gateway);
  return { nodeAddress, gateway, podCidr, bridge };
}

/** Whose bridge this is: a data folder; "" when it says nothing, undefined when there is no such interface. */
export async function bridgeOwner(bridge: string): Promise<string | undefined> {
  const links = await ipJson<{ ifname: string; ifalias?: string }>("link", "show");
  const found = links.find(({ ifname }) => ifname === bridge);
  return found && (found.ifalias ?? "");
}

/** Nothing is left afterwards, whatever was there. */
export async function removeNodeNetwork(bridge: string): Promise<void> {
  const links = await ipJson<{ ifname: string; master?: string }>("link", "show");
  // The host's ends of the pods' cables; those whose pod is already gone went with it.
  for (const { ifname, master } of links) if (master === bridge) await ip("link", "delete", ifname);
  if (links.some(({ ifname }) => ifname === bridge)) await ip("link", "delete", bridge);
}

async function addressOf(route: { dev: string; prefsrc?: string }): Promise<string> {
  if (route.prefsrc) return route.prefsrc;
  const [link] = await ipJson<{ addr_info: { family: string; local: string }[] }>("address", "show", "dev", route.dev);
  const found = link?.addr_info.find(({ family }) => family === "inet")?.local;
  if (!found)
    throw new NetworkError(`interface ${route.dev} has the default route but no IPv4 address; pass --node-ip IP`);
  return found;
}

async function setSysctl(name: string, value: string): Promise<void> {
  try {
    await writeFile(`/proc/sys/${name}`, value);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // fs rejects with errno errors
    // The kernel was built without it (or the module isn't loaded): said once by `sampan check`.
  }
}

async function ip(...args: string[]): Promise<void> {
  try {
    await run("ip", args);
  } catch (error) {
    throw new NetworkError(
      `ip ${args.join(" ")}: ${(error as { stderr?: string }).stderr?.trim() || (error as Error).message}`,
    );
  }
}

async function ipJson<T>(...args: string[]): Promise<T[]> {
  const { stdout } = await run("ip", ["-json", ...args]);
  return stdout.trim() === "" ? [] : (JSON.parse(stdout) as T[]); // ip's own documented output
}
