/** The fixed part of a family's table: hooks, chains and empty maps. Names and order follow upstream's nftables mode. */
import type { Family } from "./endpoints.ts";
import { endpointsMap, endpointsType, ipWord, protocols, type RuleContext, setMark } from "./shape.ts";

export const tableName = "sampan-proxy";
export const tableOf = (family: Family): string => `${ipWord(family)} ${tableName}`;

export interface BaseOptions extends RuleContext {
  readonly masqueradeAll: boolean;
  /** Matches packets that are not of this node's pods. */
  readonly isNotLocalPod?: string | undefined;
  /** Ranges of Service addresses: nothing to an address in them that no Service has may leave the machine. */
  readonly serviceCidrs: readonly string[];
  /** Where node ports answer; missing: at every address of the machine but loopback ones. */
  readonly nodePortAddresses?: readonly string[] | undefined;
  /** Whose traffic to elsewhere gets the node's address. */
  readonly masqueradePodCidrs: readonly string[];
}

/** In a transaction of its own kind: the table is there and empty afterwards, whatever it was before. */
export function baseScript(options: BaseOptions): string {
  const { family, serviceCidrs, nodePortAddresses, masqueradePodCidrs, masqueradeMark } = options;
  const ip = ipWord(family);
  const table = tableOf(family);
  const address = `ipv${family === "IPv4" ? 4 : 6}_addr`;
  const frontend = `${ip} daddr . meta l4proto . th dport`;
  const noLoopback = family === "IPv4" ? "ip daddr != 127.0.0.0/8" : "ip6 daddr != ::1";
  const atNode = nodePortAddresses ? `${ip} daddr @nodeport-ips` : `fib daddr type local ${noLoopback}`;
  const lines: string[] = [];
  const set = (name: string, definition: string) =>
    lines.push(`add ${definition.includes(":") ? "map" : "set"} ${table} ${name} { ${definition}; }`);
  const chain = (name: string, hook: string, rules: readonly (string | false | undefined)[]) => {
    lines.push(`add chain ${table} ${name}${hook && ` { type ${hook}; }`}`);
    for (const rule of rules) if (rule) lines.push(`add rule ${table} ${name} ${rule}`);
  };

  set("cluster-ips", `type ${address}`);
  set("hairpin-connections", `type ${address} . ${address} . inet_proto . inet_service`);
  if (nodePortAddresses) set("nodeport-ips", `type ${address}`);
  for (const name of ["service-ips", "no-endpoint-services", "firewall-ips"])
    set(name, `type ${address} . inet_proto . inet_service : verdict`);
  for (const name of ["service-nodeports", "no-endpoint-nodeports", "host-ports"])
    set(name, "type inet_proto . inet_service : verdict");
  for (const protocol of protocols)
    for (const by of ["address", "port"] as const)
      set(endpointsMap({ by, protocol }), endpointsType({ by, protocol }, family));
  for (const each of nodePortAddresses ?? []) lines.push(`add element ${table} nodeport-ips { ${each} }`);

  chain("masquerading", "", [
    `meta mark and ${masqueradeMark} != 0 meta mark set meta mark xor ${masqueradeMark} masquerade fully-random`,
    // A pod that reached itself through its Service would answer itself.
    `ct status dnat ${ip} saddr . ${ip} daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random`,
  ]);
  // A reset comes through at once. What upstream sends, an ICMP error, is dropped when the client is this machine's and still within
  // connect(), which then waits a second; and the kernel sends few of them.
  chain("reject-chain", "", ["meta l4proto tcp reject with tcp reset", "reject"]);
  chain("firewall-check", "", [`${frontend} vmap @firewall-ips`]);
  const notLocal = options.masqueradeAll ? "" : options.isNotLocalPod;
  chain("services", "", [
    notLocal !== undefined && `${ip} daddr @cluster-ips ${notLocal} ${setMark(options)}`,
    `${frontend} vmap @service-ips`,
    "fib daddr type local meta l4proto . th dport vmap @host-ports",
    `${atNode} meta l4proto . th dport vmap @service-nodeports`,
  ]);
  chain("service-endpoints-check", "", [`${frontend} vmap @no-endpoint-services`]);
  chain("nodeport-endpoints-check", "", [
    `${nodePortAddresses ? atNode : noLoopback} meta l4proto . th dport vmap @no-endpoint-nodeports`,
  ]);
  chain("cluster-ips-check", "", [
    `${ip} daddr @cluster-ips goto reject-chain`,
    serviceCidrs.length > 0 && `${ip} daddr { ${serviceCidrs.join(", ")} } goto reject-chain`,
  ]);
  const fresh = (...names: string[]) => names.map((name) => `ct state new jump ${name}`);
  chain("filter-prerouting-pre-dnat", "filter hook prerouting priority -110", [
    // See nftables/loopback.ts.
    family === "IPv4" && 'iifname != "lo" ip daddr 127.0.0.0/8 ct state new drop',
    ...fresh("firewall-check"),
  ]);
  chain("filter-output-pre-dnat", "filter hook output priority -110", fresh("firewall-check"));
  chain("filter-input", "filter hook input priority 0", fresh("nodeport-endpoints-check", "service-endpoints-check"));
  chain("filter-forward", "filter hook forward priority 0", fresh("service-endpoints-check", "cluster-ips-check"));
  chain("filter-output", "filter hook output priority 0", fresh("service-endpoints-check", "cluster-ips-check"));
  chain("nat-prerouting", "nat hook prerouting priority -100", ["jump services"]);
  chain("nat-output", "nat hook output priority -100", ["jump services"]);
  const pods = masqueradePodCidrs.join(", ");
  const multicast = family === "IPv4" ? "224.0.0.0/4" : "ff00::/8";
  chain("nat-postrouting", "nat hook postrouting priority 100", [
    "jump masquerading",
    pods !== "" &&
      `${ip} saddr { ${pods} } ${ip} daddr != { ${pods}, ${multicast} } masquerade comment "pods outside the cluster"`,
  ]);
  return `${removeScript(family)}add table ${table} { comment "rules for Services, made by sampan"; }\n${lines.join("\n")}\n`;
}

/** Also where there is none. */
export const removeScript = (family: Family): string =>
  `add table ${tableOf(family)}\ndelete table ${tableOf(family)}\n`;
