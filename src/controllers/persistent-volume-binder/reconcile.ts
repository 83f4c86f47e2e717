/**
 * What becomes of a claim or a volume, as one plan of writes. Both sides point at each other (`claimRef` and `volumeName`), and nothing
 * locks them together: so the volume is written first, then its phase, then the claim, then its status, and whoever finds a binding half
 * done finishes it or takes it back. Pure. Upstream's syncClaim and syncVolume.
 */
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from "#api";
import { keyOf } from "#client";
import { compareQuantities, type DeepReadonly, jsonEqual } from "#machinery";
import { draft, nameOf } from "../lib/objects.ts";
import {
  asksForClass,
  betaStorageProvisioner,
  binderFinalizer,
  bindCompleted,
  boundByController,
  type Claim,
  capacityOf,
  claimKeyOf,
  classOf,
  hasAnnotation,
  isReservedFor,
  migratedDrivers,
  migratedTo,
  preResizeCapacity,
  provisionedBy,
  provisionerFinalizer,
  selectedNode,
  storageProvisioner,
  type Volume,
} from "../lib/volumes.ts";
import { differInMode, findMatch, mismatch } from "./match.ts";

type Class = DeepReadonly<StorageClass>;
type Phase = "Available" | "Bound" | "Released" | "Failed";

export interface BinderEvent {
  readonly about: Claim | Volume;
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

/** Done from top to bottom; what is missing stays as it is. */
export interface Plan {
  volume?: PersistentVolume;
  volumeStatus?: { phase: Phase; message?: string };
  claim?: PersistentVolumeClaim;
  claimStatus?: NonNullable<PersistentVolumeClaim["status"]>;
  events: BinderEvent[];
  /** A volume that its claim has left. */
  reclaim?: "Delete" | "Recycle";
  /** The claim of the volume is to be looked at. */
  marksClaim?: boolean;
  /** It isn't as it should be: again later. */
  error?: string;
}

export interface ClaimView {
  volume(name: string): Volume | undefined;
  /** Unclaimed ones of the claim's class, and those that are reserved for it. */
  candidates(claim: Claim): readonly Volume[];
  storageClass(name: string): Class | undefined;
  defaultClass(): Class | undefined;
  /** Names of pods that use the claim and have no node yet. */
  waitingPods(claim: Claim): readonly string[];
}

const defaultMarks = [
  "storageclass.kubernetes.io/is-default-class",
  "storageclass.beta.kubernetes.io/is-default-class",
];

/** The newest of those that are marked, by name among equals. */
export function defaultClassOf(classes: readonly Class[]): Class | undefined {
  const created = ({ metadata }: Class) => metadata.creationTimestamp ?? "";
  return classes
    .filter(({ metadata }) => defaultMarks.some((mark) => metadata.annotations?.[mark] === "true"))
    .sort((a, b) =>
      created(a) === created(b) ? (nameOf(a) < nameOf(b) ? -1 : 1) : created(a) < created(b) ? 1 : -1,
    )[0];
}

export function syncClaim(seen: Claim, view: ClaimView): Plan {
  const plan: Plan = { events: [] };
  let claim = seen;
  const say = (type: BinderEvent["type"], reason: string, message: string) =>
    plan.events.push({ about: claim, type, reason, message });
  const change = (edit: (claim: PersistentVolumeClaim) => void) => {
    const changed = draft<PersistentVolumeClaim>(claim);
    edit(changed);
    plan.claim = changed;
    claim = changed;
  };

  const provisioner =
    claim.metadata.annotations?.[storageProvisioner] ?? claim.metadata.annotations?.[betaStorageProvisioner];
  const driver = provisioner === undefined ? undefined : migratedDrivers[provisioner];
  if (provisioner !== undefined && driver !== claim.metadata.annotations?.[migratedTo])
    change((changed) => annotate(changed, { [migratedTo]: driver }));

  const volumeName = claim.spec?.volumeName;
  const volume = volumeName ? view.volume(volumeName) : undefined;
  if (hasAnnotation(claim, bindCompleted)) syncBound();
  else if (!volumeName) syncUnbound();
  else if (volume) syncNamed(volume);
  else setStatus("Pending");
  return plan;

  function setStatus(phase: string, of?: Volume) {
    const status = claimStatus(claim, phase, of);
    if (status) plan.claimStatus = status;
  }

  function bind(to: Volume) {
    if (to.spec?.claimRef?.uid !== claim.metadata.uid || claimKeyOf(to) !== keyOf(claim) || !isReservedFor(to, claim)) {
      const changed = draft<PersistentVolume>(to);
      const { namespace, name, uid, resourceVersion } = claim.metadata;
      changed.spec = {
        ...changed.spec,
        claimRef: { kind: "PersistentVolumeClaim", namespace, name, uid, apiVersion: "v1", resourceVersion },
      };
      if (!isReservedFor(to, claim)) annotate(changed, { [boundByController]: "yes" });
      plan.volume = changed;
    }
    if (to.status?.phase !== "Bound") plan.volumeStatus = { phase: "Bound" };
    const name = nameOf(to);
    const isChosen = claim.spec?.volumeName !== name;
    if (isChosen || !hasAnnotation(claim, bindCompleted))
      change((changed) => {
        changed.spec = { ...changed.spec, volumeName: name };
        annotate(changed, { ...(isChosen && { [boundByController]: "yes" }), [bindCompleted]: "yes" });
      });
    if (to.spec?.capacity?.storage === undefined && claim.status?.phase !== "Bound")
      plan.error = `PersistentVolume ${JSON.stringify(name)} is without a storage capacity`;
    else setStatus("Bound", to);
  }

  function syncUnbound() {
    const className = classOf(claim);
    const isDelayed = view.storageClass(className)?.volumeBindingMode === "WaitForFirstConsumer";
    const found = findMatch(claim, view.candidates(claim), isDelayed);
    if (found) return bind(found);
    const fallback = asksForClass(claim) ? undefined : view.defaultClass();
    if (fallback)
      return change((changed) => {
        changed.spec = { ...changed.spec, storageClassName: nameOf(fallback) };
      });
    if (isDelayed && !hasAnnotation(claim, selectedNode)) tellWaiting();
    else if (className !== "") return provision(className);
    else say("Normal", "FailedBinding", "no persistent volumes available for this claim and no storage class is set");
    setStatus("Pending");
  }

  function tellWaiting() {
    const pods = view.waitingPods(claim);
    if (pods.length === 0)
      return void say("Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding");
    const who = `${pods.length > 1 ? "pods" : "pod"} ${pods.join(",")}`;
    say("Normal", "WaitForPodScheduled", `waiting for ${who} to be scheduled`);
  }

  function provision(className: string) {
    const found = view.storageClass(className);
    if (!found)
      return void say(
        "Warning",
        "ProvisioningFailed",
        `storageclass.storage.k8s.io ${JSON.stringify(className)} not found`,
      );
    const external = migratedDrivers[found.provisioner] ?? found.provisioner;
    const isOurs = external.startsWith("kubernetes.io/");
    if (isOurs && external !== hostPathPlugin && external !== rbdPlugin) {
      const why =
        external === nfsPlugin
          ? "no provisionable volume plugin matched"
          : `no volume plugin matched name: ${external}`;
      return void say("Warning", "ProvisioningFailed", why);
    }
    if (claim.metadata.annotations?.[storageProvisioner] !== external)
      change((changed) =>
        annotate(changed, {
          [betaStorageProvisioner]: external,
          [storageProvisioner]: external,
          [migratedTo]: undefined,
        }),
      );
    // Made by a controller of its own.
    if (external === rbdPlugin) return;
    if (isOurs) {
      const why = `provisioning in volume plugin ${JSON.stringify(external)} is disabled`;
      say("Warning", "ProvisioningFailed", `Failed to create provisioner: ${why}`);
      plan.error = why;
      return;
    }
    say(
      "Normal",
      "ExternalProvisioning",
      `Waiting for a volume to be created either by the external provisioner '${external}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`,
    );
  }

  /** Its user, or an earlier run, named the volume. */
  function syncNamed(named: Volume) {
    if (!named.spec?.claimRef) {
      const why = mismatch(named, claim);
      if (why === undefined) return bind(named);
      say("Warning", "VolumeMismatch", `Cannot bind to requested volume ${JSON.stringify(nameOf(named))}: ${why}`);
      return setStatus("Pending");
    }
    if (isReservedFor(named, claim)) return bind(named);
    const name = JSON.stringify(nameOf(named));
    say("Warning", "FailedBinding", `volume ${name} already bound to a different claim.`);
    if (!hasAnnotation(claim, boundByController)) return setStatus("Pending");
    plan.error = `invalid binding of claim ${JSON.stringify(keyOf(claim))} to volume ${name}: volume already claimed by ${JSON.stringify(claimKeyOf(named))}`;
  }

  function syncBound() {
    if (volume && (!volume.spec?.claimRef || volume.spec.claimRef.uid === claim.metadata.uid)) return bind(volume);
    const [reason, message] = volume
      ? ["ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly"]
      : [
          "ClaimLost",
          `Bound claim has lost ${volumeName ? "its" : "reference to"} PersistentVolume. Data on the volume is lost!`,
        ];
    if (claim.status?.phase === "Lost") return;
    setStatus("Lost");
    say("Warning", reason, message);
  }
}

export const hostPathPlugin = "kubernetes.io/host-path";
export const rbdPlugin = "kubernetes.io/rbd";
const nfsPlugin = "kubernetes.io/nfs";

/** Undefined: it is so already. */
function claimStatus(claim: Claim, phase: string, volume: Volume | undefined): Plan["claimStatus"] {
  const before = claim.status ?? {};
  const status = draft<NonNullable<PersistentVolumeClaim["status"]>>({ ...before, phase });
  if (!volume) {
    delete status.accessModes;
    delete status.capacity;
    delete status.currentVolumeAttributesClassName;
  } else {
    const { accessModes, capacity, volumeAttributesClassName } = draft<NonNullable<PersistentVolume["spec"]>>(
      volume.spec ?? {},
    );
    if (accessModes) status.accessModes = accessModes;
    if (before.phase !== phase) {
      const old = before.capacity?.storage;
      const resizedFrom = volume.metadata.annotations?.[preResizeCapacity];
      if (resizedFrom !== undefined) status.capacity = { ...status.capacity, storage: resizedFrom };
      else if (capacity && (old === undefined || compareQuantities(capacityOf(volume), old) !== 0))
        status.capacity = capacity;
    }
    if (before.phase === "Pending" && phase === "Bound") {
      if (volumeAttributesClassName) status.currentVolumeAttributesClassName = volumeAttributesClassName;
      else delete status.currentVolumeAttributesClassName;
    }
  }
  return jsonEqual(before, status) ? undefined : status;
}

/** `claim`: the one of its claimRef's name and uid, if there is one. */
export function syncVolume(seen: Volume, claim: Claim | undefined): Plan {
  const plan: Plan = { events: [] };
  let volume = seen;
  const setPhase = (phase: Phase) => {
    if (seen.status?.phase !== phase) plan.volumeStatus = { phase };
  };
  const change = (edit: (volume: PersistentVolume) => void) => {
    const changed = draft<PersistentVolume>(volume);
    edit(changed);
    plan.volume = changed;
    volume = changed;
  };

  const provisioner = volume.metadata.annotations?.[provisionedBy];
  if (provisioner !== undefined) {
    const driver = migratedDrivers[provisioner];
    const finalizers = finalizersFor(volume, provisioner);
    if (driver !== volume.metadata.annotations?.[migratedTo] || finalizers)
      change((changed) => {
        annotate(changed, { [migratedTo]: driver });
        if (finalizers) changed.metadata.finalizers = finalizers;
      });
  }
  const policy = volume.spec?.persistentVolumeReclaimPolicy;
  const wasLeft = seen.status?.phase === "Released" || seen.status?.phase === "Failed";

  if (!volume.spec?.claimRef?.uid) setPhase("Available");
  else if (!claim) release();
  else if (!claim.spec?.volumeName) {
    if (differInMode(claim, volume)) {
      const say = (about: Claim | Volume, message: string) =>
        plan.events.push({ about, type: "Warning", reason: "VolumeMismatch", message });
      const why = "due to incompatible volumeMode.";
      say(
        volume,
        `Cannot bind PersistentVolume to requested PersistentVolumeClaim ${JSON.stringify(nameOf(claim))} ${why}`,
      );
      say(
        claim,
        `Cannot bind PersistentVolume ${JSON.stringify(nameOf(volume))} to requested PersistentVolumeClaim ${why}`,
      );
    } else plan.marksClaim = true;
  } else if (claim.spec.volumeName === nameOf(volume)) setPhase("Bound");
  // Made for the claim, which got another one meanwhile.
  else if (provisioner !== undefined && policy === "Delete") release();
  else {
    change(unbind);
    setPhase("Available");
  }
  return plan;

  function release() {
    if (!wasLeft) setPhase("Released");
    if (volume.metadata.annotations?.[migratedTo] || policy === "Retain") return;
    if (policy === "Delete" || policy === "Recycle") plan.reclaim = policy;
    else
      Object.assign(
        plan,
        failed(volume, "VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy"),
      );
  }
}

/** The volume as free as its user wanted it: one that was reserved by hand stays so by name. */
export function unbind(volume: PersistentVolume): void {
  if (!hasAnnotation(volume, boundByController)) {
    delete volume.spec?.claimRef?.uid;
    return;
  }
  delete volume.spec?.claimRef;
  annotate(volume, { [boundByController]: undefined });
}

/** Said once: a volume that has failed already stays as it is. */
export function failed(volume: Volume, reason: string, message: string): Pick<Plan, "volumeStatus" | "events"> {
  if (volume.status?.phase === "Failed") return { events: [] };
  return {
    volumeStatus: { phase: "Failed", message },
    events: [{ about: volume, type: "Warning", reason, message }],
  };
}

/** Undefined: they are right. Only volumes of plugins of old are ours to protect. */
function finalizersFor({ metadata, spec }: Volume, provisioner: string): string[] | undefined {
  const found = metadata.finalizers ?? [];
  const isMigrated = migratedDrivers[provisioner] !== undefined;
  if (!isMigrated && !provisioner.startsWith("kubernetes.io/")) return undefined;
  const mine = !isMigrated && spec?.persistentVolumeReclaimPolicy === "Delete";
  const wanted = found.filter(
    (each) => (each !== binderFinalizer || mine) && (each !== provisionerFinalizer || isMigrated),
  );
  if (mine && !found.includes(binderFinalizer)) wanted.push(binderFinalizer);
  return jsonEqual(found, wanted) ? undefined : wanted;
}

/** Undefined takes an annotation away. */
function annotate(object: PersistentVolume | PersistentVolumeClaim, changes: Record<string, string | undefined>): void {
  const left = Object.entries({ ...object.metadata.annotations, ...changes }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  if (left.length > 0) object.metadata.annotations = Object.fromEntries(left);
  else delete object.metadata.annotations;
}

export type Deleter = "hostPath" | "external" | { readonly problem: string };

/** Who deletes what a volume stands for. */
export function deleterOf({ metadata, spec }: Volume): Deleter {
  const provisioner = metadata.annotations?.[provisionedBy];
  if (provisioner) {
    if (provisioner === hostPathPlugin) return "hostPath";
    if (!provisioner.startsWith("kubernetes.io/") || (provisioner === rbdPlugin && spec?.rbd)) return "external";
    return {
      problem:
        provisioner === nfsPlugin
          ? "no deletable volume plugin matched"
          : `no volume plugin matched name: ${provisioner}`,
    };
  }
  if (metadata.annotations?.[migratedTo] !== undefined || spec?.csi || spec?.rbd) return "external";
  if (spec?.hostPath) return "hostPath";
  const why = spec?.nfs ? "no deletable volume plugin matched" : "no volume plugin matched";
  return { problem: `error getting deleter volume plugin for volume ${JSON.stringify(metadata.name)}: ${why}` };
}

/** Whether its claim has left it: gone, another one of the same name, or bound to another volume. */
export function isReleased(volume: Volume, claim: Claim | undefined): boolean {
  const reference = volume.spec?.claimRef;
  if (!reference?.uid) return false;
  if (claim?.metadata.uid !== reference.uid) return true;
  return Boolean(claim.spec?.volumeName) && claim.spec?.volumeName !== nameOf(volume);
}
