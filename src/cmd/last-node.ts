/** Which nodes this data folder has had: their folders remain after a crash, whatever else is gone. */
import { readdir } from "node:fs/promises";
import path from "node:path";
import type { Instance } from "./instance.ts";
import type { dataLayout } from "./settings.ts";

export interface KnownNode {
  readonly name: string;
  readonly kubelet?: Instance["kubelet"];
}

/** `instance`: what the pid file says, if it can be read. */
export async function lastNode(
  layout: ReturnType<typeof dataLayout>,
  instance: Instance | undefined,
): Promise<KnownNode[]> {
  let names: string[];
  try {
    names = await readdir(path.join(layout.root, "nodes"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // fs rejects with errno errors
    names = [];
  }
  return names.map((name) => ({
    name,
    ...(instance?.nodeName === name && instance.kubelet ? { kubelet: instance.kubelet } : {}),
  }));
}
