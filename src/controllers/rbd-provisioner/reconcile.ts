/**
 * Volumes that are images of a Ceph cluster, for claims of a class whose provisioner is `kubernetes.io/rbd`. Parameters, names and messages
 * are those of upstream's plugin (until 1.30). An image is called after its claim instead of by chance: who died between making it and
 * writing it down finds it again. Pure.
 */
import type { PersistentVolume, StorageClass } from "#api";
import { accessProblem, type CephAccess, type RbdImage } from "#base";
import { formatTime, quantityValue } from "#machinery";
import { isDeleting, type Seen, uidOf } from "../lib/objects.ts";
import {
  betaStorageProvisioner,
  binderFinalizer,
  boundByController,
  type Claim,
  classOf,
  provisionedBy,
  requestOf,
  selectedNode,
  storageProvisioner,
  type Volume,
} from "../lib/volumes.ts";
import { rbdPlugin } from "../persistent-volume-binder/reconcile.ts";

const createdBy = "kubernetes.io/createdby";
const mebibyte = 2 ** 20;

type Class = Seen<StorageClass>;

const isOurs = ({ metadata, spec }: Volume): boolean =>
  spec?.rbd !== undefined && [undefined, rbdPlugin].includes(metadata.annotations?.[provisionedBy]);

export const provisionerOf = ({ metadata }: Claim): string | undefined =>
  metadata.annotations?.[storageProvisioner] ?? metadata.annotations?.[betaStorageProvisioner];

/** Whether a claim waits for an image. */
export function isWanted(claim: Claim, storageClass: Class | undefined): boolean {
  if (provisionerOf(claim) !== rbdPlugin) return false;
  if (claim.spec?.volumeName || isDeleting(claim) || storageClass?.provisioner !== rbdPlugin) return false;
  return (
    storageClass.volumeBindingMode !== "WaitForFirstConsumer" ||
    claim.metadata.annotations?.[selectedNode] !== undefined
  );
}

export interface SecretName {
  readonly namespace: string;
  readonly name: string;
}

export interface ClassSettings {
  readonly monitors: readonly string[];
  readonly pool: string;
  readonly adminId: string;
  readonly adminSecret: SecretName;
  readonly userId: string;
  readonly userSecret: { readonly name: string; readonly namespace?: string } | undefined;
  readonly keyring: string;
  readonly fsType: string;
  readonly imageFormat: string;
  readonly imageFeatures: readonly string[];
}

const parameterNames: ReadonlySet<string> = new Set(
  "monitors adminid adminsecretname adminsecretnamespace userid pool usersecretname usersecretnamespace keyring imageformat imagefeatures fstype".split(
    " ",
  ),
);
const featuresServed = ["layering"];

/** Of a class, by names in any case. Throws the text after "Failed to provision volume with StorageClass … : ". */
export function classSettings(parameters: Readonly<Record<string, string>> = {}): ClassSettings {
  const given = new Map<string, string>();
  for (const [name, value] of Object.entries(parameters)) {
    const known = name.toLowerCase();
    if (!parameterNames.has(known))
      throw new Error(`invalid option ${JSON.stringify(name)} for volume plugin ${rbdPlugin}`);
    given.set(known, value);
  }
  const of = (name: string, otherwise = "") => given.get(name) || otherwise;
  const imageFeatures = given.has("imagefeatures") ? of("imagefeatures").split(",") : [];
  for (const feature of imageFeatures)
    if (!featuresServed.includes(feature))
      throw new Error(
        `invalid feature ${JSON.stringify(feature)} for volume plugin ${rbdPlugin}, supported features are: map[layering:{}]`,
      );
  const imageFormat = given.get("imageformat") ?? "2";
  if (imageFormat !== "1" && imageFormat !== "2")
    throw new Error(`invalid ceph imageformat ${imageFormat}, expecting 1 or 2`);
  if (!of("adminsecretname")) throw new Error("missing Ceph admin secret name");
  const monitors = given.has("monitors") ? of("monitors").split(",") : [];
  const adminId = of("adminid", "admin");
  const settings = {
    monitors,
    pool: of("pool", "rbd"),
    adminId,
    adminSecret: { name: of("adminsecretname"), namespace: given.get("adminsecretnamespace") ?? "default" },
    userId: of("userid", adminId),
    userSecret: of("usersecretname")
      ? {
          name: of("usersecretname"),
          ...(of("usersecretnamespace") && { namespace: of("usersecretnamespace") }),
        }
      : undefined,
    keyring: of("keyring"),
    fsType: of("fstype"),
    imageFormat,
    imageFeatures,
  };
  if (monitors.length === 0) throw new Error("missing Ceph monitors");
  if (!settings.userSecret && !settings.keyring) throw new Error("must specify either keyring or user secret name");
  return settings;
}

/** Of a claim that asks for what an image can't be. */
export function claimProblem({ spec }: Claim): string | undefined {
  const served = ["ReadWriteOnce", "ReadOnlyMany"];
  const { accessModes = [], selector, dataSource } = spec ?? {};
  if (dataSource)
    return `plugin ${JSON.stringify(rbdPlugin)} is not a CSI plugin. Only CSI plugin can provision a claim with a datasource`;
  if (accessModes.some((mode) => !served.includes(mode)))
    return `invalid AccessModes [${accessModes.join(" ")}]: only AccessModes [${served.join(" ")}] are supported`;
  return selector ? "claim Selector is not supported" : undefined;
}

export const mebibytesOf = (size: string): number => Math.ceil(quantityValue(size) / mebibyte);
export const imageOf = (claim: Claim, { pool }: ClassSettings): RbdImage => ({
  pool,
  image: `kubernetes-dynamic-pvc-${uidOf(claim)}`,
});
export const volumeNameOf = (claim: Claim): string => `pvc-${uidOf(claim)}`;

/** As who images are made and removed. Throws what is wrong with it. */
export function adminAccess(
  { monitors, adminId: user }: Pick<ClassSettings, "monitors" | "adminId">,
  { key, image }: { key: string | undefined; image: RbdImage },
): CephAccess {
  const access = { monitors, user, key };
  const problem = accessProblem(access, image);
  if (problem) throw new Error(problem);
  return access;
}

export function volumeFor(claim: Claim, storageClass: Class, settings: ClassSettings): PersistentVolume {
  const { namespace, name, uid, resourceVersion } = claim.metadata;
  const { volumeMode, accessModes } = claim.spec ?? {};
  const { userSecret, keyring, fsType, monitors, userId } = settings;
  const { pool, image } = imageOf(claim, settings);
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: {
      name: volumeNameOf(claim),
      annotations: { [createdBy]: "rbd-dynamic-provisioner", [boundByController]: "yes", [provisionedBy]: rbdPlugin },
    },
    spec: {
      rbd: {
        monitors: [...monitors],
        pool,
        image,
        user: userId,
        ...(userSecret ? { secretRef: { ...userSecret } } : { keyring }),
        ...(fsType && volumeMode !== "Block" && { fsType }),
      },
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? "Delete",
      accessModes: accessModes?.length ? [...accessModes] : ["ReadWriteOnce", "ReadOnlyMany"],
      capacity: { storage: `${mebibytesOf(requestOf(claim))}Mi` },
      claimRef: { kind: "PersistentVolumeClaim", apiVersion: "v1", namespace, name, uid, resourceVersion },
      storageClassName: classOf(claim),
      ...(volumeMode && { volumeMode }),
      ...(storageClass.mountOptions?.length && { mountOptions: [...storageClass.mountOptions] }),
    },
  };
}

/** Whose image is to be removed. */
export const isLeft = (volume: Volume): boolean =>
  isOurs(volume) &&
  // Who is held by our finalizer still has its image, or did until a moment ago.
  (!isDeleting(volume) || volume.metadata.finalizers?.includes(binderFinalizer) === true) &&
  volume.spec?.persistentVolumeReclaimPolicy === "Delete" &&
  (volume.status?.phase === "Released" || volume.status?.phase === "Failed");

type Condition = NonNullable<NonNullable<Claim["status"]>["conditions"]>[number];

/** A claim's conditions with this one instead of all others about resizing. */
export function resizing({ status }: Claim, type: "Resizing" | "FileSystemResizePending", now: number): Condition[] {
  const others = (status?.conditions ?? []).filter((each) => !resizeConditions.has(each.type));
  const fresh = { type, status: "True", lastTransitionTime: formatTime(now) };
  const message = "Waiting for user to (re-)start a pod to finish file system resize of volume on node.";
  return [...others, type === "Resizing" ? fresh : { ...fresh, message }];
}
export const resizeConditions: ReadonlySet<string> = new Set(["Resizing", "FileSystemResizePending"]);
