/** The calls that give a volume to a pod as a folder, and take it back: staged once for the node, published for each pod. */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { PodView } from "../../core/types.ts";
import { MountError, type PluginVolume } from "../plugin.ts";
import { type DriverCall, isFinal, type StringMap, volumeCapability } from "./driver-call.ts";
import { loadVolumeData, removeMountPoint, saveVolumeData, type VolumeData } from "./paths.ts";
import { type Attachment, type CsiTools, type CsiVolume, type DriverKind, prefixed, said } from "./tools.ts";

const tokenSecondsDefault = 3600;

/** `MountDevice`: rejects with a MountError. */
export async function stage(tools: CsiTools, volume: CsiVolume, attachment: Attachment): Promise<void> {
  const { driver: name, handle, request } = volume;
  const { csi, accessModes, mountOptions } = request.persistent?.spec ?? {};
  const path = tools.paths.globalMount(name, handle);
  const client = said("attacher.MountDevice failed to create newCsiDriverClient: ");
  const work = async (driver: DriverCall) => {
    if (!(await driver.supports("STAGE_UNSTAGE_VOLUME"))) return;
    const secrets = await tools.secret(
      csi?.nodeStageSecretRef,
      (which) => `fetching NodeStageSecretRef ${which} failed: `,
    );
    const takesGroup = await driver.supports("VOLUME_MOUNT_GROUP");
    await mkdir(path, { recursive: true, mode: 0o750 });
    // Before it is staged: what may be staged has to be unstaged.
    await saveVolumeData(dirname(path), { driverName: name, volumeHandle: handle });
    const message = {
      volumeId: handle,
      publishContext: attachment?.status?.attachmentMetadata ?? {},
      stagingTargetPath: path,
      volumeCapability: await volumeCapability(driver, {
        mode: "Filesystem",
        accessModes,
        fsType: csi?.fsType,
        mountFlags: mountOptions,
        fsGroup: takesGroup ? request.fsGroup : undefined,
      }),
      secrets,
      volumeContext: csi?.volumeAttributes ?? {},
    };
    await driver.call("NodeStageVolume", message).catch(async (error: unknown) => {
      if (isFinal(error)) await removeMountPoint(path);
      throw error;
    });
  };
  await tools.drivers.with(name, client, work).catch((error: Error) => {
    throw new MountError(error.message, { operation: "MountVolume.MountDevice failed" });
  });
}

/** Undefined: this driver's volumes can be used so. */
export function whyNotInMode(driver: string, kind: DriverKind, isEphemeral: boolean): string | undefined {
  const mode = isEphemeral ? "Ephemeral" : "Persistent";
  if (!kind && !isEphemeral) return undefined;
  const what = `volume mode "${mode}" not supported by driver ${driver}`;
  if (!kind) return `${what} (no CSIDriver object)`;
  const modes = kind.volumeLifecycleModes ?? [];
  if (modes.includes(mode)) return undefined;
  return `${what} (only supports [${modes.map((each) => JSON.stringify(each)).join(" ")}])`;
}

/** Whether the node gives the files to the pod's group. */
export function groupApplies(kind: DriverKind, { request, isEphemeral }: CsiVolume): boolean {
  const policy = kind?.fsGroupPolicy || "ReadWriteOnceWithFSType";
  if (request.fsGroup === undefined || policy === "None" || request.readOnly) return false;
  if (policy === "File") return true;
  const { csi, accessModes = [] } = request.persistent?.spec ?? {};
  if (!(isEphemeral ? request.volume.csi?.fsType : csi?.fsType)) return false;
  return isEphemeral || accessModes.some((mode) => mode === "ReadWriteOnce" || mode === "ReadWriteOncePod");
}

export interface PublishOptions {
  readonly kind: DriverKind;
  readonly attachment: Attachment;
  /** The pod has it already: what fails leaves it as it is. */
  readonly again: boolean;
}

/** `SetUp`: the pod's folder. */
export async function publish(tools: CsiTools, volume: CsiVolume, options: PublishOptions): Promise<PluginVolume> {
  const { driver: name, handle, request, isEphemeral } = volume;
  const { kind, attachment, again } = options;
  const { pod, persistent, readOnly } = request;
  const { csi: source, accessModes, mountOptions } = persistent?.spec ?? {};
  const inline = request.volume.csi;
  const path = join(request.path, "mount");
  return tools.drivers.with(name, said("mounter.SetUpAt failed to get CSI client: "), async (driver) => {
    const complaint = whyNotInMode(name, kind, isEphemeral);
    if (complaint) throw new Error(said(`mounter.SetupAt failed to check volume lifecycle mode: ${complaint}`));
    const isStaged =
      !isEphemeral &&
      (await driver
        .supports("STAGE_UNSTAGE_VOLUME")
        .catch(prefixed(said("mounter.SetUpAt failed to check for STAGE_UNSTAGE_VOLUME capability: "))));
    const reference = inline?.nodePublishSecretRef
      ? { ...inline.nodePublishSecretRef, namespace: pod.metadata.namespace ?? "" }
      : source?.nodePublishSecretRef;
    const secrets = await tools.secret(reference, (which) => `fetching NodePublishSecretRef ${which} failed: `);
    const tokens = await podTokens(tools, pod, kind).catch(
      prefixed(said("mounter.SetUpAt failed to get service accoount token attributes: ")),
    );
    const takesGroup = await driver
      .supports("VOLUME_MOUNT_GROUP")
      .catch(
        prefixed(said("mounter.SetUpAt failed to determine if the node service has VOLUME_MOUNT_GROUP capability: ")),
      );
    await saveVolumeData(request.path, volumeData(tools, volume));
    const message = {
      volumeId: handle,
      publishContext: attachment?.status?.attachmentMetadata ?? {},
      stagingTargetPath: isStaged ? tools.paths.globalMount(name, handle) : "",
      targetPath: path,
      volumeCapability: await volumeCapability(driver, {
        mode: "Filesystem",
        accessModes,
        fsType: isEphemeral ? inline?.fsType : source?.fsType,
        mountFlags: mountOptions,
        fsGroup: takesGroup ? request.fsGroup : undefined,
      }),
      readonly: readOnly,
      secrets: kind?.serviceAccountTokenInSecrets ? { ...secrets, ...tokens } : secrets,
      volumeContext: {
        ...(source ?? inline)?.volumeAttributes,
        ...(kind?.podInfoOnMount ? podInfo(pod, isEphemeral) : {}),
        ...(kind?.serviceAccountTokenInSecrets ? {} : tokens),
      },
    };
    await driver.call("NodePublishVolume", message).catch(async (error: unknown) => {
      if (isFinal(error) && !again) await removeMountPoint(path);
      throw error;
    });
    return { path, readOnly, ownsFiles: !takesGroup && groupApplies(kind, volume) };
  });
}

export const volumeData = (tools: CsiTools, volume: CsiVolume): VolumeData => ({
  specVolID: volume.name,
  volumeHandle: volume.handle,
  driverName: volume.driver,
  nodeName: tools.host.nodeName,
  volumeLifecycleMode: volume.isEphemeral ? "Ephemeral" : "Persistent",
  attachmentID: volume.attachmentId,
});

export const podInfo = ({ metadata, spec }: PodView, isEphemeral: boolean): StringMap => ({
  "csi.storage.k8s.io/pod.name": metadata.name ?? "",
  "csi.storage.k8s.io/pod.namespace": metadata.namespace ?? "",
  "csi.storage.k8s.io/pod.uid": metadata.uid ?? "",
  "csi.storage.k8s.io/serviceAccount.name": spec?.serviceAccountName ?? "",
  "csi.storage.k8s.io/ephemeral": String(isEphemeral),
});

async function podTokens({ host }: CsiTools, pod: PodView, kind: DriverKind): Promise<StringMap> {
  const asked = kind?.tokenRequests ?? [];
  if (asked.length === 0) return {};
  const tokens = await Promise.all(
    asked.map(async ({ audience = "", expirationSeconds = tokenSecondsDefault }) => {
      const status = await host.tokens.status(pod, { audience, expirationSeconds });
      return [audience, status] as const;
    }),
  );
  const sorted = tokens.sort(([a], [b]) => (a < b ? -1 : 1));
  return { "csi.storage.k8s.io/serviceAccount.tokens": JSON.stringify(Object.fromEntries(sorted)) };
}

/** Of the pod's folder for the volume. */
export async function unpublish(
  tools: CsiTools,
  { driverName, volumeHandle }: VolumeData,
  folder: string,
): Promise<void> {
  const path = join(folder, "mount");
  await tools.drivers.with(driverName, said("Unmounter.TearDownAt failed to get CSI client: "), (driver) =>
    driver
      .call("NodeUnpublishVolume", { volumeId: volumeHandle, targetPath: path })
      .catch(prefixed(said("Unmounter.TearDownAt failed: "))),
  );
  await removeMountPoint(path).catch(prefixed(said(`Unmounter.TearDownAt failed to clean mount dir [${path}]: `)));
}

/** `UnmountDevice`. */
export async function unstage(tools: CsiTools, { driverName, volumeHandle }: VolumeData): Promise<void> {
  const path = tools.paths.globalMount(driverName, volumeHandle);
  // Never staged, or the driver has said that it isn't.
  if (!(await loadVolumeData(dirname(path)))) return;
  const client = said("attacher.UnmountDevice failed to create newCsiDriverClient: ");
  await tools.drivers.with(driverName, client, async (driver) => {
    const isStaged = await driver
      .supports("STAGE_UNSTAGE_VOLUME")
      .catch(prefixed(said("attacher.UnmountDevice failed to check whether STAGE_UNSTAGE_VOLUME set: ")));
    if (isStaged)
      await driver
        .call("NodeUnstageVolume", { volumeId: volumeHandle, stagingTargetPath: path })
        .catch(prefixed(said("attacher.UnmountDevice failed: ")));
  });
  await removeMountPoint(path).catch(prefixed(said(`failed to clean up global mount ${dirname(path)}: `)));
}
