/**
 * Where the content of a new volume comes from. The older field only knew claims and snapshots and ignored the rest; the newer one
 * is checked. Both say the same where one is missing. Follows api/persistentvolumeclaim.
 */
import type { PersistentVolumeClaimSpec, TypedLocalObjectReference } from "../../types.d.ts";

export function completeDataSources(spec: PersistentVolumeClaimSpec, old?: PersistentVolumeClaimSpec): void {
  // Sources in other namespaces are an alpha feature.
  if (spec.dataSourceRef?.namespace && !old?.dataSourceRef) delete spec.dataSourceRef;
  const hadSource = old?.dataSource || old?.dataSourceRef;
  if (!hadSource && !spec.dataSourceRef && !isKnownToOldClients(spec.dataSource)) delete spec.dataSource;
  if (spec.dataSource && !spec.dataSourceRef) spec.dataSourceRef = copy(spec.dataSource);
  else if (spec.dataSourceRef && !spec.dataSource && !spec.dataSourceRef.namespace)
    spec.dataSource = copy(spec.dataSourceRef);
}

function isKnownToOldClients(source: TypedLocalObjectReference | undefined): boolean {
  const group = source?.apiGroup ?? "";
  if (source?.kind === "PersistentVolumeClaim") return group === "";
  return source?.kind === "VolumeSnapshot" && group === "snapshot.storage.k8s.io";
}

const copy = ({ apiGroup, kind, name }: TypedLocalObjectReference): TypedLocalObjectReference =>
  apiGroup === undefined ? { kind, name } : { apiGroup, kind, name };
