/** CSIDriver: what Kubernetes must know about a storage driver. Follows upstream's registry/storage/csidriver. */
import { type FieldError, jsonEqual } from "#machinery";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { bumpGeneration } from "../strategy.ts";
import type { CSIDriver, CSIDriverSpec, StorageV1TokenRequest } from "../types.d.ts";
import { csiDriverColumns } from "./csi-driver-columns.ts";

const groupPolicies = ["File", "None", "ReadWriteOnceWithFSType"];
const lifecycleModes = ["Persistent", "Ephemeral"];
const updateSecondsMin = 10;
const tokenSecondsMin = 600;
const tokenSecondsMax = 2 ** 32;

function validateSpec(spec: CSIDriverSpec): FieldError[] {
  const at = Place.root("spec");
  // Upstream's name of the field.
  if (spec.attachRequired === undefined) at.child("attachedRequired").required();
  if (spec.podInfoOnMount === undefined) at.child("podInfoOnMount").required();
  if (spec.storageCapacity === undefined) at.child("storageCapacity").required();
  const { fsGroupPolicy, tokenRequests = [], volumeLifecycleModes = [] } = spec;
  if (fsGroupPolicy !== undefined && !groupPolicies.includes(fsGroupPolicy)) {
    at.child("fsGroupPolicy").notSupported(fsGroupPolicy, groupPolicies);
  }
  validateTokens(tokenRequests, at.child("tokenRequests"));
  for (const mode of volumeLifecycleModes) {
    if (!lifecycleModes.includes(mode)) at.child("volumeLifecycleModes").notSupported(mode, lifecycleModes);
  }
  if (spec.seLinuxMount === undefined) at.child("seLinuxMount").required();
  const period = spec.nodeAllocatableUpdatePeriodSeconds;
  if (period !== undefined && period < updateSecondsMin) {
    const why = `must be greater than or equal to ${updateSecondsMin} seconds`;
    at.child("nodeAllocatableUpdatePeriodSeconds").invalid(period, why);
  }
  const inSecrets = spec.serviceAccountTokenInSecrets;
  if (inSecrets !== undefined && tokenRequests.length === 0) {
    const why = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
    at.child("serviceAccountTokenInSecrets").invalid(inSecrets, why);
  }
  return at.errors;
}

/** One for each audience. */
function validateTokens(requests: readonly StorageV1TokenRequest[], at: Place): void {
  const audiences = new Set<string>();
  requests.forEach(({ audience = "", expirationSeconds: seconds }, i) => {
    const place = at.index(i);
    if (audiences.has(audience)) {
      place.child("audience").duplicate(audience);
      return;
    }
    audiences.add(audience);
    if (seconds === undefined) return;
    const secondsAt = place.child("expirationSeconds");
    if (seconds < tokenSecondsMin) secondsAt.invalid(seconds, "may not specify a duration less than 10 minutes");
    if (seconds > tokenSecondsMax) secondsAt.invalid(seconds, "may not specify a duration larger than 2^32 seconds");
  });
}

function tokenWarnings({ tokenRequests = [], serviceAccountTokenInSecrets }: CSIDriverSpec): string[] {
  if (tokenRequests.length === 0 || serviceAccountTokenInSecrets !== undefined) return [];
  return [
    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes",
  ];
}

function validateUpdate({ spec }: CSIDriver, old: CSIDriver): FieldError[] {
  const errors = validateSpec(spec);
  const at = Place.root("spec", errors);
  const immutable = "field is immutable";
  if (spec.attachRequired !== old.spec.attachRequired) {
    at.child("attachedRequired").invalid(spec.attachRequired, immutable);
  }
  const { volumeLifecycleModes: modes = [] } = spec;
  if (!jsonEqual(modes, old.spec.volumeLifecycleModes ?? []))
    at.child("volumeLifecycleModes").invalid(modes, immutable);
  return errors;
}

export const csiDriverKind = defineKind<CSIDriver>({
  group: "storage.k8s.io",
  kind: "CSIDriver",
  resource: "csidrivers",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,

  defaults(driver) {
    driver.spec ??= {};
    const { spec } = driver;
    spec.attachRequired ??= true;
    spec.podInfoOnMount ??= false;
    spec.storageCapacity ??= false;
    spec.fsGroupPolicy ??= "ReadWriteOnceWithFSType";
    if (!spec.volumeLifecycleModes?.length) spec.volumeLifecycleModes = ["Persistent"];
    spec.requiresRepublish ??= false;
    spec.seLinuxMount ??= false;
  },
  prepareForCreate({ spec }) {
    // An alpha feature.
    delete spec.preventPodSchedulingIfMissing;
  },
  prepareForUpdate(driver, old) {
    if (old.spec.preventPodSchedulingIfMissing === undefined) delete driver.spec.preventPodSchedulingIfMissing;
    bumpGeneration(driver, old);
  },
  validate: ({ spec }) => validateSpec(spec),
  validateUpdate,
  warningsOnCreate: ({ spec }) => tokenWarnings(spec),
  warningsOnUpdate: ({ spec }, old) =>
    jsonEqual(spec.tokenRequests ?? [], old.spec.tokenRequests ?? []) ? [] : tokenWarnings(spec),

  columns: csiDriverColumns,
});
