/** Words that volumes and claims share in tables and warnings. */
import { Place } from "../../place.ts";
import type { ObjectMeta } from "../../types.d.ts";

/** Where the class stood before it was a field; it still wins where one looks for the class. */
export const betaClassAnnotation = "volume.beta.kubernetes.io/storage-class";

export const deprecatedClassAnnotation = `${Place.root("metadata").child("annotations").key(betaClassAnnotation)}: deprecated since v1.8; use "storageClassName" attribute instead`;

export const classOf = ({ annotations }: ObjectMeta, className: string | undefined): string =>
  annotations?.[betaClassAnnotation] ?? className ?? "";

const shortModes: readonly (readonly [string, string])[] = [
  ["ReadWriteOnce", "RWO"],
  ["ReadOnlyMany", "ROX"],
  ["ReadWriteMany", "RWX"],
  ["ReadWriteOncePod", "RWOP"],
];

export const printAccessModes = (modes: readonly string[] = []): string =>
  shortModes
    .filter(([mode]) => modes.includes(mode))
    .map(([, short]) => short)
    .join(",");
