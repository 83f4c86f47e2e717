/** `sampan controllers`: the controllers alone, against any API server. All of them act as the kubeconfig's user. */
import { readFile } from "node:fs/promises";
import { type FlagSpecs, realClock } from "#base";
import { createControllers } from "#controllers";
import { CommandError, defineCommand } from "./command.ts";
import { partFlags, runPart } from "./part.ts";
import { placeFlags } from "./settings.ts";

const flags = {
  ...partFlags,
  "cluster-cidr": placeFlags["cluster-cidr"],
  "service-cidr": placeFlags["service-cidr"],
  "root-ca-file": { type: "string", value: "FILE", help: "PEM authority that pods are given to trust the API server." },
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run the controllers alone",
  flags,
  async run(invocation) {
    const { flags: values } = invocation;
    const rootCa = values["root-ca-file"] ? await readPem(values["root-ca-file"]) : undefined;
    return runPart("kube-controller-manager", invocation, ({ client, informers, log, signal }) =>
      createControllers({
        informers,
        clientFor: () => client,
        clock: realClock,
        log,
        options: {
          clusterCidrs: [values["cluster-cidr"]],
          serviceCidrs: [values["service-cidr"]],
          ...(rootCa ? { rootCa } : {}),
        },
      }).run(signal),
    );
  },
});

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new CommandError(`--root-ca-file: ${(error as Error).message}`);
  }
}
