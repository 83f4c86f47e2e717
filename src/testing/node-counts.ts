/** How much of everything a node has on the machine: two counts of an empty node must be the same, whatever ran in between. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { cgroupRootOf } from "#kubelet";
import type { TestCluster } from "./cluster.ts";

export type NodeCounts = Readonly<Record<string, number>>;

export async function nodeCounts(cluster: TestCluster, nodeName: string): Promise<NodeCounts> {
  const { run, dataDir } = cluster;
  const node = path.join(dataDir, "nodes", nodeName);
  const socket = path.join(node, "containerd/containerd.sock");
  const lines = (text: string) => text.split("\n").filter(Boolean);
  const ctr = async (...args: string[]) => lines(await run("ctr", "-a", socket, "-n", "k8s.io", ...args)).length;
  const [mounts, links, rules, namespaces, loops, containers, tasks, snapshots] = await Promise.all([
    run("cat", "/proc/self/mountinfo"),
    run("ip", "-o", "link"),
    run("nft", "list", "ruleset"),
    run("ip", "-o", "netns", "list-id"),
    run("losetup", "-a"),
    ctr("containers", "ls", "-q"),
    ctr("tasks", "ls", "-q"),
    ctr("snapshots", "ls"),
  ]);
  const processes = execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8", maxBuffer: 2 ** 24 });
  const group = cgroupRootOf({ rootDir: node });
  return {
    "processes naming its folder": lines(processes).filter((line) => line.includes(dataDir)).length,
    "processes in its cgroups": processesOf(group),
    cgroups: cgroupsOf(group),
    mounts: lines(mounts).length,
    "network interfaces": lines(links).length,
    "network namespaces": lines(namespaces).length,
    "lines of nftables rules": lines(rules).length,
    "loop devices of its folder": lines(loops).filter((line) => line.includes(dataDir)).length,
    containers: containers,
    tasks: tasks,
    snapshots: snapshots,
    "folders of pods": entries(path.join(node, "kubelet/pods")) + entries(path.join(node, "kubelet/memory")),
    "folders of logs": entries(path.join(node, "logs/pods")) + entries(path.join(node, "logs/containers")),
    "leases of addresses": leases(path.join(node, "cni/data")),
    "open files of the process": entries(`/proc/${cluster.process.pid}/fd`),
  };
}

function walk(folder: string, visit: (folder: string) => void): void {
  let children: string[];
  try {
    children = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return; // no such group in this hierarchy
  }
  visit(folder);
  for (const name of children) walk(path.join(folder, name), visit);
}

const hierarchies = () => [
  "/sys/fs/cgroup",
  ...readdirSync("/sys/fs/cgroup", { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `/sys/fs/cgroup/${name}`),
];

function cgroupsOf(group: string): number {
  let count = 0;
  for (const at of hierarchies()) walk(path.join(at, group), () => count++);
  return count;
}

function processesOf(group: string): number {
  const pids = new Set<string>();
  for (const at of hierarchies())
    walk(path.join(at, group), (folder) => {
      for (const pid of readFileSync(path.join(folder, "cgroup.procs"), "utf8").split("\n")) if (pid) pids.add(pid);
    });
  return pids.size;
}

function entries(folder: string): number {
  try {
    return readdirSync(folder).length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
}

/** host-local keeps a file for each address, beside the one it gave last and its lock. */
function leases(folder: string): number {
  let count = 0;
  walk(folder, (at) => {
    count += readdirSync(at).filter((name) => /^[\d.:]+$/.test(name)).length;
  });
  return count;
}
