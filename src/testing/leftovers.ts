/** What `sampan down` must not leave: everything of a cluster that can be found on the machine, by the folder and namespaces it had. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { cgroupRootOf } from "#kubelet";
import type { TestCluster } from "./cluster.ts";

const cgroupMounts = "/sys/fs/cgroup";
/** Where runc keeps what it knows of a container, whichever containerd asked. */
const runcState = "/run/containerd/runc/k8s.io";
/** Of `--nodes N`, whose groups are looked for. */
const innerNodesMax = 8;

/** One line for each thing; empty when `down` did its work. `names`: nodes, when they aren't called after this machine. */
export async function leftovers(
  { run, dataDir }: Pick<TestCluster, "run" | "dataDir">,
  names: readonly string[] = ownNames(),
): Promise<string[]> {
  const [mounts, rules, links, routes] = await Promise.all([
    run("cat", "/proc/mounts"),
    run("nft", "list", "ruleset"),
    run("ip", "-o", "link"),
    run("ip", "route"),
  ]);
  const processes = execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8", maxBuffer: 2 ** 24 });
  const lines = (text: string) => text.split("\n").filter(Boolean);
  const groups = new Set(names.map((name) => cgroupRootOf({ rootDir: path.join(dataDir, "nodes", name) }).slice(1)));
  return [
    ...lines(mounts).filter((line) => line.includes(dataDir)),
    ...lines(rules),
    ...lines(links).filter((line) => !/^\d+: lo:/.test(line)),
    ...lines(routes),
    ...lines(processes).filter((line) => line.includes(dataDir)),
    ...cgroups(groups),
    ...containers(dataDir),
  ];
}

function ownNames(): string[] {
  const first = hostname().toLowerCase();
  return [first, ...Array.from({ length: innerNodesMax }, (_, i) => `${first}-${i + 2}`)];
}

/** Of v1 there is one hierarchy for each controller, v2 has the groups at the top. */
function cgroups(groups: ReadonlySet<string>): string[] {
  const hierarchies = readdirSync(cgroupMounts, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => path.join(cgroupMounts, name));
  return [cgroupMounts, ...hierarchies].flatMap((parent) =>
    read(parent)
      .filter((name) => groups.has(name))
      .map((name) => path.join(parent, name)),
  );
}

function containers(dataDir: string): string[] {
  return read(runcState)
    .map((name) => path.join(runcState, name, "state.json"))
    .filter((file) => {
      try {
        return readFileSync(file, "utf8").includes(dataDir);
      } catch {
        return false; // another cluster's, which is just going
      }
    });
}

function read(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // no such folder on this machine, or another cluster's that is just going
  }
}
