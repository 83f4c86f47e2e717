/** The agent that works with a node's folder, found again by a file in it: for a second agent, and for `down`. */
import { readlinkSync } from "node:fs";
import path from "node:path";
import { CommandError } from "./command.ts";
import { type Instance, isRunning, readInstance } from "./instance.ts";
import { lastNode } from "./last-node.ts";
import type { dataLayout } from "./settings.ts";

export interface NodeRecord extends Instance {
  /** Of the network namespace it works in: nodes of one folder may each have their own. */
  readonly namespace?: string;
}

export const recordFile = (layout: ReturnType<typeof dataLayout>, name: string): string =>
  path.join(layout.node(name), "agent.pid");

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
