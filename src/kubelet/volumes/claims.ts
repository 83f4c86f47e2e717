/** Persistent volumes that are folders of this machine: hostPath and local. Others need a CSI driver. */
import type { PersistentVolume } from "#api";
import type { Client } from "#client";
import { type DeepReadonly, isStatusError } from "#machinery";
import type { PodView } from "../core/types.ts";
import { checkHostPath } from "./host-path.ts";
import type { VolumeView } from "./payload.ts";

export interface ClaimedVolume {
  readonly path: string;
  readonly readOnly: boolean;
  /** Fixed paths of the machine never change their group. */
  readonly ownsFiles: boolean;
}

/** Rejects with the text of the FailedMount event. */
export async function claimedVolume(client: Client, pod: PodView, volume: VolumeView): Promise<ClaimedVolume> {
  const namespace = pod.metadata.namespace ?? "";
  const name = volume.persistentVolumeClaim?.claimName ?? `${pod.metadata.name}-${volume.name}`;
  const claim = await client
    .resource("v1/persistentvolumeclaims", namespace)
    .get(name)
    .catch((error: unknown) => {
      if (isStatusError(error, "NotFound")) throw new Error(`persistentvolumeclaim ${JSON.stringify(name)} not found`);
      throw error;
    });
  if (claim.metadata.deletionTimestamp) throw new Error("PVC is being deleted");
  const volumeName = claim.spec?.volumeName;
  if (!volumeName || claim.status?.phase !== "Bound") throw new Error("PVC is not bound");
  const persistent = await client.resource("v1/persistentvolumes").get(volumeName);
  if (persistent.spec?.claimRef?.uid !== claim.metadata.uid)
    throw new Error(`volume ${volumeName} is bound to another claim than ${namespace}/${name}`);
  const readOnly = volume.persistentVolumeClaim?.readOnly ?? false;
  return { ...(await pathOf(persistent)), readOnly };
}

async function pathOf({
  spec,
  metadata,
}: DeepReadonly<PersistentVolume>): Promise<{ path: string; ownsFiles: boolean }> {
  if (spec?.hostPath) {
    await checkHostPath(spec.hostPath.path, spec.hostPath.type);
    return { path: spec.hostPath.path, ownsFiles: false };
  }
  if (spec?.local) {
    await checkHostPath(spec.local.path, "Directory").catch(() => {
      throw new Error(`path ${JSON.stringify(spec.local?.path)} does not exist`);
    });
    return { path: spec.local.path, ownsFiles: true };
  }
  throw new Error(`no volume plugin matched: ${metadata.name} needs a CSI driver, and this node has none`);
}
