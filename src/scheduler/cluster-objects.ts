/** What rules want to know about namespaces, Services and owners, answered from informers. */
import type { Pod } from "#api";
import type { InformerSet } from "#client";
import {
  compileLabelSelector,
  type DeepReadonly,
  type LabelMatcher,
  type LabelSelector,
  parseLabelSelector,
  selectorFromLabels,
} from "#machinery";
import type { ClusterObjects } from "./core/cluster-state.ts";
import type { StorageObjects } from "./core/storage.ts";

/** Compiled selectors kept, by text; the pods of a workload share one. */
const selectorsMax = 1000;

export function createClusterObjects(
  informers: InformerSet,
  storage: StorageObjects,
): ClusterObjects & { synced(): Promise<unknown> } {
  const namespaces = informers.of("v1/namespaces");
  const services = informers.of("v1/services");
  const replicaSets = informers.of("apps/v1/replicasets");
  const statefulSets = informers.of("apps/v1/statefulsets");
  const replicationControllers = informers.of("v1/replicationcontrollers");
  const budgets = informers.of("policy/v1/poddisruptionbudgets");
  const compiled = new Map<string, LabelMatcher>();
  const texts = new WeakMap<object, string>();

  /** The text of an object's selector, worked out once for each version of it. */
  function textOf(selector: DeepReadonly<LabelSelector> | undefined): string {
    if (!selector) return "";
    let text = texts.get(selector);
    if (text === undefined) {
      text = compileLabelSelector(selector).toString();
      texts.set(selector, text);
    }
    return text;
  }

  function ownerSelector(pod: DeepReadonly<Pod>): string {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller);
    if (!owner) return "";
    const key = `${pod.metadata.namespace}/${owner.name}`;
    const group = owner.apiVersion.includes("/") ? owner.apiVersion.split("/")[0] : "";
    if (group === "apps" && owner.kind === "ReplicaSet") return textOf(replicaSets.get(key)?.spec?.selector);
    if (group === "apps" && owner.kind === "StatefulSet") return textOf(statefulSets.get(key)?.spec?.selector);
    if (group === "" && owner.kind === "ReplicationController") {
      return selectorFromLabels(replicationControllers.get(key)?.spec?.selector ?? {}).toString();
    }
    return "";
  }

  return {
    synced: () =>
      Promise.all(
        [namespaces, services, replicaSets, statefulSets, replicationControllers, budgets].map((each) => each.synced()),
      ),
    namespaceLabels: (name) => namespaces.get(name)?.metadata.labels,
    storage,
    budgets: (namespace) => budgets.list(namespace),
    selectorOf(pod) {
      const { labels = {}, namespace } = pod.metadata;
      const parts: string[] = [];
      for (const { spec } of services.list(namespace)) {
        const wanted = Object.entries(spec?.selector ?? {});
        if (wanted.length === 0 || !wanted.every(([key, value]) => labels[key] === value)) continue;
        for (const [key, value] of wanted) parts.push(`${key}=${value}`);
      }
      const owner = ownerSelector(pod);
      if (owner !== "") parts.push(owner);
      if (parts.length === 0) return undefined;
      const text = [...new Set(parts)].sort().join(",");
      let selector = compiled.get(text);
      if (!selector) {
        selector = parseLabelSelector(text);
        if (compiled.size >= selectorsMax) compiled.clear();
        compiled.set(text, selector);
      }
      return selector;
    },
  };
}
