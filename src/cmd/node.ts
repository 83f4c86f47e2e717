/** One node in this process: kubelet, service proxy and DNS over one client. */
import type { Clock, Logger } from "#base";
import { type Client, createInformers } from "#client";
import { createKubelet, type Kubelet, type KubeletOptions, kubeletPort, type PreparedNode } from "#kubelet";
import type { NodeNetwork } from "#network";
import type { Serving } from "./kubelet-serving.ts";
import type { ClusterSettings, NodeContext, NodePart } from "./node-context.ts";
import { runDns } from "./node-dns.ts";
import { createNodePolicies } from "./node-policy.ts";
import { runBalancerAddresses } from "./node-lb.ts";
import { runProxy } from "./node-proxy.ts";
import { runRoutes } from "./node-routes.ts";
import { serveNode } from "./node-server.ts";

export interface NodeOptions {
  readonly kubelet: KubeletOptions;
  /** Of `prepareNode`. */
  readonly prepared?: Promise<PreparedNode> | undefined;
  /** What the node's HTTPS server shows. */
  readonly serving: (kubelet: Kubelet) => Pick<Serving, "tls"> & Partial<Serving>;
  readonly network: NodeContext["network"] | NodeNetwork;
  readonly settings: ClusterSettings;
  /** See NodeContext. */
  readonly proxyMode?: string;
  /** The node itself: `system:node:NAME` in `system:nodes`. */
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface RunningNode {
  readonly kubelet: Kubelet;
  /** Resolves when pods are served and the node's HTTPS server answers. */
  readonly serves: Promise<void>;
  /** By name: each resolves when the signal aborted and it has ended; rejects when it can't go on. */
  readonly parts: Readonly<Record<string, Promise<void>>>;
}

/** What makes a network of pods, beside the kubelet. */
const networkParts: Readonly<Record<string, NodePart>> = {
  proxy: runProxy,
  dns: runDns,
  routes: runRoutes,
  "load balancers": runBalancerAddresses,
};

export function startNode(options: NodeOptions, signal: AbortSignal): RunningNode {
  const { clock, log, client, settings } = options;
  const { nodeName, config } = options.kubelet;
  const { port = kubeletPort } = config ?? {};
  const policies = createNodePolicies(clock);
  const { podStarts } = policies;
  const kubelet = createKubelet(options.kubelet, {
    client,
    clock,
    log: log.with({ part: "kubelet" }),
    podStarts,
    prepared: options.prepared,
  });
  const serves = Promise.withResolvers<void>();
  const { run: keepCertificate, ...serving } = options.serving(kubelet);
  const informers = createInformers(client, { clock, log });
  const network = Promise.resolve(options.network);
  const { proxyMode } = options;
  const context: NodeContext = {
    ...{ nodeName, settings, client, informers, network, clock, log },
    ...(proxyMode !== undefined && { proxyMode }),
  };
  const parts = Object.entries({ ...networkParts, "network policies": policies.run }).map(
    ([name, run]) => [name, run(context, signal)] as const,
  );
  return {
    kubelet,
    serves: serves.promise,
    parts: {
      ...Object.fromEntries(parts),
      kubelet: kubelet.run(signal),
      "kubelet's server": serveNode(
        { kubelet, nodeName, port, ...serving, onListen: () => serves.resolve(), client, clock, log },
        signal,
      ),
      ...(keepCertificate && { "kubelet's certificate": keepCertificate(signal) }),
      "network's informers": informers.run(signal),
    },
  };
}
