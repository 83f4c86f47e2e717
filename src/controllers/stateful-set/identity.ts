/** The pods and claims of a StatefulSet have names that stay: `<set>-<ordinal>` and `<template>-<set>-<ordinal>`. Pure. */
import type { OwnerReference, PersistentVolumeClaim, Pod, PodTemplateSpec, StatefulSet, Volume } from "#api";
import { jsonEqual } from "#machinery";
import { nameOf, namespaceOf, type Seen, type SeenObject, uidOf } from "../lib/objects.ts";
import { podFromTemplate } from "../lib/pod-control.ts";
import type { SeenPod } from "../lib/pods.ts";

export const kind = { apiVersion: "apps/v1", kind: "StatefulSet" };
export const revisionLabel = "controller-revision-hash";
const podNameLabel = "statefulset.kubernetes.io/pod-name";
const podIndexLabel = "apps.kubernetes.io/pod-index";

export const podName = (set: Seen<StatefulSet>, ordinal: number): string => `${nameOf(set)}-${ordinal}`;

const claimName = (template: Seen<PersistentVolumeClaim>, set: Seen<StatefulSet>, ordinal: number): string =>
  `${nameOf(template)}-${nameOf(set)}-${ordinal}`;

/** Undefined when the name is not one of this set's. */
export function ordinalOf(pod: SeenPod, set: Seen<StatefulSet>): number | undefined {
  const match = /^(.*)-([0-9]+)$/.exec(nameOf(pod));
  return match && match[1] === nameOf(set) ? Number(match[2]) : undefined;
}

export const startOf = (set: Seen<StatefulSet>): number => set.spec?.ordinals?.start ?? 0;

export interface Revisioned {
  readonly template: Seen<PodTemplateSpec>;
  /** Name of the ControllerRevision. */
  readonly revision: string;
}

export function newPod(set: Seen<StatefulSet>, ordinal: number, { template, revision }: Revisioned): Pod {
  const name = podName(set, ordinal);
  const pod = podFromTemplate(template, set, kind);
  const { serviceName } = set.spec ?? {};
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      name,
      namespace: namespaceOf(set),
      labels: { ...pod.metadata.labels, ...identityLabels(name, ordinal), [revisionLabel]: revision },
    },
    spec: {
      ...pod.spec,
      containers: pod.spec?.containers ?? [],
      hostname: name,
      ...(serviceName ? { subdomain: serviceName } : {}),
      ...volumesFor(set, ordinal, pod.spec?.volumes ?? []),
    },
  };
}

const identityLabels = (name: string, ordinal: number) => ({ [podNameLabel]: name, [podIndexLabel]: String(ordinal) });

function volumesFor(set: Seen<StatefulSet>, ordinal: number, own: readonly Seen<Volume>[]): { volumes?: Volume[] } {
  const templates = set.spec?.volumeClaimTemplates ?? [];
  if (templates.length === 0) return own.length > 0 ? { volumes: own as Volume[] } : {};
  const names = new Set(templates.map(nameOf));
  const claimed: Volume[] = templates.map((template) => ({
    name: nameOf(template),
    persistentVolumeClaim: { claimName: claimName(template, set, ordinal) },
  }));
  return { volumes: [...claimed, ...(own as readonly Volume[]).filter(({ name }) => !names.has(name))] };
}

/** The pod as its identity wants it; undefined when it is so. Only labels of a pod can be changed. */
export function mendedIdentity(pod: SeenPod, ordinal: number): Pod | undefined {
  const { labels = {} } = pod.metadata;
  const wanted = {
    ...labels,
    [podNameLabel]: nameOf(pod),
    ...(labels[podIndexLabel] === undefined ? {} : { [podIndexLabel]: String(ordinal) }),
  };
  if (jsonEqual(labels, wanted)) return undefined;
  return { ...(pod as Pod), metadata: { ...(pod as Pod).metadata, labels: wanted } }; // sent, never changed
}

/** The claims of one ordinal. */
export function claimsOf(set: Seen<StatefulSet>, ordinal: number): PersistentVolumeClaim[] {
  return (set.spec?.volumeClaimTemplates ?? []).map((template) => {
    const { labels, annotations } = template.metadata;
    const claim: Seen<PersistentVolumeClaim> = {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: {
        name: claimName(template, set, ordinal),
        namespace: namespaceOf(set),
        labels: { ...labels, ...set.spec?.selector.matchLabels },
        ...(annotations ? { annotations } : {}),
      },
      spec: template.spec,
    };
    return claim as PersistentVolumeClaim; // sent, never changed
  });
}

export interface ClaimHolder {
  readonly set: Seen<StatefulSet>;
  readonly ordinal: number;
  /** Missing when there is none. */
  readonly pod?: SeenPod;
}

/** Owners that the retention policy wants on a claim, so that the garbage collector takes it along; undefined when they are. */
export function claimOwners(claim: SeenObject, { set, ordinal, pod }: ClaimHolder): OwnerReference[] | undefined {
  const { whenDeleted = "Retain", whenScaled = "Retain" } = set.spec?.persistentVolumeClaimRetentionPolicy ?? {};
  const isScaledDown = ordinal >= startOf(set) + (set.spec?.replicas ?? 1);
  const goesWithPod = whenScaled === "Delete" && isScaledDown;
  const goesWithSet = whenDeleted === "Delete" && !goesWithPod;
  const owners = (claim.metadata?.ownerReferences ?? []).map((owner) => ({ ...owner }));
  const isPod = (owner: OwnerReference) => owner.kind === "Pod" && owner.name === podName(set, ordinal);
  const kept = owners.filter((owner) => owner.uid !== uidOf(set) && !isPod(owner));
  if (goesWithSet) kept.push({ ...kind, name: nameOf(set), uid: uidOf(set) });
  if (goesWithPod && pod) kept.push({ apiVersion: "v1", kind: "Pod", name: nameOf(pod), uid: uidOf(pod) });
  const uids = (list: readonly OwnerReference[]) => list.map(({ uid }) => uid).sort();
  return jsonEqual(uids(owners), uids(kept)) ? undefined : kept;
}

/** A claim that goes away with a former pod of this name must be gone before a new pod may use one. */
export function isStaleClaim(claim: SeenObject, { set, ordinal, pod }: ClaimHolder): boolean {
  const { whenScaled = "Retain" } = set.spec?.persistentVolumeClaimRetentionPolicy ?? {};
  if (whenScaled === "Retain") return false;
  return (claim.metadata?.ownerReferences ?? []).some(
    ({ kind: ownerKind, name, uid }) =>
      ownerKind === "Pod" && name === podName(set, ordinal) && uid !== (pod && uidOf(pod)),
  );
}
