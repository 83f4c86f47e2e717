/**
 * Claims and volumes as they will be when what was decided is written: the next decision must not give the same volume away again.
 * An assumption holds for the version of the object it was made from; a newer version from the server ends it.
 */
import type { VolumePlan } from "./volume-binding.ts";
import { type Claim, selectedNodeAnnotation, type StorageObjects, type Volume } from "./storage.ts";

export interface AssumedStorage extends StorageObjects {
  /** Answers the plan with its objects as they are to be written. */
  assume(plan: VolumePlan, nodeName: string): VolumePlan;
  revert(plan: VolumePlan): void;
}

interface Assumption<T> {
  readonly base: T;
  readonly assumed: T;
}

const boundByController = "pv.kubernetes.io/bound-by-controller";
const keyOf = ({ metadata }: Claim): string => `${metadata.namespace}/${metadata.name}`;

export function createAssumedStorage(live: StorageObjects): AssumedStorage {
  const claims = new Map<string, Assumption<Claim>>();
  const volumes = new Map<string, Assumption<Volume>>();

  function resolve<T>(assumptions: Map<string, Assumption<T>>, key: string, current: T): T {
    const assumption = assumptions.get(key);
    if (!assumption) return current;
    if (assumption.base === current) return assumption.assumed;
    assumptions.delete(key);
    return current;
  }
  const volumeNow = (volume: Volume): Volume =>
    volumes.size === 0 ? volume : resolve(volumes, volume.metadata.name ?? "", volume);

  return {
    ...live,
    claim(key) {
      const claim = live.claim(key);
      return claim && resolve(claims, key, claim);
    },
    volume(name) {
      const volume = live.volume(name);
      return volume && volumeNow(volume);
    },
    volumesOfClass: (name) => live.volumesOfClass(name).map(volumeNow),
    assume({ bindings, provisions }, nodeName) {
      return {
        bindings: bindings.map(({ claim, volume }) => {
          const assumed = reserve(volume, claim);
          const name = volume.metadata.name ?? "";
          volumes.set(name, { base: live.volume(name) ?? volume, assumed });
          return { claim, volume: assumed };
        }),
        provisions: provisions.map((claim) => {
          const annotations = { ...claim.metadata.annotations, [selectedNodeAnnotation]: nodeName };
          const assumed = { ...claim, metadata: { ...claim.metadata, annotations } };
          claims.set(keyOf(claim), { base: live.claim(keyOf(claim)) ?? claim, assumed });
          return assumed;
        }),
      };
    },
    revert({ bindings, provisions }) {
      for (const { volume } of bindings) volumes.delete(volume.metadata.name ?? "");
      for (const claim of provisions) claims.delete(keyOf(claim));
    },
  };
}

function reserve(volume: Volume, claim: Claim): Volume {
  const { metadata, spec } = volume;
  const { namespace, name, uid, resourceVersion } = claim.metadata;
  const isOurChoice = spec?.claimRef === undefined;
  return {
    ...volume,
    // The controller undoes what it or we chose when the claim goes, not what the user did.
    metadata: isOurChoice
      ? { ...metadata, annotations: { ...metadata.annotations, [boundByController]: "yes" } }
      : metadata,
    spec: {
      ...spec,
      claimRef: { kind: "PersistentVolumeClaim", apiVersion: "v1", namespace, name, uid, resourceVersion },
    },
  };
}
