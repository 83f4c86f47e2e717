/** The text of nft transactions: the whole table for a start, and the difference of two fragments for a change. */
import type { Fragment, MapElement } from "./fragment.ts";

export const tableName = "sampan-proxy";
const table = `ip ${tableName}`;

/** The mark upstream uses too: bit 14. */
const masqueradeMark = "0x4000";

export interface BaseOptions {
  readonly serviceCidr: string;
  readonly clusterCidr: string;
}

/** Replaces the table, if there is one, by an empty one with the fixed chains: one transaction, no moment without rules. */
export function baseScript({ serviceCidr, clusterCidr }: BaseOptions): string {
  const chain = (name: string, ...rules: string[]) =>
    [`add chain ${table} ${name}`, ...rules.map((rule) => `add rule ${table} ${name} ${rule}`)].join("\n");
  const hook = (name: string, kind: string, rule: string) =>
    `add chain ${table} ${name} { type ${kind}; }\nadd rule ${table} ${name} ${rule}`;
  return `add table ${table}
delete table ${table}
add table ${table} { comment "rules for Services, made by sampan"; }
add set ${table} cluster-ips { type ipv4_addr; comment "addresses of Services"; }
add map ${table} service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
add map ${table} service-nodeports { type inet_proto . inet_service : verdict; }
add map ${table} no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
add map ${table} no-endpoint-nodeports { type inet_proto . inet_service : verdict; }
${chain("mark-for-masquerade", `meta mark set meta mark or ${masqueradeMark}`)}
${chain(
  "masquerading",
  `meta mark and ${masqueradeMark} == 0 return`,
  `meta mark set meta mark xor ${masqueradeMark}`,
  "masquerade fully-random",
)}
${chain("reject-chain", "meta l4proto tcp reject with tcp reset", "reject")}
${chain(
  "services",
  "ip daddr . meta l4proto . th dport vmap @service-ips",
  "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports",
)}
${chain("service-endpoints-check", "ip daddr . meta l4proto . th dport vmap @no-endpoint-services")}
${chain(
  "nodeport-endpoints-check",
  "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @no-endpoint-nodeports",
)}
${chain(
  "cluster-ips-check",
  "ip daddr @cluster-ips goto reject-chain",
  // Nothing to an address that no Service has may leave the machine.
  `ip daddr ${serviceCidr} goto reject-chain`,
)}
${hook("nat-prerouting", "nat hook prerouting priority -100", "jump services")}
${hook("nat-output", "nat hook output priority -100", "jump services")}
${hook("nat-postrouting", "nat hook postrouting priority 100", "jump masquerading")}
add rule ${table} nat-postrouting ip saddr ${clusterCidr} ip daddr != { ${clusterCidr}, 224.0.0.0/4 } masquerade comment "pods outside the cluster"
${hook("filter-input", "filter hook input priority -110", "ct state new jump nodeport-endpoints-check")}
add rule ${table} filter-input ct state new jump service-endpoints-check
${hook("filter-forward", "filter hook forward priority -110", "ct state new jump service-endpoints-check")}
add rule ${table} filter-forward ct state new jump cluster-ips-check
${hook("filter-output", "filter hook output priority -110", "ct state new jump service-endpoints-check")}
${hook("filter-output-post-dnat", "filter hook output priority -90", "ct state new jump cluster-ips-check")}
`;
}

export const removeScript = `add table ${table}\ndelete table ${table}\n`;

const nothing: Fragment = { chains: new Map(), sets: new Map(), elements: new Map() };

export interface FragmentChange {
  readonly before?: Fragment | undefined;
  readonly after?: Fragment | undefined;
}

/**
 * One transaction for any number of changed fragments: first what is new, then maps are pointed at it, then what nobody points
 * at any more goes.
 */
export function changeScript(changes: readonly FragmentChange[]): string {
  const made: string[] = [];
  const filled: string[] = [];
  const unmapped: string[] = [];
  const mapped: string[] = [];
  const emptied: string[] = [];
  const removed: string[] = [];
  for (const { before = nothing, after = nothing } of changes) {
    for (const [name, definition] of after.sets)
      if (!before.sets.has(name)) made.push(`add set ${table} ${name} ${definition}`);
    for (const [name, rules] of after.chains) {
      const old = before.chains.get(name);
      if (old && sameList(old, rules)) continue;
      made.push(`add chain ${table} ${name}`);
      if (old) filled.push(`flush chain ${table} ${name}`);
      filled.push(...rules.map((rule) => `add rule ${table} ${name} ${rule}`));
    }
    for (const [id, element] of before.elements)
      if (after.elements.get(id)?.value !== element.value) unmapped.push(removeElement(element));
    for (const [id, element] of after.elements)
      if (before.elements.get(id)?.value !== element.value) mapped.push(addElement(element));
    const gone = [...before.chains.keys()].filter((name) => !after.chains.has(name)).reverse();
    emptied.push(...gone.map((name) => `flush chain ${table} ${name}`));
    removed.push(...gone.map((name) => `delete chain ${table} ${name}`));
    for (const name of before.sets.keys()) if (!after.sets.has(name)) removed.push(`delete set ${table} ${name}`);
  }
  const lines = [...made, ...filled, ...unmapped, ...mapped, ...emptied, ...removed];
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

const keyOf = ({ map, key, value }: MapElement) => (map === "cluster-ips" ? key : `${key} : ${value}`);
const addElement = (element: MapElement) => `add element ${table} ${element.map} { ${keyOf(element)} }`;
const removeElement = (element: MapElement) => `delete element ${table} ${element.map} { ${keyOf(element)} }`;

const sameList = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((each, at) => each === b[at]);
