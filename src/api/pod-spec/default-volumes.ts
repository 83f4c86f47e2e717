/** What upstream fills into volumes: modes, pools, file system types. */
import type {
  AzureDiskVolumeSource,
  DownwardAPIVolumeFile,
  ISCSIVolumeSource,
  PersistentVolumeClaimSpec,
  ProjectedVolumeSource,
  RBDVolumeSource,
  ScaleIOVolumeSource,
  Volume,
} from "../types.d.ts";
import { roundResources } from "./default-resources.ts";
import { defaultPullPolicy } from "./image.ts";

const fileMode = 0o644;
const tokenSeconds = 3600;

export function defaultVolume(volume: Volume): void {
  let hasSource = false;
  for (const field in volume) {
    if (field === "name" || volume[field as keyof Volume] === undefined) continue;
    hasSource = true;
    setters[field]?.(volume);
  }
  if (!hasSource) volume.emptyDir = {};
}

/** By source; those without defaults are not here. */
const setters: Readonly<Record<string, (volume: Volume) => void>> = {
  hostPath: ({ hostPath }) => {
    if (hostPath) hostPath.type ??= "";
  },
  secret: ({ secret }) => {
    if (secret) secret.defaultMode ??= fileMode;
  },
  configMap: ({ configMap }) => {
    if (configMap) configMap.defaultMode ??= fileMode;
  },
  downwardAPI: ({ downwardAPI }) => {
    if (!downwardAPI) return;
    downwardAPI.defaultMode ??= fileMode;
    defaultFiles(downwardAPI.items);
  },
  projected: ({ projected }) => {
    if (projected) defaultProjected(projected);
  },
  iscsi: ({ iscsi }) => {
    if (iscsi) defaultIscsi(iscsi);
  },
  rbd: ({ rbd }) => {
    if (rbd) defaultRbd(rbd);
  },
  azureDisk: ({ azureDisk }) => {
    if (azureDisk) defaultAzureDisk(azureDisk);
  },
  scaleIO: ({ scaleIO }) => {
    if (scaleIO) defaultScaleIo(scaleIO);
  },
  ephemeral: ({ ephemeral }) => {
    if (!ephemeral?.volumeClaimTemplate) return;
    ephemeral.volumeClaimTemplate.spec ??= {};
    defaultClaimSpec(ephemeral.volumeClaimTemplate.spec);
  },
  image: ({ image }) => {
    if (image) image.pullPolicy ||= defaultPullPolicy(image.reference);
  },
};

function defaultFiles(files: readonly DownwardAPIVolumeFile[] | undefined): void {
  for (const { fieldRef } of files ?? []) if (fieldRef) fieldRef.apiVersion ||= "v1";
}

function defaultProjected(projected: ProjectedVolumeSource): void {
  projected.defaultMode ??= fileMode;
  for (const { downwardAPI, serviceAccountToken } of projected.sources ?? []) {
    defaultFiles(downwardAPI?.items);
    if (serviceAccountToken) serviceAccountToken.expirationSeconds ??= tokenSeconds;
  }
}

export function defaultIscsi(iscsi: Pick<ISCSIVolumeSource, "iscsiInterface">): void {
  iscsi.iscsiInterface ||= "default";
}

export function defaultRbd(rbd: Pick<RBDVolumeSource, "pool" | "user" | "keyring">): void {
  rbd.pool ||= "rbd";
  rbd.user ||= "admin";
  rbd.keyring ||= "/etc/ceph/keyring";
}

export function defaultAzureDisk(disk: AzureDiskVolumeSource): void {
  disk.cachingMode ??= "ReadWrite";
  disk.kind ??= "Shared";
  disk.fsType ??= "ext4";
  disk.readOnly ??= false;
}

export function defaultScaleIo(source: Pick<ScaleIOVolumeSource, "storageMode" | "fsType">): void {
  source.storageMode ||= "ThinProvisioned";
  source.fsType ||= "xfs";
}

export function defaultClaimSpec(spec: PersistentVolumeClaimSpec): void {
  spec.volumeMode ??= "Filesystem";
  roundResources(spec.resources?.limits);
  roundResources(spec.resources?.requests);
}
