/**
 * Claims of pods: which a pod still needs made from a template or reserved, and who still uses a claim. Pure; follows
 * upstream's resourceclaim controller.
 */
import {
  isReservedForPod,
  type Pod,
  type PodResourceClaim,
  podClaimAnnotation,
  podClaimName,
  type ResourceClaim,
  type ResourceClaimConsumerReference,
  type ResourceClaimTemplate,
  whyNotForPod,
} from "#api";
import { controllerOf, draft, isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";

export type SeenPod = Seen<Pod>;
export type SeenClaim = Seen<ResourceClaim>;
type GetClaim = (name: string) => SeenClaim | undefined;

export const isTerminal = ({ status }: SeenPod): boolean => status?.phase === "Succeeded" || status?.phase === "Failed";

/** None of its containers runs or ever will. */
export const isDone = (pod: SeenPod): boolean => isTerminal(pod) || (isDeleting(pod) && !pod.spec?.nodeName);

export const hasClaims = ({ spec, status }: SeenPod): boolean =>
  (spec?.resourceClaims?.length ?? 0) > 0 || status?.extendedResourceClaimStatus !== undefined;

/** Claims that a pod is known to use, `namespace/name`; those its scheduler made only with `extended`. */
export function claimKeys(pod: SeenPod, { extended = false } = {}): string[] {
  const keys = new Set<string>();
  for (const claim of pod.spec?.resourceClaims ?? []) {
    const found = podClaimName(pod, claim);
    if ("name" in found && found.name !== undefined) keys.add(`${namespaceOf(pod)}/${found.name}`);
  }
  const own = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  if (extended && own !== undefined) keys.add(`${namespaceOf(pod)}/${own}`);
  return [...keys];
}

export const templateKeys = (pod: SeenPod): string[] => [
  ...new Set(
    (pod.spec?.resourceClaims ?? []).flatMap(({ resourceClaimTemplateName: name }) =>
      name === undefined ? [] : [`${namespaceOf(pod)}/${name}`],
    ),
  ),
];

/** What the controller does for a pod's claim. */
export type Need = "create" | "reserve" | undefined;

export function needOf(pod: SeenPod, claim: Seen<PodResourceClaim>, getClaim: GetClaim): Need {
  const found = podClaimName(pod, claim);
  const creatable = claim.resourceClaimTemplateName === undefined ? undefined : "create";
  if ("missing" in found) return creatable;
  if (found.name === undefined) return undefined;
  const object = getClaim(found.name);
  if (!object) return creatable;
  if (found.isOwn && whyNotForPod(pod, object)) return "create";
  const isOpen = pod.spec?.nodeName && object.status?.allocation && !isReservedForPod(pod, object);
  return isOpen ? "reserve" : undefined;
}

const generatedLengthMax = 57;

/** The name starts with those of the pod and of the claim in it, each cut in proportion when both are too long. */
export function generateNameOf(podName: string, claimName: string): string {
  const whole = `${podName}-${claimName}-`;
  if (whole.length <= generatedLengthMax) return whole;
  const first = podName.slice(0, Math.trunc((podName.length * generatedLengthMax) / whole.length));
  const cut = `${first}-`;
  return cut + claimName.slice(0, Math.trunc((claimName.length * generatedLengthMax) / whole.length));
}

export function claimFromTemplate(pod: SeenPod, name: string, template: Seen<ResourceClaimTemplate>): ResourceClaim {
  const { metadata, spec } = draft<ResourceClaimTemplate>(template).spec;
  return {
    apiVersion: "resource.k8s.io/v1",
    kind: "ResourceClaim",
    metadata: {
      generateName: generateNameOf(nameOf(pod), name),
      namespace: namespaceOf(pod),
      ...(metadata?.labels ? { labels: metadata.labels } : {}),
      annotations: { ...metadata?.annotations, [podClaimAnnotation]: name },
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: nameOf(pod), uid: uidOf(pod), controller: true }],
    },
    spec,
  };
}

export const consumerOf = (pod: SeenPod): ResourceClaimConsumerReference => ({
  resource: "pods",
  name: nameOf(pod),
  uid: uidOf(pod),
});

export const isPodConsumer = ({ apiGroup = "", resource }: Seen<ResourceClaimConsumerReference>): boolean =>
  apiGroup === "" && resource === "pods";

export function hasAdminAccess({ spec }: SeenClaim): boolean {
  return (spec.devices?.requests ?? []).some(({ exactly }) => exactly?.adminAccess === true);
}

/** Whether a claim that nobody uses was made for a pod that won't use it any more. Undefined `pod`: not seen (yet). */
export function isLeftOver(claim: SeenClaim, getPod: (name: string) => SeenPod | undefined): boolean {
  const owner = controllerOf(claim);
  if (owner?.apiVersion !== "v1" || owner.kind !== "Pod") return false;
  const pod = getPod(owner.name);
  return pod !== undefined && (uidOf(pod) !== owner.uid || isDone(pod));
}
