/** emptyDir: scratch space on disk, in memory, or in huge pages. */
import { chmod, mkdir, stat } from "node:fs/promises";
import { containerResources, hugepageLimits } from "../core/resources.ts";
import { unitsOf } from "../core/quantity.ts";
import type { PodView } from "../core/types.ts";
import { mountFileSystem, mountsUnder } from "./mount-table.ts";
import type { VolumeView } from "./payload.ts";

type EmptyDir = NonNullable<VolumeView["emptyDir"]>;

/** Answers whether it is certainly new: what is in memory is gone after a restart of the machine. */
export async function setUpEmptyDir(
  pod: PodView,
  { medium = "", sizeLimit }: EmptyDir,
  { path, memoryBytes }: { path: string; memoryBytes: number },
): Promise<boolean> {
  await mkdir(path, { recursive: true });
  if (medium === "" || medium === "Default") {
    // What its pod's group adds stays.
    if (((await stat(path)).mode & 0o777) !== 0o777) await chmod(path, 0o777);
    return false;
  }
  if ((await mountsUnder(path)).includes(path)) return false;
  if (medium === "Memory") {
    // Without a limit a program could fill the machine's memory with files.
    const limits = [unitsOf(sizeLimit), memoryLimit(pod), memoryBytes].filter((bytes) => bytes > 0);
    await mountFileSystem("tmpfs", path, limits.length > 0 ? [`size=${Math.min(...limits)}`] : []);
  } else if (medium.startsWith("HugePages")) {
    await mountFileSystem("hugetlbfs", path, hugepageOptions(pod, medium));
  } else throw new Error(`unknown storage medium ${JSON.stringify(medium)}`);
  await chmod(path, 0o1777);
  return true;
}

/** Of all containers together; 0 when one has none. */
function memoryLimit(pod: PodView): number {
  const limits = (pod.spec?.containers ?? []).map((container) => containerResources(container).memoryLimitBytes);
  return limits.every((limit) => limit > 0) ? limits.reduce((sum, limit) => sum + limit, 0) : 0;
}

function hugepageOptions(pod: PodView, medium: string): string[] {
  const sizes = new Set(
    [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].flatMap((container) =>
      hugepageLimits(container).map(({ pageSize }) => pageSize),
    ),
  );
  const named = /^HugePages-(\d+)([KMG])i$/.exec(medium);
  const wanted = named ? `${named[1]}${named[2]}B` : undefined;
  if (!wanted && sizes.size > 1)
    throw new Error(`medium: ${medium} can't be used if container requests multiple huge page sizes`);
  const [size] = wanted ? [wanted] : sizes;
  if (!size || !sizes.has(size))
    throw new Error(`medium ${medium}: hugePages storage requested, but there is no resource request for huge pages`);
  return [`pagesize=${size.slice(0, -1)}`];
}
