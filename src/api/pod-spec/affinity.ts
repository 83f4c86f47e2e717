/** Where a pod wants to be: near which nodes, near or away from which pods. */
import { isDns1123Label, isLabelValue, isQualifiedName, nameIsDnsSubdomain } from "#machinery";
import type { Place } from "../place.ts";
import { validateLabelSelector } from "../selectors.ts";
import type {
  Affinity,
  LabelSelector,
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinity,
  PodAffinityTerm,
} from "../types.d.ts";
import type { Tolerance } from "./check.ts";

const required = "requiredDuringSchedulingIgnoredDuringExecution";
const preferred = "preferredDuringSchedulingIgnoredDuringExecution";

export function validateAffinity(affinity: Affinity, at: Place, tolerate: Tolerance): void {
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity;
  if (nodeAffinity) {
    const place = at.child("nodeAffinity");
    const selector = nodeAffinity[required];
    if (selector) validateNodeSelector(selector, place.child(required), { anyValue: tolerate.nodeAffinityValues });
    nodeAffinity[preferred]?.forEach(({ weight, preference }, i) => {
      const term = place.child(preferred).index(i);
      validateWeight(weight, term);
      // Values that no label has are fine here: the preference just never applies.
      validateNodeSelectorTerm(preference, term.child("preference"), { anyValue: true });
    });
  }
  if (podAffinity) validatePodAffinity(podAffinity, at.child("podAffinity"), tolerate);
  if (podAntiAffinity) validatePodAffinity(podAntiAffinity, at.child("podAntiAffinity"), tolerate);
}

function validateWeight(weight = 0, at: Place): void {
  if (weight <= 0 || weight > 100) at.child("weight").invalid(weight, "must be in the range 1-100");
}

export interface NodeSelectorOptions {
  readonly anyValue: boolean;
}

export function validateNodeSelector(selector: NodeSelector, at: Place, options: NodeSelectorOptions): void {
  const terms = selector.nodeSelectorTerms ?? [];
  const place = at.child("nodeSelectorTerms");
  if (terms.length === 0) place.required("must have at least one node selector term");
  terms.forEach((term, i) => {
    validateNodeSelectorTerm(term, place.index(i), options);
  });
}

export function validateNodeSelectorTerm(term: NodeSelectorTerm, at: Place, options: NodeSelectorOptions): void {
  term?.matchExpressions?.forEach((each, i) => {
    validateLabelRequirement(each, at.child("matchExpressions").index(i), options);
  });
  term?.matchFields?.forEach((each, i) => {
    validateFieldRequirement(each, at.child("matchFields").index(i));
  });
}

function validateLabelRequirement(
  { key = "", operator = "", values = [] }: NodeSelectorRequirement,
  at: Place,
  { anyValue }: NodeSelectorOptions,
): void {
  switch (operator) {
    case "In":
    case "NotIn":
      if (values.length === 0) at.child("values").required("must be specified when `operator` is 'In' or 'NotIn'");
      break;
    case "Exists":
    case "DoesNotExist":
      if (values.length === 0) break;
      at.child("values").forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      break;
    case "Gt":
    case "Lt":
      if (values.length === 1) break;
      at.child("values").required("must be specified single value when `operator` is 'Lt' or 'Gt'");
      break;
    default:
      at.child("operator").invalid(operator, "not a valid selector operator");
  }
  at.child("key").invalidEach(key, isQualifiedName(key));
  if (anyValue) return;
  values.forEach((value, i) => {
    at.child("values").index(i).invalidEach(value, isLabelValue(value));
  });
}

/** The node's name is the only field. */
function validateFieldRequirement({ key = "", operator = "", values = [] }: NodeSelectorRequirement, at: Place): void {
  if (operator !== "In" && operator !== "NotIn")
    at.child("operator").invalid(operator, "not a valid selector operator");
  else if (values.length !== 1) {
    at.child("values").required("must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
  }
  if (key !== "metadata.name") {
    at.child("key").invalid(key, "not a valid field selector key");
    return;
  }
  values.forEach((value, i) => {
    at.child("values").index(i).invalidEach(value, nameIsDnsSubdomain(value, false));
  });
}

function validatePodAffinity(affinity: PodAffinity, at: Place, tolerate: Tolerance): void {
  affinity[required]?.forEach((term, i) => {
    validatePodTerm(term, at.child(required).index(i), tolerate);
  });
  affinity[preferred]?.forEach(({ weight, podAffinityTerm }, i) => {
    const place = at.child(preferred).index(i);
    validateWeight(weight, place);
    validatePodTerm(podAffinityTerm, place.child("podAffinityTerm"), tolerate);
  });
}

function validatePodTerm(term: PodAffinityTerm, at: Place, tolerate: Tolerance): void {
  const options = { anyValue: tolerate.selectorValues };
  validateLabelSelector(term.labelSelector, at.child("labelSelector"), options);
  validateLabelSelector(term.namespaceSelector, at.child("namespaceSelector"), options);
  for (const name of term.namespaces ?? []) at.child("namespace").invalidEach(name, isDns1123Label(name));
  validateKeysOfPod(term, at);
  const { topologyKey = "" } = term;
  if (topologyKey === "") at.child("topologyKey").required("can not be empty");
  at.child("topologyKey").invalidEach(topologyKey, isQualifiedName(topologyKey));
}

/** Labels whose value is taken from the pod itself; the registry has already put them into the selector. */
function validateKeysOfPod(term: PodAffinityTerm, at: Place): void {
  const { matchLabelKeys = [], mismatchLabelKeys = [], labelSelector } = term;
  validateLabelKeys(matchLabelKeys, at.child("matchLabelKeys"), labelSelector);
  validateLabelKeys(mismatchLabelKeys, at.child("mismatchLabelKeys"), labelSelector);
  if (labelSelector && matchLabelKeys.length > 0) {
    const seen = new Set(Object.keys(labelSelector.matchLabels ?? {}));
    for (const { key } of labelSelector.matchExpressions ?? []) {
      const position = matchLabelKeys.lastIndexOf(key);
      // Once is the merged one; twice means the client has it in the selector too.
      if (position >= 0 && seen.has(key)) {
        at.index(position).invalid(key, "exists in both matchLabelKeys and labelSelector");
      }
      seen.add(key);
    }
  }
  matchLabelKeys.forEach((key, i) => {
    if (!mismatchLabelKeys.includes(key)) return;
    at.child("matchLabelKeys").index(i).invalid(key, "exists in both matchLabelKeys and mismatchLabelKeys");
  });
}

function validateLabelKeys(keys: readonly string[], at: Place, selector: LabelSelector | undefined): void {
  if (keys.length === 0) return;
  if (!selector) {
    at.forbidden("must not be specified when labelSelector is not set");
    return;
  }
  keys.forEach((key, i) => {
    at.index(i).invalidEach(key, isQualifiedName(key));
  });
}
