/**
 * Amounts of resources as the scheduler counts them: cpu in thousandths, everything else in whole units, rounded up.
 * The rule for a pod is upstream's: containers and sidecars run together, other init containers one after the other beside the
 * sidecars started before them; the pod's own resources replace the sum, overhead comes on top.
 */
import type { Container, ContainerStatus, Node, Pod } from "#api";
import { type DeepReadonly, quantityMilliValue, quantityValue } from "#machinery";

export interface Resources {
  milliCpu: number;
  memory: number;
  ephemeralStorage: number;
  /** Huge pages and extended resources; most pods have none. */
  readonly others: Map<string, number>;
}

export const noResources = (): Resources => ({ milliCpu: 0, memory: 0, ephemeralStorage: 0, others: new Map() });

export function addResources(to: Resources, from: Resources, sign: 1 | -1 = 1): void {
  to.milliCpu += sign * from.milliCpu;
  to.memory += sign * from.memory;
  to.ephemeralStorage += sign * from.ephemeralStorage;
  for (const [name, amount] of from.others) to.others.set(name, (to.others.get(name) ?? 0) + sign * amount);
}

function maxResources(to: Resources, from: Resources): void {
  to.milliCpu = Math.max(to.milliCpu, from.milliCpu);
  to.memory = Math.max(to.memory, from.memory);
  to.ephemeralStorage = Math.max(to.ephemeralStorage, from.ephemeralStorage);
  for (const [name, amount] of from.others) to.others.set(name, Math.max(to.others.get(name) ?? 0, amount));
}

type Quantities = Readonly<Record<string, string>>;

export function readResources(quantities: Quantities | undefined): Resources {
  const amounts = noResources();
  for (const [name, quantity] of Object.entries(quantities ?? {})) setAmount(amounts, name, quantity);
  return amounts;
}

function setAmount(amounts: Resources, name: string, quantity: string): void {
  // Far below 2^53 on any machine, so that plain numbers are exact.
  if (name === "cpu") amounts.milliCpu = Number(quantityMilliValue(quantity));
  else if (name === "memory") amounts.memory = Number(quantityValue(quantity));
  else if (name === "ephemeral-storage") amounts.ephemeralStorage = Number(quantityValue(quantity));
  else if (name !== "pods") amounts.others.set(name, Number(quantityValue(quantity)));
}

export interface Allocatable extends Resources {
  readonly pods: number;
}

export function nodeAllocatable(node: DeepReadonly<Node>): Allocatable {
  const quantities = node.status?.allocatable ?? node.status?.capacity;
  return { ...readResources(quantities), pods: quantities?.pods ? Number(quantityValue(quantities.pods)) : 0 };
}

/** What a container without requests is taken to use when nodes are compared (not when they are filtered). */
const assumedContainer = { milliCpu: 100, memory: 200 * 1024 * 1024 };

/** `assume`: count containers without cpu or memory requests as using a little. */
export function podRequests(pod: DeepReadonly<Pod>, { assume = false } = {}): Resources {
  const { containers = [], initContainers = [], overhead, resources } = pod.spec ?? {};
  const isResizeInfeasible = (pod.status?.conditions ?? []).some(
    ({ type, reason }) => type === "PodResizePending" && reason === "Infeasible",
  );
  const of = (container: DeepReadonly<Container>, statuses: readonly DeepReadonly<ContainerStatus>[] = []) => {
    const status = statuses.find(({ name }) => name === container.name);
    const amounts = containerRequests(container, status, isResizeInfeasible);
    if (assume && container.resources?.requests?.cpu === undefined) amounts.milliCpu = assumedContainer.milliCpu;
    if (assume && container.resources?.requests?.memory === undefined) amounts.memory = assumedContainer.memory;
    return amounts;
  };

  const total = noResources();
  for (const container of containers) addResources(total, of(container, pod.status?.containerStatuses));
  if (initContainers.length > 0) {
    const sidecars = noResources();
    const peak = noResources();
    for (const container of initContainers) {
      const amounts = of(container, pod.status?.initContainerStatuses);
      if (isSidecar(container)) {
        addResources(sidecars, amounts);
        maxResources(peak, sidecars);
      } else {
        addResources(amounts, sidecars);
        maxResources(peak, amounts);
      }
    }
    addResources(total, sidecars);
    maxResources(total, peak);
  }
  for (const [name, quantity] of Object.entries(resources?.requests ?? {})) {
    if (name === "cpu" || name === "memory" || name.startsWith("hugepages-")) setAmount(total, name, quantity);
  }
  if (overhead) addResources(total, readResources(overhead));
  return total;
}

/** While a running container is resized, the larger of what is wanted and what it has. */
function containerRequests(
  container: DeepReadonly<Container>,
  status: DeepReadonly<ContainerStatus> | undefined,
  isResizeInfeasible: boolean,
): Resources {
  const has = status?.resources?.requests || status?.allocatedResources;
  const amounts = isResizeInfeasible && has ? noResources() : readResources(container.resources?.requests);
  if (status?.resources?.requests) maxResources(amounts, readResources(status.resources.requests));
  if (status?.allocatedResources) maxResources(amounts, readResources(status.allocatedResources));
  return amounts;
}

export const isSidecar = ({ restartPolicy }: DeepReadonly<Container>): boolean => restartPolicy === "Always";
