/** What a node's kubelet must know of, for pods that use what older ones don't (`status.declaredFeatures`). */
import { type FilterPlugin, rejection } from "../framework.ts";
import type { ReadonlyPod } from "../pod-info.ts";

const missing = rejection(false, "node(s) didn't match Pod's required features");

function featuresOf({ spec }: ReadonlyPod): readonly string[] {
  const { containers = [], initContainers = [], hostNetwork, hostUsers } = spec ?? {};
  const restartsAll = [...containers, ...initContainers].some(({ restartPolicyRules }) =>
    restartPolicyRules?.some(({ action }) => action === "RestartAllContainers"),
  );
  return [
    ...(restartsAll ? ["RestartAllContainersOnContainerExits"] : []),
    ...(hostNetwork && hostUsers === false ? ["UserNamespacesHostNetworkSupport"] : []),
  ];
}

export const nodeDeclaredFeatures: FilterPlugin = {
  name: "NodeDeclaredFeatures",
  prepare({ pod }) {
    const wanted = featuresOf(pod);
    if (wanted.length === 0) return undefined;
    return {
      filter({ node }) {
        const declared = node?.status?.declaredFeatures ?? [];
        return wanted.every((feature) => declared.includes(feature)) ? undefined : missing;
      },
    };
  },
  events: ["node-added", "node-updated"],
  helps: (event) => event.kind !== "node-updated" || event.changed.declaredFeatures,
};
