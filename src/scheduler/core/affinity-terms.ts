/** A pod's wishes about other pods, compiled: near which, and away from which. */
import type { Pod, PodAffinityTerm } from "#api";
import {
  compileLabelSelector,
  type DeepReadonly,
  type LabelMatcher,
  type LabelSelector,
  nothingSelector,
  SelectorError,
} from "#machinery";

export interface AffinityTerm {
  readonly topologyKey: string;
  readonly namespaces: ReadonlySet<string>;
  readonly namespaceSelector: LabelMatcher;
  readonly selector: LabelMatcher;
}

export interface WeightedTerm extends AffinityTerm {
  readonly weight: number;
}

export interface AffinityTerms {
  readonly required: readonly AffinityTerm[];
  readonly requiredAnti: readonly AffinityTerm[];
  readonly preferred: readonly WeightedTerm[];
  readonly preferredAnti: readonly WeightedTerm[];
}

/** Of most pods. */
export const noTerms: AffinityTerms = { required: [], requiredAnti: [], preferred: [], preferredAnti: [] };

export function affinityTermsOf(pod: DeepReadonly<Pod>): AffinityTerms {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  if (!podAffinity && !podAntiAffinity) return noTerms;
  const compile = (term: DeepReadonly<PodAffinityTerm>) => compileTerm(term, pod.metadata.namespace ?? "");
  const weighted = (
    terms: readonly { readonly weight: number; readonly podAffinityTerm: DeepReadonly<PodAffinityTerm> }[] = [],
  ) => terms.map(({ weight, podAffinityTerm }) => ({ ...compile(podAffinityTerm), weight }));
  return {
    required: (podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map(compile),
    requiredAnti: (podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map(compile),
    preferred: weighted(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
    preferredAnti: weighted(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
  };
}

function compileTerm(term: DeepReadonly<PodAffinityTerm>, own: string): AffinityTerm {
  const { topologyKey, namespaces = [], namespaceSelector, labelSelector } = term;
  return {
    topologyKey,
    // Neither namespaces nor a selector for them means the pod's own.
    namespaces: new Set(namespaces.length === 0 && !namespaceSelector ? [own] : namespaces),
    namespaceSelector: compileSelector(namespaceSelector),
    selector: compileSelector(labelSelector),
  };
}

/** Absent matches nothing; so does what can't be read, which validation keeps out of new pods. */
export function compileSelector(selector: DeepReadonly<LabelSelector> | undefined): LabelMatcher {
  try {
    return compileLabelSelector(selector);
  } catch (error) {
    if (error instanceof SelectorError) return nothingSelector;
    throw error;
  }
}
