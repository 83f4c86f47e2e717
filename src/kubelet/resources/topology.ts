/**
 * Which NUMA nodes a container's resources should come from: each manager of resources says what it could do, and the best that suits all is chosen.
 * Pure. Sets of nodes are bit masks. Follows upstream's topology manager.
 */

/** A set of NUMA nodes; undefined: all the same. */
export interface Hint {
  readonly nodes: number | undefined;
  /** Nothing smaller would do. */
  readonly preferred: boolean;
}

/** By resource; undefined: no preference. An empty list: impossible anywhere. */
export type Hints = ReadonlyMap<string, readonly Hint[] | undefined>;

export type TopologyPolicy = "none" | "best-effort" | "restricted" | "single-numa-node";

export interface Machine {
  readonly nodes: readonly number[];
  /** Of two nodes by number, as the kernel has them. */
  distance(from: number, to: number): number;
}

export const maskOf = (nodes: Iterable<number>): number => {
  let mask = 0;
  for (const node of nodes) mask |= 1 << node;
  return mask;
};

export function nodesIn(mask: number): number[] {
  const nodes: number[] = [];
  for (let node = 0; mask >> node !== 0; node++) if ((mask >> node) & 1) nodes.push(node);
  return nodes;
}

export const countOf = (mask: number): number => nodesIn(mask).length;

/** Every set of these nodes that isn't empty, small ones first. */
export function masksOf(nodes: readonly number[]): number[] {
  const masks: number[] = [];
  for (let bits = 1; bits < 1 << nodes.length; bits++) masks.push(maskOf(nodes.filter((_, at) => (bits >> at) & 1)));
  return masks.sort((a, b) => countOf(a) - countOf(b) || a - b);
}

/** Marks the smallest. */
export function withPreference(masks: readonly number[], smallest: number): Hint[] {
  return masks.map((nodes) => ({ nodes, preferred: countOf(nodes) === smallest }));
}

const anywhere: Hint = { nodes: undefined, preferred: true };
const nowhere: Hint = { nodes: undefined, preferred: false };

export interface MergeOptions {
  readonly policy: Exclude<TopologyPolicy, "none">;
  readonly machine: Machine;
  /** Option `prefer-closest-numa-nodes`. */
  readonly preferClosest?: boolean;
}

/** What suits all, and whether the policy takes it. */
export function mergeHints(all: readonly Hints[], options: MergeOptions): { hint: Hint; isAdmitted: boolean } {
  const { policy, machine } = options;
  const lists = all.flatMap((hints): (readonly Hint[])[] =>
    hints.size === 0
      ? [[anywhere]]
      : [...hints.values()].map((list) => (list === undefined ? [anywhere] : list.length === 0 ? [nowhere] : list)),
  );
  const isSingle = policy === "single-numa-node";
  const considered = isSingle
    ? lists.map((list) =>
        list.filter(({ nodes, preferred }) => preferred && (nodes === undefined || countOf(nodes) === 1)),
      )
    : lists;
  const everything = maskOf(machine.nodes);
  let best: Hint | undefined;
  const better = compareWith(considered, options);
  for (const permutation of permutations(considered)) {
    const named = permutation.flatMap(({ nodes }) => (nodes === undefined ? [] : [nodes]));
    const candidate = {
      nodes: named.reduce((mask, nodes) => mask & nodes, everything),
      preferred: permutation.every(({ preferred }) => preferred) && named.every((nodes) => nodes === named[0]),
    };
    best = better(best, candidate);
  }
  let hint: Hint = best ?? { nodes: everything, preferred: false };
  if (isSingle && hint.nodes === everything) hint = { ...hint, nodes: undefined };
  return { hint, isAdmitted: policy === "best-effort" || hint.preferred };
}

function* permutations(
  lists: readonly (readonly Hint[])[],
  at = 0,
  so: readonly Hint[] = [],
): Iterable<readonly Hint[]> {
  if (at === lists.length) yield so;
  else for (const hint of lists[at] ?? []) yield* permutations(lists, at + 1, [...so, hint]);
}

type Candidate = Hint & { readonly nodes: number };

function compareWith(lists: readonly (readonly Hint[])[], { policy, machine, preferClosest }: MergeOptions) {
  // Among what nobody prefers: as many nodes as the most demanding needs at least.
  const wanted = Math.max(
    0,
    ...lists
      .map((list) => Math.min(...list.flatMap(({ nodes }) => (nodes === undefined ? [] : [countOf(nodes)]))))
      .filter(Number.isFinite),
  );
  const averageDistance = (mask: number): number => {
    const nodes = nodesIn(mask);
    let sum = 0;
    for (const from of nodes) for (const to of nodes) sum += machine.distance(from, to);
    return nodes.length === 0 ? 0 : sum / nodes.length ** 2;
  };
  /** Fewer nodes; among as many, the lower numbers. */
  const isNarrower = (a: number, b: number) => countOf(a) < countOf(b) || (countOf(a) === countOf(b) && a < b);
  const fitter = (current: Candidate, candidate: Candidate): Candidate => {
    if (candidate.nodes === current.nodes) return current;
    if (policy !== "single-numa-node" && preferClosest && countOf(candidate.nodes) === countOf(current.nodes)) {
      const [now, then] = [averageDistance(current.nodes), averageDistance(candidate.nodes)];
      if (now !== then) return then < now ? candidate : current;
    }
    return isNarrower(candidate.nodes, current.nodes) ? candidate : current;
  };
  return (current: Hint | undefined, candidate: Candidate): Candidate => {
    const now = current as Candidate | undefined; // only candidates come back
    const count = countOf(candidate.nodes);
    if (count === 0) return now as Candidate;
    if (!now) return candidate;
    if (now.preferred !== candidate.preferred) return now.preferred ? now : candidate;
    if (now.preferred) return fitter(now, candidate);
    const has = countOf(now.nodes);
    if (has > wanted) return fitter(now, candidate);
    if (has === wanted) return count === wanted ? fitter(now, candidate) : now;
    if (count > wanted) return now;
    if (count === has) return fitter(now, candidate);
    return count > has ? candidate : now;
  };
}
