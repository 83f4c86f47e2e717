/** One node in this process: kubelet, service proxy and DNS over one client. */
import { readFile } from "node:fs/promises";
import type { EndpointSlice, Service } from "#api";
import type { Clock, Logger } from "#base";
import { type Client, createInformers } from "#client";
import { createForwarder, createZone, parseResolvers, startDnsServer } from "#dns";
import { createKubelet, type Kubelet, type KubeletOptions, kubeletPort, type KubeletTls } from "#kubelet";
import { isStatusError } from "#machinery";
import { createNft, createProxy } from "#proxy";
import type { NodeNetwork } from "./network.ts";
import { serveNode } from "./node-server.ts";

export interface NodeOptions {
  readonly kubelet: KubeletOptions;
  /** Of the node's HTTPS server. */
  readonly tls: () => Promise<KubeletTls>;
  readonly network: NodeNetwork;
  readonly clusterCidr: string;
  readonly serviceCidr: string;
  readonly clusterDomain: string;
  /** Cluster address of the DNS service. */
  readonly dnsAddress: string;
  /** Who the parts are: the kubelet as its node, the proxy as kube-proxy, DNS as its service account. */
  readonly client: { readonly kubelet: Client; readonly proxy: Client; readonly dns: Client; readonly admin: Client };
  readonly clock: Clock;
  readonly log: Logger;
}

export interface RunningNode {
  readonly kubelet: Kubelet;
  /** By name: each resolves when the signal aborted and it has ended; rejects when it can't go on. */
  readonly parts: Readonly<Record<string, Promise<void>>>;
}

const dnsPort = 53;

export function startNode(options: NodeOptions, signal: AbortSignal): RunningNode {
  const { clock, log, client, tls } = options;
  const { port = kubeletPort } = options.kubelet.config ?? {};
  const kubelet = createKubelet(options.kubelet, { client: client.kubelet, clock, log: log.with({ part: "kubelet" }) });
  const proxyInformers = createInformers(client.proxy, { clock, log });
  const proxy = createProxy({
    informers: proxyInformers,
    nodeName: options.kubelet.nodeName,
    clusterCidr: options.clusterCidr,
    serviceCidr: options.serviceCidr,
    apply: createNft(),
    clock,
    log: log.with({ part: "proxy" }),
  });
  return {
    kubelet,
    parts: {
      kubelet: kubelet.run(signal),
      "kubelet's server": serveNode(
        { kubelet, nodeName: options.kubelet.nodeName, port, tls, client: client.kubelet, clock, log },
        signal,
      ),
      proxy: proxy.run(signal),
      "proxy's informers": proxyInformers.run(signal),
      dns: serveDns(options, signal),
    },
  };
}

async function serveDns(options: NodeOptions, signal: AbortSignal): Promise<void> {
  const { client, clock, network, clusterDomain } = options;
  const log = options.log.with({ part: "dns" });
  const informers = createInformers(client.dns, { clock, log });
  const { zone, synced } = createZone(informers);
  const stop = new AbortController();
  const running = informers.run(AbortSignal.any([signal, stop.signal]));
  await synced();
  if (signal.aborted) return running;
  const resolvers = parseResolvers(await readResolvConf(), [network.gateway, options.dnsAddress]);
  const server = await startDnsServer({
    address: network.gateway,
    port: dnsPort,
    domain: clusterDomain,
    zone,
    forwarder: createForwarder(resolvers.filter((address) => !address.startsWith("127."))),
    log,
  });
  try {
    await publishDns(options);
    if (!signal.aborted) await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
  } finally {
    stop.abort();
    await Promise.all([server.close(), running]);
  }
}

/** systemd's own list first: /etc/resolv.conf may only name its stub. */
async function readResolvConf(): Promise<string> {
  for (const file of ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"]) {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // fs rejects with errno errors
    }
  }
  return "";
}

/**
 * The Service that pods know as their resolver, with this node's server behind it. Every node answers its own pods, hence the
 * local traffic policy. Names and labels are those that people look for.
 */
async function publishDns({ client, kubelet, network, dnsAddress }: NodeOptions): Promise<void> {
  const namespace = "kube-system";
  const labels = { "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS" };
  const ports = [
    { name: "dns", port: dnsPort, protocol: "UDP" },
    { name: "dns-tcp", port: dnsPort, protocol: "TCP" },
  ];
  const service: Service = {
    metadata: { name: "kube-dns", namespace, labels },
    spec: { clusterIP: dnsAddress, internalTrafficPolicy: "Local", ports },
  };
  const services = client.admin.resource("v1/services", namespace);
  if (!(await isThere(() => services.get("kube-dns")))) await services.create(service);
  const slice: EndpointSlice = {
    metadata: {
      name: `kube-dns-${kubelet.nodeName}`,
      namespace,
      labels: { "kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "dns.sampan" },
    },
    addressType: "IPv4",
    endpoints: [{ addresses: [network.gateway], conditions: { ready: true }, nodeName: kubelet.nodeName }],
    ports,
  };
  const slices = client.admin.resource("discovery.k8s.io/v1/endpointslices", namespace);
  if (await isThere(() => slices.get(slice.metadata.name ?? ""))) await slices.update(slice);
  else await slices.create(slice);
}

async function isThere(get: () => Promise<unknown>): Promise<boolean> {
  try {
    await get();
    return true;
  } catch (error) {
    if (isStatusError(error, "NotFound")) return false;
    throw error;
  }
}
