/**
 * A machine inside of this machine, for `up --nodes N`: a network namespace and a mount namespace of its own. They live as long as a
 * process in them; one that does nothing keeps them, so that pods go on while no agent runs, and a later `up` or `down` finds them by the
 * file that names it. Entered with nsenter: `ip netns exec` would mount /sys anew and hide the cgroups.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { CommandError } from "./command.ts";
import { isRunning, startTimeOf } from "./instance.ts";
import { connectToLan, disconnectFromLan } from "./lan.ts";
import { machineFile } from "./last-node.ts";

export interface InnerMachine {
  /** Of the process that keeps the namespaces. */
  readonly pid: number;
  readonly startTime: string;
  /** Place on the machine's own network. */
  readonly index: number;
}

/** As it was left last, running or not. */
export async function readMachine(folder: string): Promise<InnerMachine | undefined> {
  const text = await readFile(machineFile(folder), "utf8").catch(() => "null"); // no such node, or not one of these
  try {
    const found = JSON.parse(text) as Partial<InnerMachine> | null; // checked here
    return Number.isInteger(found?.pid) && found?.startTime && Number.isInteger(found.index)
      ? (found as InnerMachine)
      : undefined;
  } catch {
    return undefined; // damaged: whoever needs one makes one
  }
}

/** What `nsenter` takes. */
export const enter = ({ pid }: InnerMachine): string[] => [`--net=/proc/${pid}/ns/net`, `--mount=/proc/${pid}/ns/mnt`];

/**
 * Mounts made outside later are seen inside, mounts made inside are seen by the pods that ask for them only. The last line stops the shell
 * for good: it costs nothing, and its arguments say what it is for.
 */
const keeperScript = `mount --make-rshared / && ip link set lo up && echo up && while :; do kill -STOP $$; done`;

export interface MachineOptions {
  /** The node's. */
  readonly folder: string;
  readonly index: number;
  readonly cidr: string;
  /** As connectToLan has it. */
  readonly firstAddress?: string | undefined;
}

/** The one that is there, or a new one. */
export async function keepMachine({ folder, index, cidr, firstAddress }: MachineOptions): Promise<InnerMachine> {
  const known = await readMachine(folder);
  const machine = known && isRunning(known) && known.index === index ? known : await makeMachine(folder, index);
  await connectToLan({ index, cidr, pid: machine.pid, firstAddress });
  return machine;
}

async function makeMachine(folder: string, index: number): Promise<InnerMachine> {
  await disconnectFromLan(index);
  const child = spawn(
    "unshare",
    ["--net", "--mount", "--propagation", "slave", "sh", "-c", keeperScript, "sampan-machine", folder],
    { detached: true, stdio: ["ignore", "pipe", "pipe"] },
  );
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const up = once(child.stdout, "data").then(() => true);
  const isUp = await Promise.race([up, once(child, "exit").then(() => false)]);
  const startTime = child.pid === undefined ? undefined : startTimeOf(child.pid);
  if (!isUp || child.pid === undefined || startTime === undefined)
    throw new CommandError(`no namespaces for ${path.basename(folder)}: ${complaint.trim() || "unshare failed"}`);
  child.stdout.destroy();
  child.stderr.destroy();
  child.unref();
  const machine = { pid: child.pid, startTime, index };
  await mkdir(folder, { recursive: true, mode: 0o711 });
  await writeFile(`${machineFile(folder)}.new`, JSON.stringify(machine));
  await rename(`${machineFile(folder)}.new`, machineFile(folder));
  return machine;
}

/** With all that is mounted and connected inside; processes there are somebody else's to end. */
export async function removeMachine(folder: string): Promise<void> {
  const machine = await readMachine(folder);
  if (machine && isRunning(machine)) process.kill(machine.pid, "SIGKILL");
  if (machine) await disconnectFromLan(machine.index);
  await rm(machineFile(folder), { force: true });
}
