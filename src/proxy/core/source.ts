/** What the proxy is made from: Services, EndpointSlices, this node's pods, its Node and the ServiceCIDRs, as keys and what they want. */
import type { Node, Pod } from "#api";
import type { InformerSet } from "#client";
import type { DeepReadonly } from "#machinery";
import { isIP } from "node:net";
import type { ProxySettings } from "../settings.ts";
import type { NodePlace } from "./endpoints.ts";
import { hostPorts, mayHaveHostPorts } from "./host-port.ts";
import { type ServicePort, servicePorts } from "./service-port.ts";

export interface SourceOptions {
  readonly informers: InformerSet;
  readonly nodeName: string;
  readonly settings: ProxySettings;
  /** Whether host ports of this node's pods are the proxy's; else a CNI plugin's. */
  readonly hostPorts: boolean;
}

/** What is the same for all services. */
export interface NodeFacts extends NodePlace {
  /** `status.addresses` of type InternalIP, else ExternalIP. */
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  /** Ranges of Service addresses. */
  readonly serviceCidrs: readonly string[];
}

export interface SourceHandler {
  /** What this key wants may have changed; `trigger`: since when the endpoints have been what they are, milliseconds since 1970. */
  changed(key: string, trigger?: number): void;
  factsChanged(): void;
}

export interface Source {
  synced(): Promise<void>;
  /** From now on: all that is there, then every change. Answers a function that ends it. */
  watch(handler: SourceHandler): () => void;
  keys(): Iterable<string>;
  wanted(key: string): { rank: string; ports: readonly ServicePort[] };
  facts(): NodeFacts;
}

/** Before the keys of pods, to tell them from services'. */
const podPrefix = "pod:";
const serviceLabel = "kubernetes.io/service-name";
const triggerAnnotation = "endpoints.kubernetes.io/last-change-trigger-time";
const zoneLabel = "topology.kubernetes.io/zone";

type Meta = DeepReadonly<{ metadata: { namespace?: string; name?: string } }>;
const keyOf = ({ metadata }: Meta) => `${metadata.namespace}/${metadata.name}`;

export function createSource({ informers, nodeName, settings, hostPorts: withHostPorts }: SourceOptions): Source {
  const services = informers.of("v1/services");
  const slices = informers.of("discovery.k8s.io/v1/endpointslices");
  const nodes = informers.of("v1/nodes", { fieldSelector: `metadata.name=${nodeName}` });
  const ranges = informers.of("networking.k8s.io/v1/servicecidrs");
  const pods = withHostPorts ? informers.of("v1/pods", { fieldSelector: `spec.nodeName=${nodeName}` }) : undefined;
  slices.addIndex("proxy-service", (slice) => {
    const name = slice.metadata.labels?.[serviceLabel];
    return name ? [`${slice.metadata.namespace}/${name}`] : [];
  });

  const read = (): NodeFacts => {
    const node = nodes.get(nodeName);
    const found = ranges.list().flatMap(({ spec }) => spec?.cidrs ?? []);
    return {
      nodeName,
      zone: node?.metadata.labels?.[zoneLabel] ?? "",
      addresses: addressesOf(node),
      podCidrs: node?.spec?.podCIDRs ?? [],
      serviceCidrs: [...(found.length > 0 ? found : settings.serviceCidrs)].sort(),
    };
  };
  let facts = read();

  return {
    // Neither the node nor the ranges are waited for: rules without them are right for most of what there is.
    synced: async () => {
      await Promise.all([services.synced(), slices.synced(), pods?.synced()]);
      facts = read();
    },
    facts: () => facts,
    *keys() {
      for (const service of services.list()) yield keyOf(service);
      for (const pod of pods?.list() ?? []) if (mayHaveHostPorts(pod)) yield `${podPrefix}${keyOf(pod)}`;
    },
    wanted(key) {
      if (key.startsWith(podPrefix)) {
        const pod = pods?.get(key.slice(podPrefix.length));
        return { rank: pod?.metadata.creationTimestamp ?? "", ports: pod ? hostPorts(pod) : [] };
      }
      const service = services.get(key);
      return {
        rank: service?.metadata.creationTimestamp ?? "",
        ports: service ? servicePorts(service, slices.by("proxy-service", key), facts) : [],
      };
    },
    watch(handler) {
      const markService = (service: Meta) => handler.changed(keyOf(service));
      const markPod = (pod: DeepReadonly<Pod>) => {
        if (mayHaveHostPorts(pod)) handler.changed(`${podPrefix}${keyOf(pod)}`);
      };
      const markSlice = (
        {
          metadata,
        }: DeepReadonly<{
          metadata: { namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
        }>,
        isGone = false,
      ) => {
        const name = metadata.labels?.[serviceLabel];
        if (!name) return;
        const trigger = isGone ? Number.NaN : Date.parse(metadata.annotations?.[triggerAnnotation] ?? "");
        handler.changed(`${metadata.namespace}/${name}`, Number.isNaN(trigger) ? undefined : trigger);
      };
      const look = () => {
        const next = read();
        if (JSON.stringify(next) === JSON.stringify(facts)) return;
        facts = next;
        handler.factsChanged();
      };
      const remove = [
        services.addHandler({ added: markService, updated: markService, deleted: markService }),
        slices.addHandler({
          added: (slice) => markSlice(slice),
          updated: (slice, old) => {
            if (slice.metadata.labels?.[serviceLabel] !== old.metadata.labels?.[serviceLabel]) markSlice(old, true);
            markSlice(slice);
          },
          deleted: (slice) => markSlice(slice, true),
        }),
        pods?.addHandler({ added: markPod, updated: markPod, deleted: markPod }),
        nodes.addHandler({ added: look, updated: look }),
        ranges.addHandler({ added: look, updated: look, deleted: look }),
      ];
      return () => {
        for (const each of remove) each?.();
      };
    },
  };
}

/** As upstream's GetNodeHostIPs: internal addresses before external ones. */
export function addressesOf(node: DeepReadonly<Node> | undefined): readonly string[] {
  const all = (node?.status?.addresses ?? []).filter(({ address }) => isIP(address) > 0);
  const ordered = [
    ...all.filter(({ type }) => type === "InternalIP"),
    ...all.filter(({ type }) => type === "ExternalIP"),
  ];
  return [4, 6].flatMap((version) => ordered.find(({ address }) => isIP(address) === version)?.address ?? []);
}
