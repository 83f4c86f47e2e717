/** Who has which devices and cpus, for agents of this node: the pod resources API (v1) on a socket, which only root can open. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type ContainerSpec, isSidecar, type PodView } from "../core/types.ts";
import { servePlugin } from "../plugins/plugin-protocol.ts";
import { idsOf, type DevicePlugins } from "./device-plugins.ts";

export interface DynamicResource {
  readonly claimName: string;
  readonly claimNamespace: string;
  readonly claimResources: readonly {
    readonly cdiDevices: readonly { readonly name: string }[];
    readonly driverName: string;
    readonly poolName: string;
    readonly deviceName: string;
    readonly shareId?: string;
  }[];
}

export interface PodResourcesOptions {
  readonly folder: string;
  readonly plugins: DevicePlugins;
  /** That haven't ended. */
  pods(): readonly PodView[];
  cpusOf(uid: string, container: string): readonly number[];
  allocatableCpus(): readonly number[];
  claimsOf(pod: PodView, container: ContainerSpec): readonly DynamicResource[];
}

/** Answers how to stop. */
export async function servePodResources(options: PodResourcesOptions): Promise<() => Promise<void>> {
  const { folder, plugins } = options;
  const topology = (nodes: readonly number[]) =>
    nodes.length > 0 ? { topology: { nodes: nodes.map((ID) => ({ ID })) } } : {};
  const show = (pod: PodView) => ({
    name: pod.metadata.name,
    namespace: pod.metadata.namespace,
    containers: [...(pod.spec?.initContainers ?? []).filter(isSidecar), ...(pod.spec?.containers ?? [])].map(
      (container) => {
        const uid = pod.metadata.uid ?? "";
        return {
          name: container.name,
          devices: plugins.givenTo(uid, container.name).flatMap((given) =>
            idsOf(given).map((id) => {
              const nodes = Object.entries(given.devices).flatMap(([node, ids]) =>
                ids.includes(id) ? [Number(node)] : [],
              );
              return { resourceName: given.resource, deviceIds: [id], ...topology(nodes.filter((node) => node >= 0)) };
            }),
          ),
          cpuIds: [...options.cpusOf(uid, container.name)],
          dynamicResources: [...options.claimsOf(pod, container)],
        };
      },
    ),
  });
  await mkdir(folder, { recursive: true, mode: 0o750 });
  const socket = join(folder, "kubelet.sock");
  await rm(socket, { force: true });
  return servePlugin(socket, {
    "v1.PodResourcesLister": {
      List: async () => ({ podResources: options.pods().map(show) }),
      Get: async ({ podName, podNamespace }: { podName: string; podNamespace: string }) => {
        const pod = options
          .pods()
          .find(({ metadata }) => metadata.name === podName && metadata.namespace === podNamespace);
        if (!pod) throw new Error(`pod ${podName} in namespace ${podNamespace} not found`);
        return { podResources: show(pod) };
      },
      GetAllocatableResources: async () => ({
        devices: plugins.healthyDevices().map(({ resource, device }) => ({
          resourceName: resource,
          deviceIds: [device.ID],
          ...topology((device.topology?.nodes ?? []).map(({ ID }) => ID)),
        })),
        cpuIds: [...options.allocatableCpus()],
      }),
    },
  });
}
