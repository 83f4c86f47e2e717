/**
 * The table's fixed part, and the text of one change. Two base chains look at a forwarded packet: what its sender may send, then what its
 * receiver may be sent; `accept` ends only the chain it stands in. Both come after the rules that turn Service addresses into endpoints.
 */
import { type Direction, type Family, familyWords } from "./words.ts";

export const tableName = "sampan-policy";
const table = `inet ${tableName}`;

export interface BaseOptions {
  readonly families: readonly Family[];
  /** The interface pods hang on. */
  readonly bridge: string;
}

/** Without neighbour discovery there is no IPv6 at all; it is no traffic between pods. */
const discovery =
  "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept";
/** Every pod has an address of its link that nobody gave it: its neighbours could use it past all policies. */
const linkLocal = "fe80::/10";

/** Replaces the table, if there is one, by one with the fixed chains: one transaction with what follows, no moment without rules. */
export function baseText({ families, bridge }: BaseOptions): string {
  const lines = [
    `add table ${table}`,
    `delete table ${table}`,
    `add table ${table} { comment "network policies of the pods here, made by sampan"; }`,
    // Looked for now and then, to find out that somebody removed the table.
    `add chain ${table} present`,
  ];
  for (const family of families) {
    const { type, suffix } = familyWords[family];
    for (const direction of ["ingress", "egress"] as const)
      lines.push(`add map ${table} ${podMap(direction)}${suffix} { type ${type} : verdict; }`);
    lines.push(`add set ${table} ${selfSet}${suffix} { type ${type} . ${type}; comment "a pod may reach itself"; }`);
  }
  const judge = (chain: string, hook: string, { direction, ...own }: { direction: Direction; rules: string[] }) => {
    const rules = ["ct state established,related accept", discovery, ...own.rules];
    for (const family of families) {
      const { ip, suffix } = familyWords[family];
      rules.push(`${ip} saddr . ${ip} daddr @${selfSet}${suffix} accept`);
      rules.push(`${ip} ${direction === "egress" ? "saddr" : "daddr"} vmap @${podMap(direction)}${suffix}`);
    }
    lines.push(`add chain ${table} ${chain} { type filter hook ${hook}; }`);
    lines.push(...rules.map((rule) => `add rule ${table} ${chain} ${rule}`));
  };
  const noLinks = `iifname "${bridge}" ip6 saddr ${linkLocal} drop`;
  judge("forward-egress", "forward priority -6", { direction: "egress", rules: [noLinks] });
  judge("forward-ingress", "forward priority -5", { direction: "ingress", rules: [] });
  // The node is a receiver like others; what it sends itself, as the kubelet's probes, no policy holds back.
  judge("input-egress", "input priority -6", { direction: "egress", rules: [noLinks] });
  return `${lines.join("\n")}\n`;
}

export const removeText = `add table ${table}\ndelete table ${table}\n`;
/** Refused when the table is gone. */
export const probeText = `flush chain ${table} present\n`;

/** From a pod's address to the chain with its policies. */
export const podMap = (direction: Direction) => `${direction}-pods`;
export const selfSet = "self";

export interface Change {
  readonly chains: Map<string, { readonly isNew: boolean; readonly rules: readonly string[] }>;
  readonly chainsGone: string[];
  /** Name to type. */
  readonly sets: Map<string, string>;
  readonly setsGone: Set<string>;
  /** By the set or map they are in. */
  readonly elements: Map<string, string[]>;
  readonly elementsGone: Map<string, string[]>;
}

export const noChange = (): Change => ({
  chains: new Map(),
  chainsGone: [],
  sets: new Map(),
  setsGone: new Set(),
  elements: new Map(),
  elementsGone: new Map(),
});

/** First what is new, then elements, then what nobody points at any more. */
export function changeText(change: Change): string {
  const { chains, chainsGone, sets, setsGone, elements, elementsGone } = change;
  const lines = [
    ...[...sets].map(([name, type]) => `add set ${table} ${name} { type ${type}; }`),
    ...[...chains].filter(([, { isNew }]) => isNew).map(([name]) => `add chain ${table} ${name}`),
  ];
  for (const [name, { isNew, rules }] of chains) {
    if (!isNew) lines.push(`flush chain ${table} ${name}`);
    for (const rule of rules) lines.push(`add rule ${table} ${name} ${rule}`);
  }
  for (const [name, all] of elementsGone)
    if (!setsGone.has(name)) lines.push(`delete element ${table} ${name} { ${all.join(", ")} }`);
  for (const [name, all] of elements) lines.push(`add element ${table} ${name} { ${all.join(", ")} }`);
  // All are emptied before the first goes: they point at each other.
  lines.push(...chainsGone.map((name) => `flush chain ${table} ${name}`));
  lines.push(...chainsGone.map((name) => `delete chain ${table} ${name}`));
  lines.push(...[...setsGone].map((name) => `delete set ${table} ${name}`));
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}
