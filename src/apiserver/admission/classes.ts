/** Defaults and rules that come from class objects: DefaultStorageClass, DefaultIngressClass, RuntimeClass, PersistentVolumeClaimResize. */
import type { Ingress, IngressClass, PersistentVolumeClaim, Pod, PodSpec, RuntimeClass, StorageClass } from "#api";
import { compareQuantities, type DeepReadonly, type KubernetesObject } from "#machinery";
import type { AdmissionPlugin, AdmissionRequest, Lookup } from "./chain.ts";
import { isResource, refuse } from "./refuse.ts";

const claimClassAnnotation = "volume.beta.kubernetes.io/storage-class";

/** The newest of those marked as default, by name among equals. */
async function defaultOf<T extends KubernetesObject>(
  lookup: Lookup,
  [group, resource]: readonly [string, string],
  annotations: readonly string[],
): Promise<DeepReadonly<T> | undefined> {
  const all = await lookup.list<T>(lookup.kind(group, resource), "");
  const marked = all.filter(({ metadata }) => annotations.some((each) => metadata?.annotations?.[each] === "true"));
  const created = (each: DeepReadonly<T>) => each.metadata?.creationTimestamp ?? "";
  const name = (each: DeepReadonly<T>) => each.metadata?.name ?? "";
  return marked.sort((a, b) =>
    created(a) !== created(b) ? (created(a) < created(b) ? 1 : -1) : name(a) < name(b) ? -1 : 1,
  )[0];
}

const storageDefaults = [
  "storageclass.kubernetes.io/is-default-class",
  "storageclass.beta.kubernetes.io/is-default-class",
];

export const defaultStorageClass: AdmissionPlugin = {
  name: "DefaultStorageClass",
  handles: (request) => isResource(request, "", "persistentvolumeclaims") && request.operation === "CREATE",
  async mutate(request, lookup) {
    const { spec, metadata } = request.object as PersistentVolumeClaim; // claims only
    if (!spec || spec.storageClassName !== undefined || metadata.annotations?.[claimClassAnnotation] !== undefined)
      return;
    const found = await defaultOf<StorageClass>(lookup, ["storage.k8s.io", "storageclasses"], storageDefaults);
    if (found?.metadata.name) spec.storageClassName = found.metadata.name;
  },
};

export const defaultIngressClass: AdmissionPlugin = {
  name: "DefaultIngressClass",
  handles: (request) => isResource(request, "networking.k8s.io", "ingresses") && request.operation === "CREATE",
  async mutate(request, lookup) {
    const ingress = request.object as Ingress; // ingresses only
    if (
      ingress.spec?.ingressClassName !== undefined ||
      ingress.metadata.annotations?.["kubernetes.io/ingress.class"] !== undefined
    )
      return;
    const marks = ["ingressclass.kubernetes.io/is-default-class"];
    const found = await defaultOf<IngressClass>(lookup, ["networking.k8s.io", "ingressclasses"], marks);
    if (found?.metadata.name) ingress.spec = { ...ingress.spec, ingressClassName: found.metadata.name };
  },
};

/** A claim only grows, and only when its class says that it can. */
export const claimResize: AdmissionPlugin = {
  name: "PersistentVolumeClaimResize",
  handles: (request) => isResource(request, "", "persistentvolumeclaims") && request.operation === "UPDATE",
  async validate(request, lookup) {
    const claim = request.object as PersistentVolumeClaim; // claims only
    const old = request.old as DeepReadonly<PersistentVolumeClaim>; // an update has one
    const size = ({ spec }: DeepReadonly<PersistentVolumeClaim>) => spec?.resources?.requests?.storage ?? "0";
    if (compareQuantities(size(claim), size(old)) <= 0) return;
    if (old.status?.phase !== "Bound") throw refuse(request, "Only bound persistent volume claims can be expanded");
    if (await expands(claim, old, lookup)) return;
    const why =
      "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    throw refuse(request, why);
  },
};

async function expands(
  claim: PersistentVolumeClaim,
  old: DeepReadonly<PersistentVolumeClaim>,
  lookup: Lookup,
): Promise<boolean> {
  const classOf = ({ spec, metadata }: DeepReadonly<PersistentVolumeClaim>) =>
    metadata.annotations?.[claimClassAnnotation] ?? spec?.storageClassName ?? "";
  const name = classOf(claim);
  if (name === "" || name !== classOf(old)) return false;
  const found = await lookup.get<StorageClass>(lookup.kind("storage.k8s.io", "storageclasses"), "", name);
  return found?.allowVolumeExpansion === true;
}

export const runtimeClass: AdmissionPlugin = {
  name: "RuntimeClass",
  handles: (request) => isResource(request, "", "pods") && request.operation === "CREATE",
  async mutate(request, lookup) {
    const { spec } = request.object as Pod; // pods only
    if (!spec?.runtimeClassName) return;
    const found = await classOf(request, spec.runtimeClassName, lookup);
    const fixed = found.overhead?.podFixed;
    if (fixed) {
      if (spec.overhead && !sameAmounts(spec.overhead, fixed)) throw refuse(request, mismatch);
      spec.overhead = { ...fixed };
    }
    schedule(request, spec, found);
  },
  async validate(request, lookup) {
    const { spec } = request.object as Pod; // pods only
    if (!spec?.overhead) return;
    const found = spec.runtimeClassName ? await classOf(request, spec.runtimeClassName, lookup) : undefined;
    const fixed = found?.overhead?.podFixed;
    if (!fixed)
      throw refuse(request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
    if (!sameAmounts(spec.overhead, fixed)) throw refuse(request, mismatch);
  },
};

const mismatch = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

async function classOf(request: AdmissionRequest, name: string, lookup: Lookup): Promise<DeepReadonly<RuntimeClass>> {
  const found = await lookup.get<RuntimeClass>(lookup.kind("node.k8s.io", "runtimeclasses"), "", name);
  if (!found) throw refuse(request, `pod rejected: RuntimeClass ${JSON.stringify(name)} not found`);
  return found;
}

function schedule(request: AdmissionRequest, spec: PodSpec, { scheduling }: DeepReadonly<RuntimeClass>): void {
  if (!scheduling) return;
  for (const [key, value] of Object.entries(scheduling.nodeSelector ?? {})) {
    const own = spec.nodeSelector?.[key];
    if (own !== undefined && own !== value) {
      throw refuse(
        request,
        `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`,
      );
    }
    spec.nodeSelector = { ...spec.nodeSelector, [key]: value };
  }
  const present = new Set(spec.tolerations?.map((each) => JSON.stringify(each)));
  const added = scheduling.tolerations?.filter((each) => !present.has(JSON.stringify(each))) ?? [];
  if (added.length > 0) spec.tolerations = [...(spec.tolerations ?? []), ...added.map((each) => ({ ...each }))];
}

function sameAmounts(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => name in b && compareQuantities(a[name] ?? "0", b[name] ?? "0") === 0)
  );
}

/** Volumes and claims in use wait for their users: a controller takes the finalizer off. Upstream's StorageObjectInUseProtection. */
export const storageProtection: AdmissionPlugin = {
  name: "StorageObjectInUseProtection",
  handles: (request) =>
    request.operation === "CREATE" &&
    (isResource(request, "", "persistentvolumes") || isResource(request, "", "persistentvolumeclaims")),
  mutate({ object, resource }) {
    if (!object) return;
    const finalizer =
      resource.resource === "persistentvolumes" ? "kubernetes.io/pv-protection" : "kubernetes.io/pvc-protection";
    const present = object.metadata?.finalizers ?? [];
    if (!present.includes(finalizer)) object.metadata = { ...object.metadata, finalizers: [...present, finalizer] };
  },
};
