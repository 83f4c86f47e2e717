/** The `up` that works with a data folder, found again by its pid file: for a second `up`, `down` and `status`. */
import { readFileSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import type { KubeletConfiguration } from "#kubelet";
import { CommandError } from "./command.ts";
import { processWithFile } from "./machine.ts";
import type { dataLayout } from "./settings.ts";

const places = ["containerRuntimeEndpoint", "podLogsDir", "cgroupRoot"] as const;

/** What `down` must know. */
export const placesOf = (configuration: KubeletConfiguration) =>
  Object.fromEntries(places.filter((field) => configuration[field]).map((field) => [field, configuration[field]]));

export interface Instance {
  readonly pid: number;
  /** Of the process, from /proc: a pid alone may be somebody else's by now. */
  readonly startTime: string;
  readonly port: number;
  readonly nodeName: string;
  readonly bridge: string;
  /** Of an agent: the network namespace it works in; nodes of one folder may each have their own. */
  readonly namespace?: string;
  /** What the node was told about places outside of the data folder. */
  readonly kubelet?: Partial<Pick<KubeletConfiguration, (typeof places)[number]>>;
}

export async function writeInstance(file: string, instance: Omit<Instance, "pid" | "startTime">): Promise<void> {
  const text = JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) ?? "", ...instance });
  await writeFile(`${file}.new`, `${text}\n`);
  await rename(`${file}.new`, file);
}

/** What the last `up` wrote, running or not. Throws DamagedPidFile. */
export async function readInstance(file: string): Promise<Instance | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // fs throws errno errors
    throw error;
  }
  const found = parseInstance(text);
  if (!found)
    throw new DamagedPidFile(
      `${file} is damaged (${JSON.stringify(text.slice(0, shownBytesMax))}): \`sampan down\` with this --data-dir ends what runs there and removes the file`,
    );
  return found;
}

/** Of a damaged file, in a message. */
const shownBytesMax = 40;

export class DamagedPidFile extends CommandError {
  override name = "DamagedPidFile";
}

function parseInstance(text: string): Instance | undefined {
  try {
    const found = JSON.parse(text) as Partial<Instance> | null; // checked below
    const whole =
      Number.isInteger(found?.pid) && typeof found?.startTime === "string" && typeof found.bridge === "string";
    return whole ? (found as Instance) : undefined;
  } catch {
    return undefined; // no JSON: damaged, as the caller says
  }
}

/** The process that works with this folder, whatever became of its pid file: it holds the store's lock. */
export function storeHolder({
  database,
}: ReturnType<typeof dataLayout>): Pick<Instance, "pid" | "startTime"> | undefined {
  const pid = processWithFile(`${database}-lock`);
  const startTime = pid && startTimeOf(pid);
  return pid && startTime ? { pid, startTime } : undefined;
}

export const removeInstance = (file: string): Promise<void> => rm(file, { force: true });

export const isRunning = (instance: Pick<Instance, "pid" | "startTime">): boolean => {
  const startTime = startTimeOf(instance.pid);
  return startTime !== undefined && startTime === instance.startTime;
};

/** Field 22 of /proc/PID/stat; undefined when there is no such process, or it only waits to be buried. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined; // no such process
  }
}
