/** `--scheduler-config`, for every command that runs a scheduler. */
import { readFile } from "node:fs/promises";
import type { FlagSpecs } from "#base";
import { ConfigurationError, readSchedulerConfiguration, type SchedulerConfiguration } from "#scheduler";
import { CommandError } from "./command.ts";

export const schedulerFlags = {
  "scheduler-config": {
    type: "string",
    value: "FILE",
    help: "A KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): profiles, their rules, arguments and weights, extenders. `sampan scheduler` takes it as --config too.",
  },
} as const satisfies FlagSpecs;

export async function readSchedulerFile(path: string | undefined): Promise<Partial<SchedulerConfiguration>> {
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
