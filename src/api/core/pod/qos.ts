/** The quality of service of a pod, by what it asks for: Guaranteed, Burstable or BestEffort. */
import { addQuantities, compareQuantities, parseQuantity, type Quantity, quantitySign } from "#machinery";
import type { Pod, PodSpec, ResourceRequirements } from "../../types.d.ts";

const computeResources = ["cpu", "memory"] as const;
type Sums = Map<string, Quantity>;

/** Upstream's ComputePodQOS: from the spec, whatever the status says. */
export function computeQosClass(spec: PodSpec): string {
  const requests: Sums = new Map();
  const limits: Sums = new Map();
  let limited = true;
  const visit = (resources: ResourceRequirements) => {
    addCompute(requests, resources.requests);
    const count = addCompute(limits, resources.limits);
    return count === computeResources.length;
  };
  if (spec.resources) {
    const complete = visit(spec.resources);
    if (Object.keys(spec.resources.limits ?? {}).length > 0) limited = complete;
  } else {
    for (const { resources = {} } of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
      if (!visit(resources)) limited = false;
    }
  }
  if (requests.size === 0 && limits.size === 0) return "BestEffort";
  const equal = [...requests].every(([name, request]) => {
    const limit = limits.get(name);
    return limit !== undefined && compareQuantities(limit, request) === 0;
  });
  return limited && equal && requests.size === limits.size ? "Guaranteed" : "Burstable";
}

/** Answers how many of the resources are there. */
function addCompute(sums: Sums, amounts: Record<string, string> = {}): number {
  let count = 0;
  for (const name of computeResources) {
    const amount = amounts[name];
    if (amount === undefined || quantitySign(amount) <= 0) continue;
    count++;
    const sum = sums.get(name);
    sums.set(name, sum ? addQuantities(sum, amount) : parseQuantity(amount));
  }
  return count;
}

export const qosClassOf = (pod: Pod): string => pod.status?.qosClass || computeQosClass(pod.spec ?? { containers: [] });
