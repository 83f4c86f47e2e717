/** One node of a data folder comes down: its agent, its pods, and the namespaces it had for itself. */
import { execFile } from "node:child_process";
import { readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Logger } from "#base";
import { removeNode } from "#kubelet";
import { DamagedPidFile, type Instance, isRunning, readInstance } from "./instance.ts";
import type { KnownNode } from "./last-node.ts";
import { enter, type InnerMachine, readMachine, removeMachine } from "./machine-namespaces.ts";
import { folderHolder, ownNamespace, recordFile, removeRecord } from "./node-record.ts";
import type { dataLayout } from "./settings.ts";

export interface DownOptions {
  readonly layout: ReturnType<typeof dataLayout>;
  readonly purge: boolean;
  readonly logLevel: string;
  readonly log: Logger;
}

export async function downNode(node: KnownNode, { layout, purge, logLevel, log }: DownOptions): Promise<void> {
  const folder = layout.node(node.name);
  const record = recordFile(layout, node.name);
  const agent = await lastInstance(record);
  const running = agent && isRunning(agent) ? agent : folderHolder(layout, node.name);
  if (running) await end(running);
  const machine = await readMachine(folder);
  if (machine && isRunning(machine) && !isInside(machine)) {
    // Containers' mounts and networks are seen from there only.
    const own = ["down", "--config", "/dev/null", "--data-dir", layout.root, "--node", node.name];
    const flags = [...own, "--log-level", logLevel, ...(purge ? ["--purge"] : [])];
    const program = [process.execPath, ...process.execArgv, process.argv[1] ?? ""];
    const inside = [...enter(machine), `--wd=${process.cwd()}`, ...program, ...flags];
    try {
      await promisify(execFile)("nsenter", inside);
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string }; // execFile rejects with these
      throw new Error(stderr?.trim() || message);
    } finally {
      await removeMachine(folder);
    }
    return;
  }
  const config = node.kubelet ?? agent?.kubelet;
  await removeNode({ rootDir: folder, keepImages: !purge, ...(config && { config }) }, log);
  if (machine && !isInside(machine)) await removeMachine(folder);
  await removeRecord(layout, node.name);
}

function isInside({ pid }: InnerMachine): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) === ownNamespace();
  } catch {
    return false; // it has ended
  }
}

/** A damaged pid file keeps nobody from ending: the process is found by the store's lock. */
export async function lastInstance(pidFile: string): Promise<Instance | undefined> {
  try {
    return await readInstance(pidFile);
  } catch (error) {
    if (error instanceof DamagedPidFile) return undefined;
    throw error;
  }
}

const stopMsMax = 20_000;
const lookMs = 50;

/** Asks, waits, and in the end insists. */
export async function end(instance: Pick<Instance, "pid" | "startTime">): Promise<void> {
  signal(instance.pid, "SIGTERM");
  for (let waited = 0; isRunning(instance) && waited < stopMsMax; waited += lookMs) await sleep(lookMs);
  if (isRunning(instance)) signal(instance.pid, "SIGKILL");
  while (isRunning(instance)) await sleep(lookMs);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // kill throws errno errors; it has just ended
  }
}
