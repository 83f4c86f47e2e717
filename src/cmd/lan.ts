/**
 * The network of several nodes on one machine (`up --nodes N`): a bridge of the machine with the address `.1` of a range, a cable to each
 * other node's namespace, and translation of what leaves for the outside. The first node is the machine itself.
 */
import { execFile } from "node:child_process";
import { BlockList, isIPv4 } from "node:net";
import { promisify } from "node:util";
import { createNft } from "#base";
import { addressIn, bridgeOwner } from "#network";
import { CommandError } from "./command.ts";
import { findProgram } from "./machine.ts";

export const lanName = "sampan-lan0";
const table = "sampan_lan";
const run = promisify(execFile);

export interface LanOptions {
  /** `172.30.240.0/24`. */
  readonly cidr: string;
  /** The data folder. */
  readonly owner: string;
  /** Of pods and Services: they lie elsewhere. */
  readonly others: readonly string[];
}

/** Idempotent. Throws CommandError when the range is somebody else's. */
export async function prepareLan({ cidr, owner, others }: LanOptions): Promise<void> {
  const found = await bridgeOwner(lanName);
  if (found !== undefined && found !== "" && found !== owner)
    throw new CommandError(
      `interface ${lanName} belongs to the cluster of ${found}; \`sampan down --data-dir ${found}\` removes it`,
    );
  await refuseUsed(cidr, others);
  const gateway = addressIn(cidr, 1);
  await ipBatch([
    ...(found === undefined ? [`link add ${lanName} type bridge`] : []),
    `link set ${lanName} alias ${owner}`,
    `address replace ${gateway}/${cidr.split("/")[1]} dev ${lanName}`,
    `link set lo up`,
    `link set ${lanName} up`,
  ]);
  // Packets from one port of the bridge to another pass here too, hence the look at where they go.
  await createNft(findProgram("nft"))(`table ip ${table}
delete table ip ${table}
table ip ${table} {
  comment "${owner.replaceAll('"', "")}"
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${cidr} ip daddr != ${cidr} oifname != "${lanName}" masquerade
  }
}
`);
}

/** Its cables go with it. */
export async function removeLan(owner: string): Promise<void> {
  if (!findProgram("ip")) return;
  const found = await bridgeOwner(lanName);
  if (found === undefined || (found !== "" && found !== owner)) return;
  const links = await ipJson<{ ifname: string; master?: string }>("link", "show");
  const cables = links.filter(({ master }) => master === lanName).map(({ ifname }) => `link delete ${ifname}`);
  await ipBatch([...cables, `link delete ${lanName}`], { force: true });
  if (findProgram("nft")) await createNft(findProgram("nft"))(`table ip ${table}\ndelete table ip ${table}\n`);
}

export interface CableOptions {
  /** The node's number, from 2 on: the last part of its address. */
  readonly index: number;
  readonly cidr: string;
  /** A process in the node's network namespace. */
  readonly pid: number;
  /** Of the machine itself, when it isn't in `cidr`: the nodes are neighbours all the same. */
  readonly firstAddress?: string | undefined;
}

/** Idempotent. */
export async function connectToLan({ index, cidr, pid, firstAddress }: CableOptions): Promise<void> {
  const host = cableName(index);
  const links = await ipJson<{ ifname: string }>("link", "show");
  const inside = ["nsenter", `--net=/proc/${pid}/ns/net`];
  if (!links.some(({ ifname }) => ifname === host))
    await ipBatch([`link add ${host} type veth peer name eth0 netns ${pid}`]);
  await ipBatch([
    `link set ${host} master ${lanName}`,
    // A Service of one node may lead back to where the packet came from.
    `link set ${host} type bridge_slave hairpin on`,
    `link set ${host} up`,
  ]);
  await ipBatch(
    [
      "link set lo up",
      `address replace ${addressIn(cidr, index)}/${cidr.split("/")[1]} dev eth0`,
      "link set eth0 up",
      `route replace default via ${addressIn(cidr, 1)}`,
      ...(firstAddress && isIPv4(firstAddress) && !contains(cidr, firstAddress)
        ? [`route replace ${firstAddress}/32 dev eth0 scope link`]
        : []),
    ],
    { inside },
  );
}

/** One whose namespace is gone may be left for a moment. */
export const disconnectFromLan = (index: number): Promise<void> =>
  ipBatch([`link delete ${cableName(index)}`], { force: true });

const cableName = (index: number) => `sampan-lan${index - 1}`;

interface Route {
  readonly dst: string;
  readonly dev?: string;
}

async function refuseUsed(cidr: string, others: readonly string[]): Promise<void> {
  const routes = await ipJson<Route>("-4", "route", "show", "table", "all");
  const used = routes.filter(({ dst, dev }) => dst !== "default" && dev !== lanName && dev !== "lo");
  const clash = used.find(({ dst }) => overlap(cidr, dst));
  if (clash)
    throw new CommandError(
      `--node-cidr ${cidr}: the machine has a route to ${clash.dst} (${clash.dev ?? "no interface"}) there; name a range that nobody uses`,
    );
  const other = others.find((each) => overlap(cidr, each));
  if (other)
    throw new CommandError(`--node-cidr ${cidr} overlaps ${other} of pods or Services: want a range of its own`);
}

/** One of two ranges that share an address contains the other's first. */
function overlap(one: string, other: string): boolean {
  return contains(one, other.split("/")[0] ?? "") || contains(other, one.split("/")[0] ?? "");
}

function contains(range: string, address: string): boolean {
  const [first = "", bits = "32"] = range.split("/");
  if (first.includes(":") || address.includes(":")) return false;
  const list = new BlockList();
  list.addSubnet(first, Number(bits), "ipv4");
  return list.check(address, "ipv4");
}

/** `force`: what fails is gone already, or never was. */
async function ipBatch(
  lines: readonly string[],
  { inside = [], force = false }: { readonly inside?: readonly string[]; readonly force?: boolean } = {},
): Promise<void> {
  const [program = "ip", ...rest] = [...inside, "ip", ...(force ? ["-force"] : []), "-batch", "-"];
  try {
    const running = run(program, rest);
    running.child.stdin?.end(`${lines.join("\n")}\n`);
    await running;
  } catch (error) {
    if (force) return;
    const { stderr, message } = error as Error & { stderr?: string }; // execFile rejects with these
    throw new CommandError(`ip: ${stderr?.trim() || message} (${lines.join("; ")})`);
  }
}

async function ipJson<T>(...args: string[]): Promise<T[]> {
  const { stdout } = await run("ip", ["-json", ...args]);
  return stdout.trim() === "" ? [] : (JSON.parse(stdout) as T[]); // ip's own documented output
}
