/** The `up` that works with a data folder, found again by its pid file: for a second `up`, `down` and `status`. */
import { readFileSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";

export interface Instance {
  readonly pid: number;
  /** Of the process, from /proc: a pid alone may be somebody else's by now. */
  readonly startTime: string;
  readonly port: number;
  readonly nodeName: string;
  readonly bridge: string;
  /** CRI socket given from outside; then the runtime isn't ours. */
  readonly runtimeEndpoint?: string;
}

export async function writeInstance(file: string, instance: Omit<Instance, "pid" | "startTime">): Promise<void> {
  const text = JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) ?? "", ...instance });
  await writeFile(`${file}.new`, `${text}\n`);
  await rename(`${file}.new`, file);
}

/** What the last `up` wrote, running or not. */
export async function readInstance(file: string): Promise<Instance | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Instance; // written whole by writeInstance
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // fs throws errno errors
    throw new Error(`${file} is damaged: ${(error as Error).message}; remove it if no sampan runs with this folder`);
  }
}

export const removeInstance = (file: string): Promise<void> => rm(file, { force: true });

export const isRunning = (instance: Instance): boolean => {
  const startTime = startTimeOf(instance.pid);
  return startTime !== undefined && startTime === instance.startTime;
};

/** Field 22 of /proc/PID/stat; undefined when there is no such process, or it only waits to be buried. */
function startTimeOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined; // no such process
  }
}
