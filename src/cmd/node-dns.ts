/** The cluster's DNS as a part of a node: it answers the node's own pods, and tells the cluster where. */
import { readFile } from "node:fs/promises";
import { createForwarder, createZone, parseResolvers, startDnsServer } from "#dns";
import type { NodeContext, NodePart } from "./node-context.ts";

const dnsPort = 53;
/** On nodes: where pods of the node find its DNS. The controller `cluster-dns` makes endpoints of it. */
export const dnsAddressAnnotation = "sampan.dev/dns-address";

export const runDns: NodePart = async (context, signal) => {
  const { informers, settings } = context;
  const log = context.log.with({ part: "dns" });
  const { zone, synced } = createZone(informers);
  const [network] = await Promise.all([context.network, synced()]);
  if (signal.aborted) return;
  const resolvers = parseResolvers(await readResolvConf(), [network.gateway, settings.dnsAddress]);
  const server = await startDnsServer({
    address: network.gateway,
    port: dnsPort,
    domain: settings.clusterDomain,
    zone,
    forwarder: createForwarder(resolvers.filter((address) => !address.startsWith("127."))),
    log,
  });
  try {
    await announce(context, network.gateway, signal);
    if (!signal.aborted) await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
  } finally {
    await server.close();
  }
};

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
