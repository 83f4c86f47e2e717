/** The cluster's DNS as a part of a node: it answers the node's own pods, and tells the cluster where. */
import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { aborted, type Logger } from "#base";
import type { InformerSet } from "#client";
import {
  createAnswerer,
  createForwarder,
  createZone,
  type Forwarder,
  type ForwardSettings,
  parseResolvers,
  startDnsServer,
  withConfigMap,
} from "#dns";
import type { NodeContext, NodePart } from "./node-context.ts";

const dnsPort = 53;
/** On nodes: where pods of the node find its DNS. The controller `cluster-dns` makes endpoints of it. */
export const dnsAddressAnnotation = "sampan.dev/dns-address";

export const runDns: NodePart = async (context, signal) => {
  const { informers, settings } = context;
  const log = context.log.with({ part: "dns" });
  const live = createZone(informers, [settings.dnsAddress]);
  const follow = followConfigMap(informers, log);
  await Promise.race([Promise.all([context.network, live.synced()]), aborted(signal)]);
  if (signal.aborted) return;
  const network = await context.network;
  const domains = [settings.clusterDomain];
  const own = [network.gateway, settings.dnsAddress];
  const forwarder = createForwarder(
    { servers: [] },
    { log, domains, own: own.map((host) => ({ host, port: dnsPort })) },
  );
  follow(forwarder, { servers: await readResolvers() });
  const endWatch = watchResolvers(log, async () => follow(forwarder, { servers: await readResolvers() }));
  const answerer = createAnswerer({ live, domains, forwarder, log });
  const server = await startDnsServer({ addresses: [network.gateway], port: dnsPort, answerer, log });
  try {
    await announce(context, network.gateway, signal);
    if (!signal.aborted) await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
  } finally {
    endWatch();
    answerer.close();
    await server.close();
  }
};

/**
 * Stub domains and resolvers from the ConfigMap `kube-system/kube-dns` as kube-dns had them, over what is given; again whenever it changes.
 * To be asked for before the informers run.
 */
export function followConfigMap(
  informers: InformerSet,
  log: Logger,
): (forwarder: Forwarder, settings: ForwardSettings) => void {
  const selector = { namespace: "kube-system", fieldSelector: "metadata.name=kube-dns" };
  const maps = informers.of("v1/configmaps", selector);
  let last: [Forwarder, ForwardSettings] | undefined;
  const apply = () => {
    if (!last) return;
    const [forwarder, settings] = last;
    forwarder.configure(withConfigMap(settings, maps.get("kube-system/kube-dns")?.data, log));
  };
  maps.addHandler({ added: apply, updated: apply, deleted: apply });
  return (forwarder, settings) => {
    last = [forwarder, settings];
    apply();
  };
}

/** systemd's own list first: /etc/resolv.conf may only name its stub. */
const resolverFiles: readonly string[] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];

export async function readResolvers(files = resolverFiles): Promise<string[]> {
  for (const file of files) {
    try {
      return parseResolvers(await readFile(file, "utf8"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // fs rejects with errno errors
    }
  }
  return [];
}

/** Their folders are watched, for the files are replaced as a whole. */
export function watchResolvers(log: Logger, changed: () => Promise<void>, files = resolverFiles): () => void {
  const watchers = files.flatMap((file): FSWatcher[] => {
    try {
      const watcher = watch(dirname(file), { persistent: false }, (_event, name) => {
        if (name !== basename(file)) return;
        changed().catch((error: unknown) => log.warn("dns: resolvers not read again", { file, error }));
      });
      return [watcher.on("error", (error) => log.warn("dns: resolvers not watched", { file, error }))];
    } catch (error) {
      log.debug("dns: resolvers not watched", { file, error }); // no such folder: another system's place
      return [];
    }
  });
  return () => {
    for (const watcher of watchers) watcher.close();
  };
}

/** Once the node is registered, it says where its DNS is. */
async function announce(
  { client, informers, nodeName }: NodeContext,
  address: string,
  signal: AbortSignal,
): Promise<void> {
  const nodes = informers.of("v1/nodes");
  await new Promise<void>((done) => {
    const look = () => nodes.get(nodeName) && done();
    const remove = nodes.addHandler({ added: look });
    signal.addEventListener("abort", () => done(), { once: true });
    signal.addEventListener("abort", remove, { once: true });
  });
  if (signal.aborted || nodes.get(nodeName)?.metadata.annotations?.[dnsAddressAnnotation] === address) return;
  const annotations = { [dnsAddressAnnotation]: address };
  await client.resource("v1/nodes").patch(nodeName, { metadata: { annotations } }, { type: "merge" });
}
