/** The agent that works with a node's folder, found again by a file in it: for a second agent, and for `down`. */
import { openSync, readlinkSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { CommandError } from "./command.ts";
import { type Instance, isRunning, readInstance, startTimeOf } from "./instance.ts";
import { lastNode } from "./last-node.ts";
import { processWithFile } from "./machine.ts";
import type { dataLayout } from "./settings.ts";

export interface NodeRecord extends Instance {
  /** Of the network namespace it works in: nodes of one folder may each have their own. */
  readonly namespace?: string;
}

export const recordFile = (layout: ReturnType<typeof dataLayout>, name: string): string =>
  path.join(layout.node(name), "agent.pid");

const lockFile = (layout: ReturnType<typeof dataLayout>, name: string) => path.join(layout.node(name), "agent.lock");

/** Kept open by the agent as long as it lives, so that it is found whatever becomes of its record. */
export const holdFolder = (layout: ReturnType<typeof dataLayout>, name: string): number =>
  openSync(lockFile(layout, name), "w", 0o600);

export function folderHolder(
  layout: ReturnType<typeof dataLayout>,
  name: string,
): Pick<Instance, "pid" | "startTime"> | undefined {
  const pid = processWithFile(lockFile(layout, name));
  const startTime = pid && startTimeOf(pid);
  return pid && startTime ? { pid, startTime } : undefined;
}

export const ownNamespace = (): string => readlinkSync("/proc/self/ns/net");

/** One agent in a network namespace: bridge, ports and rules are one node's. */
export async function refuseSecondAgent(layout: ReturnType<typeof dataLayout>, nodeName: string): Promise<void> {
  const namespace = ownNamespace();
  for (const { name } of await lastNode(layout, undefined)) {
    const record: NodeRecord | undefined = await readInstance(recordFile(layout, name));
    if (record && isRunning(record) && (name === nodeName || record.namespace === namespace))
      throw new CommandError(
        `an agent (pid ${record.pid}, node ${name}) runs with this data folder already; \`sampan down\` ends it, --data-dir PATH is for another`,
      );
  }
}

export async function removeRecord(layout: ReturnType<typeof dataLayout>, name: string): Promise<void> {
  for (const file of [recordFile(layout, name), lockFile(layout, name)]) await rm(file, { force: true });
}
