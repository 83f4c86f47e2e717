/**
 * Whether a pod fits on a node, asked of all rules. A node on which pods that come before it were promised room must have room for
 * them too: it is asked with them counted, and then without, because the pod may need to be near one of them.
 *
 * Pods can be placed and taken off to see what would be. Rules that look only at the node see it at once; those that prepared themselves from
 * pods of all nodes are told (`update`). A rule that had nothing to say keeps silent about what would be, as upstream's do. Preparing
 * anew each time would cost a search for victims a look at every node for every pod that may be spared.
 */
import type { ClusterState } from "./cluster-state.ts";
import type { FilterPlugin, NodeFilter, PreparedFilter, Rejection } from "./framework.ts";
import type { NodeInfo } from "./node-info.ts";
import type { PodInfo } from "./pod-info.ts";

export interface FitCheck {
  /** No node can match, says this rule. */
  readonly impossible?: { readonly plugin: string; readonly reason: Rejection };
  /** Only these nodes can match, say the narrowing rules. */
  readonly only?: ReadonlySet<string>;
  readonly narrowing: readonly string[];
  /** Why the pod doesn't fit; the rule that says so is added to `objecting`. */
  check(node: NodeInfo, objecting?: Set<string>): Rejection | undefined;
  /** Only to see what would be: everything is put back before the check is dropped. */
  place(other: PodInfo, node: NodeInfo): void;
  takeOff(other: PodInfo, node: NodeInfo): void;
}

export function createFitCheck(
  plugins: readonly FilterPlugin[],
  { pod, state }: { pod: PodInfo; state: ClusterState },
): FitCheck {
  /** Of those with something to say, in order. */
  const filters: { name: string; filter: NodeFilter }[] = [];
  const updates: NonNullable<PreparedFilter["update"]>[] = [];
  const narrowing: string[] = [];
  let only: ReadonlySet<string> | undefined;
  let impossible: FitCheck["impossible"];
  for (const plugin of plugins) {
    const prepared = plugin.prepare(pod, state);
    if (!prepared) continue;
    if (prepared.impossible) {
      impossible = { plugin: plugin.name, reason: prepared.impossible };
      break;
    }
    if (prepared.update) updates.push(prepared.update);
    if (prepared.filter) filters.push({ name: plugin.name, filter: prepared.filter });
    if (prepared.onlyNodes) {
      only = only ? only.intersection(prepared.onlyNodes) : prepared.onlyNodes;
      narrowing.push(plugin.name);
    }
  }
  function ask(node: NodeInfo, objecting?: Set<string>): Rejection | undefined {
    if (impossible) return impossible.reason;
    for (const { name, filter } of filters) {
      const reason = filter(node);
      if (!reason) continue;
      objecting?.add(name);
      return reason;
    }
    return undefined;
  }

  function move(other: PodInfo, node: NodeInfo, by: 1 | -1): void {
    state.pretend(other, node, by);
    for (const update of updates) update(other, node, by);
  }

  return {
    impossible,
    only,
    narrowing,
    check(node, objecting) {
      const promised = state.nominatedBefore(pod, node.name);
      if (promised.length === 0) return ask(node, objecting);
      for (const other of promised) move(other, node, 1);
      let reason: Rejection | undefined;
      try {
        reason = ask(node, objecting);
      } finally {
        for (const other of promised) move(other, node, -1);
      }
      return reason ?? ask(node, objecting);
    },
    place: (other, node) => move(other, node, 1),
    takeOff: (other, node) => move(other, node, -1),
  };
}
