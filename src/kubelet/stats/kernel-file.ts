/**
 * Files of /proc, /sys and cgroups: the kernel makes them up as they are read, in 3 to 30 µs, and never waits for a disk. Read in place: going through
 * the thread pool costs ten times as much, and a scrape of a hundred pods reads thousands.
 */
import { readFileSync } from "node:fs";
import type { CgroupHierarchy } from "../node/cgroups.ts";

/** Gone between two looks, being removed, not in this kernel or switched off in it. */
const absent = new Set(["ENOENT", "ENODEV", "ENOTDIR", "ESRCH", "EINVAL", "EOPNOTSUPP", "ENOTSUP"]);

/** Undefined: there is no such file. */
export function readKernelFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (absent.has((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** Of one group: a file of a controller in v1, any file in v2. */
export type GroupFiles = (controller: string, file: string) => string | undefined;

/** `group` is absolute inside the hierarchy. */
export function groupFiles({ version, mounts }: CgroupHierarchy, group: string): GroupFiles {
  const below = group === "/" ? "" : group;
  if (version === 2) {
    const folder = `${mounts.values().next().value ?? "/nowhere"}${below}`;
    return (_, file) => readKernelFile(`${folder}/${file}`);
  }
  return (controller, file) => {
    const mount = mounts.get(controller);
    return mount === undefined ? undefined : readKernelFile(`${mount}${below}/${file}`);
  };
}

/** Lines of a name and a number. */
export function parseStat(text: string): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    if (space > 0) found[line.slice(0, space)] = Number(line.slice(space + 1));
  }
  return found;
}

export interface PressureTimes {
  /** Microseconds since the group was made. */
  readonly total: number;
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
}

/** How long some or all tasks waited. */
export interface Pressure {
  readonly full: PressureTimes;
  readonly some: PressureTimes;
}

/** Undefined: the kernel doesn't tell. */
export function parsePressure(text: string | undefined): Pressure | undefined {
  if (!text) return undefined;
  const times = (kind: string): PressureTimes => {
    const line = text.split("\n").find((each) => each.startsWith(`${kind} `)) ?? "";
    const value = (name: string) => Number(new RegExp(`${name}=([0-9.]+)`).exec(line)?.[1] ?? 0);
    return { total: value("total"), avg10: value("avg10"), avg60: value("avg60"), avg300: value("avg300") };
  };
  return { full: times("full"), some: times("some") };
}
