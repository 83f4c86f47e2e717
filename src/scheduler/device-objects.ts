/**
 * Claims, classes and slices from informers, which start with the first pod that has to do with devices: most clusters have none, and
 * their events and memory would be paid by all.
 */
import { loadCel, type DeviceClass, type ResourceClaim, type ResourceSlice } from "#api";
import { type Informer, type InformerSet, keyOf } from "#client";
import type { DeviceObjects, DeviceState } from "./core/devices/device-state.ts";
import type { ClusterEvent } from "./core/framework.ts";

export interface DeviceFeed {
  readonly objects: DeviceObjects;
  /** Called for each pod with devices. */
  start(): void;
  /** From `start` on, calls with what changed. */
  follow(state: DeviceState, onChange: (event: ClusterEvent) => void): () => void;
}

interface Informers {
  readonly claims: Informer<ResourceClaim>;
  readonly classes: Informer<DeviceClass>;
  readonly slices: Informer<ResourceSlice>;
}

export function createDeviceObjects(informers: InformerSet): DeviceFeed {
  let running: Informers | undefined;
  let isComplete = false;
  let follower: { state: DeviceState; onChange: (event: ClusterEvent) => void } | undefined;
  const ends: (() => void)[] = [];

  function addHandlers({ claims, classes, slices }: Informers): void {
    const tell = (event: ClusterEvent) => follower?.onChange(event);
    const changed = () => tell({ kind: "devices-changed" });
    ends.push(
      claims.addHandler({
        added(claim) {
          follower?.state.changed(keyOf(claim));
          tell({ kind: "device-claim-changed", claim, old: undefined });
        },
        updated(claim, old) {
          follower?.state.changed(keyOf(claim));
          tell({ kind: "device-claim-changed", claim, old });
        },
        deleted(claim) {
          follower?.state.changed(keyOf(claim));
          // Upstream learns of freed devices from the update before.
          if (claim.status?.allocation) changed();
        },
      }),
      classes.addHandler({ added: changed, updated: changed }),
      slices.addHandler({ added: changed, updated: changed }),
    );
  }

  return {
    objects: {
      get isComplete() {
        return isComplete;
      },
      claim: (key) => running?.claims.get(key),
      claims: () => running?.claims.list() ?? [],
      deviceClass: (name) => running?.classes.get(name),
      classesOf: (resource) => running?.classes.by("resource", resource) ?? [],
      slices: () => running?.slices.list() ?? [],
    },
    start() {
      if (running) return;
      running = {
        claims: informers.of("resource.k8s.io/v1/resourceclaims"),
        classes: informers.of("resource.k8s.io/v1/deviceclasses"),
        slices: informers.of("resource.k8s.io/v1/resourceslices"),
      };
      const { claims, classes, slices } = running;
      classes.addIndex("resource", ({ spec }) => (spec.extendedResourceName ? [spec.extendedResourceName] : []));
      addHandlers(running);
      void Promise.all([claims.synced(), classes.synced(), slices.synced(), loadCel()]).then(() => {
        isComplete = true;
        follower?.onChange({ kind: "devices-changed" });
      });
    },
    follow(state, onChange) {
      follower = { state, onChange };
      return () => {
        for (const end of ends.splice(0)) end();
        follower = undefined;
      };
    },
  };
}
