/** What the rules of one family need to know of the settings and the node. */
import { networkInterfaces } from "node:os";
import { BlockList, isIP } from "node:net";
import type { ProxySettings } from "../settings.ts";
import type { BaseOptions } from "./base.ts";
import type { Family } from "./endpoints.ts";
import type { FragmentContext } from "./fragment.ts";
import { ipWord } from "./shape.ts";
import type { NodeFacts } from "./source.ts";

export interface FamilyContext extends FragmentContext, BaseOptions {}

export function contextOf(family: Family, settings: ProxySettings, facts: NodeFacts): FamilyContext {
  const mine = (texts: readonly string[]) => texts.filter((text) => familyOf(text) === family);
  const nodeAddresses = mine(facts.addresses);
  const local = localMatch(family, settings, facts);
  return {
    family,
    masqueradeMark: `0x${(2 ** settings.masqueradeBit).toString(16).padStart(8, "0")}`,
    masqueradeAll: settings.masqueradeAll,
    isLocalPod: local?.join(" "),
    isNotLocalPod: local?.join(" != "),
    nodeAddresses,
    serviceCidrs: mine(facts.serviceCidrs),
    masqueradePodCidrs: mine(settings.masqueradePodCidrs),
    nodePortAddresses: addressesForNodePorts(mine, settings, facts),
  };
}

const familyOf = (text: string): Family => (text.includes(":") ? "IPv6" : "IPv4");

function localMatch(
  family: Family,
  { detectLocal }: ProxySettings,
  { podCidrs }: NodeFacts,
): [selector: string, value: string] | undefined {
  const { mode, clusterCidrs, bridgeInterface, interfaceNamePrefix } = detectLocal;
  if (mode === "BridgeInterface") return ["iifname", `"${bridgeInterface}"`];
  if (mode === "InterfaceNamePrefix") return ["iifname", `"${interfaceNamePrefix}*"`];
  const cidr = (mode === "NodeCIDR" ? podCidrs : clusterCidrs).find((each) => familyOf(each) === family);
  return cidr === undefined ? undefined : [`${ipWord(family)} saddr`, cidr];
}

/** As upstream: without a range of this family every address answers. An unknown node answers nowhere yet. */
function addressesForNodePorts(
  mine: (texts: readonly string[]) => string[],
  { nodePortAddresses }: ProxySettings,
  { addresses }: NodeFacts,
): readonly string[] | undefined {
  if (nodePortAddresses.length === 1 && nodePortAddresses[0] === "primary") {
    const own = mine(addresses);
    return own.length > 0 || addresses.length === 0 ? own : undefined;
  }
  const ranges = mine(nodePortAddresses);
  if (ranges.length === 0 || ranges.some((range) => range.endsWith("/0"))) return undefined;
  const list = new BlockList();
  for (const range of ranges) {
    const [base = "", bits] = range.split("/");
    list.addSubnet(base, Number(bits), isIP(base) === 4 ? "ipv4" : "ipv6");
  }
  const here = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return mine(here.filter(({ internal }) => !internal).map(({ address }) => address))
    .filter((address) => list.check(address, isIP(address) === 4 ? "ipv4" : "ipv6"))
    .sort();
}
