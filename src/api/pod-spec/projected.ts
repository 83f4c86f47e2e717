/** Volumes whose files come from the API: configMap, secret, downwardAPI and projections of several. */
import type { Place } from "../place.ts";
import type {
  ConfigMapVolumeSource,
  DownwardAPIVolumeFile,
  DownwardAPIVolumeSource,
  KeyToPath,
  ProjectedVolumeSource,
  SecretVolumeSource,
  ServiceAccountTokenProjection,
  VolumeProjection,
} from "../types.d.ts";
import type { PodCheckOptions } from "./check.ts";
import { validateFieldRef, validateResourceFieldRef } from "./downward.ts";
import { validateFileMode, validateUnreservedPath } from "./paths.ts";
import { validateClusterTrustBundle, validatePodCertificate } from "./projected-certificates.ts";

export function validateSecretVolume(source: SecretVolumeSource, at: Place): void {
  if (!source.secretName) at.child("secretName").required();
  validateFileMode(source.defaultMode, at.child("defaultMode"));
  validateItems(source.items, at.child("items"));
}

export function validateConfigMapVolume(source: ConfigMapVolumeSource, at: Place): void {
  if (!source.name) at.child("name").required();
  validateFileMode(source.defaultMode, at.child("defaultMode"));
  validateItems(source.items, at.child("items"));
}

export function validateDownwardVolume(source: DownwardAPIVolumeSource, at: Place): void {
  validateFileMode(source.defaultMode, at.child("defaultMode"));
  for (const file of source.items ?? []) validateDownwardFile(file, at);
}

function validateItems(items: readonly KeyToPath[] | undefined, at: Place): void {
  items?.forEach((item, i) => {
    validateKeyToPath(item, at.index(i));
  });
}

function validateKeyToPath(item: KeyToPath, at: Place): void {
  if (!item.key) at.child("key").required();
  if (!item.path) at.child("path").required();
  validateUnreservedPath(item.path ?? "", at.child("path"));
  validateFileMode(item.mode, at.child("mode"));
}

const volumeFields: ReadonlySet<string> = new Set([
  "metadata.annotations",
  "metadata.labels",
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
]);

/** Without an index in the path, as upstream has it. */
function validateDownwardFile(file: DownwardAPIVolumeFile, at: Place): void {
  if (!file.path) at.child("path").required();
  validateUnreservedPath(file.path ?? "", at.child("path"));
  if (file.fieldRef) {
    validateFieldRef(file.fieldRef, at.child("fieldRef"), volumeFields);
    if (file.resourceFieldRef)
      at.invalid("resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
  } else if (file.resourceFieldRef) {
    validateResourceFieldRef(file.resourceFieldRef, at.child("resourceFieldRef"), { inVolume: true });
  } else {
    at.required("one of fieldRef and resourceFieldRef is required");
  }
  validateFileMode(file.mode, at.child("mode"));
}

export function validateProjectedVolume(source: ProjectedVolumeSource, at: Place, options: PodCheckOptions): void {
  validateFileMode(source.defaultMode, at.child("defaultMode"));
  const paths = new Set<string>();
  source.sources?.forEach((each, i) => {
    validateProjection(each, at.child("sources").index(i), { volume: at, paths, options });
  });
}

interface ProjectionCheck {
  /** The volume itself: where upstream reports paths that clash. */
  readonly volume: Place;
  readonly paths: Set<string>;
  readonly options: PodCheckOptions;
}

/** Remembers a path; a second use of it is an error that shows `value`. */
function takePath(path: string | undefined, value: string, { volume, paths }: ProjectionCheck): void {
  if (!path) return;
  if (paths.has(path)) volume.invalid(value, "conflicting duplicate paths");
  paths.add(path);
}

function validateProjection(source: VolumeProjection, at: Place, check: ProjectionCheck): void {
  let count = 0;
  for (const kind of ["secret", "configMap"] as const) {
    const projection = source[kind];
    if (!projection) continue;
    count++;
    const place = at.child(kind);
    if (!projection.name) place.child("name").required();
    projection.items?.forEach((item, i) => {
      validateKeyToPath(item, place.child("items").index(i));
      takePath(item.path, projection.name ?? "", check);
    });
  }
  if (source.downwardAPI) {
    count++;
    for (const file of source.downwardAPI.items ?? []) {
      validateDownwardFile(file, at.child("downwardAPI"));
      takePath(file.path, file.path, check);
    }
  }
  if (source.serviceAccountToken) {
    count++;
    validateToken(source.serviceAccountToken, at.child("serviceAccountToken"), check);
  }
  if (source.clusterTrustBundle) {
    count++;
    validateClusterTrustBundle(source.clusterTrustBundle, at.child("clusterTrustBundle"));
    takePath(source.clusterTrustBundle.path, source.clusterTrustBundle.path, check);
  }
  if (source.podCertificate) {
    count++;
    validatePodCertificate(source.podCertificate, at.child("podCertificate"), (path) => takePath(path, path, check));
  }
  if (count > 1) at.forbidden("may not specify more than 1 volume type per source");
}

const tokenSecondsMin = 10 * 60;
const tokenSecondsMax = 2 ** 32;

function validateToken(token: ServiceAccountTokenProjection, at: Place, { volume, options }: ProjectionCheck): void {
  const seconds = token.expirationSeconds ?? 0;
  if (seconds < tokenSecondsMin) {
    at.child("expirationSeconds").invalid(seconds, "may not specify a duration less than 10 minutes");
  }
  if (seconds > tokenSecondsMax) {
    at.child("expirationSeconds").invalid(seconds, "may not specify a duration larger than 2^32 seconds");
  }
  if (!token.path) volume.child("path").required();
  else if (!options.tolerate.tokenPaths) validateUnreservedPath(token.path, volume.child("path"));
}
