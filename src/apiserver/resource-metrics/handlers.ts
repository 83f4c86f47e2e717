/** Answers for node and pod metrics: never stored, told of what nodes say when somebody asks. Follows metrics-server's API. */
import { type Clock, printDuration } from "#base";
import { formatTime, parseLabelSelector, printQuantity, quantityOf, SelectorError, statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import { Selection } from "../cache/selection.ts";
import { StoredObject } from "../cache/stored-object.ts";
import type { Call } from "../registry/call.ts";
import type { RegistryCore } from "../registry/core.ts";
import { storedOf } from "../registry/create.ts";
import { readListOptions } from "../registry/options.ts";
import type { CallHandlers } from "../registry/registry.ts";
import { readSelection } from "../registry/selectors.ts";
import { group } from "./kinds.ts";
import type { NodeUsage } from "#api";
import { type Usage, UsageCollector, type UsageRate } from "./usage-collector.ts";

/** Nodes without machines: what their pods use is known without looking. */
export interface SimulatedUsage {
  has(node: string): boolean;
  /** Undefined: it doesn't run. */
  usage(
    pod: { readonly namespace: string; readonly name: string },
    container: string,
  ): { readonly cpuMilli: number; readonly memoryBytes: number } | undefined;
}

export interface ResourceMetricsOptions {
  /** Asks the node's kubelet; undefined: it can't be reached. */
  fetch(node: StoredObject): Promise<NodeUsage | undefined>;
  readonly simulated?: () => SimulatedUsage | undefined;
  readonly clock: Clock;
}

/** What is shown of one object. */
interface Shown {
  readonly metadata: object;
  readonly timestamp: string;
  readonly window: string;
}

/** Of what is only simulated. */
const simulatedWindowMs = 15_000;

export function resourceMetricsHandlers({ fetch, simulated, clock }: ResourceMetricsOptions): CallHandlers {
  const nodes = new Map<string, StoredObject>();
  const collector = new UsageCollector({
    clock,
    fetch: async (name) => {
      const node = nodes.get(name);
      return node && fetch(node);
    },
  });

  /** What is selected, in the order of names. */
  async function select(core: RegistryCore, call: Call, resource: "nodes" | "pods"): Promise<readonly StoredObject[]> {
    const { target, query } = call;
    const kind = core.table.stored("", resource);
    if (!kind) return [];
    const cache = await core.storage.cache(kind);
    const namespace = kind.namespaced ? target.namespace : "";
    if (target.name !== "") {
      const found = cache.get(kind.namespaced ? `${namespace}/${target.name}` : target.name);
      if (!found) throw statusError.notFound({ group: "", resource }, target.name);
      return [found];
    }
    try {
      const labels = parseLabelSelector(readListOptions(query, { watch: false }).labelSelector);
      return cache.select(new Selection({ kind, namespace, labels }));
    } catch (error) {
      if (error instanceof SelectorError) throw statusError.badRequest(error.message);
      throw error;
    }
  }

  async function rates(core: RegistryCore, names: Iterable<string>) {
    const kind = core.table.stored("", "nodes");
    const wanted = new Set([...names].filter((name) => name !== "" && !simulated?.()?.has(name)));
    if (!kind || wanted.size === 0) return new Map();
    const cache = await core.storage.cache(kind);
    for (const name of wanted) {
      const node = cache.get(name);
      if (node) nodes.set(name, node);
    }
    const found = await collector.rates(wanted);
    for (const name of wanted) nodes.delete(name);
    return found;
  }

  function answer(call: Call, core: RegistryCore, found: readonly [StoredObject, object][]): Answer {
    const { resource, query, target } = call;
    const kind = storedOf(call);
    const { pool } = core.storage.caches;
    const objects = found.map(([{ key }, shown]) => {
      const body = Buffer.from(JSON.stringify(shown).slice(1));
      return new StoredObject({ kind, key, revision: 0, body, pool });
    });
    if (target.name === "") {
      const { selection } = readSelection(kind, call, readListOptions(query, { watch: false }));
      return { type: "list", resource, objects: objects.filter((each) => selection.matches(each)), metadata: {} };
    }
    const [object] = objects;
    const name = kind.namespaced ? `${target.namespace}/${target.name}` : target.name;
    if (!object) throw statusError.notFound({ group, resource: resource.kind.toLowerCase() }, name);
    return { type: "object", status: 200, resource, object };
  }

  const shownAs = (object: StoredObject, { timeMs, windowMs }: Pick<UsageRate, "timeMs" | "windowMs">): Shown => {
    const { name, namespace } = object;
    const labels = object.labels();
    const metadata = {
      name,
      ...(namespace && { namespace }),
      creationTimestamp: formatTime(clock.now()),
      ...(Object.keys(labels).length > 0 && { labels }),
    };
    return { metadata, timestamp: formatTime(timeMs), window: printDuration(windowMs) };
  };

  async function nodeMetrics(call: Call, core: RegistryCore): Promise<Answer> {
    const selected = await select(core, call, "nodes");
    const found = await rates(
      core,
      selected.map(({ name }) => name),
    );
    const withoutMachine = simulatedNodes(core, selected);
    const usage = await withoutMachine;
    return answer(
      call,
      core,
      selected.flatMap((node): [StoredObject, object][] => {
        const rate = found.get(node.name)?.node ?? usage.get(node.name);
        return rate ? [[node, { ...shownAs(node, rate), usage: quantities(rate) }]] : [];
      }),
    );
  }

  /** All that runs on them together. */
  async function simulatedNodes(core: RegistryCore, selected: readonly StoredObject[]) {
    const known = simulated?.();
    const totals = new Map<string, UsageRate>();
    if (!known) return totals;
    const now = { timeMs: clock.now(), windowMs: simulatedWindowMs };
    for (const { name } of selected) if (known.has(name)) totals.set(name, { ...now, cpuNanoCores: 0, memoryBytes: 0 });
    const kind = core.table.stored("", "pods");
    if (!kind || totals.size === 0) return totals;
    const cache = await core.storage.cache(kind);
    for (const pod of cache.select(new Selection({ kind, namespace: "" }))) {
      const node = nodeOf(pod);
      const total = totals.get(node);
      if (!total) continue;
      const own = simulatedPod(known, pod).reduce(plus, total);
      totals.set(node, { ...total, ...own });
    }
    return totals;
  }

  async function podMetrics(call: Call, core: RegistryCore): Promise<Answer> {
    const selected = await select(core, call, "pods");
    const known = simulated?.();
    const found = await rates(core, selected.map(nodeOf));
    return answer(
      call,
      core,
      selected.flatMap((pod): [StoredObject, object][] => {
        const containers: readonly (readonly [string, UsageRate | undefined])[] = known?.has(nodeOf(pod))
          ? simulatedPod(known, pod).map(
              ({ name, ...usage }) => [name, { ...usage, timeMs: clock.now(), windowMs: simulatedWindowMs }] as const,
            )
          : [...(found.get(nodeOf(pod))?.pods.get(pod.key) ?? [])];
        // All of a pod's containers or none: a sum without one of them would be wrong.
        const rated = containers.flatMap(([name, rate]) => (rate ? [{ name, rate }] : []));
        const [first] = rated.toSorted((a, b) => a.rate.timeMs - b.rate.timeMs);
        if (!first || rated.length < containers.length) return [];
        const shown = rated.map(({ name, rate }) => ({ name, usage: quantities(rate) }));
        return [[pod, { ...shownAs(pod, first.rate), containers: shown }]];
      }),
    );
  }

  return new Map([
    [`${group}/nodes//*`, nodeMetrics],
    [`${group}/pods//*`, podMetrics],
  ]);
}

const nodeOf = (pod: StoredObject): string => pod.field("spec.nodeName") ?? "";

function simulatedPod(known: SimulatedUsage, pod: StoredObject): readonly (Usage & { readonly name: string })[] {
  const { spec } = pod.glance() as { spec?: { containers?: readonly { name: string }[] } }; // of the kind
  const at = { namespace: pod.namespace, name: pod.name };
  return (spec?.containers ?? []).flatMap(({ name }) => {
    const usage = known.usage(at, name);
    return usage ? [{ name, cpuNanoCores: usage.cpuMilli * 1e6, memoryBytes: usage.memoryBytes }] : [];
  });
}

const plus = (a: Usage, b: Usage): Usage => ({
  cpuNanoCores: a.cpuNanoCores + b.cpuNanoCores,
  memoryBytes: a.memoryBytes + b.memoryBytes,
});

/** In the forms of metrics-server: billionths of a core, and bytes in binary units. */
const quantities = ({ cpuNanoCores, memoryBytes }: Usage) => ({
  cpu: printQuantity({ unscaled: BigInt(Math.floor(cpuNanoCores)), scale: -9, format: "DecimalSI" }),
  memory: printQuantity(quantityOf(Math.floor(memoryBytes), "BinarySI")),
});
