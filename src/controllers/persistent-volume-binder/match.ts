/** Which volume a claim gets: the smallest that suffices, of those with the fewest access modes too many. Pure. */
import { compareQuantities, compileLabelSelector, quantityValue } from "#machinery";
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

interface Facts {
  readonly modes: string;
  readonly modesCount: number;
  readonly bytes: number;
}
/** A volume is looked at by every claim of its class. */
const known = new WeakMap<Volume, Facts>();
function factsOf(volume: Volume): Facts {
  let facts = known.get(volume);
  if (!facts) {
    const modes = [...new Set(accessOf(volume))].sort();
    facts = { modes: modes.join(), modesCount: modes.length, bytes: quantityValue(capacityOf(volume)) };
    known.set(volume, facts);
  }
  return facts;
}

/**
 * The best of each group of volumes with the same access modes; of these the one with the fewest. What is reserved for the claim is best,
 * but only in its group. `isDelayed`: the scheduler will choose; only a volume that is reserved for the claim is taken before.
 */
export function findMatch(claim: Claim, volumes: readonly Volume[], isDelayed: boolean): Volume | undefined {
  const selector = claim.spec?.selector && compileLabelSelector(claim.spec.selector);
  const bytes = quantityValue(requestOf(claim));
  const best = new Map<string, { volume: Volume; isReserved: boolean }>();
  for (const volume of volumes) {
    const facts = factsOf(volume);
    if (facts.bytes < bytes || volume.metadata.deletionTimestamp || !allows(volume, claim)) continue;
    const isReserved = isReservedFor(volume, claim);
    if (!isReserved) {
      if (volume.spec?.claimRef || isDelayed || volume.status?.phase !== "Available") continue;
      if (classOf(volume) !== classOf(claim) || (selector && !selector.matches(volume.metadata.labels ?? {}))) continue;
    }
    if (differInMode(claim, volume) || attributesOf(volume) !== attributesOf(claim)) continue;
    const found = best.get(facts.modes);
    if (!found || (!found.isReserved && (isReserved || facts.bytes < factsOf(found.volume).bytes)))
      best.set(facts.modes, { volume, isReserved });
  }
  const all = [...best.values()].map(({ volume }) => volume);
  return all.sort((a, b) => factsOf(a).modesCount - factsOf(b).modesCount)[0];
}
