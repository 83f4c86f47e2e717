/** What rules ask about storage, answered from informers. In most clusters there is little of it, in many none. */
import type { InformerSet } from "#client";
import type { ClusterEvent } from "./core/framework.ts";
import { classOf, type StorageObjects } from "./core/storage.ts";

export interface StorageFeed {
  readonly objects: StorageObjects;
  synced(): Promise<unknown>;
  /** Calls with what changed; answers a function that ends it. */
  follow(onChange: (event: ClusterEvent) => void): () => void;
}

export function createStorageObjects(informers: InformerSet): StorageFeed {
  const claims = informers.of("v1/persistentvolumeclaims");
  const volumes = informers.of("v1/persistentvolumes");
  const classes = informers.of("storage.k8s.io/v1/storageclasses");
  const csiNodes = informers.of("storage.k8s.io/v1/csinodes");
  const csiDrivers = informers.of("storage.k8s.io/v1/csidrivers");
  const capacities = informers.of("storage.k8s.io/v1/csistoragecapacities");
  volumes.addIndex("class", (volume) => [classOf(volume)]);
  capacities.addIndex("class", ({ storageClassName }) => [storageClassName]);
  const attachments = informers.of("storage.k8s.io/v1/volumeattachments");
  attachments.addIndex("node", ({ spec }) => [spec.nodeName]);
  const rest = {
    volume: volumes,
    class: classes,
    "csi-node": csiNodes,
    "csi-driver": csiDrivers,
    capacity: capacities,
    attachment: attachments,
  } as const;

  return {
    objects: {
      claim: (key) => claims.get(key),
      volume: (name) => volumes.get(name),
      volumesOfClass: (name) => volumes.by("class", name),
      storageClass: (name) => classes.get(name),
      csiNode: (name) => csiNodes.get(name),
      csiDriver: (name) => csiDrivers.get(name),
      capacitiesOfClass: (name) => capacities.by("class", name),
      attachmentsOf: (nodeName) => attachments.by("node", nodeName),
    },
    synced: () => Promise.all([claims, ...Object.values(rest)].map((each) => each.synced())),
    follow(onChange) {
      const claimChanged = ({ metadata: { namespace, name } }: { metadata: { namespace?: string; name?: string } }) =>
        onChange({ kind: "claim-changed", key: `${namespace}/${name}` });
      const ends = [
        claims.addHandler({ added: claimChanged, updated: claimChanged, deleted: claimChanged }),
        ...Object.entries(rest).map(([name, informer]) => {
          const resource = name as keyof typeof rest; // its own keys
          const changed = (type: "added" | "updated" | "deleted") => () =>
            onChange({ kind: "storage-changed", resource, type });
          return informer.addHandler({
            added: changed("added"),
            updated: changed("updated"),
            deleted: changed("deleted"),
          });
        }),
      ];
      return () => {
        for (const end of ends) end();
      };
    },
  };
}
