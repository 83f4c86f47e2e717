/** One simulated node: what it says of itself, its pods and their addresses. */
import type { Lease, Node, NodeStatus } from "#api";
import { parseCidr, printIp } from "#api";
import type { Clock } from "#base";
import { type DeepReadonly, formatMicroTime } from "#machinery";
import { type Refusal, refusal } from "../core/admission.ts";
import { unitsOf } from "../core/quantity.ts";
import { isTerminalPhase } from "../core/types.ts";
import { defaultConfiguration } from "../config/configuration.ts";
import { nodeAmounts } from "../resources/amounts.ts";
import { newNode, nodeStatus } from "../node/node-status.ts";
import { runtimeName } from "./simulated-runtime.ts";
import type { Place, SimulatedPod } from "./simulated-pod.ts";

export interface SimulatedNodeOptions {
  readonly name: string;
  readonly index: number;
  /** Over the defaults; resources of any name. */
  readonly capacity: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  readonly version: string;
  readonly clock: Clock;
  /** The node as the API shows it. */
  node(): DeepReadonly<Node> | undefined;
}

export const leaseSeconds = 40;
/** Of the range that is for documentation and experiments of private networks, so that nothing real answers there. */
const hostNetwork = [198, 18] as const;
/** For pods of nodes that nobody gives a network: shared address space. */
const madeUpNetwork = (index: number): string => `100.${64 + ((index >> 8) & 63)}.${index & 255}.0/24`;
const gibi = 2 ** 30;
const defaultCapacity = { cpu: "32", memory: "128Gi", pods: "110", "ephemeral-storage": "512Gi" };
/** The network's own address and the gateway's are no pod's. */
const firstOffset = 2;
/** Without a pod network from the controllers for so long, the node takes addresses that it makes up. */
const networkWaitMs = 30_000;
const networkLookMs = 100;

export class SimulatedNode implements Place {
  readonly name: string;
  readonly hostIPs: readonly string[];
  readonly pods = new Set<SimulatedPod>();
  /** Does nothing and says nothing, as a machine without power. */
  isSilent = false;
  /** When the API has it. */
  uid: string | undefined;
  status: NodeStatus;
  readonly #options: SimulatedNodeOptions;
  readonly #taken = new Set<string>();
  readonly #since: number;
  #next = firstOffset;

  constructor(options: SimulatedNodeOptions) {
    this.#options = options;
    this.name = options.name;
    const host = options.index + 1;
    this.hostIPs = [[...hostNetwork, (host >> 8) & 255, host & 255].join(".")];
    this.#since = options.clock.now();
    this.status = this.statusNow({});
  }

  /** The object to register with. */
  object(): Node {
    const { name: nodeName, labels, taints } = this.#options;
    return newNode({ nodeName, machine: this.#machine(), labels, taints }, this.status);
  }

  lease(): Lease {
    const { name } = this;
    const ownerReferences = this.uid ? [{ apiVersion: "v1", kind: "Node", name, uid: this.uid }] : [];
    const metadata = { name, namespace: "kube-node-lease", ...(ownerReferences.length > 0 && { ownerReferences }) };
    return { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec: this.leaseSpec() };
  }

  leaseSpec(): NonNullable<Lease["spec"]> {
    const renewTime = formatMicroTime(this.#options.clock.now());
    return { holderIdentity: this.name, leaseDurationSeconds: leaseSeconds, renewTime };
  }

  statusNow(old: DeepReadonly<NodeStatus>): NodeStatus {
    const { name: nodeName, capacity: more, version: kubeletVersion, clock } = this.#options;
    const machine = this.#machine();
    const bytes = unitsOf(this.#quantity("ephemeral-storage"));
    const disk = { capacityBytes: bytes, availableBytes: bytes, freeBytes: bytes, inodes: 0, inodesFree: 0 };
    const status = nodeStatus(old, {
      machine,
      addresses: this.hostIPs,
      nodeName,
      amounts: nodeAmounts({
        machine,
        diskBytes: bytes,
        config: { ...defaultConfiguration(), maxPods: unitsOf(this.#quantity("pods")) },
      }),
      kubeletVersion,
      runtimeVersion: `${runtimeName}://1.0.0`,
      port: 0,
      disk,
      pressures: [],
      problems: [],
      images: [],
      now: clock.now(),
    });
    const extended = Object.fromEntries(Object.entries(more).filter(([resource]) => !(resource in defaultCapacity)));
    return {
      ...status,
      // What was asked for can be used up, to the last byte: nothing else runs here.
      capacity: { ...status.capacity, cpu: this.#quantity("cpu"), memory: this.#quantity("memory"), ...extended },
      allocatable: { ...status.allocatable, cpu: this.#quantity("cpu"), memory: this.#quantity("memory"), ...extended },
    };
  }

  refuse(pod: SimulatedPod): Refusal | undefined {
    const others = [];
    for (const other of this.pods)
      if (other !== pod && other.isAdmitted && !other.isOver && !isTerminalPhase(other.pod.status?.phase))
        others.push(other.pod);
    const { node } = this.#options;
    const allocatable = this.status.allocatable ?? {};
    return refusal(pod.pod, { others, allocatable, maxPods: unitsOf(allocatable.pods), name: this.name, node: node() });
  }

  takeAddress(): readonly string[] | number {
    const { node, clock, index } = this.#options;
    const { podCIDRs = [] } = node()?.spec ?? {};
    if (podCIDRs.length === 0 && clock.now() < this.#since + networkWaitMs) return clock.now() + networkLookMs;
    const networks = podCIDRs.length > 0 ? podCIDRs : [madeUpNetwork(index)];
    for (let tries = 0; tries < 65_536; tries++, this.#next++) {
      const ips = networks.map((cidr) => addressIn(cidr, this.#next));
      if (ips.some((ip) => ip === undefined)) this.#next = firstOffset;
      else if (ips.every((ip) => !this.#taken.has(ip ?? ""))) {
        const found = ips as string[]; // checked above
        this.keepAddress(found);
        this.#next++;
        return found;
      }
    }
    return clock.now() + networkLookMs;
  }

  keepAddress(ips: readonly string[]): void {
    for (const ip of ips) this.#taken.add(ip);
  }

  releaseAddress(ips: readonly string[]): void {
    for (const ip of ips) this.#taken.delete(ip);
  }

  #quantity(name: keyof typeof defaultCapacity): string {
    return this.#options.capacity[name] ?? defaultCapacity[name];
  }

  #machine() {
    const { name } = this;
    return {
      cpus: 1,
      memoryBytes: unitsOf(this.#quantity("memory")) || gibi,
      swapBytes: 0,
      hugepageBytes: {},
      machineId: name,
      systemUuid: name,
      bootId: name,
      kernelVersion: "simulated",
      osImage: "Simulated",
      architecture: "amd64",
      hostname: name,
    };
  }
}

/** Undefined: the network is not that large; its last address is for everybody. */
function addressIn(cidr: string, offset: number): string | undefined {
  const network = parseCidr(cidr);
  if (!network) return undefined;
  const { bytes, family } = network.address;
  const hostBits = bytes.length * 8 - network.prefixBits;
  if (hostBits < 31 && offset >= 2 ** hostBits - 1) return undefined;
  const address = [...bytes];
  for (let at = address.length - 1, left = offset; left > 0 && at >= 0; at--) {
    left += address[at] ?? 0;
    address[at] = left & 255;
    left >>= 8;
  }
  return printIp({ family, bytes: address });
}
