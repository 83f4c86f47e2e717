/**
 * Which cpus a container gets that wants some for itself: whole NUMA nodes and sockets first, then whole cores, then single ones, close together and
 * where least is left. Pure; follows upstream's topology-aware best fit and its even distribution over NUMA nodes.
 */
import type { Cpu, CpuTopology } from "./cpu-topology.ts";

type Level = "node" | "socket" | "core";

const groupBy = (cpus: readonly Cpu[], level: Level): Map<number, Cpu[]> => {
  const groups = new Map<number, Cpu[]>();
  for (const cpu of cpus) groups.set(cpu[level], [...(groups.get(cpu[level]) ?? []), cpu]);
  return groups;
};

/** Those with the fewest free cpus first: large holes stay for large wishes. */
const fewestFirst = (groups: ReadonlyMap<number, readonly Cpu[]>): [number, readonly Cpu[]][] =>
  [...groups].sort(([a, left], [b, right]) => left.length - right.length || a - b);

const shortage = (wanted: number, available: number): Error =>
  new Error(`not enough cpus available to satisfy request: requested=${wanted}, available=${available}`);

/** Throws when there are too few. */
export function takeCpus(topology: CpuTopology, available: ReadonlySet<number>, count: number): Set<number> {
  if (available.size < count) throw shortage(count, available.size);
  const sizes = new Map(
    (["node", "socket", "core"] as const).map((level) => {
      const groups = groupBy(topology.cpus, level);
      return [level, new Map([...groups].map(([id, cpus]) => [id, cpus.length]))] as const;
    }),
  );
  const taken = new Set<number>();
  const free = () => topology.cpus.filter(({ id }) => available.has(id) && !taken.has(id));
  const missing = () => count - taken.size;
  // Where a NUMA node isn't larger than a socket it is the larger neighbourhood that counts first.
  const outer: Level[] =
    (sizes.get("node")?.size ?? 1) <= (sizes.get("socket")?.size ?? 1) ? ["node", "socket"] : ["socket", "node"];
  for (const level of outer)
    for (const [id, cpus] of fewestFirst(groupBy(free(), level)))
      if (cpus.length === sizes.get(level)?.get(id) && cpus.length <= missing())
        for (const cpu of cpus) taken.add(cpu.id);
  /** Cores in the order in which they are used up. */
  const cores = () =>
    fewestFirst(groupBy(free(), outer[0] ?? "node")).flatMap(([, inOuter]) =>
      fewestFirst(groupBy(inOuter, outer[1] ?? "socket")).flatMap(([, inInner]) =>
        fewestFirst(groupBy(inInner, "core")),
      ),
    );
  for (const [id, cpus] of cores())
    if (cpus.length === sizes.get("core")?.get(id) && cpus.length <= missing())
      for (const cpu of cpus) taken.add(cpu.id);
  for (const [, cpus] of cores()) for (const { id } of cpus) if (missing() > 0) taken.add(id);
  return taken;
}

function* combinations(items: readonly number[], size: number): Iterable<number[]> {
  if (size === 0) yield [];
  else
    for (const [at, item] of items.entries())
      for (const rest of combinations(items.slice(at + 1), size - 1)) yield [item, ...rest];
}

/** As evenly as possible over as few NUMA nodes as needed, in groups of cpus that stay together. */
export function distributeCpus(
  topology: CpuTopology,
  available: ReadonlySet<number>,
  { count, groupSize }: { count: number; groupSize: number },
): Set<number> {
  if (count % groupSize !== 0) return takeCpus(topology, available, count);
  if (available.size < count) throw shortage(count, available.size);
  const byNode = groupBy(
    topology.cpus.filter(({ id }) => available.has(id)),
    "node",
  );
  const nodes = fewestFirst(byNode).map(([node]) => node);
  const has = (node: number) => byNode.get(node)?.length ?? 0;
  for (let size = 1; size <= nodes.length; size++) {
    let best: { left: number; shares: Map<number, number> } | undefined;
    for (const combination of combinations(nodes, size)) {
      const each = Math.floor(count / size / groupSize) * groupSize;
      if (combination.some((node) => has(node) < each)) continue;
      const shares = new Map(combination.map((node) => [node, each]));
      // What is left over goes to where most is free.
      for (let rest = count - each * size; rest > 0; rest -= groupSize) {
        const roomy = combination
          .filter((node) => has(node) - (shares.get(node) ?? 0) >= groupSize)
          .sort((a, b) => has(b) - (shares.get(b) ?? 0) - (has(a) - (shares.get(a) ?? 0)))[0];
        if (roomy === undefined) break;
        shares.set(roomy, (shares.get(roomy) ?? 0) + groupSize);
      }
      if ([...shares.values()].reduce((sum, share) => sum + share, 0) < count) continue;
      const after = nodes.map((node) => has(node) - (shares.get(node) ?? 0));
      const mean = after.reduce((sum, left) => sum + left, 0) / after.length;
      const left = Math.sqrt(after.reduce((sum, one) => sum + (one - mean) ** 2, 0) / after.length);
      if (!best || left < best.left) best = { left, shares };
    }
    if (!best) continue;
    const taken = new Set<number>();
    for (const [node, share] of best.shares) {
      const own = new Set((byNode.get(node) ?? []).map(({ id }) => id));
      for (const id of takeCpus(topology, own, share)) taken.add(id);
    }
    return taken;
  }
  return takeCpus(topology, available, count);
}
