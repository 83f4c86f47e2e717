/** The pods and claims of a StatefulSet have names that stay: `<set>-<ordinal>` and `<template>-<set>-<ordinal>`. Pure. */
import type { OwnerReference, PersistentVolumeClaim, Pod, PodTemplateSpec, StatefulSet, Volume } from "#api";
import { controllerReference, nameOf, namespaceOf, type Seen, type SeenObject, uidOf } from "../lib/objects.ts";
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

/** The pod as its identity and its claims want it; undefined when it is so. What can't be changed is refused by the server and reported. */
export function mendedPod(pod: SeenPod, set: Seen<StatefulSet>, ordinal: number): Pod | undefined {
  const { labels = {} } = pod.metadata;
  const hasIdentity = labels[podNameLabel] === nameOf(pod);
  const volumes = new Map((pod.spec?.volumes ?? []).map((volume) => [volume.name, volume]));
  const hasStorage = (set.spec?.volumeClaimTemplates ?? []).every(
    (template) => volumes.get(nameOf(template))?.persistentVolumeClaim?.claimName === claimName(template, set, ordinal),
  );
  if (hasIdentity && hasStorage) return undefined;
  const mended: Seen<Pod> = {
    ...pod,
    ...(hasIdentity
      ? {}
      : { metadata: { ...pod.metadata, labels: { ...labels, ...identityLabels(nameOf(pod), ordinal) } } }),
    ...(hasStorage || !pod.spec ? {} : { spec: { ...pod.spec, ...volumesFor(set, ordinal, pod.spec.volumes ?? []) } }),
  };
  return mended as Pod; // sent, never changed
}

export const claimNames = (set: Seen<StatefulSet>, ordinal: number): string[] =>
  (set.spec?.volumeClaimTemplates ?? []).map((template) => claimName(template, set, ordinal));

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

const podKind = { apiVersion: "v1", kind: "Pod" };

const isReferenceTo = (object: { apiVersion: string; kind: string; name: string }, owner: Seen<OwnerReference>) =>
  owner.apiVersion === object.apiVersion && owner.kind === object.kind && owner.name === object.name;

export interface ClaimOwnership {
  /** As they should be; undefined when they are, or aren't ours to change. */
  readonly owners?: OwnerReference[];
  /** Something else manages the claim: the retention policy is ignored. */
  readonly isContested: boolean;
}

/** Owners that the retention policy wants on a claim, so that the garbage collector takes it along with its set or its pod. */
export function claimOwnership(claim: SeenObject, { set, ordinal, pod }: ClaimHolder): ClaimOwnership {
  const { whenDeleted = "Retain", whenScaled = "Retain" } = set.spec?.persistentVolumeClaimRetentionPolicy ?? {};
  const references = claim.metadata?.ownerReferences ?? [];
  const setUid = uidOf(set);
  const podUid = pod ? uidOf(pod) : "";
  const isSet = (owner: Seen<OwnerReference>) => isReferenceTo({ ...kind, name: nameOf(set) }, owner);
  const isPod = (owner: Seen<OwnerReference>) => isReferenceTo({ ...podKind, name: podName(set, ordinal) }, owner);
  const isForeign = (owner: Seen<OwnerReference>) =>
    isSet(owner) ? owner.uid !== setUid : isPod(owner) ? owner.uid !== podUid : owner.controller === true;
  const isContested = (whenDeleted !== "Retain" || whenScaled !== "Retain") && references.some(isForeign);
  const staleSet = references.find(isSet);
  const stalePod = references.find(isPod);
  if ((staleSet && staleSet.uid !== setUid) || (stalePod && stalePod.uid !== podUid)) return { isContested };
  const hasSet = references.some(({ uid }) => uid === setUid);
  const hasPod = references.some(({ uid }) => uid === podUid);
  const others = references.filter((owner) => !isSet(owner) && !isPod(owner)).map((owner) => ({ ...owner }));
  if (isContested) return { isContested, ...(hasSet || hasPod ? { owners: others } : {}) };
  const isScaledDown = ordinal < startOf(set) || ordinal >= startOf(set) + (set.spec?.replicas ?? 1);
  const wantsPod = whenScaled === "Delete" && isScaledDown;
  const wantsSet = whenDeleted === "Delete" && !wantsPod;
  const isManaged = references.every(({ uid, controller }) => controller || (uid !== setUid && uid !== podUid));
  if (isManaged && hasSet === wantsSet && hasPod === wantsPod) return { isContested };
  if (wantsSet) others.push(controllerReference(set, kind));
  if (wantsPod && pod) others.push(controllerReference(pod, podKind));
  return { isContested, owners: others };
}

/** A claim that goes away with a former pod of this name must be gone before a new pod may use one. */
export function isStaleClaim(claim: SeenObject, { set, ordinal, pod }: ClaimHolder): boolean {
  const { whenScaled = "Retain" } = set.spec?.persistentVolumeClaimRetentionPolicy ?? {};
  if (whenScaled === "Retain") return false;
  const owner = claim.metadata?.ownerReferences?.find((each) =>
    isReferenceTo({ ...podKind, name: podName(set, ordinal) }, each),
  );
  return owner !== undefined && owner.uid !== (pod ? uidOf(pod) : "");
}
