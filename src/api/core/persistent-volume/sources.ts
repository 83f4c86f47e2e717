/** What a persistent volume consists of: exactly one source. Most are checked as in pods; secrets are named with their namespace. */
import { isDns1123Label, isDns1123Subdomain, nameIsDnsLabel } from "#machinery";
import type { Place } from "../../place.ts";
import { validateNoBacksteps } from "../../pod-spec/paths.ts";
import * as sources from "../../pod-spec/volume-sources.ts";
import type {
  CSIPersistentVolumeSource,
  GlusterfsPersistentVolumeSource,
  ISCSIPersistentVolumeSource,
  PersistentVolumeSource,
  SecretReference,
} from "../../types.d.ts";

type SourceName = keyof PersistentVolumeSource;

interface SourceRule {
  readonly name: SourceName;
  /** Where upstream reports a second source, if not at the source's own name; "" where it doesn't mind. */
  readonly extraAt?: string;
  /** Where upstream reports what is wrong inside, likewise. */
  readonly at?: string;
  validate(spec: PersistentVolumeSource, at: Place, volumeName: string): void;
}

type Places = Pick<SourceRule, "at" | "extraAt">;

function rule<N extends SourceName>(
  name: N,
  validate: (source: NonNullable<PersistentVolumeSource[N]>, at: Place, volumeName: string) => void,
  places: Places = {},
): SourceRule {
  return {
    name,
    ...places,
    validate: (spec, at, volumeName) => validate(spec[name] as NonNullable<PersistentVolumeSource[N]>, at, volumeName), // the rule is only used when it is set
  };
}

/** Of a source that only needs some of its fields. */
function required<N extends SourceName>(
  name: N,
  fields: readonly (keyof NonNullable<PersistentVolumeSource[N]> & string)[],
  places: Places = {},
): SourceRule {
  return rule(name, (source, at) => sources.requireFields(source, at, fields), places);
}

/** In upstream's order, with upstream's places. */
const rules: readonly SourceRule[] = [
  rule("hostPath", sources.validateHostPath),
  rule("gcePersistentDisk", sources.validateGcePersistentDisk, { at: "persistentDisk" }),
  rule("awsElasticBlockStore", sources.validateAwsDisk),
  rule("glusterfs", validateGlusterfs),
  rule("flocker", sources.validateFlocker),
  rule("nfs", sources.validateNfs),
  required("rbd", ["monitors", "image"]),
  rule("quobyte", sources.validateQuobyte),
  required("cephfs", ["monitors"], { extraAt: "cephFS" }),
  rule("iscsi", validateIscsi),
  rule("cinder", (source, at) => {
    sources.requireFields(source, at, ["volumeID"]);
    if (source.secretRef) sources.requireFields(source.secretRef, at.child("secretRef"), ["name", "namespace"]);
  }),
  rule("fc", sources.validateFibreChannel),
  rule("flexVolume", sources.validateFlexVolume, { extraAt: "" }),
  rule("azureFile", (source, at) => {
    sources.requireFields(source, at, ["secretName", "shareName"]);
    if (source.secretNamespace === "") at.child("secretNamespace").required();
  }),
  required("vsphereVolume", ["volumePath"]),
  required("photonPersistentDisk", ["pdID"]),
  required("portworxVolume", ["volumeID"]),
  rule("azureDisk", sources.validateAzureDisk),
  required("scaleIO", ["gateway", "system", "volumeName"]),
  rule("local", (source, at) => {
    if (!source.path) at.child("path").required();
    else validateNoBacksteps(source.path, at.child("path"));
  }),
  rule("storageos", (source, at) => {
    sources.validateStorageOs(source, at);
    if (source.secretRef) sources.requireFields(source.secretRef, at.child("secretRef"), ["name", "namespace"]);
  }),
  rule("csi", validateCsi),
];

/** All that a spec could have as its source. */
export const sourceNames: readonly SourceName[] = rules.map(({ name }) => name);

export function validateSource(spec: PersistentVolumeSource, at: Place, volumeName: string): void {
  let found = false;
  for (const each of rules) {
    if (!spec[each.name]) continue;
    if (found && each.extraAt !== "") {
      at.child(each.extraAt ?? each.name).forbidden("may not specify more than 1 volume type");
    } else each.validate(spec, at.child(each.at ?? each.name), volumeName);
    found = true;
  }
  if (!found) at.required("must specify a volume type");
}

function validateGlusterfs(source: GlusterfsPersistentVolumeSource, at: Place): void {
  sources.requireFields(source, at, ["endpoints", "path"]);
  const { endpointsNamespace: namespace } = source;
  if (namespace === undefined) return;
  const place = at.child("endpointsNamespace");
  if (namespace !== "") place.invalidEach(namespace, nameIsDnsLabel(namespace, false));
  else place.invalid(namespace, "if the endpointnamespace is set, it must be a valid namespace name");
}

const iscsiFormat = "must be valid format";

function validateIscsi(source: ISCSIPersistentVolumeSource, at: Place, volumeName: string): void {
  const { targetPortal = "", initiatorName, secretRef } = source;
  if (targetPortal === "") at.child("targetPortal").required();
  if (initiatorName !== undefined && `${volumeName}:${targetPortal}`.length > sources.iscsiNameBytesMax) {
    at.child("targetportal").invalid(targetPortal, sources.iscsiTooLong);
  }
  sources.validateIscsi(source, at, iscsiFormat);
  if (secretRef) sources.requireFields(secretRef, at.child("secretRef"), ["name"]);
  sources.validateIscsiInitiator(initiatorName, at, iscsiFormat);
}

const csiSecrets = [
  "controllerPublishSecretRef",
  "controllerExpandSecretRef",
  "nodePublishSecretRef",
  "nodeExpandSecretRef",
] as const;

function validateCsi(source: CSIPersistentVolumeSource, at: Place): void {
  sources.validateCsiDriverName(source.driver, at.child("driver"));
  if (!source.volumeHandle) at.child("volumeHandle").required();
  for (const field of csiSecrets) {
    const reference = source[field];
    if (reference) validateSecretReference(reference, at.child(field));
  }
}

function validateSecretReference({ name = "", namespace = "" }: SecretReference, at: Place): void {
  if (name === "") at.child("name").required();
  else at.child("name").invalidEach(name, isDns1123Subdomain(name));
  if (namespace === "") at.child("namespace").required();
  else at.child("namespace").invalidEach(namespace, isDns1123Label(namespace));
}
