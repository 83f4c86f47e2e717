import { type FilterPlugin, rejection } from "../framework.ts";
import { classOf } from "../storage.ts";

const conflict = rejection(false, "node(s) had no available volume zone");

/** The names of before 1.17 mean the same as those of today. */
const labels: readonly (readonly [name: string, alias: string])[] = [
  ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"],
  ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"],
];

/** Volumes that say by label in which zones they are, several joined by `__`. */
export const volumeZone: FilterPlugin = {
  name: "VolumeZone",
  prepare({ claims }, { objects: { storage } }) {
    if (claims.length === 0) return undefined;
    const none = (reason: string) => ({ impossible: rejection(false, reason) });
    const wanted: { name: string; alias: string; values: ReadonlySet<string> }[] = [];
    for (const { key, name: claimName, isEphemeral } of claims) {
      if (isEphemeral) continue;
      const claim = storage.claim(key);
      if (!claim) return none(`persistentvolumeclaim "${claimName}" not found`);
      const volumeName = claim.spec?.volumeName;
      if (!volumeName) {
        const className = classOf(claim);
        if (className === "") return none("PersistentVolumeClaim had no pv name and storageClass name");
        const storageClass = storage.storageClass(className);
        if (!storageClass) return none(`storageclass.storage.k8s.io "${className}" not found`);
        if (storageClass.volumeBindingMode === "WaitForFirstConsumer") continue;
        return none("PersistentVolume had no name");
      }
      const volume = storage.volume(volumeName);
      if (!volume) return none(`persistentvolume "${volumeName}" not found`);
      for (const [name, alias] of labels) {
        for (const label of [name, alias]) {
          const value = volume?.metadata.labels?.[label];
          if (value !== undefined) wanted.push({ name, alias, values: new Set(value.split("__")) });
        }
      }
    }
    if (wanted.length === 0) return undefined;
    return {
      filter(node) {
        const of = (name: string, alias: string) => node.labels[name] ?? node.labels[alias];
        // A cluster that doesn't label its nodes has no zones.
        if (labels.every(([name, alias]) => of(name, alias) === undefined)) return undefined;
        return wanted.every(({ name, alias, values }) => values.has(of(name, alias) ?? "")) ? undefined : conflict;
      },
    };
  },
  events: ["node-added", "node-updated", "claim-changed", "storage-changed"],
  helps(event, pod) {
    if (event.kind === "claim-changed") return pod.claims.some(({ key }) => key === event.key);
    if (event.kind === "storage-changed")
      return event.type !== "deleted" && (event.resource === "volume" || event.resource === "class");
    return event.kind !== "node-updated" || event.changed.labels;
  },
};
