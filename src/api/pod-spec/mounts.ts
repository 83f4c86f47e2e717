/** Where a container sees the pod's volumes: as directories (mounts) and as block devices. */
import type { Place } from "../place.ts";
import type { Volume, VolumeDevice, VolumeMount } from "../types.d.ts";
import type { AnyContainer } from "./containers-of.ts";
import { hasBackstep, validateDescendingPath } from "./paths.ts";

export function validateMounts(container: AnyContainer, at: Place, volumes: ReadonlyMap<string, Volume>): void {
  const { volumeMounts: mounts = [], volumeDevices: devices = [] } = container;
  if (mounts.length > 0) {
    const paths = new Set<string>();
    mounts.forEach((mount, i) => {
      validateMount(mount, at.child("volumeMounts"), { i, container, devices, paths, known: volumes.has(mount.name) });
    });
  }
  if (devices.length > 0) validateDevices(devices, at.child("volumeDevices"), { mounts, volumes });
}

interface MountCheck {
  readonly i: number;
  readonly container: AnyContainer;
  readonly devices: readonly VolumeDevice[];
  readonly paths: Set<string>;
  readonly known: boolean;
}

/** `list` is the list's place: upstream reports sub-paths and propagation there, without an index. */
function validateMount(mount: VolumeMount, list: Place, { i, container, devices, paths, known }: MountCheck): void {
  const at = list.index(i);
  const { name = "", mountPath = "", subPath, subPathExpr } = mount;
  if (name === "") at.child("name").required();
  if (!known) at.child("name").notFound(name);
  if (mountPath === "") at.child("mountPath").required();
  if (paths.has(mountPath)) at.child("mountPath").invalid(mountPath, "must be unique");
  paths.add(mountPath);
  if (devices.some((device) => device.name === name)) {
    at.child("name").invalid(name, "must not already exist in volumeDevices");
  }
  if (devices.some((device) => device.devicePath === mountPath)) {
    at.child("mountPath").invalid(mountPath, "must not already exist as a path in volumeDevices");
  }
  if (subPath) validateDescendingPath(subPath, list.child("subPath"));
  if (subPathExpr) {
    if (subPath) at.child("subPathExpr").invalid(subPathExpr, "subPathExpr and subPath are mutually exclusive");
    validateDescendingPath(subPathExpr, list.child("subPathExpr"));
  }
  if (mount.mountPropagation !== undefined) {
    validatePropagation(mount.mountPropagation, list.child("mountPropagation"), container);
  }
  if (mount.recursiveReadOnly !== undefined) validateRecursiveReadOnly(mount, list.child("recursiveReadOnly"));
}

const propagations = ["Bidirectional", "HostToContainer", "None"];

function validatePropagation(propagation: string, at: Place, container: AnyContainer): void {
  if (!propagations.includes(propagation)) at.notSupported(propagation, propagations);
  if (propagation === "Bidirectional" && !container.securityContext?.privileged) {
    at.forbidden("Bidirectional mount propagation is available only to privileged containers");
  }
}

function validateRecursiveReadOnly(mount: VolumeMount, at: Place): void {
  const { recursiveReadOnly: mode, mountPropagation = "None" } = mount;
  if (mode === "Enabled" || mode === "IfPossible") {
    if (!mount.readOnly) at.forbidden("may only be specified when readOnly is true");
    if (mountPropagation !== "None") {
      at.forbidden("may only be specified when mountPropagation is None or not specified");
    }
  } else if (mode !== "Disabled") {
    at.notSupported(mode, ["Disabled", "Enabled", "IfPossible"]);
  }
}

interface DeviceCheck {
  readonly mounts: readonly VolumeMount[];
  readonly volumes: ReadonlyMap<string, Volume>;
}

function validateDevices(devices: readonly VolumeDevice[], list: Place, { mounts, volumes }: DeviceCheck): void {
  const names = new Set<string>();
  const paths = new Set<string>();
  devices.forEach(({ name = "", devicePath = "" }, i) => {
    const at = list.index(i);
    const volume = volumes.get(name);
    if (name === "") at.child("name").required();
    if (names.has(name)) at.child("name").invalid(name, "must be unique");
    if (volume && !volume.persistentVolumeClaim && !volume.ephemeral) {
      at.child("name").invalid(
        name,
        "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
      );
    }
    if (!volume) at.child("name").notFound(name);
    if (devicePath === "") at.child("devicePath").required();
    if (paths.has(devicePath)) at.child("devicePath").invalid(devicePath, "must be unique");
    if (hasBackstep(devicePath)) at.child("devicePath").invalid(devicePath, "can not contain backsteps ('..')");
    else paths.add(devicePath);
    if (mounts.some((mount) => mount.name === name)) {
      at.child("name").invalid(name, "must not already exist in volumeMounts");
    }
    if (mounts.some((mount) => mount.mountPath === devicePath)) {
      at.child("devicePath").invalid(devicePath, "must not already exist as a path in volumeMounts");
    }
    if (name !== "") names.add(name);
  });
}
