/** What a claim asks for: of persistent volume claims, and of the templates in ephemeral volumes and stateful sets. */
import { isDns1123Label, isDns1123Subdomain, nameIsDnsSubdomain, quantitySign } from "#machinery";
import type { Place } from "../place.ts";
import { validateAnnotations, validateLabelSelector, validateLabels } from "../selectors.ts";
import type {
  ObjectMeta,
  PersistentVolumeClaimSpec,
  PersistentVolumeClaimTemplate,
  TypedLocalObjectReference,
  TypedObjectReference,
} from "../types.d.ts";

export interface ClaimTolerance {
  readonly selectorValues?: boolean;
  readonly dataSourceGroups?: boolean;
}

export function validateClaimTemplate(template: PersistentVolumeClaimTemplate, at: Place): void {
  validateTemplateMeta(template.metadata ?? {}, at.child("metadata"));
  validateClaimSpec(template.spec ?? {}, at.child("spec"));
}

/** Only labels and annotations mean something there. */
export function validateTemplateMeta(meta: ObjectMeta, at: Place): void {
  validateAnnotations(meta.annotations, at.child("annotations"));
  validateLabels(meta.labels, at.child("labels"));
  for (const [field, value] of Object.entries(meta)) {
    if (field === "annotations" || field === "labels" || value === undefined || value === null || value === "")
      continue;
    at.child(field).forbidden("cannot be set");
  }
}

const accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/** Of volumes and of claims. */
export function validateAccessModes(modes: readonly string[], at: Place): void {
  let oncePod = false;
  let other = false;
  for (const mode of modes) {
    if (mode === "ReadWriteOncePod") oncePod = true;
    else if (accessModes.includes(mode)) other = true;
    else at.notSupported(mode, accessModes);
  }
  if (oncePod && other) at.forbidden("may not use ReadWriteOncePod with other access modes");
}

const volumeModes = ["Block", "Filesystem"];

export function validateVolumeMode(mode: string | undefined, at: Place): void {
  if (mode !== undefined && !volumeModes.includes(mode)) at.notSupported(mode, volumeModes);
}

/** The name of a storage class or of a volume attributes class; "" means none. */
export function validateClassName(name: string | undefined, at: Place): void {
  if (name) at.invalidEach(name, nameIsDnsSubdomain(name, false));
}

export function validateClaimSpec(spec: PersistentVolumeClaimSpec, at: Place, tolerate: ClaimTolerance = {}): void {
  const modes = spec.accessModes ?? [];
  if (modes.length === 0) at.child("accessModes").required("at least 1 access mode is required");
  validateLabelSelector(spec.selector, at.child("selector"), { anyValue: tolerate.selectorValues ?? false });
  validateAccessModes(modes, at.child("accessModes"));
  const size = spec.resources?.requests?.storage;
  const sizeAt = at.child("resources").key("storage");
  if (size === undefined) sizeAt.required();
  else if (quantitySign(size) <= 0) sizeAt.invalid(size, "must be greater than zero");
  validateClassName(spec.storageClassName, at.child("storageClassName"));
  validateVolumeMode(spec.volumeMode, at.child("volumeMode"));
  validateDataSources(spec, at, tolerate);
  validateClassName(spec.volumeAttributesClassName, at.child("volumeAttributesClassName"));
}

function validateDataSources(
  { dataSource, dataSourceRef }: PersistentVolumeClaimSpec,
  at: Place,
  tolerate: ClaimTolerance,
): void {
  if (dataSource) validateDataSource(dataSource, at.child("dataSource"), tolerate);
  if (dataSourceRef) {
    validateDataSource(dataSourceRef, at.child("dataSourceRef"), tolerate);
    const { namespace } = dataSourceRef;
    if (namespace) at.child("dataSourceRef").child("namespace").invalidEach(namespace, isDns1123Label(namespace));
  }
  if (!dataSource || !dataSourceRef) return;
  // Upstream prints the field's path object as the value, which is an empty one.
  if (dataSourceRef.namespace) at.invalid({}, "may not be specified when dataSourceRef.namespace is specified");
  else if (
    (dataSource.apiGroup ?? null) !== (dataSourceRef.apiGroup ?? null) ||
    dataSource.kind !== dataSourceRef.kind ||
    dataSource.name !== dataSourceRef.name
  ) {
    at.invalid({}, "must match dataSourceRef");
  }
}

function validateDataSource(
  source: TypedLocalObjectReference | TypedObjectReference,
  at: Place,
  { dataSourceGroups }: ClaimTolerance,
): void {
  const { name, kind = "" } = source;
  const apiGroup = source.apiGroup ?? ""; // printed as null
  if (!name) at.child("name").required();
  if (kind === "") at.child("kind").required();
  if (apiGroup === "" && kind !== "PersistentVolumeClaim") {
    at.invalid(kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  }
  if (apiGroup !== "" && !dataSourceGroups) at.child("apiGroup").invalidEach(apiGroup, isDns1123Subdomain(apiGroup));
}
