/** Labels of nodes that have got another name. */
import { isLabelValue } from "#machinery";
import type { Place } from "./place.ts";
import type { NodeSelectorTerm } from "./types.d.ts";

const deprecated: Readonly<Record<string, string>> = {
  "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
  "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
};

/** Undefined for a label that is as it should be. */
export const deprecatedNodeLabel = (key: string): string | undefined =>
  Object.hasOwn(deprecated, key) ? deprecated[key] : undefined;

/** `checkValues`: of preferences, whose values validation lets pass. */
export function nodeTermWarnings(
  term: NodeSelectorTerm | undefined,
  at: Place,
  { checkValues }: { checkValues: boolean },
): string[] {
  const warnings: string[] = [];
  term?.matchExpressions?.forEach(({ key, values = [] }, i) => {
    const place = at.child("matchExpressions").index(i);
    const message = deprecatedNodeLabel(key);
    if (message) warnings.push(`${place.child("key")}: ${key} is ${message}`);
    if (!checkValues) return;
    values.forEach((value, j) => {
      for (const why of isLabelValue(value)) {
        warnings.push(`${place.child("values").index(j)}: ${value} is invalid, ${why}`);
      }
    });
  });
  return warnings;
}
