/** What is allowed in a pod but probably not meant: upstream's api/pod warnings, in its order and words. */
import { goQuote, isDns1123Label } from "#machinery";
import { semanticEqual } from "../equality.ts";
import { ipWarnings } from "../ip-warnings.ts";
import { deprecatedNodeLabel, nodeTermWarnings } from "../node-labels.ts";
import { Place } from "../place.ts";
import { isWholeAmount } from "../resource-names.ts";
import type { ObjectMeta, Pod, PodAffinity, PodSpec, PodTemplateSpec, Volume } from "../types.d.ts";
import { appArmorPrefix, appArmorProfileOf, seccompContainerPrefix, seccompPodAnnotation } from "./annotations.ts";
import { containerWarnings, fractional, portWarnings } from "./container-warnings.ts";
import { type AnyContainer, visitContainers } from "./containers-of.ts";

export function podWarnings(pod: Pod): string[] {
  const warnings: string[] = [];
  const messages = isDns1123Label(pod.metadata?.name ?? "");
  if (messages.length > 0) {
    const why =
      "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended";
    warnings.push(`metadata.name: ${why}: [${messages.join(" ")}]`);
  }
  const at = (field: "metadata" | "spec") => Place.root(field);
  if (pod.spec) addWarnings(warnings, { spec: pod.spec, meta: pod.metadata ?? {}, at });
  return warnings;
}

/** Of a workload; `path` is the template's, e.g. "spec.template". */
export function templateWarnings(template: PodTemplateSpec | undefined, path: string): string[] {
  const warnings: string[] = [];
  const at = (field: "metadata" | "spec") => Place.root(path).child(field);
  if (template?.spec) addWarnings(warnings, { spec: template.spec, meta: template.metadata ?? {}, at, template: true });
  return warnings;
}

/** Names of controllers become names and hostnames of pods. */
export function podNameWarnings(name: string): string[] {
  const messages = isDns1123Label(name);
  const why =
    "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended";
  return messages.length > 0 ? [`metadata.name: ${why}: [${messages.join(" ")}]`] : [];
}

interface Subject {
  readonly spec: PodSpec;
  readonly meta: ObjectMeta;
  /** Pods are warned about old annotations before those are taken over. */
  readonly template?: boolean;
  at(field: "metadata" | "spec"): Place;
}

function addAppArmorWarning(warnings: string[], { spec, meta, at }: Subject, container: AnyContainer): void {
  const key = `${appArmorPrefix}${container.name}`;
  const text = meta.annotations?.[key];
  if (text === undefined || container.securityContext?.appArmorProfile) return;
  const ofPod = spec.securityContext?.appArmorProfile;
  if (ofPod && semanticEqual(ofPod, appArmorProfileOf(text))) return;
  warnings.push(appArmorWarning(at("metadata").child("annotations").key(key)));
}

export const appArmorWarning = (at: Place): string =>
  `${at}: deprecated since v1.30; use the "appArmorProfile" field instead`;

function addWarnings(warnings: string[], subject: Subject): void {
  const { spec, meta } = subject;
  const specAt = subject.at("spec");
  const annotationsAt = subject.at("metadata").child("annotations");
  addLabelWarnings(warnings, spec, specAt);
  for (const [key, message] of deprecatedAnnotations) {
    if (meta.annotations?.[key] !== undefined) warnings.push(`${annotationsAt.key(key)}: ${message}`);
  }
  spec.volumes?.forEach((volume, i) => {
    addVolumeWarnings(warnings, volume, specAt.child("volumes").index(i));
  });
  addReferenceWarnings(warnings, spec, specAt);
  for (const name of ["memory", "ephemeral-storage"]) {
    const amount = spec.overhead?.[name];
    if (amount !== undefined && !isWholeAmount(amount)) {
      warnings.push(fractional(specAt.child("overhead").key(name), amount));
    }
  }
  const seccompWarning = (key: string, field: object | undefined) => {
    if (field || meta.annotations?.[key] === undefined) return;
    const why = 'non-functional in v1.27+; use the "seccompProfile" field instead';
    warnings.push(`${annotationsAt.key(key)}: ${why}`);
  };
  seccompWarning(seccompPodAnnotation, spec.securityContext?.seccompProfile);
  visitContainers(spec, specAt, (container, place) => {
    seccompWarning(`${seccompContainerPrefix}${container.name}`, container.securityContext?.seccompProfile);
    if (subject.template) addAppArmorWarning(warnings, subject, container);
    warnings.push(...containerWarnings(container, place));
  });
  warnings.push(...portWarnings(spec, specAt));
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    const why = "must be >= 0; negative values are invalid and will be treated as 1";
    warnings.push(`${specAt.child("terminationGracePeriodSeconds")}: ${why}`);
  }
  addAffinityWarnings(warnings, spec.affinity?.podAffinity, specAt.child("affinity").child("podAffinity"));
  addAffinityWarnings(warnings, spec.affinity?.podAntiAffinity, specAt.child("affinity").child("podAntiAffinity"));
  addAddressWarnings(warnings, spec, specAt);
}

const required = "requiredDuringSchedulingIgnoredDuringExecution";
const preferred = "preferredDuringSchedulingIgnoredDuringExecution";
const nullSelector = "a null labelSelector results in matching no pod";

function addLabelWarnings(warnings: string[], spec: PodSpec, at: Place): void {
  for (const key in spec.nodeSelector) {
    const message = deprecatedNodeLabel(key);
    if (message) warnings.push(`${at.child("nodeSelector").key(key)}: ${message}`);
  }
  const affinity = spec.affinity?.nodeAffinity;
  if (affinity) {
    const place = at.child("affinity").child("nodeAffinity");
    affinity[required]?.nodeSelectorTerms?.forEach((term, i) => {
      const termAt = place.child(required).child("nodeSelectorTerms").index(i);
      warnings.push(...nodeTermWarnings(term, termAt, { checkValues: false }));
    });
    affinity[preferred]?.forEach(({ preference }, i) => {
      const termAt = place.child(preferred).index(i).child("preference");
      warnings.push(...nodeTermWarnings(preference, termAt, { checkValues: true }));
    });
  }
  spec.topologySpreadConstraints?.forEach(({ topologyKey, labelSelector }, i) => {
    const place = at.child("topologySpreadConstraints").index(i);
    const message = deprecatedNodeLabel(topologyKey);
    if (message) warnings.push(`${place.child("topologyKey")}: ${topologyKey} is ${message}`);
    if (!labelSelector) warnings.push(`${place.child("labelSelector")}: ${nullSelector}`);
  });
}

const deprecatedAnnotations: readonly (readonly [string, string])[] = [
  ["scheduler.alpha.kubernetes.io/critical-pod", 'non-functional in v1.16+; use the "priorityClassName" field instead'],
  ["security.alpha.kubernetes.io/sysctls", 'non-functional in v1.11+; use the "sysctls" field instead'],
  ["security.alpha.kubernetes.io/unsafe-sysctls", 'non-functional in v1.11+; use the "sysctls" field instead'],
];

/** Field of the volume, its name in the message, and what became of it. */
const deprecatedVolumes: readonly (readonly [keyof Volume, string, string])[] = [
  ["photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"],
  ["gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"],
  ["scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"],
  ["flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"],
  ["storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"],
  ["quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"],
  ["glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"],
  ["cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"],
  ["rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"],
];

function addVolumeWarnings(warnings: string[], volume: Volume, at: Place): void {
  for (const [field, name, what] of deprecatedVolumes) {
    if (volume[field]) warnings.push(`${at.child(name)}: ${what}`);
  }
  const size = volume.ephemeral?.volumeClaimTemplate?.spec?.resources?.requests?.storage;
  if (size === undefined || isWholeAmount(size)) return;
  const place = at.child("ephemeral").child("volumeClaimTemplate").child("spec");
  warnings.push(fractional(place.child("resources").child("requests").key("storage"), size));
}

function addReferenceWarnings(warnings: string[], spec: PodSpec, at: Place): void {
  const addresses = new Set<string>();
  spec.hostAliases?.forEach(({ ip }, i) => {
    const place = at.child("hostAliases").index(i).child("ip");
    if (addresses.has(ip)) warnings.push(`${place}: duplicate ip ${goQuote(ip)}`);
    addresses.add(ip);
  });
  const names = new Set<string>();
  spec.imagePullSecrets?.forEach(({ name = "" }, i) => {
    const place = at.child("imagePullSecrets").index(i).child("name");
    if (names.has(name)) warnings.push(`${place}: duplicate name ${goQuote(name)}`);
    names.add(name);
  });
  spec.imagePullSecrets?.forEach(({ name }, i) => {
    if (!name) warnings.push(`${at.child("imagePullSecrets").index(i).child("name")}: invalid empty name ""`);
  });
}

function addAffinityWarnings(warnings: string[], affinity: PodAffinity | undefined, at: Place): void {
  affinity?.[required]?.forEach(({ labelSelector }, i) => {
    if (!labelSelector) warnings.push(`${at.child(required).index(i).child("labelSelector")}: ${nullSelector}`);
  });
  affinity?.[preferred]?.forEach(({ podAffinityTerm }, i) => {
    if (podAffinityTerm?.labelSelector) return;
    const place = at.child(preferred).index(i).child("podAffinityTerm").child("labelSelector");
    warnings.push(`${place}: ${nullSelector}`);
  });
}

function addAddressWarnings(warnings: string[], spec: PodSpec, at: Place): void {
  spec.dnsConfig?.nameservers?.forEach((address, i) => {
    warnings.push(...ipWarnings(address, at.child("dnsConfig").child("nameservers").index(i)));
  });
  spec.hostAliases?.forEach(({ ip }, i) => {
    warnings.push(...ipWarnings(ip, at.child("hostAliases").index(i).child("ip")));
  });
}
