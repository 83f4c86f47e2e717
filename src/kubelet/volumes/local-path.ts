/**
 * The folders of this node that are volumes: made when a pod mounts one first, removed when the cluster asks for it by an annotation of the
 * node, which goes when the folder is gone. Only what is directly in the node's own folder for volumes is ever removed.
 */
import { execFile } from "node:child_process";
import { chmod, lstat, mkdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { localPathRemoveAnnotation, type Node } from "#api";
import type { Logger } from "#base";
import type { Client, Informer } from "#client";
import { type DeepReadonly, isStatusError } from "#machinery";
import { mountsUnder } from "./mount-table.ts";

const run = promisify(execFile);

/** Every user of a pod may write there. */
export async function makeLocalFolder(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  try {
    await mkdir(path);
  } catch (error) {
    // It keeps the mode that its users gave it.
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    throw error;
  }
  await chmod(path, 0o777);
}

export async function removeLocalFolder(folder: string, name: string): Promise<void> {
  if (name === "" || name === "." || name === ".." || name.includes("/"))
    throw new Error(`${JSON.stringify(name)} is no folder of ${folder}`);
  const path = join(folder, name);
  const about = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!about) return;
  if (!about.isDirectory()) return unlink(path);
  // What is mounted in it is somebody else's.
  const mounts = await mountsUnder(path);
  if (mounts.length > 0) throw new Error(`still mounted: ${mounts.join(", ")}`);
  // `rm` holds on to the folders that it is in: nothing that is renamed or linked meanwhile leads it elsewhere, as it might lead node's.
  await run("rm", ["-rf", "--one-file-system", "--", path]);
}

/** Does what the node's annotations ask for; answers how to stop. */
export function followRemovals(
  nodes: Informer<Node>,
  { client, folder, log }: { client: Client; folder: string; log: Logger },
): () => void {
  const underWay = new Set<string>();
  async function remove(nodeName: string, key: string, name: string): Promise<void> {
    try {
      await removeLocalFolder(folder, name);
      await client
        .resource("v1/nodes")
        .patch(nodeName, { metadata: { annotations: { [key]: null } } }, { type: "merge" })
        .catch((error: unknown) => {
          if (!isStatusError(error, "NotFound")) throw error;
        });
    } catch (error) {
      // The next look at the node tries again.
      log.warn("a volume's folder could not be removed", { folder: name, error });
    } finally {
      underWay.delete(key);
    }
  }
  const look = ({ metadata }: DeepReadonly<Node>) => {
    for (const [key, name] of Object.entries(metadata.annotations ?? {})) {
      if (!key.startsWith(localPathRemoveAnnotation) || underWay.has(key)) continue;
      underWay.add(key);
      void remove(metadata.name ?? "", key, name);
    }
  };
  return nodes.addHandler({ added: look, updated: look });
}
