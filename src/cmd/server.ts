/** `sampan server`: a control plane in one process (API server, controllers and scheduler) for nodes that run elsewhere. */
import { createLogger, type FlagSpecs, type LogLevel, realClock } from "#base";
import { apiserverFlags, runApiServer } from "./apiserver.ts";
import { defineCommand } from "./command.ts";
import { controllerFlags, readControllerFlags } from "./controller-flags.ts";
import { provideIngressClass } from "./ingress-class.ts";
import { checkLeaderFlags, leaderFlags } from "./leader-flags.ts";
import { startLoops } from "./loops.ts";
import { provideCluster } from "./provide-cluster.ts";
import { Parts } from "./parts.ts";
import { readSchedulerFile, schedulerFlags } from "./scheduler-file.ts";
import { networkFlags, placeFlags } from "./settings.ts";

const flags = {
  ...apiserverFlags,
  "cluster-cidr": placeFlags["cluster-cidr"],
  ...networkFlags,
  ...controllerFlags,
  ...schedulerFlags,
  ...leaderFlags,
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run API server, controllers and scheduler, without a node",
  flags,
  async run({ flags: given, err, signal, ...invocation }) {
    const stop = new AbortController();
    const life = AbortSignal.any([signal, stop.signal]);
    const log = createLogger({ write: err, level: given["log-level"] as LogLevel }); // one of the flag's choices
    checkLeaderFlags(given);
    const options = await readControllerFlags(given, { clock: realClock, log, signal: life });
    const scheduler = await readSchedulerFile(given["scheduler-config"]);
    const parts = new Parts(stop);
    return runApiServer({ ...invocation, flags: given, err, signal: life }, async ({ plane, values, address }) => {
      const all = { ...given, ...values };
      await provideCluster(plane, { values: all, address });
      const admin = plane.client({ name: "system:apiserver", groups: ["system:masters"], userAgent: "sampan" });
      await provideIngressClass(admin);
      startLoops(plane, { values: all, options, election: given, scheduler, log }, { parts, signal: life });
      try {
        await parts.ended(life);
      } finally {
        stop.abort();
        await parts.settled();
      }
    });
  },
});
