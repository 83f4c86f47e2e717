/** Tells kubelets how long they may trust what they have read of secrets and config maps: the longer, the larger the cluster. */
import { type Controller, defineController, watch } from "../lib/controller.ts";
import type { SeenNode } from "../lib/nodes.ts";
import { nameOf } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";

const annotation = "node.alpha.kubernetes.io/ttl";

/** Steps overlap, so that a cluster at a boundary doesn't go back and forth. */
const steps: readonly { readonly nodesMin: number; readonly nodesMax: number; readonly seconds: number }[] = [
  { nodesMin: 0, nodesMax: 100, seconds: 0 },
  { nodesMin: 90, nodesMax: 500, seconds: 15 },
  { nodesMin: 450, nodesMax: 1000, seconds: 30 },
  { nodesMin: 900, nodesMax: 2000, seconds: 60 },
  { nodesMin: 1800, nodesMax: Infinity, seconds: 300 },
];

/** The step for that many nodes, coming from this one. */
export function stepFor(nodes: number, from: number): number {
  let step = from;
  while (nodes > (steps[step]?.nodesMax ?? Infinity)) step++;
  while (nodes < (steps[step]?.nodesMin ?? 0)) step--;
  return step;
}

export const secondsOf = (step: number): number => steps[step]?.seconds ?? 0;

export const ttlController: Controller = defineController({
  name: "ttl-controller",
  create({ client, informers }) {
    const nodes = informers.of("v1/nodes");
    let count = 0;
    let step = 0;
    const counted = (change: 1 | -1) => {
      count += change;
      step = stepFor(count, step);
    };
    const isRight = (node: SeenNode) => {
      const text = node.metadata.annotations?.[annotation] ?? "";
      return /^[+-]?\d+$/.test(text) && Number(text) === secondsOf(step);
    };
    return [
      {
        watches(queue) {
          const mark = (node: SeenNode) => isRight(node) || queue.add(nameOf(node));
          return [
            watch(nodes, {
              added(node) {
                counted(1);
                mark(node);
              },
              updated: mark,
              deleted: () => counted(-1),
            }),
          ];
        },
        async reconcile(name) {
          const node = nodes.get(name);
          if (!node || isRight(node)) return;
          const patch = { metadata: { annotations: { [annotation]: String(secondsOf(step)) } } };
          await unlessGone(client.resource("v1/nodes").patch(name, patch, { type: "strategic" }));
        },
      },
    ];
  },
});
