/**
 * Extended resources that stand for a class of devices: a pod that asks for some and comes to a node that doesn't offer them by itself gets
 * a claim of its own, made by the scheduler. Follows upstream's extendeddynamicresources.
 */
import {
  type Container,
  type ContainerExtendedResourceRequest,
  type DeviceRequest,
  extendedClaimAnnotation,
  implicitResourcePrefix,
  type ResourceClaim,
} from "#api";
import { type DeepReadonly, quantityValue } from "#machinery";
import type { NodeInfo } from "../node-info.ts";
import type { PodInfo } from "../pod-info.ts";
import { isExtended, isSidecar } from "../resources.ts";
import type { DeviceState } from "./device-state.ts";
import { type Claim, unwrittenName } from "./requests.ts";

export const mayBeDevices = (name: string): boolean => isExtended(name) || name.startsWith(implicitResourcePrefix);

/** Whether claims, classes and slices must be known for this pod. */
export function usesDevices({ pod, requests }: PodInfo): boolean {
  if ((pod.spec?.resourceClaims?.length ?? 0) > 0) return true;
  for (const [name, amount] of requests.others) if (amount > 0 && mayBeDevices(name)) return true;
  return false;
}

/** The claim that an earlier attempt left, or one to be written; undefined: the pod asks for nothing of the kind. */
export function extendedClaimOf(info: PodInfo, devices: DeviceState): Claim | undefined {
  const wanted = [...info.requests.others].some(
    ([name, amount]) => amount > 0 && mayBeDevices(name) && devices.classOfResource(name),
  );
  if (!wanted) return undefined;
  const { namespace, name, uid } = info;
  const earlier = devices
    .claims()
    .find(
      ({ metadata }) =>
        metadata.annotations?.[extendedClaimAnnotation] === "true" &&
        metadata.ownerReferences?.some((owner) => owner.controller && owner.name === name && owner.uid === uid),
    );
  if (earlier) return earlier;
  return {
    apiVersion: "resource.k8s.io/v1",
    kind: "ResourceClaim",
    metadata: {
      namespace,
      name: unwrittenName,
      uid: `${unwrittenName}/${uid}`,
      generateName: `${name}-extended-resources-`,
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name, uid, controller: true }],
      annotations: { [extendedClaimAnnotation]: "true" },
    },
    spec: {},
  };
}

export type NodeClaim =
  | { readonly claim: ResourceClaim; readonly mappings: ContainerExtendedResourceRequest[] }
  | "not needed"
  | { readonly lacks: string };

/** What a node doesn't offer by itself must come from devices. */
export function claimOnNode(
  info: PodInfo,
  node: NodeInfo,
  { claim, devices }: { claim: Claim; devices: DeviceState },
): NodeClaim {
  const missing = new Map<string, string>();
  for (const [name, amount] of info.requests.others) {
    if (amount === 0 || !mayBeDevices(name)) continue;
    const offered = node.allocatable.others.get(name);
    const deviceClass = devices.classOfResource(name);
    if (deviceClass && !offered) missing.set(name, deviceClass.metadata.name ?? "");
    else if (offered === undefined) return { lacks: name };
  }
  if (missing.size === 0) return "not needed";
  const { requests, mappings } = requestsOf(info, missing);
  return { claim: { ...(claim as ResourceClaim), spec: { devices: { requests } } }, mappings }; // the rest is only read
}

interface Asked {
  readonly request?: DeviceRequest;
  readonly mappings: ContainerExtendedResourceRequest[];
}

function requestsOf({ pod }: PodInfo, classes: ReadonlyMap<string, string>) {
  const inits = pod.spec?.initContainers ?? [];
  const containers = [...inits, ...(pod.spec?.containers ?? [])];
  const isShort = (index: number) => index < inits.length && !isSidecar(containers[index] as Container); // in range
  const requests: DeviceRequest[] = [];
  const mappings: ContainerExtendedResourceRequest[] = [];
  for (const [resource, className] of [...classes].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const ask = (index: number, reusable: readonly (DeviceRequest | undefined)[]) =>
      askFor(containers[index] as DeepReadonly<Container>, { index, resource, className, reusable }); // in range
    const long = containers.map((_, index): Asked => (isShort(index) ? { mappings: [] } : ask(index, [])));
    // Init containers run one after the other, and before the others: they take turns with the same devices.
    const short = containers.flatMap((_, index) =>
      isShort(index)
        ? [
            ask(
              index,
              long.slice(index).map(({ request }) => request),
            ),
          ]
        : [],
    );
    let largest: DeviceRequest | undefined;
    for (const { request } of short)
      if (request && (!largest || countOf(largest) < countOf(request))) largest = request;
    const others = new Set(short.flatMap(({ request }) => (request && request !== largest ? [request.name] : [])));
    if (largest) requests.push(largest);
    for (const { request } of long) if (request) requests.push(request);
    for (const each of long) mappings.push(...each.mappings);
    for (const each of short)
      for (const mapping of each.mappings) {
        mappings.push(largest && others.has(mapping.requestName) ? { ...mapping, requestName: largest.name } : mapping);
      }
  }
  requests.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { requests, mappings };
}

const countOf = ({ exactly }: DeviceRequest): number => exactly?.count ?? 0;

function askFor(
  container: DeepReadonly<Container>,
  options: {
    readonly index: number;
    readonly resource: string;
    readonly className: string;
    /** What other containers have while this one runs alone. */
    readonly reusable: readonly (DeviceRequest | undefined)[];
  },
): Asked {
  const { index, resource, className, reusable } = options;
  const asked = container.resources?.requests ?? {};
  const wanted = Number(quantityValue(asked[resource] ?? "0"));
  const mappings: ContainerExtendedResourceRequest[] = [];
  if (wanted === 0) return { mappings };
  const map = (requestName: string) =>
    mappings.push({ containerName: container.name, resourceName: resource, requestName });
  let sum = 0;
  for (const request of reusable) {
    if (!request) continue;
    sum += countOf(request);
    map(request.name);
    if (sum >= wanted) return { mappings };
  }
  const name = `container-${index}-request-${Object.keys(asked).sort().indexOf(resource)}`;
  map(name);
  const exactly = { deviceClassName: className, allocationMode: "ExactCount", count: wanted - sum };
  return { request: { name, exactly }, mappings };
}
