/** Gets the node a container runtime: the one that was named, or a private containerd with a pod network and the sandbox image. */
import { join, resolve } from "node:path";
import type { Logger } from "#base";
import { type Containerd, containerdLayout, startContainerd } from "./containerd.ts";
import { connectCri, type CriClient } from "./cri/client.ts";
import type { StatusResponse } from "./cri/types.d.ts";
import { ensurePauseImage, pauseImage } from "./image/pause.ts";
import { findCniPlugins, foreignCni, writeCniConfig } from "./network/cni.ts";
import { defaults, type KubeletOptions, podLogsOf } from "./options.ts";
import { abilitiesOf, type RuntimeAbilities } from "./runtime/abilities.ts";

/** Folders of one node. */
export function nodeFolders(options: Pick<KubeletOptions, "rootDir" | "config">) {
  const { rootDir } = options;
  return {
    kubelet: join(rootDir, "kubelet"),
    /** Data of persistent volumes: stays when the node goes. */
    localPath: resolve(rootDir, "local-path"),
    logs: podLogsOf(options),
    containerd: join(rootDir, "containerd"),
    cniConf: join(rootDir, "cni", "conf"),
    cniData: join(rootDir, "cni", "data"),
    pinned: join(rootDir, "pinned-images"),
    imported: join(rootDir, "imported-archives"),
    images: join(rootDir, "images"),
  };
}

export interface NodeRuntime {
  readonly cri: CriClient;
  readonly endpoint: string;
  /** `containerd`. */
  readonly name: string;
  readonly version: string;
  /** Where imported images go; undefined when the runtime is somebody else's. */
  readonly store: { readonly endpoint: string; readonly pinnedFile: string } | undefined;
  abilities(): RuntimeAbilities;
  /** A later status of it. */
  seen(status: StatusResponse): void;
  /** It ran before, maybe with containers in it. */
  readonly adopted: boolean;
  /** Makes sure that it still runs. */
  keep(): Promise<void>;
  /** Ends a private runtime; containers must be gone. */
  stop(): Promise<void>;
}

export async function setUpRuntime(options: KubeletOptions, log: Logger): Promise<NodeRuntime> {
  const folders = nodeFolders(options);
  const given = options.config?.containerRuntimeEndpoint;
  let containerd: Containerd | undefined;
  let keeping: Promise<void> | undefined;
  let stopped = false;
  const start = async (): Promise<Containerd> => {
    return startContainerd({
      directory: folders.containerd,
      ...(await cniFolders(options)),
      sandboxImage: pauseImage,
      log,
    });
  };
  if (!given) containerd = await start();
  const endpoint = given || containerdLayout(folders.containerd).socket;
  const timeoutMs = options.config?.runtimeRequestTimeout;
  const cri = await connect(endpoint, options.config?.imageServiceEndpoint, timeoutMs ? { timeoutMs } : {});
  const store = given ? undefined : { endpoint, pinnedFile: folders.pinned };
  if (store) await ensurePauseImage(cri, store, folders.images);
  const [{ runtimeName, runtimeVersion }, status] = await Promise.all([
    cri.runtime.version({}),
    cri.runtime.status({}).catch((error: unknown) => {
      log.warn("the runtime doesn't say what it can", { error });
      return {};
    }),
  ]);
  let abilities = abilitiesOf(status);
  return {
    abilities: () => abilities,
    seen(later) {
      abilities = abilitiesOf(later);
    },
    cri,
    endpoint,
    adopted: containerd?.adopted ?? true,
    name: runtimeName,
    version: runtimeVersion,
    store,
    keep() {
      // Several parts notice at once that it is gone; one start is enough.
      keeping ??= (async () => {
        if (!given && !stopped) containerd = await start();
      })().finally(() => {
        keeping = undefined;
      });
      return keeping;
    },
    async stop() {
      stopped = true;
      cri.close();
      await containerd?.stop();
    },
  };
}

/** Images may have a service of their own. */
async function connect(
  endpoint: string,
  images: string | undefined,
  settings: { readonly timeoutMs?: number },
): Promise<CriClient> {
  const runtime = await connectCri(endpoint, settings);
  if (!images || images === endpoint) return runtime;
  const other = await connectCri(images, settings);
  return {
    ...runtime,
    image: other.image,
    close() {
      runtime.close();
      other.close();
    },
  };
}

/** Of the private containerd: the node's own configuration, or the folders that network plugins install themselves into. */
export async function cniFolders(
  options: Pick<KubeletOptions, "rootDir" | "config" | "cniBinDir" | "managesNetwork">,
): Promise<{ cniConfDir: string; cniBinDir: string }> {
  return options.managesNetwork === false
    ? { cniConfDir: foreignCni.conf, cniBinDir: options.cniBinDir ?? foreignCni.bin }
    : { cniConfDir: nodeFolders(options).cniConf, cniBinDir: await findCniPlugins(options.cniBinDir) };
}

/** Tells the runtime how to connect pods with these addresses. */
export async function setUpPodNetwork(options: KubeletOptions, podCidrs: readonly string[]): Promise<void> {
  const { cniConf, cniData } = nodeFolders(options);
  const { bridge = defaults.bridge, mtu } = (await options.preparePodNetwork?.(podCidrs)) ?? options;
  await writeCniConfig({ confDir: cniConf, dataDir: cniData, podCidrs, bridge, ...(mtu ? { mtu } : {}) });
}
