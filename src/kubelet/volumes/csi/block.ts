/** The calls that give a volume to a pod as a block device. */
import { existsSync } from "node:fs";
import { mkdir, realpath, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type DeviceMap, mapDevice, unmapDevice } from "../block/map-device.ts";
import { MountError, type PluginVolume } from "../plugin.ts";
import { type DriverCall, isFinal, volumeCapability } from "./driver-call.ts";
import { removeEmpty, saveVolumeData, type VolumeData } from "./paths.ts";
import { podInfo, volumeData } from "./publish.ts";
import { type Attachment, type CsiTools, type CsiVolume, type DriverKind, prefixed, said } from "./tools.ts";

export const deviceMap = ({ host, paths }: CsiTools, name: string, podUid: string): DeviceMap => ({
  globalFolder: paths.device(name).map,
  podFolder: host.layout.pod(podUid).devices("csi"),
  name,
  podUid,
});

const mapError = (operation: string) => (error: unknown) => {
  throw new MountError(error instanceof Error ? error.message : String(error), {
    operation,
    reason: "FailedMapVolume",
  });
};

/** `MapVolume.SetUpDevice`. */
export async function stageDevice(tools: CsiTools, volume: CsiVolume, attachment: Attachment): Promise<void> {
  const { csi, accessModes } = volume.request.persistent?.spec ?? {};
  const { data, staging } = tools.paths.device(volume.name);
  await saveVolumeData(data, volumeData(tools, volume));
  const work = async (driver: DriverCall) => {
    const isStaged = await driver
      .supports("STAGE_UNSTAGE_VOLUME")
      .catch(prefixed(said("blockMapper.stageVolumeForBlock failed to check STAGE_UNSTAGE_VOLUME capability: ")));
    if (!isStaged) return;
    const secrets = await tools.secret(csi?.nodeStageSecretRef, (which) =>
      said(`failed to get NodeStageSecretRef ${which}: `),
    );
    await mkdir(staging, { recursive: true, mode: 0o750 });
    const message = {
      volumeId: volume.handle,
      publishContext: attachment?.status?.attachmentMetadata ?? {},
      stagingTargetPath: staging,
      volumeCapability: await volumeCapability(driver, { mode: "Block", accessModes }),
      secrets,
      volumeContext: csi?.volumeAttributes ?? {},
    };
    await driver.call("NodeStageVolume", message).catch(async (error: unknown) => {
      if (isFinal(error)) await removeDeviceFiles(tools, volume.name);
      throw error;
    });
  };
  await tools.drivers
    .with(volume.driver, said("blockMapper.SetUpDevice failed to get CSI client: "), work)
    .catch(mapError("MapVolume.SetUpDevice failed"));
}

/** `MapVolume.MapPodDevice`, and the links to it. */
export async function publishDevice(
  tools: CsiTools,
  volume: CsiVolume,
  { kind, attachment }: { kind: DriverKind; attachment: Attachment },
): Promise<PluginVolume> {
  const { pod, persistent, readOnly } = volume.request;
  const { csi, accessModes } = persistent?.spec ?? {};
  const { staging, publish, map } = tools.paths.device(volume.name);
  const path = join(publish, volume.podUid);
  const work = async (driver: DriverCall) => {
    const secrets = await tools.secret(csi?.nodePublishSecretRef, (which) =>
      said(`blockMapper.publishVolumeForBlock failed to get NodePublishSecretRef ${which}: `),
    );
    await mkdir(publish, { recursive: true, mode: 0o750 });
    await driver.call("NodePublishVolume", {
      volumeId: volume.handle,
      publishContext: attachment?.status?.attachmentMetadata ?? {},
      stagingTargetPath: staging,
      targetPath: path,
      volumeCapability: await volumeCapability(driver, { mode: "Block", accessModes }),
      readonly: readOnly,
      secrets,
      volumeContext: { ...csi?.volumeAttributes, ...(kind?.podInfoOnMount ? podInfo(pod, false) : {}) },
    });
  };
  await tools.drivers
    .with(volume.driver, said("blockMapper.MapPodDevice failed to get CSI client: "), work)
    .catch(mapError("MapVolume.MapPodDevice failed"));
  const device = await realpath(path).catch(mapError("MapVolume.EvalHostSymlinks failed"));
  const at = deviceMap(tools, volume.name, volume.podUid);
  const link = await mapDevice(device, at).catch(mapError("MapVolume.MapBlockVolume failed"));
  for (const where of [`globalMapPath ${JSON.stringify(map)}`, `volumeMapPath ${JSON.stringify(at.podFolder)}`]) {
    const text = `MapVolume.MapPodDevice succeeded for volume ${JSON.stringify(volume.name)} ${where}`;
    tools.host.event(pod, "Normal", "SuccessfulMountVolume", text);
  }
  return { path: link, readOnly, ownsFiles: false, isBlock: true };
}

export async function unpublishDevice(
  tools: CsiTools,
  { driverName, volumeHandle }: VolumeData,
  { name, podUid }: { name: string; podUid: string },
): Promise<void> {
  await unmapDevice(deviceMap(tools, name, podUid));
  const targetPath = join(tools.paths.device(name).publish, podUid);
  await tools.drivers.with(driverName, said("blockMapper.UnmapPodDevice failed to get CSI client: "), (driver) =>
    driver
      .call("NodeUnpublishVolume", { volumeId: volumeHandle, targetPath })
      .catch(prefixed(said("blockMapper.unpublishVolumeForBlock failed: "))),
  );
}

export async function unstageDevice(
  tools: CsiTools,
  { driverName, volumeHandle }: VolumeData,
  name: string,
): Promise<void> {
  const { staging } = tools.paths.device(name);
  if (existsSync(staging)) {
    const client = said("blockMapper.TearDownDevice failed to get CSI client: ");
    await tools.drivers.with(driverName, client, async (driver) => {
      if (!(await driver.supports("STAGE_UNSTAGE_VOLUME"))) return;
      await driver
        .call("NodeUnstageVolume", { volumeId: volumeHandle, stagingTargetPath: staging })
        .catch(prefixed(said("blockMapper.unstageVolumeForBlock failed: ")));
    });
  }
  await removeDeviceFiles(tools, name);
}

/** When no pod uses it; nothing is mounted in these folders then, and what is would be somebody's data. */
async function removeDeviceFiles({ paths }: CsiTools, name: string): Promise<void> {
  const { root, data, map, staging, publish } = paths.device(name);
  await removeEmpty(publish);
  await removeEmpty(staging);
  await rm(join(data, "vol_data.json"), { force: true });
  for (const path of [data, map, root, dirname(staging), dirname(publish)])
    await removeEmpty(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY") throw error;
    });
}
