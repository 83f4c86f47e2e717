/** `sampan controllers`: the controllers alone, against any API server. All of them act as the kubeconfig's user. */
import { createPrivateKey } from "node:crypto";
import { createLogger, type FlagSpecs, type LogLevel, realClock } from "#base";
import { createControllers } from "#controllers";
import { defineCommand } from "./command.ts";
import { componentFlags, securePort } from "./component-server.ts";
import { readConfigFile } from "./config-file.ts";
import { chooseControllers, controllerFlags, readControllerFlags } from "./controller-flags.ts";
import { text } from "./flag-spec.ts";
import { leaderFlags, leaderNameFlag } from "./leader-flags.ts";
import { delegatedFlags, type PartContext, partFlags, runPart } from "./part.ts";
import { placeFlags } from "./settings.ts";

const name = "kube-controller-manager";

const flags = {
  ...partFlags,
  ...componentFlags,
  ...delegatedFlags,
  ...securePort(10257),
  "cluster-cidr": placeFlags["cluster-cidr"],
  "service-cidr": placeFlags["service-cidr"],
  "service-cluster-ip-range": text("CIDR[,CIDR]", "Upstream's name of --service-cidr; wins over it."),
  "root-ca-file": text("FILE", "PEM authority that pods are given to trust the API server."),
  "service-account-private-key-file": text(
    "FILE",
    "Signs tokens that live in Secrets; without it such Secrets stay empty.",
  ),
  ...controllerFlags,
  ...leaderFlags,
  ...leaderNameFlag(name),
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run the controllers alone",
  flags,
  async run(invocation) {
    const { flags: values, err, signal: ended } = invocation;
    const rootCa = await readConfigFile("root-ca-file", values["root-ca-file"], (pem) => pem);
    const flag = "service-account-private-key-file";
    const key = await readConfigFile(flag, values[flag], (pem) => createPrivateKey(pem) && pem);
    const { issueLegacyToken } = key ? await import("#apiserver") : {}; // large, for one function
    const starting = createLogger({ write: err, level: values["log-level"] as LogLevel }); // one of the flag's choices
    const options = await readControllerFlags(values, { clock: realClock, log: starting, signal: ended });
    const start = ({ client, informers, log, metrics, signal }: PartContext) =>
      createControllers({
        informers,
        clientFor: () => client,
        clock: realClock,
        log,
        metrics,
        controllers: chooseControllers(values.controllers),
        options: {
          ...options,
          ...(values["allocate-node-cidrs"] && { clusterCidrs: values["cluster-cidr"].split(",") }),
          serviceCidrs: (values["service-cluster-ip-range"] ?? values["service-cidr"]).split(","),
          ...(rootCa ? { rootCa } : {}),
          ...(key && issueLegacyToken
            ? { legacyToken: (secret, account) => issueLegacyToken(key, secret, account) }
            : {}),
        },
      }).run(signal);
    return runPart(name, invocation, start, { serving: values, election: values });
  },
});
