/** When a claim's file system is to be grown, and what its status says then. */
import type { PersistentVolume, PersistentVolumeClaim } from "#api";
import type { Client } from "#client";
import { compareQuantities, type DeepReadonly } from "#machinery";

export type Claim = DeepReadonly<PersistentVolumeClaim>;

/** Undefined: it has what it is to have. */
export function wantedSize(
  persistent: DeepReadonly<PersistentVolume> | undefined,
  { status }: Claim,
): string | undefined {
  const size = persistent?.spec?.capacity?.storage ?? "0";
  return compareQuantities(size, status?.capacity?.storage ?? "0") > 0 ? size : undefined;
}

const ofResizing = new Set(["FileSystemResizePending", "Resizing", "ControllerResizeError", "NodeResizeError"]);

export async function finishExpansion(client: Client, { metadata, status }: Claim, size: string): Promise<void> {
  const { name = "", namespace = "", resourceVersion } = metadata;
  const { conditions = [], allocatedResourceStatuses } = status ?? {};
  const body = {
    metadata: { resourceVersion },
    status: {
      capacity: { storage: size },
      conditions: conditions.filter(({ type }) => !ofResizing.has(type)),
      ...(allocatedResourceStatuses && { allocatedResourceStatuses: { storage: null } }),
    },
  };
  await client
    .resource("v1/persistentvolumeclaims", namespace)
    .patch(name, body, { type: "merge", subresource: "status" });
}
