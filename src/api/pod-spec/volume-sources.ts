/** Volume sources that pods and persistent volumes share: directories of the host, network file systems, disks of clouds. */
import { isDns1123Label, isDns1123Subdomain } from "#machinery";
import type { Place } from "../place.ts";
import type {
  AWSElasticBlockStoreVolumeSource,
  AzureDiskVolumeSource,
  FCVolumeSource,
  FlockerVolumeSource,
  GCEPersistentDiskVolumeSource,
  HostPathVolumeSource,
  ISCSIVolumeSource,
  NFSVolumeSource,
  QuobyteVolumeSource,
} from "../types.d.ts";
import { validateNoBacksteps } from "./paths.ts";

/** One error for each of these fields that is empty. */
export function requireFields<T extends object>(source: T, at: Place, fields: readonly (keyof T & string)[]): void {
  for (const field of fields) {
    const value: unknown = source[field];
    if (value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0))
      at.child(field).required();
  }
}

const hostPathTypes = [
  "",
  "BlockDevice",
  "CharDevice",
  "Directory",
  "DirectoryOrCreate",
  "File",
  "FileOrCreate",
  "Socket",
];

export function validateHostPath(source: HostPathVolumeSource, at: Place): void {
  if (!source.path) {
    at.child("path").required();
    return;
  }
  validateNoBacksteps(source.path, at.child("path"));
  const { type } = source;
  if (type !== undefined && !hostPathTypes.includes(type)) at.child("type").notSupported(type, hostPathTypes);
}

export function validateNfs(source: NFSVolumeSource, at: Place): void {
  requireFields(source, at, ["server", "path"]);
  if (!source.path?.startsWith("/")) at.child("path").invalid(source.path ?? "", "must be an absolute path");
}

function validatePartition({ partition = 0 }: { partition?: number }, at: Place): void {
  // Zero is the whole disk; the message is upstream's all the same.
  if (partition < 0 || partition > 255) {
    at.child("partition").invalid(partition, "must be between 1 and 255, inclusive");
  }
}

export function validateGcePersistentDisk(source: GCEPersistentDiskVolumeSource, at: Place): void {
  requireFields(source, at, ["pdName"]);
  validatePartition(source, at);
}

export function validateAwsDisk(source: AWSElasticBlockStoreVolumeSource, at: Place): void {
  requireFields(source, at, ["volumeID"]);
  validatePartition(source, at);
}

export function validateFlocker({ datasetName = "", datasetUUID = "" }: FlockerVolumeSource, at: Place): void {
  if (datasetName === "" && datasetUUID === "") at.required("one of datasetName and datasetUUID is required");
  if (datasetName !== "" && datasetUUID !== "") {
    at.invalid("resource", "datasetName and datasetUUID can not be specified simultaneously");
  }
  if (datasetName.includes("/")) at.child("datasetName").invalid(datasetName, "must not contain '/'");
}

const hostAndPort = /^(\[[^[\]]*\]|[^:[\]]*):[^:[\]]*$/;

export function validateQuobyte({ registry = "", tenant = "", volume }: QuobyteVolumeSource, at: Place): void {
  const wanted = "must be a host:port pair or multiple pairs separated by commas";
  if (registry === "") at.child("registry").required(wanted);
  else if (tenant.length >= 65) {
    at.child("tenant").required("must be a UUID and may not exceed a length of 64 characters");
  } else {
    for (const pair of registry.split(",")) if (!hostAndPort.test(pair)) at.child("registry").invalid(registry, wanted);
  }
  if (!volume) at.child("volume").required();
}

export function validateFibreChannel({ targetWWNs = [], wwids = [], lun }: FCVolumeSource, at: Place): void {
  const place = at.child("targetWWNs");
  if (targetWWNs.length === 0 && wwids.length === 0) {
    place.required("must specify either targetWWNs or wwids, but not both");
  }
  if (targetWWNs.length === 0) return;
  if (wwids.length > 0) place.invalid(targetWWNs, "targetWWNs and wwids can not be specified simultaneously");
  if (lun === undefined) at.child("lun").required("lun is required if targetWWNs is specified");
  else validateLun(lun, at.child("lun"));
}

export function validateLun(lun: number, at: Place): void {
  if (lun < 0 || lun > 255) at.invalid(lun, "must be between 0 and 255, inclusive");
}

const iqn = /iqn\.\d{4}-\d{2}\.([a-zA-Z0-9\-.]+)(:[^,;*&$|\s]+)$/;
const eui = /^eui.[a-zA-Z0-9]{16}$/;
const naa = /^naa.[a-zA-Z0-9]{32}$/;

function validateIscsiName(name: string, at: Place, unknown: string): void {
  const format = name.startsWith("iqn") ? iqn : name.startsWith("eui") ? eui : name.startsWith("naa") ? naa : undefined;
  if (!format) at.invalid(name, unknown);
  else if (!format.test(name)) at.invalid(name, "must be valid format");
}

const iscsiUnknown = "must be valid format starting with iqn, eui, or naa";
export const iscsiNameBytesMax = 64;
export const iscsiTooLong =
  "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";

export function validateIscsi(source: ISCSIVolumeSource, at: Place, unknownFormat = iscsiUnknown): void {
  if (!source.iqn) at.child("iqn").required();
  else validateIscsiName(source.iqn, at.child("iqn"), unknownFormat);
  validateLun(source.lun ?? 0, at.child("lun"));
  if ((source.chapAuthDiscovery || source.chapAuthSession) && !source.secretRef) at.child("secretRef").required();
}

export function validateIscsiInitiator(name: string | undefined, at: Place, unknownFormat = iscsiUnknown): void {
  if (name !== undefined) validateIscsiName(name, at.child("initiatorname"), unknownFormat);
}

export function validateFlexVolume({ driver, options }: { driver?: string; options?: object }, at: Place): void {
  if (!driver) at.child("driver").required();
  for (const key in options) {
    const domain = `.${key.split("/", 1)[0]?.toLowerCase() ?? ""}`;
    if (domain.endsWith(".kubernetes.io") || domain.endsWith(".k8s.io")) {
      at.child("options").key(key).invalid(key, "kubernetes.io and k8s.io namespaces are reserved");
    }
  }
}

const cachingModes = ["None", "ReadOnly", "ReadWrite"];
const diskKinds = ["Dedicated", "Managed", "Shared"];
const managedUris = ["/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"];
const blobUris = ["https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"];

export function validateAzureDisk(source: AzureDiskVolumeSource, at: Place): void {
  requireFields(source, at, ["diskName", "diskURI"]);
  const { cachingMode, kind, diskURI = "" } = source;
  if (cachingMode !== undefined && !cachingModes.includes(cachingMode)) {
    at.child("cachingMode").notSupported(cachingMode, cachingModes);
  }
  if (kind === undefined) return;
  if (!diskKinds.includes(kind)) at.child("kind").notSupported(kind, diskKinds);
  if (kind === "Managed") {
    if (!diskURI.startsWith("/subscriptions/")) at.child("diskURI").notSupported(diskURI, managedUris);
  } else if (!diskURI.startsWith("https://")) at.child("diskURI").notSupported(diskURI, blobUris);
}

export function validateStorageOs(
  { volumeName, volumeNamespace }: { volumeName?: string; volumeNamespace?: string },
  at: Place,
): void {
  if (!volumeName) at.child("volumeName").required();
  else at.child("volumeName").invalidEach(volumeName, isDns1123Label(volumeName));
  if (volumeNamespace) at.child("volumeNamespace").invalidEach(volumeNamespace, isDns1123Label(volumeNamespace));
}

const driverNameBytesMax = 63;

export function validateCsiDriverName(name: string | undefined, at: Place): void {
  if (!name) {
    at.required();
    return;
  }
  if (name.length > driverNameBytesMax) at.tooLong(driverNameBytesMax);
  at.invalidEach(name, isDns1123Subdomain(name.toLowerCase()));
}
