/** Where each processor tells how often it was too hot: not for containers, which could tell from it what others do. */
import { existsSync, readdirSync } from "node:fs";

const folder = "/sys/devices/system/cpu";

export const thermalPaths = (): string[] =>
  (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => /^cpu\d+$/.test(name))
    .map((name) => `${folder}/${name}/thermal_throttle`)
    .filter((path) => existsSync(path));
