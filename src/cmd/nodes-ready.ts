/** Waiting for nodes, for `up`. */
import type { Node } from "#api";
import { createInformers } from "#client";
import type { DeepReadonly } from "#machinery";
import type { ControlPlane } from "./control-plane.ts";

/** Waits for the condition that `kubectl get nodes` shows. */
export async function nodesReady(
  plane: ControlPlane | undefined,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (!plane) return;
  const client = plane.client({ name: "system:apiserver", groups: ["system:masters"], userAgent: "sampan" });
  const stop = new AbortController();
  const informers = createInformers(client);
  const [only, ...more] = names;
  const nodes = informers.of("v1/nodes", more.length > 0 ? {} : { fieldSelector: `metadata.name=${only}` });
  const running = informers.run(AbortSignal.any([signal, stop.signal]));
  const missing = new Set(names);
  await new Promise<void>((done) => {
    const look = ({ metadata, status }: DeepReadonly<Node>) => {
      const isReady = status?.conditions?.some((one) => one.type === "Ready" && one.status === "True");
      if (isReady && missing.delete(metadata.name ?? "") && missing.size === 0) done();
    };
    nodes.addHandler({ added: look, updated: look });
    signal.addEventListener("abort", () => done(), { once: true });
  });
  stop.abort();
  await running;
}
