/** emptyDir: scratch space on disk, in memory, or in huge pages. */
import { chmod, mkdir, stat } from "node:fs/promises";
import { unitsOf } from "../core/quantity.ts";
import type { ContainerSpec, PodView } from "../core/types.ts";
import { mountFileSystem, mountMemory, mountsUnder } from "./mount-table.ts";
import type { VolumeView } from "./payload.ts";

type EmptyDir = NonNullable<VolumeView["emptyDir"]>;

/** Answers whether it is certainly new: what is in memory is gone after a restart of the machine. `memoryBytes`: for all pods together. */
export async function setUpEmptyDir(
  pod: PodView,
  { medium = "", sizeLimit }: EmptyDir,
  { path, memoryBytes }: { path: string; memoryBytes: number },
): Promise<boolean> {
  await mkdir(path, { recursive: true });
  // What its pod's group adds stays.
  if (((await stat(path)).mode & 0o777) !== 0o777) await chmod(path, 0o777);
  if (medium === "") return false;
  if ((await mountsUnder(path)).includes(path)) return false;
  if (medium === "Memory") {
    // Without a limit a program could fill the machine's memory with files.
    const limits = [unitsOf(sizeLimit), memoryLimit(pod), memoryBytes].filter((bytes) => bytes > 0);
    await mountMemory(path, limits.length > 0 ? [`size=${Math.min(...limits)}`] : []);
  } else if (medium.startsWith("HugePages")) {
    await mountFileSystem("hugetlbfs", path, hugepageOptions(pod, medium));
  } else throw new Error(`unknown storage medium ${JSON.stringify(medium)}`);
  return true;
}

/** The pod's own, or of all containers together; 0 when one has none. */
function memoryLimit({ spec }: PodView): number {
  const of = (resources: ContainerSpec["resources"]) => unitsOf(resources?.limits?.memory);
  const limits = (spec?.containers ?? []).map(({ resources }) => of(resources));
  return (
    of(spec?.resources) || (limits.every((limit) => limit > 0) ? limits.reduce((sum, limit) => sum + limit, 0) : 0)
  );
}

function hugepageOptions({ spec }: PodView, medium: string): string[] {
  const all = [spec, ...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const names = all.flatMap((each) => Object.keys(each?.resources?.requests ?? {}));
  const sizes = new Set(names.flatMap((name) => (name.startsWith("hugepages-") ? name.slice(10) : [])));
  const named = medium === "HugePages" ? undefined : medium.slice("HugePages-".length);
  if (!named && sizes.size > 1)
    throw new Error(`medium: ${medium} can't be used if container requests multiple huge page sizes`);
  const [size] = named ? [named] : sizes;
  if (!size || !sizes.has(size))
    throw new Error(`medium ${medium}: hugePages storage requested, but there is no resource request for huge pages`);
  return [`pagesize=${size.replace(/i$/, "")}`];
}
