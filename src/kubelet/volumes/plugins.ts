/** Which plugin serves a source of volumes. Each is loaded when the node first meets such a volume, or has some from before it started. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { NodeStatus } from "#api";
import type { EventRecorder } from "#client";
import type { DeepReadonly } from "#machinery";
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { PluginHandler } from "../plugins/registry.ts";
import type { PodWorker } from "../pods/pod-worker.ts";
import type { CsiPlugin } from "./csi/csi-plugin.ts";
import type { FindVolumePlugin, VolumeHost, VolumePlugin, VolumeStats } from "./plugin.ts";

export interface VolumePluginsOptions extends Omit<VolumeHost, "syncMs" | "event" | "onChange" | "reject"> {
  readonly config: Pick<KubeletConfiguration, "syncFrequency">;
  readonly recorder: EventRecorder;
  workers(): Iterable<Pick<PodWorker, "uid" | "pod" | "sourcesChanged" | "evict">>;
}

export interface VolumePlugins {
  readonly find: FindVolumePlugin;
  /** Of programs that serve volumes, by the type that they register with. */
  readonly registrations: Readonly<Record<string, PluginHandler>>;
  /** When the node is registered: tells the cluster which programs it has. */
  start(): Promise<void>;
  /** For the node's status. */
  volumesInUse(shown: DeepReadonly<NodeStatus>): Promise<readonly string[]>;
  /** What a pod's volume has and uses, when somebody else than the file system must be asked; undefined: nobody knows. */
  stats(podUid: string, volume: string): Promise<VolumeStats | undefined>;
  close(): Promise<void>;
}

export function createVolumePlugins(options: VolumePluginsOptions): VolumePlugins {
  const { recorder, workers } = options;
  const host: VolumeHost = {
    ...options,
    syncMs: options.config.syncFrequency,
    event: (about, type, reason, message) => recorder.event(about, { type, reason, message }),
    onChange(uids) {
      const meant = uids === "all" ? undefined : new Set(uids);
      for (const worker of workers()) if (!meant || meant.has(worker.uid)) worker.sourcesChanged();
    },
    reject(podUid, reason, message) {
      const worker = [...workers()].find(({ uid }) => uid === podUid);
      if (!worker) return;
      host.event(worker.pod(), "Warning", reason, message);
      worker.evict({ phase: "Failed", reason, message: `Pod was rejected: ${message}` });
    },
  };
  const loaded = new Set<VolumePlugin>();
  const once = <T>(load: () => Promise<T>): (() => Promise<T>) => {
    let made: Promise<T> | undefined;
    return () => (made ??= load());
  };
  const plugin = <T extends VolumePlugin>(load: () => Promise<T>) =>
    once(async () => {
      const made = await load();
      loaded.add(made);
      return made;
    });
  let isCsiUsed = false;
  const nodeInfo = once(async () => (await import("./csi/node-info.ts")).createNodeInfo(host));
  const csi = plugin(async () => {
    isCsiUsed = true;
    const [{ createCsiPlugin }, info] = await Promise.all([import("./csi/csi-plugin.ts"), nodeInfo()]);
    return createCsiPlugin(host, info);
  });
  const block = plugin(async () => (await import("./block/local-block.ts")).createLocalBlock(host));
  const plugins: Readonly<Record<string, () => Promise<VolumePlugin>>> = {
    csi,
    nfs: plugin(async () => (await import("./nfs/nfs-plugin.ts")).createNfsPlugin(host)),
    rbd: plugin(async () => (await import("./rbd/plugin.ts")).createRbdPlugin(host)),
    local: block,
    // As its folder is called.
    "local-volume": block,
  };
  const used = async (): Promise<CsiPlugin | undefined> => (isCsiUsed ? csi() : undefined);
  // Volumes from before must be known: they are in use, or to be given back.
  if (existsSync(join(host.folder, "plugins/kubernetes.io/csi")))
    void csi().catch((error: unknown) => host.log.error("volumes of CSI drivers could not be read", { error }));

  return {
    find: (source) => plugins[source]?.(),
    registrations: {
      CSIPlugin: {
        validate: async (plugin) => (await csi()).registration.validate(plugin),
        register: async (plugin) => (await csi()).registration.register(plugin),
        deregister: (plugin) => void csi().then(({ registration }) => registration.deregister(plugin)),
      },
    },
    start: async () =>
      (await nodeInfo())
        .initialize()
        .catch((error: unknown) => host.log.warn("the cluster doesn't know this node's CSI drivers", { error })),
    volumesInUse: async (shown) => (await used())?.volumesInUse(shown) ?? [],
    stats: async (podUid, volume) => (await used())?.stats(podUid, volume),
    async close() {
      for (const each of loaded) await each.close();
    },
  };
}
