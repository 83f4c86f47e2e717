/**
 * The device that carries packets to nodes behind routers. It learns nothing and floods nothing: which node has which address is told by
 * node objects, so three static entries stand for each: a route, its gateway's hardware address, and where that is. Hardware addresses follow
 * from nodes' names, so that nobody has to publish them.
 */
import { createHash } from "node:crypto";
import { createNft } from "#base";
import type { NodeNetwork } from "./contract.ts";
import { changeLinks, ipJson } from "./ip.ts";
import { tableName as table, vxlanName } from "./names.ts";
import { familyOf, isIpv6 } from "./range.ts";

/** Not flannel's 1, which may be on the same machine. */
const vni = 83;
/** Linux's own and flannel's, which firewalls are opened for. */
const port = 8472;

/** Outer addresses, UDP, VXLAN and the inner Ethernet header. */
export const vxlanHeaderBytes = { IPv4: 50, IPv6: 70 } as const;

/** Locally administered, of one station. */
export function hardwareAddress(nodeName: string): string {
  const [first = 0, ...rest] = createHash("sha256").update(nodeName).digest().subarray(0, 6);
  return [(first & 0xfc) | 2, ...rest].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** `ip -details link show` of it. */
export interface VxlanLink {
  readonly ifname: string;
  readonly mtu: number;
  readonly address: string;
  readonly flags: readonly string[];
  readonly linkinfo?: { readonly info_data?: Readonly<Record<string, unknown>> };
}

export async function findVxlan(): Promise<VxlanLink | undefined> {
  const links = await ipJson<VxlanLink>("-details", "link", "show", "type", "vxlan");
  return links.find(({ ifname }) => ifname === vxlanName);
}

/** Makes it, or makes it right. */
export async function setUpVxlan(network: NodeNetwork, nodeName: string): Promise<void> {
  const { nodeAddress, gateways, uplinkMtu } = network;
  const found = await findVxlan();
  const info = found?.linkinfo?.info_data ?? {};
  const isRight = (info.local ?? info.local6) === nodeAddress && info.id === vni && info.port === port;
  const address = hardwareAddress(nodeName);
  const mtu = uplinkMtu - vxlanHeaderBytes[familyOf(nodeAddress)];
  await changeLinks([
    ...(found && !isRight ? [`link delete ${vxlanName}`] : []),
    ...(found && isRight
      ? []
      : [`link add ${vxlanName} type vxlan id ${vni} dstport ${port} local ${nodeAddress} nolearning`]),
    // Whoever sets an address, if only to what it is, makes the kernel forget all neighbours.
    ...(found && isRight && found.address === address && found.mtu === mtu && found.flags.includes("UP")
      ? []
      : [`link set ${vxlanName} address ${address} mtu ${mtu} up`]),
    // What the node itself sends comes from the bridge's addresses, so that answers take the same way.
    ...gateways.map(
      (own) => `address replace ${own}/${isIpv6(own) ? "128" : "32"} dev ${vxlanName}${isIpv6(own) ? " nodad" : ""}`,
    ),
  ]);
  // Pods may send more at once than fits, and hear of it from this node; connections know from their first packet.
  await createNft()(`table inet ${table}
delete table inet ${table}
table inet ${table} {
  chain forward {
    type filter hook forward priority mangle; policy accept;
    oifname ${vxlanName} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    iifname ${vxlanName} meta nfproto ipv4 tcp flags & (syn | rst) == syn tcp option maxseg size set ${mtu - 40}
    iifname ${vxlanName} meta nfproto ipv6 tcp flags & (syn | rst) == syn tcp option maxseg size set ${mtu - 60}
  }
}
`);
}

export async function removeVxlan(): Promise<void> {
  await changeLinks([`link delete ${vxlanName}`]);
  await createNft()(`table inet ${table}\ndelete table inet ${table}\n`);
}
