/**
 * Looks at what the node's pods use when somebody asks, and only then: nothing runs in between. A rate needs two looks: if the last one is
 * too long ago, or there is none, a second one is taken a moment after the first.
 */
import type { Clock } from "#base";
import { delay } from "#client";
import {
  allContainers,
  newestContainer,
  type PodView,
  type RuntimeContainer,
  type RuntimeSandbox,
} from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import type { KubeletHost } from "../host.ts";
import type { PodCgroups } from "../node/cgroups.ts";
import { type GroupUsage, readGroup } from "./group-usage.ts";

export interface ContainerLook {
  readonly name: string;
  readonly container: RuntimeContainer;
  readonly usage: GroupUsage | undefined;
}

export interface PodLook {
  readonly pod: PodView;
  /** Inside the hierarchy. */
  readonly group: string | undefined;
  readonly usage: GroupUsage | undefined;
  readonly containers: readonly ContainerLook[];
  readonly sandbox: RuntimeSandbox | undefined;
  /** Whose network is the pod's. */
  readonly sandboxPid: number | undefined;
}

export interface NodeLook {
  readonly timeMs: number;
  readonly node: GroupUsage | undefined;
  /** All pods together. */
  readonly podsGroup: GroupUsage | undefined;
  readonly pods: readonly PodLook[];
}

export interface SamplerOptions {
  readonly host: KubeletHost;
  readonly cgroups: PodCgroups;
  readonly clock: Clock;
}

export interface Sampler {
  /** Counters and amounts as they are now. `brief`: of the node and of containers, without their limits and processes. */
  look(options?: { readonly brief?: boolean }): Promise<NodeLook>;
  /** As `look`, after a look that rates can be told from. */
  lookWithRates(): Promise<NodeLook>;
  /** In billionths of a core, by the key of what was looked at; undefined: not looked at before. */
  rate(key: string): number | undefined;
}

/** Rates over less say little. */
const windowMsMin = 1_000;
/** Over more they hide what happens now. */
const windowMsMax = 60_000;
/** Rates are counted from the newest look that is this old, if there is one. */
const renewMs = 10_000;
/** Some 5 ms of reading. */
const podsInTurn = 10;

export const podKey = (pod: PodView): string => `pod/${pod.metadata.uid}`;
export const containerKey = ({ id }: RuntimeContainer): string => `container/${id}`;

export function createSampler({ host, cgroups, clock }: SamplerOptions): Sampler {
  /** Oldest first: rates are counted from the first. At most one a second, for ten seconds and one more. */
  let looks: { readonly timeMs: number; readonly cpu: ReadonlyMap<string, Counter> }[] = [];
  let rates = new Map<string, number>();
  const now = () => clock.now();

  async function look({ brief = false } = {}): Promise<NodeLook> {
    const { hierarchy, root } = cgroups;
    const runtimes = host.runtimes();
    const read = (group: string | undefined) =>
      hierarchy && group !== undefined ? readGroup(hierarchy, group, { now, brief }) : undefined;
    const detail = (group: string | undefined) => (brief ? undefined : read(group));
    let asked: Promise<ReadonlyMap<string, GroupUsage>> | undefined;
    const ofRuntime = async (id: string) => {
      asked ??= askRuntime(host.cri, now);
      return (await asked).get(id);
    };

    async function lookAt(pod: PodView): Promise<PodLook> {
      const runtime = runtimes.get(pod.metadata.uid ?? "");
      const group = cgroups.groupOf(pod);
      const sandbox = runtime?.sandboxes[0];
      const running = allContainers(pod).flatMap(({ name }) => {
        const found = runtime && newestContainer(runtime, name);
        return found?.state === "running" ? [{ name, container: found }] : [];
      });
      const containers: ContainerLook[] = [];
      for (const each of running) {
        const { id } = each.container;
        containers.push({ ...each, usage: read(group && `${group}/${id}`) ?? (await ofRuntime(id)) });
      }
      const inSandbox = sandbox?.ready ? detail(group && `${group}/${sandbox.id}`) : undefined;
      const usage = detail(group) ?? sumOf(containers);
      return { pod, group, usage, containers, sandbox, sandboxPid: inSandbox?.pids[0] };
    }

    const node = read("/");
    const podsGroup = detail(root);
    const pods: PodLook[] = [];
    for (const pod of host.pods()) {
      // Reading keeps the event loop: others get a turn in between.
      if (pods.length % podsInTurn === podsInTurn - 1) await new Promise((resolve) => setImmediate(resolve));
      pods.push(await lookAt(pod));
    }
    const seen: NodeLook = { timeMs: now(), node, podsGroup, pods: pods.filter((pod) => pod.containers.length > 0) };
    if (!brief) remember(seen);
    return seen;
  }

  function remember(seen: NodeLook): void {
    const cpu = new Map<string, Counter>();
    const put = (key: string, usage: GroupUsage | undefined) => {
      if (usage) cpu.set(key, { timeMs: usage.timeMs, value: usage.cpuNanoSeconds });
    };
    put("node", seen.node);
    put("pods", seen.podsGroup);
    for (const { pod, usage, containers } of seen.pods) {
      put(podKey(pod), usage);
      for (const each of containers) put(containerKey(each.container), each.usage);
    }
    looks = looks.filter(({ timeMs }) => seen.timeMs - timeMs <= windowMsMax);
    looks = looks.slice(
      Math.max(
        0,
        looks.findLastIndex(({ timeMs }) => seen.timeMs - timeMs >= renewMs),
      ),
    );
    const [base] = looks;
    rates = new Map();
    for (const [key, { timeMs, value }] of cpu) {
      const before = base?.cpu.get(key);
      if (before && timeMs - before.timeMs >= windowMsMin / 2 && value >= before.value)
        rates.set(key, Math.round(((value - before.value) / (timeMs - before.timeMs)) * 1000));
    }
    const last = looks.at(-1);
    if (!last || seen.timeMs - last.timeMs >= windowMsMin) looks.push({ timeMs: seen.timeMs, cpu });
  }

  return {
    look,
    async lookWithRates() {
      const seen = await look();
      if (rates.size > 0) return seen;
      await delay(clock, windowMsMin, new AbortController().signal);
      return look();
    },
    rate: (key) => rates.get(key),
  };
}

interface Counter {
  readonly timeMs: number;
  readonly value: number;
}

/** Where the runtime puts containers elsewhere than it was told: what it says itself. */
async function askRuntime(cri: CriClient, now: () => number): Promise<ReadonlyMap<string, GroupUsage>> {
  const { stats } = await cri.runtime.listContainerStats({});
  return new Map(
    stats.flatMap(({ attributes, cpu, memory }) => {
      if (!attributes || !cpu) return [];
      const bytes = (amount: { value?: number } | undefined) => amount?.value ?? 0;
      const usage: GroupUsage = {
        timeMs: now(),
        cpuNanoSeconds: bytes(cpu.usageCoreNanoSeconds),
        memory: {
          usageBytes: bytes(memory?.usageBytes) || bytes(memory?.workingSetBytes),
          workingSetBytes: bytes(memory?.workingSetBytes),
          rssBytes: bytes(memory?.rssBytes),
          cacheBytes: 0,
          mappedBytes: 0,
          activeFileBytes: 0,
          inactiveFileBytes: 0,
          pageFaults: bytes(memory?.pageFaults),
          majorPageFaults: bytes(memory?.majorPageFaults),
          swapBytes: 0,
          limitBytes: undefined,
          swapLimitBytes: undefined,
        },
        pids: [],
      };
      return [[attributes.id, usage] as const];
    }),
  );
}

/** Of a pod without a group of its own. */
function sumOf(containers: readonly ContainerLook[]): GroupUsage | undefined {
  const [first, ...others] = containers.flatMap(({ usage }) => (usage ? [usage] : []));
  return first && others.reduce(plus, first);
}

function plus(a: GroupUsage, b: GroupUsage): GroupUsage {
  const keys = ["usageBytes", "workingSetBytes", "rssBytes", "pageFaults", "majorPageFaults", "swapBytes"] as const;
  const memory = { ...a.memory, limitBytes: undefined, swapLimitBytes: undefined };
  for (const key of keys) memory[key] = a.memory[key] + b.memory[key];
  return { ...a, cpuNanoSeconds: a.cpuNanoSeconds + b.cpuNanoSeconds, memory, pids: [...a.pids, ...b.pids] };
}
