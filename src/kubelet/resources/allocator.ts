/**
 * Gives a pod what only some can have: cpus of its own, devices; aligned to NUMA nodes as the settings want. One pod at a time. A pod that can't have
 * it is refused with upstream's reasons.
 */
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { Refusal } from "../core/admission.ts";
import type { ContainerSpec, PodView } from "../core/types.ts";
import { type Hint, type Hints, type Machine, mergeHints, type TopologyPolicy } from "./topology.ts";

/** A refusal with a reason of its own. */
export class AdmissionError extends Error {
  override name = "AdmissionError";
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface Provider {
  needs(pod: PodView): boolean;
  /** Of one container, or of the pod as a whole. */
  hints(pod: PodView, container?: ContainerSpec): Hints;
  /** Fails with why it can't be had. */
  allocate(pod: PodView, container: ContainerSpec, affinity: Hint | undefined): void | Promise<void>;
}

export interface Allocator {
  /** Undefined: nothing of it is asked for, or all was given. */
  admit(pod: PodView): Promise<Refusal | undefined> | undefined;
}

const unaligned = () =>
  new AdmissionError("TopologyAffinityError", "Resources cannot be allocated with Topology locality");

/** Throws with upstream's text. */
function readOptions({ topologyManagerPolicyOptions }: KubeletConfiguration): {
  preferClosest: boolean;
  nodesMax: number;
} {
  let preferClosest = false;
  let nodesMax = 8;
  for (const [name, value] of Object.entries(topologyManagerPolicyOptions)) {
    if (name === "prefer-closest-numa-nodes") preferClosest = value === "true";
    else if (name === "max-allowable-numa-nodes") nodesMax = Number(value);
    else throw new Error(`unknown Topology Manager Policy option: ${JSON.stringify(name)}`);
  }
  return { preferClosest, nodesMax };
}

export function createAllocator({
  config,
  machine,
  providers,
}: {
  config: KubeletConfiguration;
  machine: Machine;
  providers: readonly Provider[];
}): Allocator {
  const policy = config.topologyManagerPolicy as TopologyPolicy; // checked when the settings were read
  const { preferClosest, nodesMax } = readOptions(config);
  if (policy !== "none" && machine.nodes.length > nodesMax)
    throw new Error(`unsupported on machines with more than ${nodesMax} NUMA Nodes`);
  let queue: Promise<unknown> = Promise.resolve();

  function affinityOf(pod: PodView, container?: ContainerSpec): Hint | undefined {
    if (policy === "none") return undefined;
    const hints = providers.map((provider) => provider.hints(pod, container));
    const { hint, isAdmitted } = mergeHints(hints, { policy, machine, preferClosest });
    if (!isAdmitted) throw unaligned();
    return hint;
  }

  async function allocate(pod: PodView): Promise<Refusal | undefined> {
    try {
      const isWhole = config.topologyManagerScope === "pod";
      const whole = isWhole ? affinityOf(pod) : undefined;
      for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
        const affinity = isWhole ? whole : affinityOf(pod, container);
        for (const provider of providers) await provider.allocate(pod, container, affinity);
      }
      return undefined;
    } catch (error) {
      if (error instanceof AdmissionError) return { reason: error.reason, message: error.message };
      const why = error instanceof Error ? error.message : String(error);
      return { reason: "UnexpectedAdmissionError", message: `Allocate failed due to ${why}, which is unexpected` };
    }
  }

  return {
    admit(pod) {
      if (!providers.some((provider) => provider.needs(pod))) return undefined;
      const turn = queue.then(() => allocate(pod));
      queue = turn;
      return turn;
    },
  };
}
