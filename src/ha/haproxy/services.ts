/**
 * Which ports of which Services haproxy forwards to the node ports of which nodes: Services of type LoadBalancer at their own ports, those of
 * type NodePort, when asked for, at their node ports. Of two that want the same port the older one has it. Pure.
 */
import { isIP } from "node:net";
import type { Node, Service } from "#api";
import { parseCidr } from "#api";
import type { DeepReadonly } from "#machinery";
import { safeName } from "./config.ts";
import type { Balanced, Server } from "./model.ts";

export const haproxyClass = "sampan.dev/haproxy";
const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers";
const goingTaint = "ToBeDeletedByClusterAutoscaler";

type SeenService = DeepReadonly<Service>;
type SeenNode = DeepReadonly<Node>;

export interface ServicesOptions {
  readonly binds: readonly string[];
  /** `InternalIP` or `ExternalIP`. */
  readonly addressType: string;
  readonly withNodePorts: boolean;
  /** Ports that are haproxy's own already, and for what. */
  readonly taken: ReadonlyMap<number, string>;
}

export interface ServicesPlan {
  readonly balanced: readonly Balanced[];
  /** The Service behind each, by its name. */
  readonly serviceOf: ReadonlyMap<string, SeenService>;
  /** What can't be forwarded, and why. */
  readonly problems: readonly { readonly service: SeenService; readonly port: number; readonly why: string }[];
}

export const keyOfService = ({ metadata }: SeenService): string => `${metadata.namespace}/${metadata.name}`;

export function planServices(
  services: readonly SeenService[],
  nodes: readonly SeenNode[],
  options: ServicesOptions,
): ServicesPlan {
  const addresses = nodes
    .filter(isUsable)
    .flatMap((node) => addressOf(node, options.addressType))
    .sort();
  const holders = new Map(options.taken);
  const balanced: Balanced[] = [];
  const serviceOf = new Map<string, SeenService>();
  const problems: { service: SeenService; port: number; why: string }[] = [];
  for (const service of services.filter((each) => isOurs(each, options)).toSorted(byAge)) {
    const { spec } = service;
    for (const { port: own, nodePort = 0, protocol = "TCP" } of spec?.ports ?? []) {
      const port = spec?.type === "NodePort" ? nodePort : own;
      const refuse = (why: string) => problems.push({ service, port, why });
      const holder = holders.get(port);
      if (protocol !== "TCP") refuse(`haproxy forwards TCP only, not ${protocol}`);
      else if (nodePort === 0) refuse("it has no node port");
      else if (holder !== undefined) refuse(`port ${port} is taken by ${holder}`);
      else {
        holders.set(port, `Service ${keyOfService(service)}`);
        const one = balancedOf(service, { port, nodePort, addresses }, options);
        balanced.push(one);
        serviceOf.set(one.name, service);
      }
    }
  }
  return { balanced, serviceOf, problems };
}

function balancedOf(
  service: SeenService,
  { port, nodePort, addresses }: { port: number; nodePort: number; addresses: readonly string[] },
  { binds }: ServicesOptions,
): Balanced {
  const { spec } = service;
  const healthPort = spec?.externalTrafficPolicy === "Local" ? (spec.healthCheckNodePort ?? 0) : 0;
  return {
    name: safeName(`${service.metadata.namespace}.${service.metadata.name}:${port}`),
    ...{ binds, port },
    servers: addresses.map((address): Server => ({ address, port: nodePort })),
    check: healthPort > 0 ? { kind: "http", path: "/healthz", port: healthPort } : { kind: "tcp" },
    sources: spec?.type === "LoadBalancer" ? (spec.loadBalancerSourceRanges ?? []).flatMap(rangeOf) : [],
    sticky: spec?.sessionAffinity === "ClientIP",
    endsWithServer: false,
  };
}

const rangeOf = (text: string): string[] => (parseCidr(text.trim()) ? [text.trim()] : []);

function isOurs({ spec, metadata }: SeenService, { withNodePorts }: ServicesOptions): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  if (spec?.type === "NodePort") return withNodePorts;
  return spec?.type === "LoadBalancer" && (spec.loadBalancerClass ?? haproxyClass) === haproxyClass;
}

function byAge({ metadata: a }: SeenService, { metadata: b }: SeenService): number {
  const order = (x = "", y = "") => (x < y ? -1 : x > y ? 1 : 0);
  return order(a.creationTimestamp, b.creationTimestamp) || order(a.namespace, b.namespace) || order(a.name, b.name);
}

/** Ready, not excluded, not about to go: as the service controller has it. */
function isUsable({ metadata, spec, status }: SeenNode): boolean {
  const excluded = metadata.labels?.[excludeLabel];
  return (
    metadata.deletionTimestamp === undefined &&
    (excluded === undefined || excluded.toLowerCase() === "false") &&
    !spec?.taints?.some(({ key }) => key === goingTaint) &&
    status?.conditions?.find(({ type }) => type === "Ready")?.status === "True"
  );
}

const addressOf = ({ status }: SeenNode, type: string): string[] =>
  (status?.addresses ?? [])
    .filter((each) => each.type === type && isIP(each.address) !== 0)
    .slice(0, 1)
    .map(({ address }) => address);

/** What matters of a node. */
export const nodeFacts = (node: SeenNode, type: string): string =>
  JSON.stringify([isUsable(node), addressOf(node, type)]);
