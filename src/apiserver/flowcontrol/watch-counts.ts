/**
 * How many watches a write has to be told to: those of its resource, of its namespace, and of the object. Watches of pods by node count
 * only when they are of no node, for only one of them hears of a pod. Upstream's watch tracker.
 */
import type { Query } from "../query.ts";
import type { ResourceTarget } from "../request-target.ts";

export class WatchCounts {
  readonly #counts = new Map<string, number>();

  /** Answers a function that forgets it. */
  add(target: ResourceTarget, query: Query): () => void {
    if (target.resource === "pods" && isOfNode(query)) return () => undefined;
    const key = keyOf(target, target.namespace, target.name);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    let over = false;
    return () => {
      if (over) return;
      over = true;
      const left = (this.#counts.get(key) ?? 0) - 1;
      if (left > 0) this.#counts.set(key, left);
      else this.#counts.delete(key);
    };
  }

  of(target: ResourceTarget): number {
    const { namespace, name } = target;
    let count = this.#counts.get(keyOf(target, "", "")) ?? 0;
    if (namespace !== "") count += this.#counts.get(keyOf(target, namespace, "")) ?? 0;
    if (name !== "") count += this.#counts.get(keyOf(target, namespace, name)) ?? 0;
    return count;
  }
}

const keyOf = ({ group, resource }: ResourceTarget, namespace: string, name: string): string =>
  `${group}/${resource}/${namespace}/${name}`;

const isOfNode = (query: Query): boolean =>
  query.has("fieldSelector") && /(^|,)spec\.nodeName==?[^,]/.test(query.get("fieldSelector"));
