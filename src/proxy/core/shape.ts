/**
 * Chains that don't belong to a service but to the number of its endpoints: "one of three, at random". Where to is looked up in a map
 * of endpoints under the packet's destination and the random number, so that a service is nothing but elements of maps.
 *
 * Rejected: a chain for each service with the endpoints in a map of its rule, as upstream has it. nft reads the names of all chains
 * before each transaction, and the kernel compares the names of all those unnamed maps: with 10,000 services 70 ms for one change
 * and 12 s for the first transaction, against 3 ms and 1 s. See docs/decisions/0020-shared-maps.md.
 */
import type { Family } from "./endpoints.ts";

export type Protocol = "tcp" | "udp" | "sctp";
export const protocols: readonly Protocol[] = ["tcp", "udp", "sctp"];

/** How packets are recognised: by address and port, or by port alone. */
export interface Frontend {
  readonly by: "address" | "port";
  readonly protocol: Protocol;
}

export interface Shape {
  readonly name: string;
  readonly rules: readonly string[];
}

/** What rules need to know of the node. */
export interface RuleContext {
  readonly family: Family;
  /** E.g. `0x00004000`. */
  readonly masqueradeMark: string;
  /** Matches packets of this node's pods, if they can be told: `ip saddr 10.244.0.0/16`. */
  readonly isLocalPod?: string | undefined;
}

/** Where the endpoints of policy `Cluster` begin for frontends whose policy is `Local`. */
export const clusterOffset = 65_536;

/** The word nft has for a family's headers. */
export const ipWord = (family: Family) => (family === "IPv4" ? "ip" : "ip6");

/** `tcp-endpoints`, `tcp-port-endpoints`. */
export const endpointsMap = (frontend: Frontend) => `${prefix(frontend)}endpoints`;

/**
 * One map for each protocol: nft 1.0.6 reads the type of a map back as expressions, and takes `th dport` among them for a conflict and
 * `tcp dport` for a condition.
 */
export function endpointsType(frontend: Frontend, family: Family): string {
  const { protocol } = frontend;
  return `typeof ${keyOf(frontend, family)} . numgen random mod 2 : ${ipWord(family)} daddr . ${protocol} dport`;
}

/** One of `count` endpoints. */
export function spread(frontend: Frontend, count: number, { family }: RuleContext): Shape {
  return {
    name: `${prefix(frontend)}spread-${count}`,
    rules: [choose(frontend, `random mod ${count}`, family), choose(frontend, "inc mod 1", family)],
  };
}

/** The same for packets that may leave the node again. */
export function masqueradedSpread(frontend: Frontend, count: number, context: RuleContext): Shape {
  return {
    name: `${prefix(frontend)}masquerade-${count}`,
    rules: [setMark(context), ...spread(frontend, count, context).rules],
  };
}

/**
 * One of `local` endpoints on this node for who comes from outside, whose address is kept; one of `all` for this node's pods and the
 * node itself.
 */
export function localSpread(frontend: Frontend, counts: { local: number; all: number }, context: RuleContext): Shape {
  const any = choose(frontend, `random mod ${counts.all} offset ${clusterOffset}`, context.family);
  return {
    name: `${prefix(frontend)}local-${counts.local}-of-${counts.all}`,
    rules: [
      ...(context.isLocalPod ? [`${context.isLocalPod} ${any}`] : []),
      `fib saddr type local ${setMark(context)}`,
      `fib saddr type local ${any}`,
      ...(counts.local > 0 ? spread(frontend, counts.local, context).rules : []),
    ],
  };
}

export const setMark = ({ masqueradeMark }: RuleContext) => `meta mark set meta mark or ${masqueradeMark}`;

const prefix = ({ by, protocol }: Frontend) => (by === "address" ? `${protocol}-` : `${protocol}-port-`);

const keyOf = ({ by, protocol }: Frontend, family: Family) =>
  by === "address" ? `${ipWord(family)} daddr . ${protocol} dport` : `${protocol} dport`;

/**
 * The second rule of a spread asks for the first endpoint: a packet between two lookups while a transaction replaces the maps could
 * otherwise miss.
 */
function choose(frontend: Frontend, number: string, family: Family): string {
  const key = `${keyOf(frontend, family)} . numgen ${number}`;
  return `meta l4proto ${frontend.protocol} dnat ${ipWord(family)} addr . port to ${key} map @${endpointsMap(frontend)}`;
}
