/** Where the node keeps what belongs to a pod: upstream's layout, below a folder that no other node shares. */
import { dirname, join } from "node:path";

export interface NodeLayout {
  readonly pods: string;
  /** tmpfs for secrets and tokens, which never touch a disk. */
  readonly memory: string;
  readonly seccomp: string;
  pod(uid: string): PodLayout;
  /** Of the logs of a pod. */
  podLogs(about: { namespace: string; name: string; uid: string }): string;
  readonly logs: string;
  /** Links to the logs of containers, by names that log collectors know. */
  readonly containerLogs: string;
}

export interface PodLayout {
  readonly root: string;
  readonly volumes: string;
  readonly subPaths: string;
  readonly etcHosts: string;
  volume(plugin: string, name: string): string;
  readonly volumeDevices: string;
  /** Links to block devices, by the name of the volume. */
  devices(plugin: string): string;
  /** There when the volume has been given to the pod's group. */
  grouped(name: string): string;
  /** Volumes in memory: not below `root`, which is on a disk. */
  readonly memory: string;
  memoryVolume(plugin: string, name: string): string;
  subPath(volume: string, container: string, index: number): string;
  /** Termination messages. */
  container(name: string): string;
}

export function nodeLayout({ root, logs }: { root: string; logs: string }): NodeLayout {
  const pods = join(root, "pods");
  const memory = join(root, "memory");
  return {
    pods,
    memory,
    logs,
    containerLogs: join(dirname(logs), "containers"),
    seccomp: join(root, "seccomp"),
    podLogs: ({ namespace, name, uid }) => join(logs, `${namespace}_${name}_${uid}`),
    pod(uid) {
      const at = (...parts: string[]) => join(pods, uid, ...parts);
      const inMemory = (...parts: string[]) => join(memory, uid, ...parts);
      return {
        root: at(),
        volumes: at("volumes"),
        subPaths: at("volume-subpaths"),
        etcHosts: at("etc-hosts"),
        volume: (plugin, name) => at("volumes", `kubernetes.io~${plugin}`, name),
        volumeDevices: at("volumeDevices"),
        devices: (plugin) => at("volumeDevices", `kubernetes.io~${plugin}`),
        grouped: (name) => at("volumes", "fs-group", name),
        memory: inMemory(),
        memoryVolume: (plugin, name) => inMemory(`kubernetes.io~${plugin}`, name),
        subPath: (volume, container, index) => at("volume-subpaths", volume, container, String(index)),
        container: (name) => at("containers", name),
      };
    },
  };
}
