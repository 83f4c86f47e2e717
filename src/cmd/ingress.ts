/** `sampan ingress`: serves Ingresses alone, against any API server; several may work beside each other. */
import { hostname } from "node:os";
import { FlagError, type FlagSpecs, realClock } from "#base";
import { runIngress } from "#ingress";
import { isDns1123Subdomain } from "#machinery";
import { defineCommand } from "./command.ts";
import { ingressFlags, readIngressFlags } from "./ingress-flags.ts";
import { makeIngressCertificate } from "./ingress-certificate.ts";
import { partFlags, runPart } from "./part.ts";
import { ownAddress } from "./simulated.ts";

const flags = {
  ...partFlags,
  ...ingressFlags,
  "ingress-address": { type: "string", value: "IP", help: "Address to listen on (default: all)." },
  "publish-address": {
    type: "strings",
    value: "ADDRESS",
    help: "Where clients find this instance, an IP address or a name, for the status of Ingresses (default: this machine's).",
  },
  identity: {
    type: "string",
    value: "NAME",
    help: "Of this instance among others, the same after a restart (default: the host's name).",
  },
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Serve Ingresses alone",
  flags,
  run(invocation) {
    const { flags: values, out } = invocation;
    const identity = (values.identity ?? hostname()).toLowerCase();
    const addresses = values["publish-address"].length > 0 ? values["publish-address"] : [ownAddress()];
    for (const [flag, value] of [["identity", identity], ...addresses.map((each) => ["publish-address", each])])
      if (!value?.includes(":") && isDns1123Subdomain(value ?? "").length > 0)
        throw new FlagError(`--${flag} ${JSON.stringify(value)}: want a name in lower case or an address`);
    const host = values["ingress-address"];
    const ports = readIngressFlags(values);
    return runPart("ingress", invocation, ({ client, log, signal }) =>
      runIngress(
        {
          ...{ ...ports, client, identity, addresses, clock: realClock, log, makeCertificate: makeIngressCertificate },
          ...(host !== undefined && { host }),
          onListening: (open) => out(`ingress listens on ${Object.values(open).join(" and ")}\n`),
        },
        signal,
      ),
    );
  },
});
