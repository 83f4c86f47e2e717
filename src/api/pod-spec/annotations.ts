/** Annotations that upstream gives a meaning to: mirror pods, deletion cost, and what seccomp and AppArmor had before their fields. */
import type { Place } from "../place.ts";
import type { AppArmorProfile, PodSpec, SeccompProfile, Toleration } from "../types.d.ts";
import type { Tolerance } from "./check.ts";
import { containersOf, visitContainers } from "./containers-of.ts";
import { validateDescendingPath } from "./paths.ts";
import { validateTolerations } from "./tolerations.ts";

type Annotations = Readonly<Record<string, string>>;

export const mirrorAnnotation = "kubernetes.io/config.mirror";
const tolerationsAnnotation = "scheduler.alpha.kubernetes.io/tolerations";
const deletionCostAnnotation = "controller.kubernetes.io/pod-deletion-cost";
export const seccompPodAnnotation = "seccomp.security.alpha.kubernetes.io/pod";
export const seccompContainerPrefix = "container.seccomp.security.alpha.kubernetes.io/";
export const appArmorPrefix = "container.apparmor.security.beta.kubernetes.io/";

export function validatePodAnnotations(
  annotations: Annotations | undefined,
  at: Place,
  { spec, tolerate }: { spec: PodSpec; tolerate: Tolerance },
): void {
  if (!annotations) return;
  const mirror = annotations[mirrorAnnotation];
  if (mirror !== undefined && !spec.nodeName) {
    at.key(mirrorAnnotation).invalid(mirror, "must set spec.nodeName if mirror pod annotation is set");
  }
  const tolerations = annotations[tolerationsAnnotation];
  if (tolerations) validateTolerationsText(tolerations, at);
  const cost = annotations[deletionCostAnnotation];
  if (cost !== undefined && !tolerate.deletionCost && !isDeletionCost(cost)) {
    at.key(deletionCostAnnotation).invalid(cost, "must be a 32bit integer");
  }
  for (const key in annotations) {
    const value = annotations[key] ?? "";
    if (key === seccompPodAnnotation || key.startsWith(seccompContainerPrefix)) {
      validateSeccompText(value, at.child(key));
    } else if (key.startsWith(appArmorPrefix)) {
      const name = key.slice(appArmorPrefix.length);
      if (!containersOf(spec).some((container) => container.name === name)) {
        at.key(key).invalid(name, "container not found");
      }
      if (!isAppArmorText(value)) {
        at.key(key).invalid(value, `invalid AppArmor profile name: ${JSON.stringify(value)}`);
      }
    }
  }
}

function validateTolerationsText(text: string, at: Place): void {
  let tolerations: unknown;
  try {
    tolerations = JSON.parse(text);
  } catch (error) {
    at.invalid(tolerationsAnnotation, String(error));
    return;
  }
  if (Array.isArray(tolerations)) {
    validateTolerations(tolerations as Toleration[], at.child(tolerationsAnnotation)); // checked field by field
  } else if (tolerations !== null) {
    at.invalid(tolerationsAnnotation, "json: cannot unmarshal into Go value of type []core.Toleration");
  }
}

/** An int32 without a plus sign or leading zeros. */
export const isDeletionCost = (text: string): boolean =>
  /^(0|-?[1-9][0-9]*)$/.test(text) && Number(text) >= -(2 ** 31) && Number(text) < 2 ** 31;

const localhost = "localhost/";

function validateSeccompText(profile: string, at: Place): void {
  if (profile === "runtime/default" || profile === "docker/default" || profile === "unconfined") return;
  if (profile.startsWith(localhost)) validateDescendingPath(profile.slice(localhost.length), at);
  else at.invalid(profile, "must be a valid seccomp profile");
}

const isAppArmorText = (profile: string): boolean =>
  profile === "" || profile === "runtime/default" || profile === "unconfined" || profile.startsWith(localhost);

/** Where an annotation and its field are both there, they say the same. `at` is the spec. */
export function validateAnnotationsMatch(annotations: Annotations | undefined, at: Place, spec: PodSpec): void {
  if (!annotations) return;
  const ofPod = spec.securityContext;
  const match = (key: string, profile: SeccompProfile | undefined, place: Place) => {
    const annotation = annotations[key];
    if (annotation !== undefined && profile) validateMatch(annotation, place, profile);
  };
  match(seccompPodAnnotation, ofPod?.seccompProfile, at.child("securityContext").child("seccompProfile"));
  visitContainers(spec, at, ({ name, securityContext }, place) => {
    const where = place.child("securityContext").child("seccompProfile");
    match(`${seccompContainerPrefix}${name}`, securityContext?.seccompProfile, where);
  });
  if (spec.os?.name === "windows") return;
  visitContainers(spec, at, ({ name, securityContext }, place) => {
    const annotation = annotations[`${appArmorPrefix}${name}`];
    const profile = securityContext?.appArmorProfile ?? ofPod?.appArmorProfile;
    if (annotation === undefined || !profile) return;
    validateMatch(annotation, place.child("securityContext").child("appArmorProfile"), profile, "apparmor");
  });
}

function validateMatch(
  annotation: string,
  at: Place,
  { type, localhostProfile }: { type: string; localhostProfile?: string },
  what: "seccomp" | "apparmor" = "seccomp",
): void {
  const differs = () => at.child("type").forbidden(`${what} type in annotation and field must match`);
  if (type === "Unconfined") {
    if (annotation !== "unconfined") differs();
  } else if (type === "RuntimeDefault") {
    const isDefault = annotation === "runtime/default" || (what === "seccomp" && annotation === "docker/default");
    if (!isDefault) differs();
  } else if (type === "Localhost") {
    if (!annotation.startsWith(localhost)) differs();
    else if (annotation.slice(localhost.length) !== localhostProfile) {
      at.child("localhostProfile").forbidden(`${what} profile in annotation and field must match`);
    }
  }
}

/** The profile that an annotation names; undefined for what no field can say. */
export function appArmorProfileOf(text: string): AppArmorProfile | undefined {
  if (text === "unconfined") return { type: "Unconfined" };
  if (text === "runtime/default") return { type: "RuntimeDefault" };
  const name = text.startsWith(localhost) ? text.slice(localhost.length) : "";
  return name !== "" && name.trim() === name ? { type: "Localhost", localhostProfile: name } : undefined;
}
