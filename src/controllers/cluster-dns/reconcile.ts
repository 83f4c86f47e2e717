/** What the Service `kube-dns` has behind it: the DNS server of each node that says where its own is. */
import { BlockList, isIP } from "node:net";
import type { EndpointSlice } from "#api";
import type { SeenNode } from "../lib/nodes.ts";
import { nameOf } from "../lib/objects.ts";

export const dnsNamespace = "kube-system";
export const dnsService = "kube-dns";
/** On nodes, by themselves. */
export const dnsAddressAnnotation = "sampan.dev/dns-address";
export const managedBy = "cluster-dns.sampan.dev";

export const sliceName = (node: string): string => `${dnsService}-${node}`;

/** Undefined: this node answers nobody, or names an address that isn't its own, where others' questions must not go. */
export function sliceOf(node: SeenNode): EndpointSlice | undefined {
  const address = node.metadata.annotations?.[dnsAddressAnnotation] ?? "";
  if (!isOwn(node, address)) return undefined;
  const name = nameOf(node);
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: sliceName(name),
      namespace: dnsNamespace,
      labels: { "kubernetes.io/service-name": dnsService, "endpointslice.kubernetes.io/managed-by": managedBy },
    },
    addressType: isIP(address) === 6 ? "IPv6" : "IPv4",
    endpoints: [{ addresses: [address], conditions: { ready: true }, nodeName: name }],
    ports: [
      { name: "dns", port: 53, protocol: "UDP" },
      { name: "dns-tcp", port: 53, protocol: "TCP" },
    ],
  };
}

function isOwn({ spec, status }: SeenNode, address: string): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  if (status?.addresses?.some((own) => own.type === "InternalIP" && own.address === address)) return true;
  return (spec?.podCIDRs ?? []).some((cidr) => {
    const [base = "", bits = ""] = cidr.split("/");
    if (isIP(base) !== family) return false;
    const own = new BlockList();
    own.addSubnet(base, Number(bits), family === 6 ? "ipv6" : "ipv4");
    return own.check(address, family === 6 ? "ipv6" : "ipv4");
  });
}
