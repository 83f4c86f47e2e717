/** `sampan dns`: the cluster's DNS alone, against any API server, inside or outside of the cluster. */
import { isIP } from "node:net";
import type { FlagSpecs } from "#base";
import { createAnswerer, createForwarder, createZone, parseServer, parseStubs, startDnsServer } from "#dns";
import { CommandError, defineCommand } from "./command.ts";
import { createSink, sinkFlags } from "./dns-sink.ts";
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
    return runPart("dns", invocation, async ({ informers, log, signal }) => {
      const live = createZone(informers, addresses);
      const follow = followConfigMap(informers, log);
      await live.synced();
      if (signal.aborted) return;
      const forwarder = createForwarder(
        { servers: [] },
        {
          ...{ log, domains, limits: { secondsMax: values["cache-seconds"] } },
          own: addresses.map((host) => ({ host, port })),
        },
      );
      const configure = async () => {
        const servers = base.servers.flatMap((each) => (each === "resolv.conf" ? machine : [each]));
        follow(forwarder, { ...base, servers });
      };
      let machine: string[] = [];
      const usesMachine = base.servers.includes("resolv.conf");
      const readMachine = async () => {
        machine = await readResolvers();
        await configure();
      };
      await (usesMachine ? readMachine() : configure());
      const endWatch = usesMachine ? watchResolvers(log, readMachine) : () => undefined;
      const answerer = createAnswerer({ live, domains, forwarder, log });
      const server = await startDnsServer({ addresses, port, answerer, log });
      out(`answering on ${addresses.map((each) => `${each}:${server.port}`).join(", ")}\n`);
      await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
      endWatch();
      answerer.close();
      await server.close();
    });
  },
});

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
