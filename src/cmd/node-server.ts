/** The node's HTTPS server, for as long as the node runs. */
import type { Clock, Logger } from "#base";
import type { Client } from "#client";
import { createKubeletServer, createWebhookAuth, type Kubelet, type KubeletTls } from "#kubelet";

export interface NodeServerOptions {
  readonly kubelet: Kubelet;
  readonly nodeName: string;
  readonly port: number;
  /** Made when the server starts. */
  readonly tls: () => Promise<KubeletTls>;
  /** Who asks the API server about callers. */
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
}

export async function serveNode(options: NodeServerOptions, signal: AbortSignal): Promise<void> {
  const { kubelet, nodeName, port, client, clock } = options;
  const log = options.log.with({ part: "kubelet's server" });
  const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  const [tls] = await Promise.all([options.tls(), Promise.race([kubelet.ready(), aborted])]);
  if (signal.aborted) return;
  const auth = createWebhookAuth({ client, nodeName, clock });
  const server = createKubeletServer(
    { tls, port },
    {
      host: kubelet.host(),
      routes: kubelet.stats().routes,
      auth,
      clock,
      log,
    },
  );
  await server.listen();
  try {
    if (!signal.aborted) await aborted;
  } finally {
    await server.close();
  }
}
