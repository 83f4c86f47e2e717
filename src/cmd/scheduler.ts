/** `sampan scheduler`: the scheduler alone, against any API server. */
import { hostname } from "node:os";
import { realClock } from "#base";
import { createScheduler } from "#scheduler";
import { defineCommand } from "./command.ts";
import { partFlags, runPart } from "./part.ts";

export const command = defineCommand({
  summary: "Run the scheduler alone",
  flags: partFlags,
  run: (invocation) =>
    runPart("kube-scheduler", invocation, ({ client, informers, log, signal }) =>
      createScheduler({ client, informers, clock: realClock, log, host: hostname() }).run(signal),
    ),
});
