/**
 * Which certificates for nodes' own HTTPS servers are given unasked. Upstream leaves that to administrators, who look whether a node asks
 * for its own names and addresses; so does this: whoever asks must be the node, and all that it asks for must be in its Node object,
 * and not another's. A node writes that object itself, so what would open more than the node is refused in any case.
 */
import { BlockList, isIP } from "node:net";
import type { CertificateRequest, CertificateSigningRequest, Node } from "#api";
import type { Seen } from "../lib/objects.ts";

export interface Cluster {
  readonly nodes: readonly Seen<Node>[];
  /** Addresses of Services, which are no machine's. */
  readonly serviceCidrs: readonly string[];
}

const nodePrefix = "system:node:";
/** What clients call the API server, and every machine itself. */
const reservedNames = /^(localhost|kubernetes(\.default(\.svc(\..*)?)?)?)$|(^|\.)svc(\.|$)/;

/** Why not; undefined: it may be approved; "later": the node may tell of its addresses in a moment. */
export function whyNot(
  { spec }: Seen<CertificateSigningRequest>,
  request: CertificateRequest,
  { nodes, serviceCidrs }: Cluster,
): string | undefined {
  const { username = "", groups = [] } = spec;
  if (!username.startsWith(nodePrefix) || !groups.includes("system:nodes")) return "who asks is no node";
  if (request.commonName !== username) return `it is for ${request.commonName}, who asks is ${username}`;
  const name = username.slice(nodePrefix.length);
  const own = nodes.find(({ metadata }) => metadata.name === name);
  if (!own) return `there is no node ${name}`;
  const others = nodes.filter((node) => node !== own);
  for (const asked of [...request.dnsNames, ...request.ipAddresses]) {
    if (!addressesOf(own).has(asked)) return `${asked} is none of the node's addresses`;
    if (others.some((node) => addressesOf(node).has(asked) || node.metadata.name === asked))
      return `${asked} is another node's too`;
    if (reservedNames.test(asked)) return `${asked} is no name of a node`;
    if (isIP(asked) && isWithin(asked, [...serviceCidrs, "127.0.0.0/8", "::1/128"]))
      return `${asked} is no address of a machine`;
  }
  return undefined;
}

const addressesOf = ({ status }: Seen<Node>): ReadonlySet<string> =>
  new Set((status?.addresses ?? []).map(({ address }) => address));

function isWithin(address: string, cidrs: readonly string[]): boolean {
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [first = "", bits = ""] = cidr.split("/");
    list.addSubnet(first, Number(bits), isIP(first) === 6 ? "ipv6" : "ipv4");
  }
  return list.check(address, family);
}
