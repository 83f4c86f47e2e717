/** Which pods of this node use which volumes: kept while it works, and read from what is on disk when it starts. */
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { NodeLayout } from "../layout.ts";
import { type CsiPaths, loadVolumeData, uniqueName, type VolumeData } from "./paths.ts";

/** A volume that some pods of this node use, by unique name. */
export interface Use {
  readonly data: VolumeData;
  readonly name: string;
  readonly mode: "Filesystem" | "Block";
  /** Pods; true: it may have been published for them. */
  readonly pods: Map<string, boolean>;
  /** Is attached to this node, and must stay. */
  isAttached: boolean;
  isStaged: boolean;
  /** That the node takes it to have. */
  size?: string | undefined;
}

export function useOf(uses: Map<string, Use>, data: VolumeData, about: Pick<Use, "name" | "mode">): Use {
  const unique = uniqueName(data.driverName, data.volumeHandle);
  const found = uses.get(unique) ?? { data, ...about, pods: new Map(), isAttached: false, isStaged: false };
  uses.set(unique, found);
  return found;
}

/** From before this process, by unique name; those without pods are to be given back. */
export async function readUses(paths: CsiPaths, layout: NodeLayout): Promise<Map<string, Use>> {
  const uses = new Map<string, Use>();
  for (const driver of await list(paths.root))
    for (const volume of await list(join(paths.root, driver))) {
      const data = await loadVolumeData(join(paths.root, driver, volume));
      if (data && driver !== "volumeDevices") useOf(uses, data, { name: "", mode: "Filesystem" });
    }
  for (const name of await list(paths.devices)) {
    const { data: folder, publish } = paths.device(name);
    const data = await loadVolumeData(folder);
    if (!data) continue;
    const found = useOf(uses, data, { name, mode: "Block" });
    for (const uid of await list(publish)) found.pods.set(uid, true);
  }
  for (const uid of await list(layout.pods))
    for (const { data } of await publishedFolders(layout, uid))
      if (data?.volumeLifecycleMode === "Persistent")
        useOf(uses, data, { name: data.specVolID ?? "", mode: "Filesystem" }).pods.set(uid, true);
  return uses;
}

/** Of a pod's volumes that are folders, with what is known of them. */
export async function publishedFolders(layout: NodeLayout, podUid: string) {
  const root = dirname(layout.pod(podUid).volume("csi", "x"));
  const found = (await list(root)).map(async (name) => ({
    folder: join(root, name),
    data: await loadVolumeData(join(root, name)),
  }));
  return Promise.all(found);
}

const list = (path: string): Promise<string[]> =>
  readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw error;
  });
