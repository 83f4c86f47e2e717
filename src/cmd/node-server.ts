/** The node's servers, for as long as the node runs: HTTPS, and the plain ones that its configuration asks for. */
import { join } from "node:path";
import type { Clock, Logger } from "#base";
import type { Client } from "#client";
import {
  configurationFlags,
  createHealthServer,
  createKubeletServer,
  createNodeAuth,
  createReadOnlyServer,
  type Kubelet,
  type KubeletServer,
  type KubeletTls,
  printConfiguration,
  type TranslatedExchange,
} from "#kubelet";
import { createNodePages } from "./node-pages.ts";

export interface NodeServerOptions {
  readonly kubelet: Kubelet;
  readonly nodeName: string;
  readonly port: number;
  /** Made when the server starts. */
  readonly tls: () => Promise<KubeletTls>;
  /** Who asks the API server about callers. */
  readonly client: Client;
  /** Serve `healthzPort`; a node beside a whole control plane leaves it alone. */
  readonly withHealth?: boolean;
  /** To give it other certificates. */
  readonly serving?: (server: KubeletServer) => void;
  /** It answers from now on. */
  readonly onListen?: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export async function serveNode(options: NodeServerOptions, signal: AbortSignal): Promise<void> {
  const { kubelet, nodeName, port, client, clock, withHealth } = options;
  const { config } = kubelet;
  const log = options.log.with({ part: "kubelet's server" });
  const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  const [tls] = await Promise.all([options.tls(), Promise.race([kubelet.ready(), aborted])]);
  if (signal.aborted) return;
  const dependencies = {
    host: kubelet.host(),
    routes: kubelet.stats().routes,
    meter: kubelet.stats().meter,
    checkpoints: join(kubelet.folder, "checkpoints"),
    shownConfiguration: () => printConfiguration(config),
    translate: async ({ exchange, ...stream }: TranslatedExchange) => {
      const { translateStream } = await (await import("#apiserver")).loadTranslateStream();
      await translateStream({ ...stream, message: exchange.request, response: exchange.response, clock, log });
    },
    page: createNodePages({ flags: () => flagsOf(config), log }),
    clock,
    log,
  };
  // All addresses is what Node.js listens on without one, IPv6 included.
  const address = config.address === "0.0.0.0" ? undefined : config.address;
  const health =
    withHealth && config.healthzPort > 0
      ? createHealthServer({ address: config.healthzBindAddress, port: config.healthzPort }, log)
      : undefined;
  const secure = createKubeletServer(
    { tls, port, config, ...(address !== undefined && { address }) },
    { ...dependencies, auth: createNodeAuth({ client, nodeName, config, clock }) },
  );
  options.serving?.(secure);
  const servers = [
    secure,
    ...(config.readOnlyPort > 0
      ? [createReadOnlyServer({ address: config.address, port: config.readOnlyPort }, { ...dependencies, config })]
      : []),
  ];
  try {
    await Promise.all(servers.map((server) => server.listen()));
    options.onListen?.();
    // As upstream, a node goes on without it.
    await health?.listen().catch((error: unknown) => log.error("the health port can't be served", { error }));
    if (!signal.aborted) await aborted;
  } finally {
    await Promise.all([...servers, ...(health ? [health] : [])].map((server) => server.close()));
  }
}

/** What upstream's command line would be. */
function flagsOf(config: Kubelet["config"]): Record<string, string> {
  const shown: unknown = printConfiguration(config);
  return Object.fromEntries(
    Object.entries(configurationFlags).flatMap(([flag, field]) => {
      let value = shown;
      for (const part of field.split(".")) value = (value as Record<string, unknown> | undefined)?.[part]; // shown is plain
      if (value === undefined) return [];
      return [[flag, typeof value === "object" ? JSON.stringify(value) : String(value)]];
    }),
  );
}
