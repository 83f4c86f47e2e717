/** Whether a mount is read-only with all that is mounted below it: only if the runtime can. */
import type { ContainerSpec } from "./types.ts";

export type VolumeMountView = NonNullable<ContainerSpec["volumeMounts"]>[number];

/** `problem`: it was asked for and can't be. */
export function recursiveReadOnly(mount: VolumeMountView, can: boolean): { is: boolean; problem?: string } {
  const { recursiveReadOnly: mode = "Disabled", mountPropagation: propagation = "None" } = mount;
  if (mode === "Disabled") return { is: false };
  const why =
    (!mount.readOnly && "it is not read-only") ||
    (propagation !== "None" && `it is not compatible with propagation ${JSON.stringify(propagation)}`) ||
    (mode === "Enabled" && !can && "it is not supported by the runtime");
  if (!why) return { is: can };
  return {
    is: false,
    problem: `volume ${JSON.stringify(mount.name)} requested recursive read-only mode, but ${why}`,
  };
}
