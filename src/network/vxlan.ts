/**
 * The device that carries packets to nodes behind routers. It learns nothing and floods nothing: which node has which address is told by
 * node objects, so three static entries stand for each: a route, its gateway's hardware address, and where that is. Hardware addresses follow
 * from nodes' names, so that nobody has to publish them.
 */
import { createHash } from "node:crypto";
import type { Route } from "./ip.ts";

export const vxlanName = "sampan-vx0";
/** Not flannel's 1, which may be on the same machine. */
const vni = 83;
/** Linux's own and flannel's, which firewalls are opened for. */
const port = 8472;

/** Ours among a machine's routes: to other nodes' pods, and to Services where no route leads anywhere. */
export const routeProtocol = { nodes: "83", services: "84" } as const;
export const isNodeRoute = ({ protocol }: Pick<Route, "protocol">): boolean => protocol === routeProtocol.nodes;

/** Outer addresses, UDP, VXLAN and the inner Ethernet header. */
export const vxlanHeaderBytes = { IPv4: 50, IPv6: 70 } as const;

/** Locally administered, of one station. */
export function hardwareAddress(nodeName: string): string {
  const [first = 0, ...rest] = createHash("sha256").update(nodeName).digest().subarray(0, 6);
  return [(first & 0xfc) | 2, ...rest].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

export interface VxlanOptions {
  readonly nodeName: string;
  /** Where packets leave from, and what others send to. */
  readonly local: string;
  /** Of the bridge: what the node itself sends comes from there, so that answers take the same way. */
  readonly gateways: readonly string[];
  readonly mtu: number;
}

/** `ip -details link show` of it. */
export interface VxlanLink {
  readonly mtu: number;
  readonly address: string;
  readonly flags: readonly string[];
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: Readonly<Record<string, unknown>> };
}

/** Lines for `ip -batch` that make it, or make it right. */
export function vxlanLines(options: VxlanOptions, found: VxlanLink | undefined): string[] {
  const { local, gateways, mtu } = options;
  const info = found?.linkinfo?.info_data ?? {};
  const isRight = (info.local ?? info.local6) === local && info.id === vni && info.port === port;
  return [
    ...(found && !isRight ? [`link delete ${vxlanName}`] : []),
    ...(found && isRight
      ? []
      : [`link add ${vxlanName} type vxlan id ${vni} dstport ${port} local ${local} nolearning`]),
    `link set ${vxlanName} address ${hardwareAddress(options.nodeName)} mtu ${mtu} up`,
    ...gateways.map((address) =>
      address.includes(":")
        ? `address replace ${address}/128 dev ${vxlanName} nodad`
        : `address replace ${address}/32 dev ${vxlanName}`,
    ),
  ];
}
