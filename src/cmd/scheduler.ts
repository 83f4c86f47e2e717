/** `sampan scheduler`: the scheduler alone, against any API server. */
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { type FlagSpecs, realClock } from "#base";
import {
  ConfigurationError,
  createScheduler,
  readSchedulerConfiguration,
  type SchedulerConfiguration,
} from "#scheduler";
import { CommandError, defineCommand } from "./command.ts";
import { componentFlags, securePort } from "./component-server.ts";
import { partFlags, runPart } from "./part.ts";

const flags = {
  ...partFlags,
  ...componentFlags,
  ...securePort(10259),
  "scheduler-config": {
    type: "string",
    value: "FILE",
    help: "A KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): profiles, their rules and weights.",
  },
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run the scheduler alone",
  flags,
  async run(invocation) {
    const configuration = await readConfiguration(invocation.flags["scheduler-config"]);
    return runPart(
      "kube-scheduler",
      invocation,
      ({ client, informers, log, metrics, signal }) =>
        createScheduler({ client, informers, clock: realClock, log, metrics, host: hostname(), ...configuration }).run(
          signal,
        ),
      invocation.flags,
    );
  },
});

async function readConfiguration(path: string | undefined): Promise<Partial<SchedulerConfiguration>> {
  if (!path) return {};
  const { parse } = await import("yaml");
  try {
    return readSchedulerConfiguration(parse(await readFile(path, "utf8")));
  } catch (error) {
    const isExpected = error instanceof ConfigurationError || isFileOrYamlError(error);
    if (!isExpected || !(error instanceof Error)) throw error;
    throw new CommandError(`cannot use the scheduler's configuration ${path}: ${error.message.split("\n")[0]}`);
  }
}

/** Both name what is wrong; anything else is a bug. */
const isFileOrYamlError = (error: unknown): boolean =>
  error instanceof Error && ("syscall" in error || error.name === "YAMLParseError");
