/** How many requests the API server serves at once, and what it tells of itself; under upstream's names. */
import type { FlagSpecs, FlagValues } from "#base";
import { type FlowOptions, flowDefaults } from "#apiserver";
import { CommandError } from "./command.ts";

export const trafficFlags = {
  "enable-priority-and-fairness": {
    type: "bool",
    default: flowDefaults.enabled,
    help: "Queue requests by priority level and flow (API priority and fairness).",
  },
  "max-requests-inflight": {
    type: "int",
    default: flowDefaults.maxRequestsInFlight,
    min: 0,
    help: "Reading requests at once; with priority and fairness, part of the seats that levels share.",
  },
  "max-mutating-requests-inflight": {
    type: "int",
    default: flowDefaults.maxMutatingRequestsInFlight,
    min: 0,
    help: "Changing requests at once; with priority and fairness, the other part of the seats.",
  },
  profiling: { type: "bool", default: true, help: "Serve profiles and the log level at /debug/." },
} as const satisfies FlagSpecs;

export interface TrafficSettings {
  readonly flow: FlowOptions;
  readonly profiling: boolean;
  /** As they are shown at /flagz. */
  readonly flags: Readonly<Record<string, string>>;
}

export function readTrafficFlags(values: FlagValues<typeof trafficFlags>): TrafficSettings {
  const flow = {
    enabled: values["enable-priority-and-fairness"],
    maxRequestsInFlight: values["max-requests-inflight"],
    maxMutatingRequestsInFlight: values["max-mutating-requests-inflight"],
  };
  if (flow.enabled && flow.maxRequestsInFlight + flow.maxMutatingRequestsInFlight === 0)
    throw new CommandError(
      "--max-requests-inflight and --max-mutating-requests-inflight are both 0: nobody would have a seat; pass --enable-priority-and-fairness=false for no limit",
    );
  const flags = Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  );
  return { flow, profiling: values.profiling, flags };
}
