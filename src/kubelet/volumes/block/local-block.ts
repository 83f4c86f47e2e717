/** `local` volumes that are block devices, given to containers as they are. */
import { join } from "node:path";
import { MountError, type VolumeHost, type VolumePlugin } from "../plugin.ts";
import { type DeviceMap, isDevice, mapDevice, mappedDevices, unmapDevice } from "./map-device.ts";

const folderName = "kubernetes.io~local-volume";

export function createLocalBlock({ folder, layout }: VolumeHost): VolumePlugin {
  const place = (podUid: string, name: string): DeviceMap => ({
    globalFolder: join(folder, "plugins", folderName, "volumeDevices", name),
    podFolder: layout.pod(podUid).devices("local-volume"),
    name,
    podUid,
  });
  return {
    async setUp({ pod, volume, persistent, readOnly }) {
      const { path = "" } = persistent?.spec?.local ?? {};
      const as = { operation: "MapVolume.MapBlockVolume failed", reason: "FailedMapVolume" } as const;
      // Upstream mounts whatever is there; a folder would then not be seen by the container's runtime as what it is.
      if (!(await isDevice(path))) throw new MountError(`${path} is not a block device`, as);
      const at = place(pod.metadata.uid ?? "", persistent?.metadata.name ?? volume.name);
      const link = await mapDevice(path, at).catch((error: Error) => {
        throw new MountError(error.message, as);
      });
      return { path: link, readOnly, ownsFiles: false, isBlock: true };
    },
    async tearDown(podUid) {
      for (const name of await mappedDevices(layout.pod(podUid).devices("local-volume")))
        await unmapDevice(place(podUid, name));
    },
    close: async () => undefined,
  };
}
