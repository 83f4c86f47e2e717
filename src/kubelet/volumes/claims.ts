/** What a pod's claims stand for, and persistent volumes that are folders of this machine: hostPath and local. */
import { realpath } from "node:fs/promises";
import { dirname } from "node:path";
import { localPathProvisionerName, type PersistentVolume, type PersistentVolumeClaim } from "#api";
import type { Client } from "#client";
import type { DeepReadonly } from "#machinery";
import { allContainers, type PodView } from "../core/types.ts";
import { checkHostPath } from "./host-path.ts";
import { makeLocalFolder } from "./local-path.ts";
import type { VolumeView } from "./payload.ts";

export interface ClaimedVolume {
  readonly persistent: DeepReadonly<PersistentVolume>;
  readonly claim: DeepReadonly<PersistentVolumeClaim>;
  readonly mode: "Filesystem" | "Block";
}

/** There is no volume to set up (yet): what the pod asks for isn't as it should be. */
export class ClaimError extends Error {
  override name = "ClaimError";
}

/** Rejects with the text of the FailedMount event. */
export async function claimedVolume(pod: PodView, volume: VolumeView, client: Client): Promise<ClaimedVolume> {
  const { persistent, claim } = await boundVolume(pod, volume, client);
  const mode = persistent.spec?.volumeMode === "Block" ? "Block" : "Filesystem";
  for (const [field, served] of [
    ["volumeMounts", "Filesystem"],
    ["volumeDevices", "Block"],
  ] as const)
    if (mode !== served && allContainers(pod).some((each) => each[field]?.some(({ name }) => name === volume.name)))
      throw new ClaimError(`volume ${volume.name} has volumeMode ${mode}, but is specified in ${field}`);
  return { persistent, claim, mode };
}

async function boundVolume(pod: PodView, volume: VolumeView, client: Client) {
  const namespace = pod.metadata.namespace ?? "";
  const name = volume.persistentVolumeClaim?.claimName ?? `${pod.metadata.name}-${volume.name}`;
  const fail = (why: string) => new ClaimError(`error processing PVC ${namespace}/${name}: ${why}`);
  const read = <T>(what: string, work: Promise<T>) =>
    work.catch((error: unknown) => {
      throw fail(`failed to fetch ${what} from API server: ${error instanceof Error ? error.message : error}`);
    });
  const claim = await read("PVC", client.resource("v1/persistentvolumeclaims", namespace).get(name));
  const { metadata, spec, status } = claim;
  // One that is protected stays as long as this pod does.
  if (metadata.deletionTimestamp && !metadata.finalizers?.includes("kubernetes.io/pvc-protection"))
    throw fail("PVC is being deleted");
  if (status?.phase !== "Bound") throw fail("PVC is not bound");
  if (!spec?.volumeName) throw fail("PVC has empty pvc.Spec.VolumeName");
  if (
    volume.ephemeral &&
    !metadata.ownerReferences?.some((owner) => owner.controller && owner.uid === pod.metadata.uid)
  )
    throw new ClaimError(
      `PVC ${namespace}/${name} was not created for pod ${namespace}/${pod.metadata.name} (pod is not owner)`,
    );
  const { volumeName } = spec;
  const found = await read(`PV ${volumeName}`, client.resource("v1/persistentvolumes").get(volumeName));
  const reference = found.spec?.claimRef;
  if (!reference)
    throw fail(
      `found PV object ${volumeName} but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim`,
    );
  if (reference.uid !== metadata.uid)
    throw fail(
      `found PV object ${volumeName} but its pv.Spec.ClaimRef.UID ${reference.uid ?? ""} does not point to claim.UID ${metadata.uid}`,
    );
  return { persistent: found, claim };
}

/** Undefined: not a folder of this machine. `ownsFiles`: fixed paths never change their group. */
export async function folderOf(
  { spec, metadata }: DeepReadonly<PersistentVolume>,
  localFolder: string,
): Promise<{ path: string; ownsFiles: boolean } | undefined> {
  if (spec?.hostPath) {
    await checkHostPath(spec.hostPath.path, spec.hostPath.type);
    return { path: spec.hostPath.path, ownsFiles: false };
  }
  if (spec?.local) {
    const { path } = spec.local;
    const isOurs = metadata.annotations?.["pv.kubernetes.io/provisioned-by"] === localPathProvisionerName;
    if (isOurs && dirname(path) === localFolder) await makeLocalFolder(path);
    await checkHostPath(path, "Directory").catch(() => {
      throw new Error(`path ${JSON.stringify(path)} does not exist`);
    });
    // What a link leads to is what its users see, and what belongs to their group.
    return { path: await realpath(path), ownsFiles: true };
  }
  return undefined;
}
