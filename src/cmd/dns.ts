/** `sampan dns`: the cluster's DNS alone, against any API server, inside or outside of the cluster. */
import { isIP } from "node:net";
import { aborted, type FlagSpecs, type Logger, realClock } from "#base";
import { createClient, createInformers } from "#client";
import {
  createAnswerer,
  createForwarder,
  createZone,
  type ForwardSettings,
  observeDns,
  parseServer,
  parseStubs,
  slimTransport,
  startDnsServer,
} from "#dns";
import { CommandError, defineCommand } from "./command.ts";
import { createSink, sinkFlags } from "./dns-sink.ts";
import { serveStatus, statusFlags } from "./dns-status.ts";
import { list, whole } from "./flag-spec.ts";
import { followConfigMap, readResolvers, watchResolvers } from "./node-dns.ts";
import { partFlags, runPart } from "./part.ts";

const flags = {
  ...partFlags,
  "cluster-domain": {
    ...{ type: "string", default: "cluster.local", value: "NAME[,NAME]" },
    help: "Domains to answer for; reverse names point into the first.",
  },
  address: { type: "strings", default: ["127.0.0.1"], value: "IP", help: "Addresses to answer on." },
  port: { type: "int", default: 53, min: 1, max: 65535, value: "PORT", help: "Port, for UDP and TCP." },
  forward: list(
    "IP[:PORT]",
    "Resolvers for names of others, or `resolv.conf` for the machine's; without them those fail.",
  ),
  "stub-domain": whole("DOMAIN=IP[:PORT]", "Ask this server for names in that domain."),
  "cache-seconds": {
    ...{ type: "int", default: 30, min: 0, max: 86_400, value: "SECONDS" },
    help: "Keep others' answers no longer than this; 0: not at all.",
  },
  ...statusFlags,
  ...sinkFlags,
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run the cluster's DNS alone",
  flags,
  run: async (invocation) => {
    const { flags: values, out } = invocation;
    const { address: addresses, port } = values;
    const domains = values["cluster-domain"].split(",").map((name) => name.toLowerCase().replace(/\.$/, ""));
    if (values.sink !== undefined) return runPart("dns", invocation, await createSink(values, domains));
    const base = forwardOf(values);
    for (const address of addresses) if (!isIP(address)) throw new CommandError(`--address ${address}: no IP address`);
    return runPart("dns", invocation, ({ client, log, signal, metrics }) => {
      // Of its own: they hold only what names are made of.
      const informers = createInformers(createClient(slimTransport(client.transport)), { clock: realClock, log });
      const live = createZone(informers, addresses);
      const status = serveStatus(values, { metrics, isReady: live.hasSynced });
      const follow = followConfigMap(informers, log);
      const serve = async () => {
        const endStatus = await status;
        await Promise.race([live.synced(), aborted(signal)]);
        if (signal.aborted) return endStatus();
        const own = addresses.map((host) => ({ host, port }));
        const limits = { secondsMax: values["cache-seconds"] };
        const forwarder = createForwarder({ servers: [] }, { log, domains, limits, own });
        const endFollowing = await followMachine(base, log, (settings) => follow(forwarder, settings));
        const answerer = createAnswerer({ live, domains, forwarder, log });
        if (values["metrics-port"] > 0) answerer.observer = observeDns({ metrics, domains, port, forwarder });
        const server = await startDnsServer({ addresses, port, answerer, log });
        out(`answering on ${addresses.map((each) => `${each}:${server.port}`).join(", ")}\n`);
        await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
        endFollowing();
        answerer.close();
        await Promise.all([server.close(), endStatus()]);
      };
      return [serve(), informers.run(signal)];
    });
  },
});

/** Puts the machine's resolvers in the place of `resolv.conf`, now and whenever they change. */
async function followMachine(
  base: ForwardSettings,
  log: Logger,
  apply: (settings: ForwardSettings) => void,
): Promise<() => void> {
  const read = async () => {
    const machine = usesMachine ? await readResolvers() : [];
    apply({ ...base, servers: base.servers.flatMap((each) => (each === "resolv.conf" ? machine : [each])) });
  };
  const usesMachine = base.servers.includes("resolv.conf");
  await read();
  return usesMachine ? watchResolvers(log, read) : () => undefined;
}

function forwardOf(values: { readonly forward: readonly string[]; readonly "stub-domain": readonly string[] }) {
  for (const server of values.forward)
    if (server !== "resolv.conf" && !parseServer(server))
      throw new CommandError(`--forward ${server}: want IP, IP:PORT, [IP]:PORT or resolv.conf`);
  try {
    const stubs = parseStubs(values["stub-domain"]);
    for (const server of Object.values(stubs).flat())
      if (!parseServer(server)) throw new TypeError(`${server} is not IP[:PORT]`);
    return { servers: values.forward, stubs };
  } catch (error) {
    throw new CommandError(`--stub-domain: ${(error as Error).message}`); // ours, above
  }
}
