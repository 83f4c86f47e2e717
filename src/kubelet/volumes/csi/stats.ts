/** What a volume has and uses, as its driver tells it. */
import { join } from "node:path";
import type { PluginVolume, VolumeStats } from "../plugin.ts";
import type { CsiDrivers } from "./drivers.ts";
import type { CsiVolume } from "./tools.ts";

interface Usage {
  readonly unit?: string;
  readonly available?: number;
  readonly total?: number;
  readonly used?: number;
}

/** Undefined: the driver doesn't tell. */
export function readStats(
  drivers: CsiDrivers,
  { driver: name, handle, podUid }: CsiVolume,
  { path, isBlock }: PluginVolume,
  deviceFolder: string,
): Promise<VolumeStats | undefined> {
  return drivers.with(name, "", async (driver) => {
    if (!(await driver.supports("GET_VOLUME_STATS"))) return undefined;
    const { usage = [] } = await driver.call<{ usage?: readonly Usage[] }>("NodeGetVolumeStats", {
      volumeId: handle,
      volumePath: isBlock ? join(deviceFolder, podUid) : path,
    });
    if (usage.length === 0) throw new Error("failed to get usage from response. usage is nil");
    const of = (unit: string): Usage => usage.findLast((each) => each.unit === unit) ?? {};
    const bytes = of("BYTES");
    const inodes = of("INODES");
    return {
      availableBytes: bytes.available ?? 0,
      capacityBytes: bytes.total ?? 0,
      usedBytes: bytes.used ?? 0,
      inodesFree: inodes.available ?? 0,
      inodes: inodes.total ?? 0,
      inodesUsed: inodes.used ?? 0,
    };
  });
}
