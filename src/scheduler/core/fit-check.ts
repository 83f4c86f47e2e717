/**
 * Whether a pod fits on a node, asked of all rules. A node on which pods that come before it were promised room must have room for
 * them too: it is asked with them counted, and then without, because the pod may need to be near none of them.
 */
import type { ClusterState } from "./cluster-state.ts";
import type { FilterPlugin, NodeFilter, PreparedFilter, Rejection } from "./framework.ts";
import type { NodeInfo } from "./node-info.ts";
import type { PodInfo } from "./pod-info.ts";

interface NamedFilter {
  readonly plugin: FilterPlugin;
  readonly filter: NodeFilter;
}

export interface FitCheck {
  /** No node can match, says this rule. */
  readonly impossible?: { readonly plugin: string; readonly reason: Rejection };
  /** Only these nodes can match, say the narrowing rules. */
  readonly only?: ReadonlySet<string>;
  readonly narrowing: readonly string[];
  /** Why the pod doesn't fit; the rule that says so is added to `objecting`. */
  check(node: NodeInfo, objecting?: Set<string>): Rejection | undefined;
  /** The same after pods were placed or taken off. */
  checkAnew(node: NodeInfo): Rejection | undefined;
}

export function createFitCheck(
  plugins: readonly FilterPlugin[],
  { pod, state }: { pod: PodInfo; state: ClusterState },
): FitCheck {
  const filters: NamedFilter[] = [];
  const narrowing: string[] = [];
  let only: ReadonlySet<string> | undefined;
  for (const plugin of plugins) {
    const prepared = plugin.prepare(pod, state);
    if (!prepared) continue;
    const { impossible, filter, onlyNodes } = prepared;
    if (impossible) {
      return {
        impossible: { plugin: plugin.name, reason: impossible },
        narrowing,
        check: () => impossible,
        checkAnew: checkAlone,
      };
    }
    if (filter) filters.push({ plugin, filter });
    if (onlyNodes) {
      only = only ? only.intersection(onlyNodes) : onlyNodes;
      narrowing.push(plugin.name);
    }
  }

  function ask(node: NodeInfo, objecting?: Set<string>): Rejection | undefined {
    for (const { plugin, filter } of filters) {
      const reason = filter(node);
      if (!reason) continue;
      objecting?.add(plugin.name);
      return reason;
    }
    return undefined;
  }

  /** Like `ask`; rules that depend on pods elsewhere prepare themselves for what is now. */
  function askAnew(node: NodeInfo, objecting?: Set<string>): Rejection | undefined {
    for (const plugin of plugins) {
      const prepared: Pick<PreparedFilter, "filter" | "impossible"> | undefined = plugin.dependsOnPods
        ? plugin.prepare(pod, state)
        : filters.find((each) => each.plugin === plugin);
      const reason = prepared?.impossible ?? prepared?.filter?.(node);
      if (!reason) continue;
      objecting?.add(plugin.name);
      return reason;
    }
    return undefined;
  }

  function askWith(others: readonly PodInfo[], node: NodeInfo, objecting?: Set<string>): Rejection | undefined {
    for (const other of others) state.place(other, node.name);
    try {
      return askAnew(node, objecting);
    } finally {
      for (const other of others) state.takeOff(other.uid);
    }
  }

  function checkAlone(node: NodeInfo): Rejection | undefined {
    const before = state.nominatedBefore(pod, node.name);
    return (before.length > 0 ? askWith(before, node) : undefined) ?? askAnew(node);
  }

  return {
    only,
    narrowing,
    check(node, objecting) {
      const before = state.nominatedBefore(pod, node.name);
      return (before.length > 0 ? askWith(before, node, objecting) : undefined) ?? ask(node, objecting);
    },
    checkAnew: checkAlone,
  };
}
