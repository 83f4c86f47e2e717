/** Which volume a claim gets: the smallest that suffices, of those with the fewest access modes too many. Pure. */
import { compareQuantities, compileLabelSelector } from "#machinery";
import { type Claim, capacityOf, classOf, isReservedFor, requestOf, type Volume } from "../lib/volumes.ts";

const modeOf = ({ spec }: Claim | Volume): string => spec?.volumeMode ?? "Filesystem";
const attributesOf = ({ spec }: Claim | Volume): string => spec?.volumeAttributesClassName ?? "";
const accessOf = ({ spec }: Claim | Volume): readonly string[] => spec?.accessModes ?? [];

export const differInMode = (claim: Claim, volume: Volume): boolean => modeOf(claim) !== modeOf(volume);

const allows = (volume: Volume, claim: Claim): boolean =>
  accessOf(claim).every((mode) => accessOf(volume).includes(mode));
const isLarge = (volume: Volume, claim: Claim): boolean => compareQuantities(capacityOf(volume), requestOf(claim)) >= 0;

/** Why a volume that the claim names can't be bound to it. */
export function mismatch(volume: Volume, claim: Claim): string | undefined {
  if (volume.metadata.deletionTimestamp)
    return `the volume is marked for deletion ${JSON.stringify(volume.metadata.name)}`;
  if (!isLarge(volume, claim)) return "requested PV is too small";
  if (classOf(volume) !== classOf(claim)) return "storageClassName does not match";
  if (attributesOf(volume) !== attributesOf(claim)) return "volumeAttributesClassName does not match";
  if (differInMode(claim, volume)) return "incompatible volumeMode";
  return allows(volume, claim) ? undefined : "incompatible accessMode";
}

/** `isDelayed`: the scheduler will choose; only a volume that is reserved for the claim is taken before. */
export function findMatch(claim: Claim, volumes: readonly Volume[], isDelayed: boolean): Volume | undefined {
  const groups = new Map<string, Volume[]>();
  for (const volume of volumes) {
    if (!allows(volume, claim)) continue;
    const modes = [...new Set(accessOf(volume))].sort().join();
    const group = groups.get(modes);
    if (group) group.push(volume);
    else groups.set(modes, [volume]);
  }
  const sizeOf = (modes: string) => modes.split(",").length;
  for (const [, group] of [...groups].sort(([a], [b]) => sizeOf(a) - sizeOf(b))) {
    const found = bestOf(claim, group, isDelayed);
    if (found) return found;
  }
  return undefined;
}

function bestOf(claim: Claim, volumes: readonly Volume[], isDelayed: boolean): Volume | undefined {
  const selector = claim.spec?.selector && compileLabelSelector(claim.spec.selector);
  let best: Volume | undefined;
  for (const volume of volumes) {
    const isReserved = isReservedFor(volume, claim);
    if (volume.spec?.claimRef && !isReserved) continue;
    if (volume.metadata.deletionTimestamp || !isLarge(volume, claim) || differInMode(claim, volume)) continue;
    if (attributesOf(volume) !== attributesOf(claim)) continue;
    if (isReserved) return volume;
    if (isDelayed || volume.status?.phase !== "Available" || classOf(volume) !== classOf(claim)) continue;
    if (selector && !selector.matches(volume.metadata.labels ?? {})) continue;
    if (!best || compareQuantities(capacityOf(volume), capacityOf(best)) < 0) best = volume;
  }
  return best;
}
