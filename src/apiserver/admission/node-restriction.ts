/**
 * What the authorizer can't see in a URL: kubelets write only their own node, lease and pods, create only mirror pods that refer to
 * nothing, and ask for tokens only for pods they run. Upstream's NodeRestriction.
 */
import {
  type Node,
  type PersistentVolumeClaim,
  type Pod,
  podReferences,
  type ResourceSlice,
  type TokenRequest,
} from "#api";
import { type DeepReadonly, jsonEqual, type KubernetesObject, statusError } from "#machinery";
import { nodeIdentity } from "../security/node-identity.ts";
import type { Authorizer } from "../security.ts";
import type { AdmissionPlugin, AdmissionRequest, Lookup } from "./chain.ts";
import { audienceProblem } from "./node-audience.ts";
import { refuse } from "./refuse.ts";

const mirrorAnnotation = "kubernetes.io/config.mirror";
const leaseNamespace = "kube-node-lease";

interface Tools {
  readonly lookup: Lookup;
  readonly authorizer: Authorizer;
}

/** Undefined: nothing to say against it. */
type Check = (node: string, request: AdmissionRequest, tools: Tools) => Promise<string | undefined>;

const checks: Readonly<Record<string, Check>> = {
  "/pods": (node, request, { lookup }) => checkPod(node, request, lookup),
  "/nodes": async (node, request) => checkNode(node, request),
  "/persistentvolumeclaims": async (node, request) => checkClaim(node, request),
  "/serviceaccounts": checkToken,
  "coordination.k8s.io/leases": async (node, request) => {
    if (request.namespace !== leaseNamespace)
      return `can only access leases in the "${leaseNamespace}" system namespace`;
    return nameOf(request) === node
      ? undefined
      : "can only access node lease with the same name as the requesting node";
  },
  "storage.k8s.io/csinodes": async (node, request) =>
    nameOf(request) === node ? undefined : "can only access CSINode with the same name as the requesting node",
  "resource.k8s.io/resourceslices": async (node, request) => checkSlice(node, request),
};

export const nodeRestriction = (authorizer: Authorizer): AdmissionPlugin => ({
  name: "NodeRestriction",
  handles: ({ operation, resource }) => operation !== "CONNECT" && `${resource.group}/${resource.resource}` in checks,
  mutate(request, lookup) {
    const node = nodeIdentity(request.user);
    return node === undefined ? undefined : restrict(node, request, { lookup, authorizer });
  },
});

async function restrict(node: string, request: AdmissionRequest, tools: Tools): Promise<void> {
  const { resource, user } = request;
  const why =
    node === ""
      ? `could not determine node from user ${JSON.stringify(user.name)}`
      : await checks[`${resource.group}/${resource.resource}`]?.(node, request, tools);
  if (why !== undefined) throw refuse(request, why);
}

const quote = JSON.stringify;

/** Of a new one, the name is in its body. */
const nameOf = ({ operation, object, name }: AdmissionRequest): string =>
  operation === "CREATE" ? (object?.metadata?.name ?? "") : name;

async function checkPod(node: string, request: AdmissionRequest, lookup: Lookup): Promise<string | undefined> {
  const { operation, subresource } = request;
  const who = `node ${quote(node)}`;
  if (subresource === "status") return checkPodStatus(node, request);
  if (subresource === "eviction") {
    if (operation !== "CREATE") return `unexpected operation ${operation}`;
    const pod = await findPod(request, lookup, request.name || (request.object?.metadata?.name ?? ""));
    return pod.spec?.nodeName === node
      ? undefined
      : `node ${node} can only evict pods with spec.nodeName set to itself`;
  }
  if (subresource !== "")
    return `unexpected pod subresource ${quote(subresource)}, only 'status' and 'eviction' are allowed`;
  if (operation === "CREATE") return checkMirrorPod(node, request, lookup);
  if (operation !== "DELETE")
    return `unexpected operation ${quote(operation)}, ${who} can only create and delete mirror pods`;
  const pod = await findPod(request, lookup, request.name);
  return pod.spec?.nodeName === node ? undefined : `${who} can only delete pods with spec.nodeName set to itself`;
}

async function findPod(request: AdmissionRequest, lookup: Lookup, name: string): Promise<DeepReadonly<Pod>> {
  const pod = await lookup.get<Pod>(lookup.kind("", "pods"), request.namespace, name);
  if (!pod) throw statusError.notFound({ group: "", resource: "pods" }, name);
  return pod;
}

function checkPodStatus(node: string, { operation, object, old }: AdmissionRequest): string | undefined {
  if (operation !== "UPDATE") return `unexpected operation ${quote(operation)}`;
  const who = `node ${quote(node)}`;
  const [before, after] = [old as DeepReadonly<Pod>, object as Pod]; // pods only
  if (before.spec?.nodeName !== node)
    return `${who} can only update pod status for pods with spec.nodeName set to itself`;
  if (!jsonEqual(before.metadata.labels ?? {}, after.metadata.labels ?? {}))
    return `${who} cannot update labels through pod status`;
  if (!jsonEqual(before.status?.resourceClaimStatuses ?? [], after.status?.resourceClaimStatuses ?? []))
    return `${who} cannot update resource claim statues`;
  return undefined;
}

async function checkMirrorPod(node: string, request: AdmissionRequest, lookup: Lookup): Promise<string | undefined> {
  const pod = request.object as Pod; // pods only
  const who = `node ${quote(node)}`;
  if (pod.metadata.annotations?.[mirrorAnnotation] === undefined)
    return `pod does not have ${quote(mirrorAnnotation)} annotation, ${who} can only create mirror pods`;
  if (pod.spec?.nodeName !== node) return `${who} can only create pods with spec.nodeName set to itself`;
  const owners = pod.metadata.ownerReferences ?? [];
  const [owner] = owners;
  if (owners.length > 1) return `${who} can only create pods with a single owner reference set to itself`;
  if (owner?.apiVersion !== "v1" || owner.kind !== "Node" || owner.name !== node)
    return `${who} can only create pods with an owner reference set to itself`;
  if (!owner.controller) return `${who} can only create pods with a controller owner reference set to itself`;
  if (owner.blockOwnerDeletion) return `${who} must not set blockOwnerDeletion on an owner reference`;
  const found = await lookup.get<Node>(lookup.kind("", "nodes"), "", node);
  if (!found) throw statusError.notFound({ group: "", resource: "nodes" }, node);
  if (owner.uid !== found.metadata.uid)
    return `node ${node} UID mismatch: expected ${owner.uid} got ${found.metadata.uid}`;
  return checkReferences(who, pod);
}

/** What it refers to, the node could read. */
function checkReferences(who: string, pod: Pod): string | undefined {
  const references = podReferences(pod);
  const refers = (what: string) => `${who} can not create pods that reference ${what}`;
  if (references.serviceAccount !== "") return refers("a service account");
  if (references.secrets.size > 0) return refers("secrets");
  if (references.configMaps.size > 0) return refers("configmaps");
  const sources = (pod.spec?.volumes ?? []).flatMap(({ projected }) => projected?.sources ?? []);
  if (sources.some(({ clusterTrustBundle }) => clusterTrustBundle)) return refers("clustertrustbundles");
  if (references.resourceClaims.size > 0) return refers("resourceclaims");
  if (references.claims.size > 0) return refers("persistentvolumeclaims");
  return undefined;
}

function checkNode(node: string, { operation, name, object, old, subresource }: AdmissionRequest): string | undefined {
  const who = `node ${quote(node)}`;
  const target = name || (operation === "CREATE" ? (object?.metadata?.name ?? "") : "");
  if (target !== node) return `${who} is not allowed to modify node ${quote(target)}`;
  if (operation === "DELETE") return undefined;
  const [before, after] = [old as DeepReadonly<Node> | undefined, object as Node]; // nodes only
  if (operation === "CREATE") {
    const forbidden = forbiddenLabels(after.metadata.labels, undefined);
    return forbidden && `${who} is not allowed to set the following labels: ${forbidden}`;
  }
  if (subresource === "" && !jsonEqual(after.metadata.ownerReferences ?? [], before?.metadata.ownerReferences ?? []))
    return `${who} is not allowed to modify ownerReferences`;
  if (!jsonEqual(after.spec?.taints ?? [], before?.spec?.taints ?? [])) return `${who} is not allowed to modify taints`;
  const forbidden = forbiddenLabels(after.metadata.labels, before?.metadata.labels);
  return forbidden && `is not allowed to modify labels: ${forbidden}`;
}

type Labels = Readonly<Record<string, string>> | undefined;

/** Those that changed and would let a node draw work to itself, joined; undefined: none. */
function forbiddenLabels(after: Labels = {}, before: Labels = {}): string | undefined {
  const keys = [...new Set([...Object.keys(after), ...Object.keys(before)])];
  const forbidden = keys.filter((key) => after[key] !== before[key] && isForbidden(key)).sort();
  return forbidden.length > 0 ? forbidden.join(", ") : undefined;
}

const kubeletLabels = new Set([
  "kubernetes.io/hostname",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
  "beta.kubernetes.io/instance-type",
  "node.kubernetes.io/instance-type",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
]);

function isForbidden(key: string): boolean {
  const slash = key.indexOf("/");
  const prefix = slash < 0 ? "" : key.slice(0, slash);
  const within = (domain: string) => prefix === domain || prefix.endsWith(`.${domain}`);
  if (within("node-restriction.kubernetes.io")) return true;
  if (!within("kubernetes.io") && !within("k8s.io")) return false;
  return !kubeletLabels.has(key) && !within("kubelet.kubernetes.io") && !within("node.kubernetes.io");
}

/** Growing a volume is reported in the claim's status; everything else is its owner's. */
function checkClaim(node: string, { operation, subresource, object, old }: AdmissionRequest): string | undefined {
  if (subresource !== "status") return "may only update PVC status";
  if (operation !== "UPDATE") return `unexpected operation ${quote(operation)}`;
  if (jsonEqual(withoutReported(object), withoutReported(old as KubernetesObject))) return undefined;
  return `node ${quote(node)} is not allowed to update fields other than status.capacity and status.conditions`;
}

function withoutReported(object: KubernetesObject | undefined): unknown {
  const { metadata, status, ...rest } = (object ?? {}) as Partial<PersistentVolumeClaim>; // claims only
  const { resourceVersion: _version, managedFields: _fields, ...kept } = metadata ?? {};
  const {
    capacity: _capacity,
    conditions: _conditions,
    allocatedResources: _allocated,
    allocatedResourceStatuses: _statuses,
    ...other
  } = status ?? {};
  return { ...rest, metadata: kept, status: other };
}

async function checkToken(node: string, request: AdmissionRequest, tools: Tools): Promise<string | undefined> {
  if (request.operation !== "CREATE" || request.subresource !== "token") return undefined;
  const asked = request.object as TokenRequest; // the body of this subresource
  const reference = asked.spec?.boundObjectRef;
  if (reference?.apiVersion !== "v1" || reference.kind !== "Pod" || !reference.name)
    return "node requested token not bound to a pod";
  if (!reference.uid) return "node requested token with a pod binding without a uid";
  const pod = await findPod(request, tools.lookup, reference.name);
  if (reference.uid !== pod.metadata.uid)
    return `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`;
  if (pod.spec?.nodeName !== node) return "node requested token bound to a pod scheduled on a different node";
  return audienceProblem({ user: request.user, pod, account: request.name, request: asked }, tools);
}

function checkSlice(node: string, { operation, object, old }: AdmissionRequest): string | undefined {
  const sliceOf = (slice: unknown) => (slice as DeepReadonly<ResourceSlice> | undefined)?.spec?.nodeName; // slices only
  if (operation === "CREATE")
    return sliceOf(object) === node
      ? undefined
      : "can only create ResourceSlice with the same NodeName as the requesting node";
  if (operation === "UPDATE" || sliceOf(old) === node) return undefined;
  return "can only delete ResourceSlice with the same NodeName as the requesting node";
}
