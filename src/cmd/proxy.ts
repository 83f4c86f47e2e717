/** `sampan proxy`: the service proxy of this machine alone, against any API server. Its rules stay when it ends. */
import { hostname } from "node:os";
import { createNft, type FlagSpecs, realClock } from "#base";
import { createProxy } from "#proxy";
import { defineCommand } from "./command.ts";
import { partFlags, runPart } from "./part.ts";
import { ipv4Range } from "./service-flags.ts";
import { placeFlags } from "./settings.ts";

const flags = {
  ...partFlags,
  "node-name": placeFlags["node-name"],
  "cluster-cidr": placeFlags["cluster-cidr"],
  "service-cidr": placeFlags["service-cidr"],
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run the service proxy alone",
  flags,
  run: (invocation) =>
    runPart("kube-proxy", invocation, ({ informers, log, signal }) =>
      createProxy({
        informers,
        nodeName: invocation.flags["node-name"] ?? hostname().toLowerCase(),
        clusterCidr: invocation.flags["cluster-cidr"],
        serviceCidr: ipv4Range(invocation.flags["service-cidr"]),
        apply: createNft(),
        clock: realClock,
        log,
      }).run(signal),
    ),
});
