/** `sampan dns`: the cluster's DNS alone, against any API server. */
import type { FlagSpecs } from "#base";
import { createForwarder, createZone, startDnsServer } from "#dns";
import { defineCommand } from "./command.ts";
import { partFlags, runPart } from "./part.ts";
import { placeFlags } from "./settings.ts";

const flags = {
  ...partFlags,
  "cluster-domain": placeFlags["cluster-domain"],
  address: { type: "string", default: "127.0.0.1", value: "IP", help: "Address to answer on." },
  port: { type: "int", default: 53, min: 1, max: 65535, value: "PORT", help: "Port, for UDP and TCP." },
  forward: { type: "strings", value: "IP[:PORT]", help: "Resolvers for names of others; without them those fail." },
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run the cluster's DNS alone",
  flags,
  run: (invocation) => {
    const { flags: values, out } = invocation;
    return runPart("dns", invocation, async ({ informers, log, signal }) => {
      const { zone, synced } = createZone(informers);
      await synced();
      if (signal.aborted) return;
      const server = await startDnsServer({
        address: values.address,
        port: values.port,
        domain: values["cluster-domain"],
        zone,
        forwarder: createForwarder(values.forward),
        log,
      });
      out(`answering on ${values.address}:${server.port}\n`);
      await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
      await server.close();
    });
  },
});
