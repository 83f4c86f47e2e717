/** `sampan controllers`: the controllers alone, against any API server. All of them act as the kubeconfig's user. */
import { createPrivateKey } from "node:crypto";
import { type FlagSpecs, realClock } from "#base";
import { createControllers } from "#controllers";
import { defineCommand } from "./command.ts";
import { componentFlags, securePort } from "./component-server.ts";
import { readConfigFile } from "./config-file.ts";
import { type PartContext, partFlags, runPart } from "./part.ts";
import { ipv4Range } from "./service-flags.ts";
import { placeFlags } from "./settings.ts";

const flags = {
  ...partFlags,
  ...componentFlags,
  ...securePort(10257),
  "cluster-cidr": placeFlags["cluster-cidr"],
  "service-cidr": placeFlags["service-cidr"],
  "root-ca-file": { type: "string", value: "FILE", help: "PEM authority that pods are given to trust the API server." },
  "service-account-private-key-file": {
    type: "string",
    value: "FILE",
    help: "Signs tokens that live in Secrets; without it such Secrets stay empty.",
  },
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run the controllers alone",
  flags,
  async run(invocation) {
    const { flags: values } = invocation;
    const rootCa = await readConfigFile("root-ca-file", values["root-ca-file"], (pem) => pem);
    const flag = "service-account-private-key-file";
    const key = await readConfigFile(flag, values[flag], (pem) => createPrivateKey(pem) && pem);
    const { issueLegacyToken } = key ? await import("#apiserver") : {}; // large, for one function
    const start = ({ client, informers, log, metrics, signal }: PartContext) =>
      createControllers({
        informers,
        clientFor: () => client,
        clock: realClock,
        log,
        metrics,
        options: {
          clusterCidrs: [values["cluster-cidr"]],
          serviceCidrs: [ipv4Range(values["service-cidr"])],
          ...(rootCa ? { rootCa } : {}),
          ...(key && issueLegacyToken
            ? { legacyToken: (secret, account) => issueLegacyToken(key, secret, account) }
            : {}),
        },
      }).run(signal);
    return runPart("kube-controller-manager", invocation, start, values);
  },
});
