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
  if (from.others.size === 0) return;
  for (const [name, amount] of from.others) to.others.set(name, (to.others.get(name) ?? 0) + sign * amount);
}

function maxResources(to: Resources, from: Resources): void {
  to.milliCpu = Math.max(to.milliCpu, from.milliCpu);
  to.memory = Math.max(to.memory, from.memory);
  to.ephemeralStorage = Math.max(to.ephemeralStorage, from.ephemeralStorage);
  for (const [name, amount] of from.others) to.others.set(name, Math.max(to.others.get(name) ?? 0, amount));
}

export function amountOf(amounts: Resources, name: string): number {
  if (name === "cpu") return amounts.milliCpu;
  if (name === "memory") return amounts.memory;
  if (name === "ephemeral-storage") return amounts.ephemeralStorage;
  return amounts.others.get(name) ?? 0;
}

/** Of devices, by whatever name their vendor gave: `example.com/gpu`. */
export const isExtended = (name: string): boolean =>
  name.includes("/") && !name.includes("kubernetes.io/") && !name.startsWith("requests.");

/** Counted by name beside cpu, memory and storage. */
export const isScalar = (name: string): boolean =>
  isExtended(name) ||
  name.startsWith("hugepages-") ||
  name.startsWith("attachable-volumes-") ||
  name.includes("kubernetes.io/");

type Quantities = Readonly<Record<string, string>>;

export function readResources(quantities: Quantities | undefined): Resources {
  const amounts = noResources();
  for (const [name, quantity] of Object.entries(quantities ?? {})) setAmount(amounts, name, quantity);
  return amounts;
}

function setResource(to: Resources, name: string, amount: number): void {
  if (name === "cpu") to.milliCpu = amount;
  else if (name === "memory") to.memory = amount;
  else to.others.set(name, amount);
}

function setAmount(amounts: Resources, name: string, quantity: string): void {
  // Far below 2^53 on any machine, so that plain numbers are exact.
  if (name === "cpu") amounts.milliCpu = Number(quantityMilliValue(quantity));
  else if (name === "memory") amounts.memory = Number(quantityValue(quantity));
  else if (name === "ephemeral-storage") amounts.ephemeralStorage = Number(quantityValue(quantity));
  else if (isScalar(name)) amounts.others.set(name, Number(quantityValue(quantity)));
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

/**
 * `assume`: count containers without cpu or memory requests as using a little; with requests of the pod as a whole only where these
 * don't say. `podLevel` false: without those.
 */
export function podRequests(pod: DeepReadonly<Pod>, { assume = false, podLevel = true } = {}): Resources {
  const { containers = [], initContainers = [], overhead, resources } = pod.spec ?? {};
  const { status = {} } = pod;
  const isResizeInfeasible =
    status.conditions?.find(({ type }) => type === "PodResizePending")?.reason === "Infeasible";
  const whole = podLevel
    ? Object.entries(resources?.requests ?? {})
        .filter(([name]) => isPodLevel(name))
        .map(([name]) => name)
    : [];
  const isSaid = (name: "cpu" | "memory") =>
    whole.length > 0 &&
    (whole.includes(name) ||
      overhead?.[name] !== undefined ||
      [...containers, ...initContainers].some((each) => each.resources?.requests?.[name] !== undefined));
  const assumesCpu = assume && !isSaid("cpu");
  const assumesMemory = assume && !isSaid("memory");
  const of = (container: DeepReadonly<Container>, statuses: readonly DeepReadonly<ContainerStatus>[] = []) => {
    const found = statuses.find(({ name }) => name === container.name);
    const spec = container.resources?.requests;
    const has = found?.resources && { actuated: found.resources.requests, allocated: found.allocatedResources };
    const amounts = effective({ spec, ...has }, isResizeInfeasible && has !== undefined);
    const sources = [isResizeInfeasible && has ? undefined : spec, has?.actuated, has?.allocated];
    const isAsked = (name: string) => sources.some((each) => each?.[name] !== undefined);
    if (assumesCpu && !isAsked("cpu")) amounts.milliCpu = assumedContainer.milliCpu;
    if (assumesMemory && !isAsked("memory")) amounts.memory = assumedContainer.memory;
    return amounts;
  };

  const total = noResources();
  for (const container of containers) addResources(total, of(container, status.containerStatuses));
  if (initContainers.length > 0) {
    const sidecars = noResources();
    const peak = noResources();
    for (const container of initContainers) {
      if (isSidecar(container)) {
        addResources(sidecars, of(container, status.initContainerStatuses));
        maxResources(peak, sidecars);
      } else {
        const amounts = of(container);
        addResources(amounts, sidecars);
        maxResources(peak, amounts);
      }
    }
    addResources(total, sidecars);
    maxResources(total, peak);
  }
  if (whole.length > 0) {
    const { resources: actual, allocatedResources: allocated } = status;
    const amounts = actual
      ? effective({ spec: resources?.requests, actuated: actual.requests, allocated }, isResizeInfeasible)
      : readResources(resources?.requests);
    for (const name of whole) setResource(total, name, amountOf(amounts, name));
  }
  if (overhead) addResources(total, readResources(overhead));
  return total;
}

const isPodLevel = (name: string) => name === "cpu" || name === "memory" || name.startsWith("hugepages-");

interface Requests {
  readonly spec?: Quantities | undefined;
  readonly actuated?: Quantities | undefined;
  readonly allocated?: Quantities | undefined;
}

/** While something that runs is resized, the most of what is wanted, what it was promised and what it has. */
function effective({ spec, actuated, allocated }: Requests, isInfeasible: boolean): Resources {
  const amounts = isInfeasible ? noResources() : readResources(spec);
  if (actuated) maxResources(amounts, readResources(actuated));
  if (allocated) maxResources(amounts, readResources(allocated));
  return amounts;
}

export const isSidecar = ({ restartPolicy }: DeepReadonly<Container>): boolean => restartPolicy === "Always";
