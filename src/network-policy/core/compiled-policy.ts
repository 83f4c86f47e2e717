/**
 * A NetworkPolicy as nft rules: each says when a packet is allowed, nothing else. Who a selector means is a set of addresses that
 * rules name, so pods that come, go and change labels change elements of sets and no rule.
 */
import { createHash } from "node:crypto";
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from "#api";
import {
  compileLabelSelector,
  type DeepReadonly,
  type LabelMatcher,
  type LabelSelector,
  nothingSelector,
  SelectorError,
} from "#machinery";
import { merged, rangesOf } from "./address-ranges.ts";
import type { PodFacts } from "./pod-facts.ts";
import { type Direction, type Family, familyWords } from "./words.ts";

/** Pods by selectors: all rules on the cluster that say the same share one. */
export interface PeerSet {
  readonly kind: "peers";
  readonly name: string;
  /** The policy's own namespace, where no namespaceSelector is given. */
  readonly namespace: string | undefined;
  readonly namespaces: LabelMatcher;
  readonly pods: LabelMatcher;
}

/** Where each pod has a port of this name. */
export interface PortSet {
  readonly kind: "ports";
  readonly name: string;
  readonly portName: string;
  readonly protocol: string;
}

export type AddressSet = PeerSet | PortSet;

export interface CompiledPolicy {
  readonly key: string;
  readonly namespace: string;
  readonly pods: LabelMatcher;
  /** The rules of a direction the policy is about; empty: nothing is allowed. Missing: it isn't about that direction. */
  readonly rules: Readonly<Partial<Record<Direction, readonly string[]>>>;
  /** Sets that the rules name, by name. */
  readonly sets: ReadonlyMap<string, AddressSet>;
}

export interface CompileOptions {
  /** Those that pods of this cluster have. */
  readonly families: readonly Family[];
}

const farEnd = { ingress: "saddr", egress: "daddr" } as const;

export function compilePolicy(policy: DeepReadonly<NetworkPolicy>, { families }: CompileOptions): CompiledPolicy {
  const { namespace = "", name = "" } = policy.metadata;
  const { podSelector, ingress = [], egress = [], policyTypes } = policy.spec ?? {};
  const types = policyTypes?.length ? policyTypes : egress.length > 0 ? ["Ingress", "Egress"] : ["Ingress"];
  const sets = new Map<string, AddressSet>();
  const use = <S extends AddressSet>(set: S): S => {
    sets.set(set.name, set);
    return set;
  };
  const rules = (direction: Direction, written: readonly { peers: Peers; ports: Ports }[]) =>
    written.flatMap(({ peers, ports }) =>
      // What comes with a named port is told by the pod it goes to, so its family is known.
      portMatches(ports, use).flatMap((port) =>
        peerMatches(peers, { direction, namespace, families, use }).flatMap((peer) =>
          "named" in port
            ? families
                .filter((family) => !peer.family || peer.family === family)
                .map((family) => allow(peer.text, port.named(family)))
            : allow(peer.text, port.text),
        ),
      ),
    );
  return {
    key: `${namespace}/${name}`,
    namespace,
    pods: matcherOf(podSelector ?? {}),
    rules: {
      ...(types.includes("Ingress") && {
        ingress: rules(
          "ingress",
          ingress.map(({ from, ports }) => ({ peers: from, ports })),
        ),
      }),
      ...(types.includes("Egress") && {
        egress: rules(
          "egress",
          egress.map(({ to, ports }) => ({ peers: to, ports })),
        ),
      }),
    },
    sets,
  };
}

const allow = (...matches: string[]) => [...matches, "accept"].filter((each) => each !== "").join(" ");

type Peers = DeepReadonly<NetworkPolicyPeer[]> | undefined;
type Ports = DeepReadonly<NetworkPolicyPort[]> | undefined;

interface PeerContext {
  readonly direction: Direction;
  readonly namespace: string;
  readonly families: readonly Family[];
  readonly use: (set: PeerSet) => PeerSet;
}

/** Without peers: everybody, also who is no pod. Peers that can be nobody here match nothing, which isn't the same. */
function peerMatches(peers: Peers, context: PeerContext): { text: string; family?: Family }[] {
  if (!peers?.length) return [{ text: "" }];
  const { direction, families } = context;
  const blocks = peers.flatMap(({ ipBlock }) => (ipBlock ? [ipBlock] : []));
  const names = new Set(peers.flatMap((peer) => (peer.ipBlock ? [] : [context.use(peerSet(peer, context)).name])));
  return families.flatMap((family) => {
    const { ip, suffix } = familyWords[family];
    const field = `${ip} ${farEnd[direction]}`;
    const ranges = rangesOf(blocks, family);
    return [...oneOf(field, ranges), ...[...names].map((name) => `${field} @${name}${suffix}`)].map((text) => ({
      text,
      family,
    }));
  });
}

function peerSet(peer: DeepReadonly<NetworkPolicyPeer>, { namespace }: PeerContext): PeerSet {
  const { namespaceSelector, podSelector } = peer;
  const own = namespaceSelector ? undefined : namespace;
  const namespaces = matcherOf(namespaceSelector ?? {});
  const pods = matcherOf(podSelector ?? {});
  const id = JSON.stringify([own, identityOf(namespaces), identityOf(pods)]);
  return { kind: "peers", name: `peers-${hash(id)}`, namespace: own, namespaces, pods };
}

/** The text of a selector leaves out whether it is nobody's. */
const identityOf = (matcher: LabelMatcher) => [matcher.nothing, matcher.toString()];

/** Stored before validation was what it is: such a selector selects nobody. */
function matcherOf(selector: DeepReadonly<LabelSelector>): LabelMatcher {
  try {
    return compileLabelSelector(selector);
  } catch (error) {
    if (error instanceof SelectorError) return nothingSelector;
    throw error;
  }
}

type PortMatch = { readonly text: string } | { readonly named: (family: Family) => string };

/** Each list of ranges in a rule is a set of its own in the kernel, and nft asks for all of them at every change: few have one. */
const rangesInlineMax = 4;

const oneOf = (field: string, ranges: readonly string[]): string[] =>
  ranges.length > rangesInlineMax ? [`${field} { ${ranges.join(", ")} }`] : ranges.map((each) => `${field} ${each}`);

/** One match for all numbers of a protocol, one for each name. */
function portMatches(ports: Ports, use: (set: PortSet) => PortSet): PortMatch[] {
  if (!ports?.length) return [{ text: "" }];
  const matches: PortMatch[] = [];
  for (const protocol of new Set(ports.map(protocolOf))) {
    const own = ports.filter((each) => protocolOf(each) === protocol);
    if (own.some(({ port }) => port === undefined)) {
      matches.push({ text: `meta l4proto ${protocol}` });
      continue;
    }
    const numbers = own.flatMap(({ port, endPort }) =>
      typeof port === "number" ? [[BigInt(port), BigInt(endPort ?? port)] as const] : [],
    );
    const ranges = merged(numbers).map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
    matches.push(...oneOf(`${protocol} dport`, ranges).map((text) => ({ text })));
    for (const portName of new Set(own.flatMap(({ port }) => (typeof port === "string" ? [port] : [])))) {
      const { name } = use({ kind: "ports", name: `ports-${protocol}-${portName}`, portName, protocol });
      const named = (family: Family) => {
        const { ip, suffix } = familyWords[family];
        return `${ip} daddr . ${protocol} dport @${name}${suffix}`;
      };
      matches.push({ named });
    }
  }
  return matches;
}

const protocolOf = ({ protocol = "TCP" }: DeepReadonly<NetworkPolicyPort>) => protocol.toLowerCase();

/** What a pod puts into a set for one of its addresses; undefined: it isn't in it. */
export function elementOf(
  set: AddressSet,
  pod: PodFacts,
  namespaceLabels: (namespace: string) => Readonly<Record<string, string>> | undefined,
): ((address: string) => string) | undefined {
  if (set.kind === "ports") {
    const port = pod.ports.find(({ name, protocol }) => name === set.portName && protocol === set.protocol);
    return port && ((address) => `${address} . ${port.port}`);
  }
  if (set.namespace !== undefined ? set.namespace !== pod.namespace : !isIn(set, namespaceLabels(pod.namespace)))
    return undefined;
  return set.pods.matches(pod.labels) ? (address) => address : undefined;
}

/** A namespace that isn't known (yet) is nobody's peer. */
const isIn = (set: PeerSet, labels: Readonly<Record<string, string>> | undefined) =>
  labels !== undefined && set.namespaces.matches(labels);

export const hash = (text: string): string =>
  createHash("sha256").update(text).digest("hex").slice(0, 12).toUpperCase();
