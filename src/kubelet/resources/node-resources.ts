/**
 * What the node gives its containers beyond what their specs say: numbers for the kernel, cpus of their own, devices of plugins. Managers are made when
 * the settings or a plugin ask for them.
 */
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerStatus } from "#api";
import type { Clock, Logger } from "#base";
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { Refusal } from "../core/admission.ts";
import { unitsOf } from "../core/quantity.ts";
import { linuxResources, type ResourceFacts } from "../core/resources.ts";
import type { ContainerSpec, PodRuntime, PodView } from "../core/types.ts";
import { type CriClient, CriError } from "../cri/client.ts";
import type { LinuxContainerResources } from "../cri/types.d.ts";
import type { ContainerAnswer } from "../device-plugins/device-checkpoint.ts";
import { DevicePlugins } from "../device-plugins/device-plugins.ts";
import { type DynamicResource, servePodResources } from "../device-plugins/pod-resources.ts";
import type { CgroupHierarchy, PodCgroups } from "../node/cgroups.ts";
import type { MachineFacts } from "../node/machine.ts";
import type { PluginHandler } from "../plugins/registry.ts";
import { createAllocator } from "./allocator.ts";
import { cpusReservedMilli } from "./amounts.ts";
import type { CpuManager } from "./cpu-manager.ts";
import { readCpuTopology } from "./cpu-topology.ts";

export interface NodeResources {
  readonly facts: ResourceFacts;
  /** What the runtime is told of a container. */
  linux(pod: PodView, container: ContainerSpec): LinuxContainerResources;
  /** Has it cpus that nobody else uses? */
  hasOwnCpus(pod: PodView): boolean;
  /** Gives the pod what only some can have; undefined: it asks for nothing of it. */
  allocate(pod: PodView): Promise<Refusal | undefined> | undefined;
  /** A pod has ended: others may have what was its own. */
  released(): void;
  /** Of device plugins, before a container is made; undefined: it has no such devices. */
  forStart(pod: PodView, container: ContainerSpec): Promise<ContainerAnswer[]> | undefined;
  withHealth(pod: PodView, statuses: readonly ContainerStatus[]): ContainerStatus[];
  /** Of device plugins, for the node's status. */
  amounts(): { capacity: Record<string, string>; allocatable: Record<string, string> };
  /** Of device plugins that register in the folder of all plugins. */
  readonly pluginHandler: PluginHandler;
  /** Before the first pod. */
  attach(hooks: ResourceHooks): void;
  /** Serves plugins and those who ask until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface ResourceHooks {
  /** That haven't ended. */
  pods(): Iterable<{ pod: PodView; runtime: PodRuntime }>;
  /** How the devices of these pods are has changed. */
  onHealth(podUids: ReadonlySet<string>): void;
  /** The node has other amounts than before. */
  onAmounts(): void;
  claimsOf(pod: PodView, container: ContainerSpec): readonly DynamicResource[];
}

/** Can the kernel limit the swap of a group? */
export async function hasSwapControl(
  hierarchy: CgroupHierarchy | undefined,
  ownGroup = "/proc/self/cgroup",
): Promise<boolean> {
  const mount = hierarchy?.mounts.get("memory");
  if (!mount) return false;
  let path = `${mount}/memory.memsw.limit_in_bytes`;
  if (hierarchy?.version === 2) {
    const own = /^0::(.*)$/m.exec(await readFile(ownGroup, "utf8"))?.[1] ?? "";
    path = `${mount}${own}/memory.swap.max`;
  }
  return access(path).then(
    () => true,
    () => false,
  );
}

export async function createNodeResources(options: {
  config: Readonly<KubeletConfiguration>;
  machine: MachineFacts;
  cgroups: PodCgroups;
  folder: string;
  cri: CriClient;
  clock: Clock;
  log: Logger;
  allocatable(): Readonly<Record<string, string>>;
}): Promise<NodeResources> {
  const { config, machine, cgroups, folder, cri, clock, log } = options;
  checkSupported(config, machine);
  await checkDriver(config, cri);
  let hooks: ResourceHooks | undefined;
  const [hasSwap, topology] = await Promise.all([hasSwapControl(cgroups.hierarchy), readCpuTopology()]);
  const facts: ResourceFacts = {
    config,
    memoryBytes: machine.memoryBytes,
    swapBytes: machine.swapBytes,
    cgroupVersion: cgroups.hierarchy?.version ?? 1,
    hasSwapControl: hasSwap,
    pageSizes: cgroups.pageSizes,
    allocatableMemory: () => unitsOf(options.allocatable().memory),
  };
  const activePods = () => new Set([...(hooks?.pods() ?? [])].map(({ pod }) => pod.metadata.uid ?? ""));
  const plugins = new DevicePlugins({
    folder: join(folder, "device-plugins"),
    clock,
    log,
    numaNodes: topology.nodes,
    activePods,
    onAmounts: () => hooks?.onAmounts(),
    onHealth: (uids) => hooks?.onHealth(uids),
  });
  let cpus: CpuManager | undefined;
  if (config.cpuManagerPolicy === "static") {
    const { CpuManager: Manager } = await import("./cpu-manager.ts");
    cpus = new Manager({
      file: join(folder, "cpu_manager_state"),
      config,
      topology,
      reservedMilli: cpusReservedMilli(config),
      activePods,
      onShared: () => void shareCpus(),
    });
  }
  const allocator = createAllocator({ config, machine: topology, providers: cpus ? [cpus, plugins] : [plugins] });

  /** Cpus that containers were last told, by their ids. */
  const told = new Map<string, string>();
  let sharing: Promise<void> = Promise.resolve();
  /** Brings running containers onto the cpus that are theirs, or everybody's, now. */
  function shareCpus(): Promise<void> {
    sharing = sharing.then(async () => {
      if (!cpus) return;
      const present = new Set<string>();
      for (const { pod, runtime } of hooks?.pods() ?? [])
        for (const { id, name, state } of runtime.containers) {
          if (state !== "running") continue;
          present.add(id);
          const wanted = cpus.cpusOf(pod.metadata.uid ?? "", name).cpus;
          if (wanted === "" || told.get(id) === wanted) continue;
          await cri.runtime.updateContainerResources({ containerId: id, linux: { cpusetCpus: wanted } }).then(
            () => told.set(id, wanted),
            (error: unknown) => log.warn("a container's cpus could not be changed", { container: name, error }),
          );
        }
      for (const id of told.keys()) if (!present.has(id)) told.delete(id);
    });
    return sharing;
  }

  return {
    facts,
    linux(pod, container) {
      const given = cpus?.cpusOf(pod.metadata.uid ?? "", container.name);
      return linuxResources(pod, container, facts, given && { ...given, mems: "" });
    },
    hasOwnCpus: (pod) => cpus?.hasOwn(pod.metadata.uid ?? "") ?? false,
    allocate: (pod) => allocator.admit(pod),
    released: () => cpus?.release(),
    forStart: (pod, container) => (plugins.needs(pod) ? plugins.forStart(pod, container) : undefined),
    withHealth: (pod, statuses) => plugins.withHealth(pod, statuses),
    amounts: () => plugins.amounts(),
    pluginHandler: plugins.handler,
    attach(to) {
      hooks = to;
    },
    async run(signal) {
      await plugins.start();
      const stop = await servePodResources({
        folder: join(folder, "pod-resources"),
        plugins,
        pods: () => [...(hooks?.pods() ?? [])].map(({ pod }) => pod),
        cpusOf: (uid, container) => cpus?.ownOf(uid, container) ?? [],
        allocatableCpus: () => cpus?.allocatable() ?? [],
        claimsOf: (pod, container) => hooks?.claimsOf(pod, container) ?? [],
      });
      let cancel = (): void => undefined;
      const again = () => {
        cancel = clock.after(config.cpuManagerReconcilePeriod, () => void shareCpus().then(again));
      };
      if (cpus) again();
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      cancel();
      await Promise.all([stop(), plugins.close(), sharing, cpus?.flushed()]);
    },
  };
}

/** Who places groups: the runtime's answer goes before the settings, as upstream. Systemd's slices can't be made here. */
async function checkDriver(config: Readonly<KubeletConfiguration>, cri: CriClient): Promise<void> {
  // A private runtime is told.
  if (config.containerRuntimeEndpoint === "" && config.cgroupDriver === "cgroupfs") return;
  const told = await cri.runtime.runtimeConfig({}).catch((error: unknown) => {
    if (error instanceof CriError && error.code === "UNIMPLEMENTED") return undefined;
    throw error;
  });
  const driver = told?.linux ? told.linux.cgroupDriver.toLowerCase() : config.cgroupDriver;
  if (driver === "systemd")
    throw new Error(
      `cgroup driver "systemd" is ${told?.linux ? "what the container runtime uses" : "configured"}, and this node can only use "cgroupfs": set SystemdCgroup = false in the runtime's configuration and cgroupDriver: cgroupfs here`,
    );
}

/** Throws when the settings ask for what this node can't do: better than to promise it. */
function checkSupported(config: Readonly<KubeletConfiguration>, { swapBytes }: MachineFacts): void {
  if (config.memoryManagerPolicy === "Static")
    throw new Error("memoryManagerPolicy Static is not supported by this node; use None");
  if (config.failSwapOn && swapBytes > 0)
    throw new Error("running with swap on is not supported, please disable swap or set --fail-swap-on flag to false");
}
