/** How a workload's pods spread over zones, nodes and other topologies. */
import { isQualifiedName } from "#machinery";
import type { Place } from "../place.ts";
import { validateLabelSelector } from "../selectors.ts";
import type { TopologySpreadConstraint } from "../types.d.ts";
import type { Tolerance } from "./check.ts";

const actions = ["DoNotSchedule", "ScheduleAnyway"];
const nodePolicies = ["Honor", "Ignore"];

export function validateTopologySpread(
  constraints: readonly TopologySpreadConstraint[],
  at: Place,
  tolerate: Tolerance,
): void {
  constraints.forEach((constraint, i) => {
    const place = at.index(i);
    const { maxSkew = 0, topologyKey = "", whenUnsatisfiable: action = "", minDomains } = constraint;
    if (maxSkew <= 0) place.child("maxSkew").invalid(maxSkew, "must be greater than zero");
    if (topologyKey === "") place.child("topologyKey").required("can not be empty");
    if (!actions.includes(action)) place.child("whenUnsatisfiable").notSupported(action, actions);
    const isSame = (other: TopologySpreadConstraint) =>
      (other.topologyKey ?? "") === topologyKey && (other.whenUnsatisfiable ?? "") === action;
    if (constraints.slice(i + 1).some(isSame)) {
      place.child("{topologyKey, whenUnsatisfiable}").duplicate(`{${topologyKey}, ${action}}`);
    }
    if (minDomains !== undefined) validateMinDomains(minDomains, place.child("minDomains"), action);
    for (const field of ["nodeAffinityPolicy", "nodeTaintsPolicy"] as const) {
      const policy = constraint[field];
      if (policy !== undefined && !nodePolicies.includes(policy)) place.child(field).notSupported(policy, nodePolicies);
    }
    validateKeys(constraint, place);
    if (!tolerate.spreadSelectors) validateLabelSelector(constraint.labelSelector, place.child("labelSelector"));
  });
}

function validateMinDomains(count: number, at: Place, action: string): void {
  if (count <= 0) at.invalid(count, "must be greater than zero");
  if (action !== "DoNotSchedule") {
    at.invalid(count, `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${action}`);
  }
}

/** The registry merges the pod's own values into the selector, so a key may be there once. */
function validateKeys({ matchLabelKeys = [], labelSelector }: TopologySpreadConstraint, at: Place): void {
  if (matchLabelKeys.length === 0) return;
  if (!labelSelector) {
    at.child("matchLabelKeys").forbidden("must not be specified when labelSelector is not set");
  }
  matchLabelKeys.forEach((key, i) => {
    at.child("matchLabelKeys").index(i).invalidEach(key, isQualifiedName(key));
  });
  const seen = new Set(Object.keys(labelSelector?.matchLabels ?? {}));
  for (const { key } of labelSelector?.matchExpressions ?? []) {
    const position = matchLabelKeys.lastIndexOf(key);
    if (position >= 0 && seen.has(key)) {
      at.child("matchLabelKeys").index(position).invalid(key, "exists in both matchLabelKeys and labelSelector");
    }
    seen.add(key);
  }
}
