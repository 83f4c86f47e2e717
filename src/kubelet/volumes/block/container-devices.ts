/** The devices of a container's `volumeDevices`. */
import type { Device } from "../../cri/types.d.ts";
import type { ContainerSpec } from "../../core/types.ts";
import type { MountedVolume } from "../manager.ts";

/** Throws the text of the container's start problem. */
export function containerDevices(
  container: ContainerSpec,
  volumes: ReadonlyMap<string, MountedVolume & { readonly isBlock?: boolean | undefined }>,
): Device[] {
  return (container.volumeDevices ?? []).map(({ name, devicePath }) => {
    if (!devicePath.startsWith("/")) throw new Error(`error DevicePath \`${devicePath}\` must be an absolute path`);
    const volume = volumes.get(name);
    if (!volume?.isBlock)
      throw new Error(
        `cannot find volume ${JSON.stringify(name)} to pass into container ${JSON.stringify(container.name)}`,
      );
    return { containerPath: devicePath, hostPath: volume.path, permissions: volume.readOnly ? "r" : "mrw" };
  });
}
