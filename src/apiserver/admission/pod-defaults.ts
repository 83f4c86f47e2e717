/** Small plugins about pods and nodes: DefaultTolerationSeconds, TaintNodesByCondition. */
import type { Node, Pod, Toleration } from "#api";
import type { AdmissionPlugin } from "./chain.ts";
import { isResource } from "./refuse.ts";

/** How long a pod stays on a node that is in trouble. */
const tolerationSeconds = 300;
const troubles = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

export const defaultTolerationSeconds: AdmissionPlugin = {
  name: "DefaultTolerationSeconds",
  handles: (request) =>
    isResource(request, "", "pods") && (request.operation === "CREATE" || request.operation === "UPDATE"),
  mutate({ object }) {
    const { spec } = object as Pod; // pods only
    if (!spec) return;
    const present = spec.tolerations ?? [];
    const covers =
      (key: string) =>
      ({ key: own, effect }: Toleration) =>
        (!own || own === key) && (!effect || effect === "NoExecute");
    const missing = troubles.filter((key) => !present.some(covers(key)));
    if (missing.length === 0) return;
    const added = missing.map((key) => ({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds }));
    spec.tolerations = [...present, ...added];
  },
};

/** A new node gets no pods before it has said that it is ready. */
export const taintNewNodes: AdmissionPlugin = {
  name: "TaintNodesByCondition",
  handles: (request) => isResource(request, "", "nodes") && request.operation === "CREATE",
  mutate({ object }) {
    const node = object as Node; // nodes only
    const spec = node.spec ?? {};
    node.spec = spec;
    const taint = { key: "node.kubernetes.io/not-ready", effect: "NoSchedule" };
    if (spec.taints?.some(({ key, effect }) => key === taint.key && effect === taint.effect)) return;
    spec.taints = [...(spec.taints ?? []), taint];
  },
};
