/** Which nodes this data folder has had: their folders remain after a crash, whatever else is gone. */
import { existsSync } from "node:fs";
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

/** What makes a node one with namespaces of its own. */
export const machineFile = (folder: string): string => path.join(folder, "machine.json");

/** Those with namespaces of their own that aren't wanted any more. */
export async function otherNodes(
  layout: ReturnType<typeof dataLayout>,
  wanted: readonly string[],
): Promise<KnownNode[]> {
  const nodes = await lastNode(layout, undefined);
  return nodes.filter(({ name }) => !wanted.includes(name) && existsSync(machineFile(layout.node(name))));
}
