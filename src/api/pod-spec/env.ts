/** Environment of a container: single variables and whole config maps and secrets. */
import { isConfigMapKey, isDns1123Label, isRelaxedEnvironmentName, nameIsDnsSubdomain } from "#machinery";
import type { Place } from "../place.ts";
import type { EnvFromSource, EnvVar, EnvVarSource, FileKeySelector, PodSpec } from "../types.d.ts";
import { visitContainers } from "./containers-of.ts";
import { validateFieldRef, validateResourceFieldRef } from "./downward.ts";
import { validateNoBacksteps } from "./paths.ts";

export function validateEnv(variables: readonly EnvVar[], at: Place): void {
  variables.forEach((variable, i) => {
    const place = at.index(i);
    if (!variable.name) place.child("name").required();
    else place.child("name").invalidEach(variable.name, isRelaxedEnvironmentName(variable.name));
    if (variable.valueFrom) validateValueFrom(variable.valueFrom, place.child("valueFrom"), variable.value ?? "");
  });
}

const fields: ReadonlySet<string> = new Set([
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
]);

function validateValueFrom(source: EnvVarSource, at: Place, value: string): void {
  let count = 0;
  if (source.fieldRef) {
    count++;
    validateFieldRef(source.fieldRef, at.child("fieldRef"), fields);
  }
  if (source.resourceFieldRef) {
    count++;
    validateResourceFieldRef(source.resourceFieldRef, at.child("resourceFieldRef"), { inVolume: false });
  }
  for (const kind of ["configMapKeyRef", "secretKeyRef"] as const) {
    const selector = source[kind];
    if (!selector) continue;
    count++;
    validateKeyRef(selector, at.child(kind));
  }
  if (source.fileKeyRef) {
    count++;
    validateFileKey(source.fileKeyRef, at.child("fileKeyRef"));
  }
  if (count === 0) {
    at.invalid(
      "",
      "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
    );
  } else if (value !== "") {
    at.invalid("", "may not be specified when `value` is not empty");
  } else if (count > 1) {
    at.invalid("", "may not have more than one field specified at a time");
  }
}

function validateKeyRef({ name = "", key }: { name?: string; key?: string }, at: Place): void {
  at.child("name").invalidEach(name, nameIsDnsSubdomain(name, false));
  if (!key) at.child("key").required();
  else at.child("key").invalidEach(key, isConfigMapKey(key));
}

function validateFileKey({ key, volumeName, path }: FileKeySelector, at: Place): void {
  if (!key) at.child("key").required();
  else at.child("key").invalidEach(key, isRelaxedEnvironmentName(key));
  if (!volumeName) at.child("volumeName").required();
  else at.child("volumeName").invalidEach(volumeName, isDns1123Label(volumeName));
  if (!path) at.child("path").required();
  else validateNoBacksteps(path, at.child("path"));
}

/** Files with variables are written by an init container, so their volume is an emptyDir. */
export function validateFileKeyVolumes(spec: PodSpec, at: Place): void {
  visitContainers(spec, at, (container, place) => {
    container.env?.forEach((variable, i) => {
      const name = variable.valueFrom?.fileKeyRef?.volumeName;
      if (name === undefined) return;
      const where = place.child("env").index(i).child("valueFrom").child("fileKeyRef").child("volumeName");
      const volume = spec.volumes?.findLast((each) => each.name === name);
      if (!volume) where.notFound(name);
      else if (!volume.emptyDir) where.invalid(name, "referenced volume must be of type emptyDir");
    });
  });
}

export function validateEnvFrom(sources: readonly EnvFromSource[], at: Place): void {
  sources.forEach((source, i) => {
    const place = at.index(i);
    if (source.prefix) place.child("prefix").invalidEach(source.prefix, isRelaxedEnvironmentName(source.prefix));
    let count = 0;
    for (const kind of ["configMapRef", "secretRef"] as const) {
      const reference = source[kind];
      if (!reference) continue;
      count++;
      const { name = "" } = reference;
      if (name === "") place.child(kind).child("name").required();
      else place.child(kind).child("name").invalidEach(name, nameIsDnsSubdomain(name, true));
    }
    // Upstream reports these at the list, not at the entry.
    if (count === 0) at.invalid("", "must specify one of: `configMapRef` or `secretRef`");
    else if (count > 1) at.invalid("", "may not have more than one field specified at a time");
  });
}
