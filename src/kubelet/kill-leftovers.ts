/**
 * Ends what a node's runtime doesn't know of, or can't end: for `down`, after the private containerd was asked and stopped. A shim whose
 * containerd was killed while it started belongs to no sandbox in its list; a containerd may be damaged, or its disk full. All of it can
 * be found without a runtime: shims name the socket, their children are the containers, the rest is in the node's cgroups.
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { findHierarchy } from "./node/cgroups.ts";

/** Where containerd's shim has runc keep its notes, whatever the state folder of containerd. */
const runcRoot = "/run/containerd/runc/k8s.io";
/** Where shims listen. */
const shimSockets = "/run/containerd/s/";
/** Killed processes need a moment to go; those in uninterruptible sleep may take longer than anyone waits. */
const endMsMax = 5_000;
const lookMs = 20;

export interface LeftoverOptions {
  readonly cgroupRoot: string;
  /** The containerd's own. */
  readonly directory: string;
  readonly socket: string;
  readonly state: string;
}

/** Rejects when a process doesn't end. */
export async function killLeftovers({ cgroupRoot, directory, socket, state }: LeftoverOptions): Promise<void> {
  const groups = ((await findHierarchy())?.all ?? []).map((mount) => join(mount, cgroupRoot));
  const look = async () => [
    ...new Set([...(await shimsAndChildren(socket)), ...(await Promise.all(groups.map(members))).flat()]),
  ];
  const end = Date.now() + endMsMax;
  for (let pids = await look(); pids.length > 0; pids = await look()) {
    if (Date.now() > end) throw new Error(`processes ${pids.join(", ")} do not end although killed`);
    for (const pid of pids) kill(pid);
    await setTimeout(lookMs);
  }
  await removeNotes(directory, state);
}

/** What shims and runc keep outside of the containerd's folders. */
async function removeNotes(directory: string, state: string): Promise<void> {
  const bundles = join(state, "io.containerd.runtime.v2.task", "k8s.io");
  for (const name of await entries(bundles)) {
    const address = await readFile(join(bundles, name, "address"), "utf8").catch(gone);
    const path = address?.replace(/^unix:\/\//, "") ?? "";
    if (path.startsWith(shimSockets)) await rm(path, { force: true });
  }
  for (const name of await entries(runcRoot)) {
    const note = await readFile(join(runcRoot, name, "state.json"), "utf8").catch(gone);
    if (note?.includes(`${directory}/`)) await rm(join(runcRoot, name), { recursive: true, force: true });
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // kill throws errno errors
  }
}

/** Shims have their containerd's socket as an argument; their children are runc and the first processes of containers. */
async function shimsAndChildren(socket: string): Promise<number[]> {
  const shims = new Set<number>();
  const parents = new Map<number, number>();
  for (const name of await entries("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const args = (await readFile(`/proc/${name}/cmdline`, "utf8").catch(gone))?.split("\0") ?? [];
    if (args[0]?.includes("containerd-shim") && args.includes(socket)) shims.add(pid);
    const [state, parent] =
      (await readFile(`/proc/${name}/stat`, "utf8").catch(gone))?.split(") ").at(-1)?.split(" ") ?? [];
    if (state !== "Z") parents.set(pid, Number(parent)); // a zombie waits for its parent only
  }
  return [...shims, ...[...parents].filter(([, parent]) => shims.has(parent)).map(([pid]) => pid)];
}

/** Processes of a cgroup and of those below. */
async function members(group: string): Promise<number[]> {
  const own = ((await readFile(join(group, "cgroup.procs"), "utf8").catch(gone)) ?? "").split("\n").filter(Boolean);
  const below = (await readdir(group, { withFileTypes: true }).catch(gone)) ?? [];
  const deeper = below.filter((entry) => entry.isDirectory()).map(({ name }) => members(join(group, name)));
  return [...own.map(Number), ...(await Promise.all(deeper)).flat()];
}

const entries = async (path: string): Promise<string[]> => (await readdir(path).catch(gone)) ?? [];

/** It ended while it was looked at. */
function gone(error: NodeJS.ErrnoException): undefined {
  if (!["ENOENT", "ENOTDIR", "ESRCH", "ENODEV"].includes(error.code ?? "")) throw error;
}
