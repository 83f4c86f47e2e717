/**
 * All policies, namespaces and pods, and the nft table made of them. A change marks what it may touch; `take` compares what is marked
 * with what was taken before and answers the difference, so its length depends on the change and not on how much there is.
 *
 *     packet → egress-pods/ingress-pods: address → pods-HASH: jumps to the policies that select the pod, then drop
 *                                                  └→ out-HASH-ns/name: … @peers-HASH … accept
 *
 * Pods with the same policies share a chain; policies with the same selector share a set.
 */
import type { NetworkPolicy } from "#api";
import type { DeepReadonly, Labels } from "#machinery";
import {
  type AddressSet,
  type CompiledPolicy,
  type CompileOptions,
  compilePolicy,
  elementOf,
  hash,
} from "./compiled-policy.ts";
import { type PodFacts, sameFacts } from "./pod-facts.ts";
import { type BaseOptions, baseText, type Change, changeText, noChange, podMap, selfSet } from "./table-text.ts";
import { type Direction, familyOf, familyWords } from "./words.ts";

export type PolicyTableOptions = CompileOptions & BaseOptions;

const directions = ["ingress", "egress"] as const;
/** nft's limit for names is 128 bytes with the terminator. */
const nameBytesMax = 120;

/** `set or map`, `key` to the whole element. */
type Elements = Map<string, { readonly set: string; readonly text: string }>;

interface UsedSet {
  readonly set: AddressSet;
  /** Policies that name it. */
  users: number;
}

export function createPolicyTable(options: PolicyTableOptions) {
  const policies = new Map<string, CompiledPolicy>();
  const policiesOf = grouped<CompiledPolicy>();
  const pods = new Map<string, PodFacts>();
  const podsOf = grouped<PodFacts>();
  const namespaces = new Map<string, Labels>();
  /** Of two pods with one address the last one counts: the other is on its way out. */
  const claims = new Map<string, readonly string[]>();

  // What has been taken.
  const sets = new Map<string, UsedSet>();
  /** By the namespace their members are in, "" for all others. */
  const setsOf = grouped<AddressSet>();
  const taken = { policies: new Map<string, CompiledPolicy>(), pods: new Map<string, Elements>() };
  const shared = new Map<string, { users: number; readonly rules: readonly string[] }>();
  let hasBase = false;

  const changedPolicies = new Set<string>();
  const changedPods = new Set<string>();

  const labelsOf = (namespace: string) => namespaces.get(namespace);
  const markNamespace = (namespace: string) => {
    for (const key of podsOf.get(namespace).keys()) changedPods.add(key);
  };

  function setPod(facts: PodFacts | undefined, key: string): void {
    const old = pods.get(key);
    if (old === facts || (old && facts && sameFacts(old, facts))) return;
    changedPods.add(key);
    for (const address of old?.addresses ?? []) if (!facts?.addresses.includes(address)) claim(address, key, false);
    for (const address of facts?.addresses ?? []) if (!old?.addresses.includes(address)) claim(address, key, true);
    if (facts) pods.set(key, facts);
    else pods.delete(key);
    podsOf.set(key, facts);
  }

  function claim(address: string, key: string, isClaimed: boolean): void {
    const before = claims.get(address) ?? [];
    const after = before.filter((each) => each !== key);
    const other = after.at(-1);
    if (other !== undefined && (isClaimed || before.at(-1) === key)) changedPods.add(other);
    if (isClaimed) claims.set(address, [...after, key]);
    else if (other !== undefined) claims.set(address, after);
    else claims.delete(address);
  }

  /** The chain with these policies' rules; missing: nothing holds the pod in this direction. */
  function chainFor(pod: PodFacts, direction: Direction): { name: string; rules: string[] } | undefined {
    const own = [...policiesOf.get(pod.namespace).values()].filter(
      ({ rules, pods: selected }) => rules[direction] && selected.matches(pod.labels),
    );
    if (own.length === 0) return undefined;
    // Those without a rule allow nothing more.
    const chains = own.filter(({ rules }) => rules[direction]?.length).map((each) => policyChain(each, direction));
    const jumps = chains.sort().map((name) => `jump ${name}`);
    return { name: `pods-${hash(jumps.join())}`, rules: [...jumps, "counter drop"] };
  }

  function elementsOf(pod: PodFacts, chains: Map<string, readonly string[]>): Elements {
    const elements: Elements = new Map();
    const own = directions.flatMap((direction) => {
      const chain = pod.local ? chainFor(pod, direction) : undefined;
      if (chain) chains.set(chain.name, chain.rules);
      return chain ? [{ map: podMap(direction), chain: chain.name }] : [];
    });
    const isIn: { name: string; element: (address: string) => string }[] = [];
    for (const within of [setsOf.get(pod.namespace), setsOf.get("")])
      for (const set of within.values()) {
        const element = elementOf(set, pod, labelsOf);
        if (element) isIn.push({ name: set.name, element });
      }
    for (const address of pod.addresses) {
      const family = familyOf(address);
      if (claims.get(address)?.at(-1) !== pod.key || !options.families.includes(family)) continue;
      const { suffix } = familyWords[family];
      const add = (set: string, key: string, value = "") =>
        elements.set(`${set}${suffix} ${key}`, { set: `${set}${suffix}`, text: key + value });
      for (const { map, chain } of own) add(map, address, ` : goto ${chain}`);
      if (own.length > 0) add(selfSet, `${address} . ${address}`);
      for (const { name, element } of isIn) add(name, element(address));
    }
    return elements;
  }

  function takePolicy(key: string, change: Change): void {
    const before = taken.policies.get(key);
    const after = policies.get(key);
    if (after) taken.policies.set(key, after);
    else taken.policies.delete(key);
    for (const [name, set] of after?.sets ?? []) if (!before?.sets.has(name)) useSet(set);
    for (const name of before?.sets.keys() ?? []) if (!after?.sets.has(name)) leaveSet(name);
    for (const direction of directions) {
      const name = policyChain({ key }, direction);
      const old = before?.rules[direction] ?? [];
      const rules = after?.rules[direction] ?? [];
      if (rules.length === 0 && old.length > 0) change.chainsGone.push(name);
      else if (String(old) !== String(rules)) change.chains.set(name, { isNew: old.length === 0, rules });
    }
    if (before && after && effectOf(before) === effectOf(after)) return;
    for (const [pod, { local, labels }] of podsOf.get((after ?? before)?.namespace ?? ""))
      if (local && (before?.pods.matches(labels) || after?.pods.matches(labels))) changedPods.add(pod);
  }

  function useSet(set: AddressSet): void {
    const found = sets.get(set.name);
    if (found) found.users++;
    else {
      sets.set(set.name, { set, users: 1 });
      setsOf.set(`${namespaceOf(set)}/${set.name}`, set);
    }
  }

  function leaveSet(name: string): void {
    const found = sets.get(name);
    if (found) found.users--;
  }

  /** Sets appear with their first user and go with the last; the pods in them have an element more or less. */
  function takeSets(known: ReadonlySet<string>, change: Change): void {
    for (const [name, { set, users }] of sets) {
      const isNew = !known.has(name);
      if (users > 0 && !isNew) continue;
      if (users === 0) {
        sets.delete(name);
        setsOf.set(`${namespaceOf(set)}/${name}`, undefined);
      }
      if (users === 0 && isNew) continue;
      for (const family of options.families) {
        const { type, suffix } = familyWords[family];
        if (users === 0) change.setsGone.add(name + suffix);
        else change.sets.set(name + suffix, set.kind === "ports" ? `${type} . inet_service` : type);
      }
      if (users === 0) {
        for (const elements of taken.pods.values()) dropElements(elements, name);
        continue;
      }
      const namespace = namespaceOf(set);
      const within = namespace === "" ? pods : podsOf.get(namespace);
      for (const [key, pod] of within) if (elementOf(set, pod, labelsOf)) changedPods.add(key);
    }
  }

  /** They go with their set. */
  function dropElements(elements: Elements, name: string): void {
    const names = Object.values(familyWords).map(({ suffix }) => name + suffix);
    for (const [id, { set }] of elements) if (names.includes(set)) elements.delete(id);
  }

  function takePod(key: string, change: Change): void {
    const before = taken.pods.get(key) ?? new Map<string, { set: string; text: string }>();
    const pod = pods.get(key);
    const chains = new Map<string, readonly string[]>();
    const after: Elements = pod ? elementsOf(pod, chains) : new Map();
    for (const [id, element] of before)
      if (after.get(id)?.text !== element.text) {
        put(change.elementsGone, element);
        useShared(element.text, -1, chains);
      }
    for (const [id, element] of after)
      if (before.get(id)?.text !== element.text) {
        put(change.elements, element);
        useShared(element.text, 1, chains);
      }
    if (after.size > 0) taken.pods.set(key, after);
    else taken.pods.delete(key);
  }

  function useShared(element: string, by: 1 | -1, chains: ReadonlyMap<string, readonly string[]>): void {
    const name = element.split(" : goto ")[1];
    if (name === undefined) return;
    const found = shared.get(name) ?? { users: 0, rules: chains.get(name) ?? [] };
    found.users += by;
    shared.set(name, found);
  }

  function takeShared(known: ReadonlySet<string>, change: Change): void {
    const gone: string[] = [];
    for (const [name, { users, rules }] of shared) {
      if (users === 0) shared.delete(name);
      if (users === 0 && known.has(name)) gone.push(name);
      if (users > 0 && !known.has(name)) change.chains.set(name, { isNew: true, rules });
    }
    change.chainsGone.unshift(...gone);
  }

  return {
    setPolicy(policy: DeepReadonly<NetworkPolicy>): void {
      const compiled = compilePolicy(policy, options);
      policies.set(compiled.key, compiled);
      policiesOf.set(compiled.key, compiled);
      changedPolicies.add(compiled.key);
    },
    removePolicy(key: string): void {
      policies.delete(key);
      policiesOf.set(key, undefined);
      changedPolicies.add(key);
    },
    setNamespace(name: string, labels: Labels): void {
      const old = namespaces.get(name);
      namespaces.set(name, labels);
      if (!old || JSON.stringify(old) !== JSON.stringify(labels)) markNamespace(name);
    },
    removeNamespace(name: string): void {
      if (namespaces.delete(name)) markNamespace(name);
    },
    setPod: (facts: PodFacts) => setPod(facts, facts.key),
    removePod: (key: string) => setPod(undefined, key),
    pods: pods as ReadonlyMap<string, PodFacts>,
    /** What must be committed next; "" when nothing is. The caller commits it, or calls `forget`. */
    take(): string {
      const change = noChange();
      const knownSets = new Set(sets.keys());
      const knownShared = new Set(shared.keys());
      for (const key of changedPolicies) takePolicy(key, change);
      takeSets(knownSets, change);
      for (const key of changedPods) takePod(key, change);
      takeShared(knownShared, change);
      changedPolicies.clear();
      changedPods.clear();
      const text = (hasBase ? "" : baseText(options)) + changeText(change);
      hasBase = true;
      return text;
    },
    /** Nothing of what was taken is in the kernel, or nobody knows: the next is a whole new table. */
    forget(): void {
      hasBase = false;
      for (const each of [sets, setsOf, shared, taken.policies, taken.pods]) each.clear();
      for (const key of policies.keys()) changedPolicies.add(key);
      for (const key of pods.keys()) changedPods.add(key);
    },
  };
}

export type PolicyTable = ReturnType<typeof createPolicyTable>;

const policyChain = ({ key }: Pick<CompiledPolicy, "key">, direction: Direction) =>
  `${direction === "ingress" ? "in" : "out"}-${hash(key)}-${key}`.slice(0, nameBytesMax);

const put = (into: Map<string, string[]>, { set, text }: { set: string; text: string }) => {
  const found = into.get(set);
  if (found) found.push(text);
  else into.set(set, [text]);
};

/** What the chains of the pods it selects tell of it; of a direction: nothing, that it allows nothing, or where to jump. */
const effectOf = ({ pods, rules }: CompiledPolicy) =>
  JSON.stringify([pods.nothing, pods.toString(), ...directions.map((each) => rules[each] && rules[each].length > 0)]);

const namespaceOf = (set: AddressSet): string => (set.kind === "peers" ? (set.namespace ?? "") : "");

/** By the namespace in their keys. */
function grouped<T>() {
  const groups = new Map<string, Map<string, T>>();
  const none: ReadonlyMap<string, T> = new Map();
  return {
    clear: () => groups.clear(),
    get: (namespace: string): ReadonlyMap<string, T> => groups.get(namespace) ?? none,
    set(key: string, value: T | undefined): void {
      const namespace = key.slice(0, key.indexOf("/"));
      const group = groups.get(namespace) ?? new Map<string, T>();
      if (value === undefined) group.delete(key);
      else group.set(key, value);
      if (group.size > 0) groups.set(namespace, group);
      else groups.delete(namespace);
    },
  };
}
