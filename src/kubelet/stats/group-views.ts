/** The groups that a collector is told of, from the machine down: all pods, each class, each pod, each container and sandbox. */
import { uptime } from "node:os";
import { pauseImage } from "../image/pause.ts";
import type { PodCgroups } from "../node/cgroups.ts";
import type { MachineFacts } from "../node/machine.ts";
import { type GroupDetail, readDetail } from "./group-detail.ts";
import { type GroupUsage, readGroup } from "./group-usage.ts";
import { type FileSystem, readFileSystems } from "./machine-detail.ts";
import { type InterfacePackets, readInterfaces } from "./network.ts";
import type { NodeLook } from "./sampler.ts";

export interface CadvisorOptions {
  readonly cgroups: PodCgroups;
  readonly machine: MachineFacts;
}

/** One group of the tree, with all that is known of it. */
export interface GroupView {
  /** Its path: cadvisor's name of a container. */
  readonly id: string;
  readonly labels: Readonly<Record<"container" | "name" | "image" | "namespace" | "pod", string>>;
  readonly usage: GroupUsage;
  readonly detail: GroupDetail;
  readonly network: readonly InterfacePackets[];
  readonly disks: readonly FileSystem[];
}

const none = { container: "", name: "", image: "", namespace: "", pod: "" };
/** Some 5 ms of reading. */
const podsInTurn = 10;

/** Every group that a collector is told of, from the machine down. */
export async function readGroups({ node, podsGroup, pods }: NodeLook, options: CadvisorOptions): Promise<GroupView[]> {
  const { cgroups, machine } = options;
  const { hierarchy, root } = cgroups;
  if (!hierarchy) return [];
  const now = () => node?.timeMs ?? 0;
  const found: GroupView[] = [];
  const add = (
    id: string,
    usage: GroupUsage | undefined,
    { labels = none, network = [], disks = [], rootPid }: Partial<GroupView> & { rootPid?: number | undefined } = {},
  ) => {
    const detail = usage && readDetail(hierarchy, id, rootPid);
    if (!usage || !detail) return;
    found.push({ id, labels, usage, detail: id === "/" ? asMachine(detail, machine) : detail, network, disks });
  };
  const read = (id: string) => readGroup(hierarchy, id, { now });
  add("/", node, { network: readInterfaces("self") ?? [], disks: readFileSystems(), rootPid: 1 });
  add(root, podsGroup);
  for (const name of ["burstable", "besteffort"]) add(`${root}/${name}`, read(`${root}/${name}`));
  for (const [at, { pod, group, usage, containers, sandbox, sandboxPid }] of pods.entries()) {
    if (group === undefined) continue;
    if (at % podsInTurn === podsInTurn - 1) await new Promise((resolve) => setImmediate(resolve));
    const { name = "", namespace = "" } = pod.metadata;
    const labels = { ...none, namespace, pod: name };
    add(group, usage, { labels });
    if (sandbox) {
      const network = (sandboxPid === undefined ? undefined : readInterfaces(sandboxPid)) ?? [];
      const id = `${group}/${sandbox.id}`;
      add(id, read(id), { labels: { ...labels, name: sandbox.id, image: pauseImage }, network, rootPid: sandboxPid });
    }
    for (const { name: container, container: of, usage: used } of containers) {
      const own = { ...labels, container, name: of.id, image: of.image };
      add(`${group}/${of.id}`, used, { labels: own, rootPid: used?.pids[0] });
    }
  }
  return found;
}

/** Limits of the whole are what there is; it began with the machine. */
function asMachine(detail: GroupDetail, { memoryBytes, swapBytes }: MachineFacts): GroupDetail {
  const memory = { ...detail.memory, limitBytes: memoryBytes, swapLimitBytes: swapBytes };
  return { ...detail, createdMs: Math.max(detail.createdMs, Date.now() - uptime() * 1000), memory };
}
