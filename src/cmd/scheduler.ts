/** `sampan scheduler`: the scheduler alone, against any API server. */
import { hostname } from "node:os";
import { type FlagSpecs, realClock } from "#base";
import { createScheduler } from "#scheduler";
import { defineCommand } from "./command.ts";
import { componentFlags, securePort } from "./component-server.ts";
import { leaderFlags, leaderNameFlag } from "./leader-flags.ts";
import { delegatedFlags, partFlags, runPart } from "./part.ts";
import { readSchedulerFile, schedulerFlags } from "./scheduler-file.ts";

const name = "kube-scheduler";

const flags = {
  ...partFlags,
  ...componentFlags,
  ...delegatedFlags,
  ...securePort(10259),
  ...schedulerFlags,
  ...leaderFlags,
  ...leaderNameFlag(name),
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run the scheduler alone",
  flags,
  async run(invocation) {
    const { flags: values } = invocation;
    const configuration = await readSchedulerFile(values["scheduler-config"]);
    return runPart(
      name,
      invocation,
      ({ client, informers, log, metrics, signal }) =>
        createScheduler({ client, informers, clock: realClock, log, metrics, host: hostname(), ...configuration }).run(
          signal,
        ),
      { serving: values, election: values },
    );
  },
});
