/** Removes all that a node made on this machine: containers, mounts, cgroups, files (the pod bridge is the caller's). For `down`, also after a crash. */
import { access, readdir, readlink, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Logger } from "#base";
import { containerdLayout, removeContainerdFiles, startContainerd, stopContainerd } from "./containerd.ts";
import { connectCri, type CriClient } from "./cri/client.ts";
import { pauseImage } from "./image/pause.ts";
import { cniFile } from "./network/cni.ts";
import { createCgroups } from "./node/cgroups.ts";
import { killLeftovers } from "./kill-leftovers.ts";
import { cgroupRootOf, type KubeletOptions } from "./options.ts";
import { cniFolders, nodeFolders } from "./runtime-setup.ts";
import { nodeLayout } from "./volumes/layout.ts";
import { mountsUnder, unmount } from "./volumes/mount-table.ts";

export interface RemoveNodeOptions extends Pick<KubeletOptions, "rootDir" | "config" | "cniBinDir"> {
  /** Images (and containerd's content) stay for the next time. */
  readonly keepImages?: boolean;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const stopSeconds = 2;
const answerMs = 60_000;

/** Goes through to the end whatever fails, then rejects with all that did. */
export async function removeNode(options: RemoveNodeOptions, log: Logger): Promise<void> {
  const folders = nodeFolders(options);
  const failures: unknown[] = [];
  const attempt = async (what: string, work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      log.warn(`could not ${what}`, { error });
      failures.push(error);
    }
  };
  const endpoint = options.config?.containerRuntimeEndpoint;
  const own = !endpoint;
  const removeAllPods = async () => {
    // Nothing was ever started here, or all is gone already.
    if (own && !(await exists(containerdLayout(folders.containerd).config))) return;
    if (own)
      await startContainerd({
        directory: folders.containerd,
        ...(await cniFolders({ ...options, managesNetwork: await exists(join(folders.cniConf, cniFile)) })),
        sandboxImage: pauseImage,
        log,
      });
    const cri = await connectCri(endpoint || containerdLayout(folders.containerd).socket, {
      timeoutMs: answerMs,
    });
    try {
      await removePods(cri);
    } finally {
      cri.close();
    }
  };
  if (own) {
    // What it can't do is done without it, below.
    await removeAllPods().catch((error) => log.warn("containerd can't remove the pods", { error }));
    await attempt("stop containerd", () => stopContainerd(folders.containerd));
    const { socket, state } = containerdLayout(folders.containerd);
    await attempt("end containers", () =>
      killLeftovers({ cgroupRoot: cgroupRootOf(options), directory: folders.containerd, socket, state }),
    );
  } else await attempt("remove pods", removeAllPods);
  // What lasts beyond this machine: whoever wants the images next finds them free.
  if (await exists(join(folders.kubelet, "plugins/kubernetes.io/rbd")))
    await attempt("let go of the images of Ceph", async () =>
      (await import("./volumes/rbd/plugin.ts")).releaseRbd(folders.kubelet, log),
    );
  await attempt("unmount volumes", async () => {
    for (const point of await mountsUnder(folders.kubelet)) await unmount(point, { lazy: true });
  });
  await attempt("remove cgroups", async () => (await createCgroups({ root: cgroupRootOf(options), log })).close());
  if (own) {
    await attempt("remove containerd's files", () =>
      removeContainerdFiles(folders.containerd, { keepImages: options.keepImages ?? false }),
    );
  }
  await attempt("remove files", async () => {
    const left = await mountsUnder(folders.kubelet);
    if (left.length > 0) throw new Error(`still mounted: ${left.join(", ")}`);
    await removeLogLinks(folders.logs);
    for (const path of [folders.kubelet, folders.logs, folders.cniConf, folders.cniData, folders.images])
      await rm(path, { recursive: true, force: true });
    if (!options.keepImages) for (const path of [folders.pinned, folders.imported]) await rm(path, { force: true });
    // Only if nothing else is in them.
    const { containerLogs } = nodeLayout({ root: folders.kubelet, logs: folders.logs });
    for (const path of [containerLogs, dirname(folders.logs), dirname(folders.cniConf), options.rootDir])
      await rmdir(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT" && error.code !== "ENOTEMPTY") throw error;
      });
  });
  if (failures.length > 0)
    throw new AggregateError(
      failures,
      failures.map((failure) => (failure instanceof Error ? failure.message : String(failure))).join("; "),
    );
}

/** Links to logs of this node, in a folder that others may use too. */
async function removeLogLinks(logs: string): Promise<void> {
  const { containerLogs } = nodeLayout({ root: "", logs });
  for (const name of await readdir(containerLogs).catch(() => [])) {
    const link = join(containerLogs, name);
    const target = await readlink(link).catch(() => "");
    if (target.startsWith(`${logs}/`)) await rm(link, { force: true });
  }
}

async function removePods({ runtime }: CriClient): Promise<void> {
  const { containers } = await runtime.listContainers({});
  await Promise.all(
    containers
      .filter(({ state }) => state === "CONTAINER_RUNNING")
      .map(({ id }) => runtime.stopContainer({ containerId: id, timeout: stopSeconds })),
  );
  const { items } = await runtime.listPodSandbox({});
  await Promise.all(
    items.map(async ({ id }) => {
      await runtime.stopPodSandbox({ podSandboxId: id });
      await runtime.removePodSandbox({ podSandboxId: id });
    }),
  );
}
