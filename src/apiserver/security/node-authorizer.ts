/**
 * What kubelets may do: their own node, lease and pods, and of secrets, config maps, claims and volumes only what their pods need.
 * Upstream's node authorizer keeps a graph of all objects; here the pods of one node are looked at when it asks, through the cache's
 * index by node, and what a pod refers to is taken out once for each revision of it.
 */
import {
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
  type PodReferences,
  podReferences,
  type ResourceSlice,
  type VolumeAttachment,
  volumeSecrets,
} from "#api";
import { type DeepReadonly, type KubernetesObject, parseFieldSelector } from "#machinery";
import type { ResourceCache } from "../cache/resource-cache.ts";
import { Selection } from "../cache/selection.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { Attributes, Decision } from "../security.ts";
import { clusterRoles } from "./bootstrap-roles.ts";
import { parseRule } from "./bootstrap.ts";
import { nodeIdentity } from "./node-identity.ts";
import { type PolicyRule, ruleAllows } from "./rules.ts";

const leaseNamespace = "kube-node-lease";
const mirrorAnnotation = "kubernetes.io/config.mirror";

/** Caches by group and plural. */
export type CacheOf = (group: string, resource: string) => ResourceCache | Promise<ResourceCache>;

const allowed: Decision = { allowed: true, reason: "" };
const no = (reason: string): Decision => ({ allowed: false, reason });

export interface NodeAuthorizer {
  /** Undefined: the user is no node. */
  authorize(attributes: Attributes): Decision | Promise<Decision> | undefined;
}

export function createNodeAuthorizer(cacheOf: CacheOf): NodeAuthorizer {
  const rules: readonly PolicyRule[] = (clusterRoles["system:node"]?.rules ?? []).map(parseRule);
  const relations = createRelations(cacheOf);
  return {
    authorize(attributes) {
      const node = nodeIdentity(attributes.user);
      if (node === undefined) return undefined;
      if (node === "") return no(`unknown node for user ${JSON.stringify(attributes.user.name)}`);
      const special = attributes.resourceRequest
        ? deciders[`${attributes.apiGroup}/${attributes.resource}`]?.(node, attributes)
        : undefined;
      if (special === undefined) return rules.some((rule) => ruleAllows(rule, attributes)) ? allowed : no("");
      if (special !== "related") return special;
      return relations(node, attributes).then((related) =>
        related ? allowed : no(`no relationship found between node '${node}' and this object`),
      );
    },
  };
}

type Answer = Decision | "related";
type Decider = (node: string, attributes: Attributes) => Answer;

const deciders: Readonly<Record<string, Decider>> = {
  "/secrets": readNamespaced,
  "/configmaps": readNamespaced,
  "/persistentvolumeclaims": (_, attributes) =>
    attributes.subresource === "status" ? updateStatus(attributes) : getOne(attributes),
  "/persistentvolumes": (_, attributes) => getOne(attributes),
  "resource.k8s.io/resourceclaims": (_, attributes) => getOne(attributes),
  "storage.k8s.io/volumeattachments": (_, attributes) => getOne(attributes),
  "/serviceaccounts": (node, attributes) => {
    const { verb, name, subresource } = attributes;
    if (verb === "get" && subresource === "") return readNamespaced(node, attributes);
    if (verb !== "create" || name === "") return no("can only create tokens for individual service accounts");
    return subresource === "token" ? "related" : no("can only create token subresource of serviceaccount");
  },
  "coordination.k8s.io/leases": ownLease,
  "storage.k8s.io/csinodes": ownCsiNode,
  "resource.k8s.io/resourceslices": ownSlices,
  "/nodes": ownNode,
  "/pods": ownPods,
};

const named = ({ name }: Attributes): Answer => (name === "" ? no("No Object name found") : "related");

function readNamespaced(_: string, attributes: Attributes): Answer {
  if (!["get", "list", "watch"].includes(attributes.verb)) return no("can only read resources of this type");
  if (attributes.subresource !== "") return no("cannot read subresource");
  if (attributes.namespace === "") return no("can only read namespaced object of this type");
  return named(attributes);
}

function getOne(attributes: Attributes): Answer {
  if (attributes.verb !== "get") return no("can only get individual resources of this type");
  if (attributes.subresource !== "") return no("cannot get subresource");
  return named(attributes);
}

function updateStatus(attributes: Attributes): Answer {
  if (attributes.verb !== "update" && attributes.verb !== "patch") return no("can only get/update/patch this type");
  return named(attributes);
}

const ownVerbs = new Set(["get", "create", "update", "patch", "delete"]);

function ownLease(node: string, { verb, namespace, name }: Attributes): Answer {
  if (!ownVerbs.has(verb)) return no("can only get, create, update, patch, or delete a node lease");
  if (namespace !== leaseNamespace) return no(`can only access leases in the "${leaseNamespace}" system namespace`);
  // The name of a new one is in its body: admission looks at it.
  if (verb !== "create" && name !== node)
    return no("can only access node lease with the same name as the requesting node");
  return allowed;
}

function ownCsiNode(node: string, { verb, subresource, name }: Attributes): Answer {
  if (!ownVerbs.has(verb)) return no("can only get, create, update, patch, or delete a CSINode");
  if (subresource !== "") return no("cannot authorize CSINode subresources");
  if (verb !== "create" && name !== node)
    return no("can only access CSINode with the same name as the requesting node");
  return allowed;
}

function ownSlices(node: string, attributes: Attributes): Answer {
  const { verb, subresource } = attributes;
  if (subresource !== "") return no("cannot authorize ResourceSlice subresources");
  if (verb === "create") return allowed;
  if (["get", "update", "patch", "delete"].includes(verb)) return named(attributes);
  if (!["watch", "list", "deletecollection"].includes(verb))
    return no(
      "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection",
    );
  if (selects(attributes, "spec.nodeName", node)) return allowed;
  return no("can only list/watch/deletecollection resourceslices with nodeName field selector");
}

const selects = ({ fieldSelector }: Attributes, field: string, value: string): boolean =>
  fieldSelector?.some((each) => each.field === field && each.operator === "=" && each.value === value) === true;

function ownNode(node: string, { verb, subresource, name }: Attributes): Answer {
  if (subresource === "status") return verb === "update" || verb === "patch" ? allowed : no("");
  if (subresource !== "") return no("");
  if (["create", "update", "patch"].includes(verb)) return allowed;
  if (!["get", "list", "watch"].includes(verb)) return no("");
  if (name === node) return allowed;
  return no(`node '${node}' cannot read ${name === "" ? "all nodes" : `'${name}'`}, only its own Node object`);
}

function ownPods(node: string, attributes: Attributes): Answer {
  const { verb, subresource, name } = attributes;
  if (subresource === "status") return verb === "update" || verb === "patch" ? allowed : no("");
  if (subresource === "eviction") return verb === "create" ? allowed : no("");
  if (subresource !== "") return no("");
  if (verb === "get") return getOne(attributes);
  if (verb === "create" || verb === "delete") return allowed;
  if (verb !== "list" && verb !== "watch") return no("");
  if (selects(attributes, "spec.nodeName", node)) return allowed;
  return name === "" ? no("can only list/watch pods with spec.nodeName field selector") : "related";
}

type Related = (node: string, attributes: Attributes) => Promise<boolean>;

function createRelations(cacheOf: CacheOf): Related {
  const known = new WeakMap<StoredObject, PodReferences>();

  const referencesOf = (object: StoredObject): PodReferences => {
    const before = known.get(object);
    if (before) return before;
    const pod = object.glance() as DeepReadonly<Pod>; // from the cache of pods
    // A mirror pod is the node's own word: it opens nothing.
    const references = podReferences(
      pod.metadata.annotations?.[mirrorAnnotation] === undefined ? pod : { metadata: pod.metadata },
    );
    known.set(object, references);
    return references;
  };
  const podsOf = async (node: string): Promise<readonly StoredObject[]> => {
    const cache = await cacheOf("", "pods");
    const fields = parseFieldSelector(`spec.nodeName=${node}`);
    return cache.select(new Selection({ kind: cache.kind, namespace: "", fields }));
  };
  const read = async <T extends KubernetesObject>(
    group: string,
    resource: string,
    key: string,
  ): Promise<DeepReadonly<T> | undefined> =>
    (await cacheOf(group, resource)).get(key)?.decoded() as DeepReadonly<T> | undefined; // the caller names the kind's type
  const some = async (node: string, namespace: string, test: (references: PodReferences) => boolean) =>
    (await podsOf(node)).some((pod) => pod.namespace === namespace && test(referencesOf(pod)));

  const claimed = (node: string, claim: { readonly namespace?: string; readonly name?: string } | undefined) =>
    some(node, claim?.namespace ?? "", ({ claims }) => claims.has(claim?.name ?? ""));

  /** A secret that a volume needs which one of the node's pods has claimed. */
  const secretOfVolume = async (node: string, secret: string): Promise<boolean> => {
    for (const pod of await podsOf(node))
      for (const name of referencesOf(pod).claims) {
        const claim = await read<PersistentVolumeClaim>("", "persistentvolumeclaims", `${pod.namespace}/${name}`);
        const volumeName = claim?.spec?.volumeName;
        const volume = volumeName ? await read<PersistentVolume>("", "persistentvolumes", volumeName) : undefined;
        const bound = volume?.spec?.claimRef;
        if (volume && bound?.namespace === pod.namespace && bound.name === name && volumeSecrets(volume).has(secret))
          return true;
      }
    return false;
  };

  return async (node, { apiGroup, resource, namespace, name }) => {
    switch (`${apiGroup}/${resource}`) {
      case "/pods": {
        const pod = await read<Pod>("", "pods", `${namespace}/${name}`);
        return pod?.spec?.nodeName === node && pod.metadata.annotations?.[mirrorAnnotation] === undefined;
      }
      case "/secrets":
        if (await some(node, namespace, ({ secrets }) => secrets.has(name))) return true;
        return secretOfVolume(node, `${namespace}/${name}`);
      case "/configmaps":
        return some(node, namespace, ({ configMaps }) => configMaps.has(name));
      case "/serviceaccounts":
        return some(node, namespace, ({ serviceAccount }) => serviceAccount === name);
      case "/persistentvolumeclaims":
        return claimed(node, { namespace, name });
      case "/persistentvolumes": {
        const volume = await read<PersistentVolume>("", "persistentvolumes", name);
        return volume?.spec?.claimRef !== undefined && claimed(node, volume.spec.claimRef);
      }
      case "resource.k8s.io/resourceclaims":
        return some(node, namespace, ({ resourceClaims }) => resourceClaims.has(name));
      case "storage.k8s.io/volumeattachments":
        return (await read<VolumeAttachment>(apiGroup, resource, name))?.spec.nodeName === node;
      case "resource.k8s.io/resourceslices":
        return (await read<ResourceSlice>(apiGroup, resource, name))?.spec?.nodeName === node;
      default:
        return false;
    }
  };
}
