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
  const rest = [volumes, classes, csiNodes, csiDrivers, capacities];

  return {
    objects: {
      claim: (key) => claims.get(key),
      volume: (name) => volumes.get(name),
      volumesOfClass: (name) => volumes.by("class", name),
      storageClass: (name) => classes.get(name),
      csiNode: (name) => csiNodes.get(name),
      csiDriver: (name) => csiDrivers.get(name),
      capacitiesOfClass: (name) => capacities.by("class", name),
    },
    synced: () => Promise.all([claims, ...rest].map((each) => each.synced())),
    follow(onChange) {
      const claimChanged = ({ metadata: { namespace, name } }: { metadata: { namespace?: string; name?: string } }) =>
        onChange({ kind: "claim-changed", key: `${namespace}/${name}` });
      const changed = () => onChange({ kind: "storage-changed" });
      const ends = [
        claims.addHandler({ added: claimChanged, updated: claimChanged, deleted: claimChanged }),
        ...rest.map((each) => each.addHandler({ added: changed, updated: changed, deleted: changed })),
      ];
      return () => {
        for (const end of ends) end();
      };
    },
  };
}
