/**
 * From what nodes have used since they were started to what they use now, as metrics-server tells it. Nodes are asked when somebody wants to
 * know, and never otherwise: a rate is counted from the last time somebody did, or, if that is too long ago, from a second look a moment
 * later. An autoscaler that asks every 15 s thus gets averages over 15 s, for one look each.
 */
import type { ContainerPoint, NodeUsage, UsagePoint } from "#api";
import type { Clock } from "#base";

export interface Usage {
  readonly cpuNanoCores: number;
  readonly memoryBytes: number;
}

export interface UsageRate extends Usage {
  readonly timeMs: number;
  readonly windowMs: number;
}

export interface NodeRates {
  readonly node: UsageRate | undefined;
  /** By `namespace/pod`, then by container; undefined: too young to tell. */
  readonly pods: ReadonlyMap<string, ReadonlyMap<string, UsageRate | undefined>>;
}

export interface UsageCollectorOptions {
  /** Undefined: nobody can say. */
  fetch(node: string): Promise<NodeUsage | undefined>;
  readonly clock: Clock;
}

/** An answer this old is as good as a new one. */
const freshMs = 5_000;
/** Over less, a rate says little. */
const windowMsMin = 1_000;
/** Over more, it hides what happens now. */
const windowMsMax = 90_000;
/** What rates are counted from is the newest look that is this old, if there is one. */
const baseMs = 10_000;

interface Kept {
  /** Oldest first; the first is what rates are counted from. A few: nobody looks more often than `freshMs`. */
  readonly looks: readonly Looked[];
  readonly last: Looked;
  readonly rates: NodeRates;
}

interface Looked {
  readonly atMs: number;
  readonly usage: NodeUsage;
  readonly containers: ReadonlyMap<string, ContainerPoint>;
}

const nothing: NodeRates = { node: undefined, pods: new Map() };

export class UsageCollector {
  readonly #options: UsageCollectorOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<NodeRates>>();

  constructor(options: UsageCollectorOptions) {
    this.#options = options;
  }

  /** Of these nodes, asked together; those that can't be reached are left out. */
  async rates(nodes: Iterable<string>): Promise<ReadonlyMap<string, NodeRates>> {
    const found = new Map<string, NodeRates>();
    await Promise.all([...new Set(nodes)].map(async (node) => void found.set(node, await this.#of(node))));
    this.#forgetOld();
    return found;
  }

  #of(node: string): Promise<NodeRates> | NodeRates {
    const kept = this.#kept.get(node);
    if (kept && this.#options.clock.now() - kept.last.atMs < freshMs) return kept.rates;
    let asking = this.#asking.get(node);
    if (!asking) {
      asking = this.#ask(node).finally(() => this.#asking.delete(node));
      this.#asking.set(node, asking);
    }
    return asking;
  }

  async #ask(node: string): Promise<NodeRates> {
    const first = await this.#look(node);
    if (!first) return nothing;
    const kept = this.#kept.get(node);
    if (kept && first.atMs - kept.last.atMs <= windowMsMax) {
      const from = Math.max(
        0,
        kept.looks.findLastIndex(({ atMs }) => first.atMs - atMs >= baseMs),
      );
      return this.#keep(node, kept.looks.slice(from), first);
    }
    await new Promise<void>((resolve) => this.#options.clock.after(windowMsMin, resolve));
    const second = await this.#look(node);
    return second ? this.#keep(node, [first], second) : nothing;
  }

  #keep(node: string, before: readonly Looked[], last: Looked): NodeRates {
    const [base = last] = before;
    const rates = ratesBetween(base, last);
    this.#kept.set(node, { looks: [...before, last], last, rates });
    return rates;
  }

  async #look(node: string): Promise<Looked | undefined> {
    const usage = await this.#options.fetch(node);
    if (!usage) return undefined;
    const containers = new Map(usage.containers.map((each) => [keyOf(each), each]));
    return { atMs: this.#options.clock.now(), usage, containers };
  }

  /** Of nodes that nobody asks about any more. */
  #forgetOld(): void {
    const oldest = this.#options.clock.now() - windowMsMax;
    for (const [node, { last }] of this.#kept) if (last.atMs < oldest) this.#kept.delete(node);
  }
}

const keyOf = ({ namespace, pod, container }: ContainerPoint): string => `${namespace}/${pod}/${container}`;

export function ratesBetween(base: Pick<Looked, "usage" | "containers">, { usage }: Looked): NodeRates {
  const pods = new Map<string, Map<string, UsageRate | undefined>>();
  for (const point of usage.containers) {
    const key = `${point.namespace}/${point.pod}`;
    const containers = pods.get(key) ?? new Map<string, UsageRate | undefined>();
    pods.set(key, containers.set(point.container, containerRate(base.containers.get(keyOf(point)), point)));
  }
  return { node: base.usage.node && usage.node && rateBetween(base.usage.node, usage.node), pods };
}

/** One that was started since counts from its start. */
function containerRate(before: ContainerPoint | undefined, point: ContainerPoint): UsageRate | undefined {
  if (before && before.startedMs === point.startedMs) return rateBetween(before, point);
  return rateBetween({ timeMs: point.startedMs, cpuNanoSeconds: 0 }, point);
}

function rateBetween(from: Pick<UsagePoint, "timeMs" | "cpuNanoSeconds">, to: UsagePoint): UsageRate | undefined {
  const { timeMs, memoryBytes } = to;
  const windowMs = timeMs - from.timeMs;
  const used = to.cpuNanoSeconds - from.cpuNanoSeconds;
  if (windowMs < windowMsMin / 2 || used < 0) return undefined;
  return { timeMs, windowMs, cpuNanoCores: Math.floor((used / windowMs) * 1000), memoryBytes };
}
