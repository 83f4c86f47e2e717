import { type FilterPlugin, rejection } from "../framework.ts";

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
    const wanted: { name: string; alias: string; values: ReadonlySet<string> }[] = [];
    for (const { key } of claims) {
      const volume = storage.volume(storage.claim(key)?.spec?.volumeName ?? "");
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
    return event.kind !== "node-updated" || event.changed.labels;
  },
};
