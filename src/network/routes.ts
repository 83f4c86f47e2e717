/**
 * The way to other nodes' pods. A cluster of one node costs no more than a handler here: what keeps routes (`route-keeper.ts`) is loaded
 * when there is a second node, or something that a process before this one left.
 */
import type { Node } from "#api";
import { aborted } from "#base";
import type { DeepReadonly } from "#machinery";
import type { RoutesOptions } from "./contract.ts";
import type { OtherNode } from "./plan.ts";

export interface Routes {
  /** Resolves when the signal aborted and nothing runs any more. Routes stay: pods go on without this process. */
  run(signal: AbortSignal): Promise<void>;
}

export function createRoutes(options: RoutesOptions): Routes {
  const { informers, nodeName, network } = options;
  const nodes = informers.of("v1/nodes");
  return {
    async run(signal) {
      if (network.mode === "none" && !network.hasRoutes) return aborted(signal);
      const others = () => nodes.list().filter(({ metadata }) => metadata.name !== nodeName);
      let turn = Promise.withResolvers<void>();
      const look = (node: DeepReadonly<Node>, old?: DeepReadonly<Node>) => {
        if (node.metadata.name !== nodeName && !(old && sameWay(node, old))) turn.resolve();
      };
      const remove = nodes.addHandler({ added: look, updated: look, deleted: (node) => look(node) });
      signal.addEventListener("abort", () => turn.resolve(), { once: true });
      try {
        await Promise.race([nodes.synced(), aborted(signal)]);
        if (!network.hasRoutes) await turn.promise;
        if (signal.aborted) return;
        const { createRouteKeeper } = await import("./route-keeper.ts");
        const keeper = createRouteKeeper({
          ...options,
          nodes: () => others().map(otherNode),
          changed: () => turn.resolve(),
        });
        try {
          while (!signal.aborted) {
            // All that comes in one turn of the event loop is one change.
            await new Promise((resolve) => setImmediate(resolve));
            turn = Promise.withResolvers();
            await keeper.keep();
            await turn.promise;
          }
        } finally {
          await keeper.close();
        }
      } finally {
        remove();
      }
    },
  };
}

/** Nodes change each time they are heard of; what matters here hardly ever does. */
const sameWay = (node: DeepReadonly<Node>, old: DeepReadonly<Node>): boolean =>
  JSON.stringify(otherNode(node)) === JSON.stringify(otherNode(old));

function otherNode({ metadata, spec = {}, status = {} }: DeepReadonly<Node>): OtherNode {
  const { podCIDR, podCIDRs = podCIDR ? [podCIDR] : [] } = spec;
  return {
    name: metadata.name ?? "",
    created: metadata.creationTimestamp ?? "",
    addresses: (status.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address),
    podCidrs: podCIDRs,
  };
}
