/** What an update of a persistent volume may change: not what it is, nor how it is used, nor where once that is said. */
import { type FieldError, isLabelValue } from "#machinery";
import { printDifference, semanticEqual } from "../../equality.ts";
import { Place } from "../../place.ts";
import type {
  NodeSelectorTerm,
  PersistentVolume,
  PersistentVolumeSource,
  PersistentVolumeSpec,
  VolumeNodeAffinity,
} from "../../types.d.ts";
import { sourceNames } from "./sources.ts";
import { validateMountOptions, validatePersistentVolume } from "./validate.ts";

const immutable = "field is immutable";

export function validatePersistentVolumeUpdate(volume: PersistentVolume, old: PersistentVolume): FieldError[] {
  // Upstream checks the volume twice, which clients see.
  const own = validatePersistentVolume(volume, hasInvalidNodeValue(old.spec?.nodeAffinity));
  const errors = [...own, ...validateMountOptions(volume), ...own];
  const spec = volume.spec ?? {};
  const before = old.spec ?? {};
  const at = Place.root("spec", errors);
  const source = sourceOf(allowExpansionSecret(spec, before));
  const oldSource = sourceOf(before);
  if (!semanticEqual(source, oldSource)) {
    const difference = printDifference(oldSource, source);
    const why = `spec.persistentvolumesource is immutable after creation\n${difference}`;
    at.child("persistentvolumesource").forbidden(why);
  }
  if (spec.volumeMode !== before.volumeMode) Place.root("volumeMode", errors).invalid(spec.volumeMode, immutable);
  if (before.nodeAffinity) validateAffinityChange(spec.nodeAffinity, before.nodeAffinity, errors);
  if (before.volumeAttributesClassName !== undefined && spec.volumeAttributesClassName === undefined) {
    at.child("volumeAttributesClassName").forbidden("update from non-nil value to nil is forbidden");
  }
  return errors;
}

function sourceOf(spec: PersistentVolumeSpec): PersistentVolumeSource {
  const source: Record<string, unknown> = {};
  for (const name of sourceNames) if (spec[name]) source[name] = spec[name];
  return source;
}

/** A driver that learnt to expand volumes may be given its secret later. */
function allowExpansionSecret(spec: PersistentVolumeSpec, old: PersistentVolumeSpec): PersistentVolumeSpec {
  if (!old.csi || old.csi.controllerExpandSecretRef || !spec.csi?.controllerExpandSecretRef) return spec;
  const { controllerExpandSecretRef: _, ...csi } = spec.csi;
  return { ...spec, csi };
}

const hasInvalidNodeValue = (affinity: VolumeNodeAffinity | undefined): boolean =>
  affinity?.required?.nodeSelectorTerms?.some((term) =>
    term.matchExpressions?.some(({ values = [] }) => values.some((value) => isLabelValue(value).length > 0)),
  ) ?? false;

/** Labels of nodes that got another name. */
const renamed: Readonly<Record<string, string>> = {
  "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
  "beta.kubernetes.io/os": "kubernetes.io/os",
  "beta.kubernetes.io/arch": "kubernetes.io/arch",
  "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
};

/** It may be said later, but not changed, except to the new name of a label. */
function validateAffinityChange(
  affinity: VolumeNodeAffinity | undefined,
  old: VolumeNodeAffinity,
  errors: FieldError[],
): void {
  const terms = affinity?.required?.nodeSelectorTerms ?? [];
  const oldTerms = old.required?.nodeSelectorTerms ?? [];
  const followed = oldTerms.map((term, i) => followRenames(term, terms[i]));
  const isSame = semanticEqual(affinity, { required: { nodeSelectorTerms: followed } });
  if (isSame) return;
  const why = `${immutable}, except for updating from beta label to GA`;
  Place.root("nodeAffinity", errors).invalid(affinity ?? null, why);
}

function followRenames(old: NodeSelectorTerm, now: NodeSelectorTerm | undefined): NodeSelectorTerm {
  const expressions = (old.matchExpressions ?? []).map((each, i) => {
    const key = now?.matchExpressions?.[i]?.key;
    return key !== undefined && renamed[each.key] === key ? { ...each, key } : each;
  });
  return { ...old, matchExpressions: expressions };
}
