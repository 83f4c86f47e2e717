/** The volumes of a pod: one source each, unique names. */
import { isDns1123Label, nameIsDnsSubdomain, quantitySign } from "#machinery";
import type { Place } from "../place.ts";
import type { CSIVolumeSource, ISCSIVolumeSource, Volume } from "../types.d.ts";
import type { PodCheckOptions } from "./check.ts";
import { validateClaimTemplate } from "./claim-spec.ts";
import { validatePullPolicy } from "./image.ts";
import { validateDescendingPath } from "./paths.ts";
import {
  validateConfigMapVolume,
  validateDownwardVolume,
  validateProjectedVolume,
  validateSecretVolume,
} from "./projected.ts";
import * as sources from "./volume-sources.ts";

type SourceName = Exclude<keyof Volume, "name">;
interface SourceContext {
  readonly options: PodCheckOptions;
  readonly name: string;
  /** The volume's own place. */
  readonly volume: Place;
}

interface SourceRule {
  readonly name: SourceName;
  /** Where upstream reports a second source, if not at the source's own name. */
  readonly extraAt?: string;
  /** Where upstream reports what is wrong inside, likewise. */
  readonly at?: string;
  validate(volume: Volume, at: Place, context: SourceContext): void;
}

/** Of a source that only needs some of its fields. */
function required<N extends SourceName>(
  name: N,
  fields: readonly (keyof NonNullable<Volume[N]> & string)[],
  places: { at?: string; extraAt?: string } = {},
): SourceRule {
  return {
    name,
    ...places,
    validate: (volume, at) => sources.requireFields(volume[name] as NonNullable<Volume[N]>, at, fields), // the rule is only used when it is set
  };
}

function rule<N extends SourceName>(
  name: N,
  validate: (source: NonNullable<Volume[N]>, at: Place, context: SourceContext) => void,
  places: { at?: string; extraAt?: string } = {},
): SourceRule {
  return {
    name,
    ...places,
    validate: (volume, at, context) => validate(volume[name] as NonNullable<Volume[N]>, at, context), // as above
  };
}

/** In upstream's order, with upstream's places. */
const rules: readonly SourceRule[] = [
  rule("emptyDir", (source, at) => {
    if (source.sizeLimit !== undefined && quantitySign(source.sizeLimit) < 0) {
      at.child("sizeLimit").forbidden("SizeLimit field must be a valid resource quantity");
    }
  }),
  rule("hostPath", sources.validateHostPath),
  rule("gitRepo", (source, at) => {
    sources.requireFields(source, at, ["repository"]);
    validateDescendingPath(source.directory ?? "", at.child("directory"));
  }),
  rule("gcePersistentDisk", sources.validateGcePersistentDisk, { at: "persistentDisk" }),
  rule("awsElasticBlockStore", sources.validateAwsDisk),
  rule("secret", validateSecretVolume),
  rule("nfs", sources.validateNfs),
  rule("iscsi", validateIscsiVolume),
  required("glusterfs", ["endpoints", "path"]),
  rule("flocker", sources.validateFlocker),
  required("persistentVolumeClaim", ["claimName"]),
  required("rbd", ["monitors", "image"]),
  rule("cinder", (source, at) => {
    sources.requireFields(source, at, ["volumeID"]);
    if (source.secretRef) sources.requireFields(source.secretRef, at.child("secretRef"), ["name"]);
  }),
  required("cephfs", ["monitors"], { extraAt: "cephFS" }),
  rule("quobyte", sources.validateQuobyte),
  rule("downwardAPI", validateDownwardVolume, { extraAt: "downwarAPI" }),
  rule("fc", sources.validateFibreChannel),
  rule("flexVolume", sources.validateFlexVolume),
  rule("configMap", validateConfigMapVolume),
  required("azureFile", ["secretName", "shareName"]),
  required("vsphereVolume", ["volumePath"]),
  required("photonPersistentDisk", ["pdID"]),
  required("portworxVolume", ["volumeID"]),
  rule("azureDisk", sources.validateAzureDisk),
  rule("storageos", (source, at) => {
    sources.validateStorageOs(source, at);
    if (source.secretRef) sources.requireFields(source.secretRef, at.child("secretRef"), ["name"]);
  }),
  rule("projected", (source, at, { options }) => validateProjectedVolume(source, at, options)),
  required("scaleIO", ["gateway", "system", "volumeName"]),
  rule("csi", validateCsiVolume),
  rule("ephemeral", (source, at, { options, name, volume }) => {
    if (!source.volumeClaimTemplate) at.child("volumeClaimTemplate").required();
    else validateClaimTemplate(source.volumeClaimTemplate, at.child("volumeClaimTemplate"));
    if (options.podName === "" || name === "") return;
    const claim = `${options.podName}-${name}`;
    for (const message of nameIsDnsSubdomain(claim, false)) {
      volume.child("name").invalid(name, `PVC name ${JSON.stringify(claim)}: ${message}`);
    }
  }),
  rule("image", (source, at, { options }) => {
    if (!source.reference && !options.tolerate.emptyImageReferences) at.child("reference").required();
    validatePullPolicy(source.pullPolicy, at.child("pullPolicy"));
  }),
];
const ruleOf = new Map<string, SourceRule>(rules.map((each) => [each.name, each]));

function validateIscsiVolume(source: ISCSIVolumeSource, at: Place, { name, volume }: SourceContext): void {
  sources.requireFields(source, at, ["targetPortal"]);
  sources.validateIscsi(source, at);
  sources.validateIscsiInitiator(source.initiatorName, at);
  if (source.initiatorName !== undefined && `${name}:${source.targetPortal}`.length > sources.iscsiNameBytesMax) {
    volume.child("name").invalid(name, sources.iscsiTooLong);
  }
}

function validateCsiVolume(source: CSIVolumeSource, at: Place): void {
  sources.validateCsiDriverName(source.driver, at.child("driver"));
  if (!source.nodePublishSecretRef) return;
  const { name } = source.nodePublishSecretRef;
  if (!name) at.child("nodePublishSecretRef").child("name").required();
  else at.child("name").invalidEach(name, nameIsDnsSubdomain(name, false));
}

/** Answers the valid ones by name: what containers may mount. */
export function validateVolumes(volumes: readonly Volume[], at: Place, options: PodCheckOptions): Map<string, Volume> {
  const valid = new Map<string, Volume>();
  volumes.forEach((volume, i) => {
    const place = at.index(i);
    const { name = "" } = volume;
    const before = at.errors.length;
    validateSource(volume, place, options);
    if (name === "") place.child("name").required();
    else place.child("name").invalidEach(name, isDns1123Label(name));
    if (valid.has(name)) place.child("name").duplicate(name);
    if (at.errors.length === before) valid.set(name, volume);
    const claim = volume.persistentVolumeClaim?.claimName;
    if (claim !== undefined && options.podName !== "" && isCreatedClaim(claim, volumes, options.podName)) {
      const where = place.child("persistentVolumeClaim").child("claimName");
      where.invalid(claim, "must not reference a PVC that gets created for an ephemeral volume");
    }
  });
  return valid;
}

const isCreatedClaim = (claim: string, volumes: readonly Volume[], podName: string): boolean =>
  volumes.some((each) => each.ephemeral && `${podName}-${each.name}` === claim);

function validateSource(volume: Volume, at: Place, options: PodCheckOptions): void {
  const context: SourceContext = { options, name: volume.name ?? "", volume: at };
  const single = onlySource(volume);
  if (single) {
    single.validate(volume, at.child(single.at ?? single.name), context);
    return;
  }
  let found = false;
  for (const each of rules) {
    if (!volume[each.name]) continue;
    if (found) at.child(each.extraAt ?? each.name).forbidden("may not specify more than 1 volume type");
    else each.validate(volume, at.child(each.at ?? each.name), context);
    found = true;
  }
  if (!found) at.required("must specify a volume type");
}

/** Nearly every volume has exactly one; this spares a look at thirty fields. */
function onlySource(volume: Volume): SourceRule | undefined {
  let only: SourceRule | undefined;
  for (const field in volume) {
    const found = ruleOf.get(field);
    if (!found || !volume[found.name]) continue;
    if (only) return undefined;
    only = found;
  }
  return only;
}
