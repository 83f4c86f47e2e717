/** No resize beyond what the pod's node has for pods at all: it could never be granted there. Upstream's PodResizeValidator. */
import { type Node, type Pod, podSums } from "#api";
import { compareQuantities, quantityMilliValue, quantityOf, quantityValue, StatusError } from "#machinery";
import type { AdmissionPlugin, AdmissionRequest } from "./chain.ts";
import { refuse } from "./refuse.ts";

const counted = [
  ["cpu", quantityMilliValue],
  ["memory", quantityValue],
] as const;

function refuseBecause(request: AdmissionRequest, why: string, type: string): StatusError {
  const { status } = refuse(request, why);
  return new StatusError({ ...status, details: { ...status.details, causes: [{ reason: type }] } });
}

export const podResize: AdmissionPlugin = {
  name: "PodResizeValidator",
  handles: ({ resource, subresource, operation }) =>
    subresource === "resize" && operation === "UPDATE" && resource.group === "" && resource.resource === "pods",
  async validate(request, lookup) {
    const { metadata, spec } = request.object as Pod; // pods only
    if (!spec?.nodeName || metadata.generation === request.old?.metadata?.generation) return;
    const node = await lookup.get<Node>(lookup.kind("", "nodes"), "", spec.nodeName);
    if (!node) throw refuse(request, `node ${JSON.stringify(spec.nodeName)} not found`);
    const os = node.metadata.labels?.["kubernetes.io/os"] ?? "linux";
    if (os !== "linux") {
      const { name } = node.metadata;
      const why = `pod resize is only supported on linux nodes, node ${JSON.stringify(name)} is ${JSON.stringify(os)}`;
      throw refuseBecause(request, why, "UnsupportedPlatform");
    }
    const requests = podSums(spec, "requests");
    const lacks = counted.flatMap(([name, amount]) => {
      const asked = requests.get(name) ?? quantityOf(0);
      const has = node.status?.allocatable?.[name] ?? "0";
      if (compareQuantities(asked, has) <= 0) return [];
      return `${name}, requested: ${amount(asked)}, allocatable: ${amount(has)}`;
    });
    if (lacks.length > 0)
      throw refuseBecause(
        request,
        `node didn't have enough allocatable resources: ${lacks.join("; ")}`,
        "NodeCapacity",
      );
  },
};
