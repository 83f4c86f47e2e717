/** How a leader is chosen among candidates: upstream's only way, or somebody's own by a name with a prefix. */
import { isQualifiedName } from "#machinery";
import type { Place } from "../place.ts";

export const oldestEmulationVersion = "OldestEmulationVersion";

export function validateElection(strategy: string, at: Place): void {
  if (strategy.includes("/")) at.invalidEach(strategy, isQualifiedName(strategy));
  else if (strategy !== oldestEmulationVersion) at.notSupported(strategy, [oldestEmulationVersion]);
}
