/**
 * Pods that a selector matches, without going through all pods of a namespace: a Service with a thousand neighbours would
 * otherwise look at all of them for every change of one of its own.
 */
import type { Pod } from "#api";
import type { Informer } from "#client";
import type { LabelMatcher } from "#machinery";
import { namespaceOf } from "./objects.ts";
import type { SeenPod } from "./pods.ts";

const indexName = "label";
const indexValue = (namespace: string, key: string, value: string) => `${namespace}/${key}=${value}`;

export function indexPodsByLabel(pods: Informer<Pod>): void {
  pods.addIndex(indexName, (pod) => {
    const namespace = namespaceOf(pod);
    return Object.entries(pod.metadata.labels ?? {}).map(([key, value]) => indexValue(namespace, key, value));
  });
}

export function podsMatching(pods: Informer<Pod>, namespace: string, selector: LabelMatcher): readonly SeenPod[] {
  if (selector.nothing) return [];
  for (const { key } of selector.requirements) {
    const value = selector.exactValue(key);
    if (value === undefined) continue;
    const found = pods.by(indexName, indexValue(namespace, key, value));
    return selector.requirements.length === 1 ? found : found.filter((pod) => selector.matches(pod.metadata.labels));
  }
  return pods.list(namespace).filter((pod) => selector.matches(pod.metadata.labels));
}
