/** What is allowed in a job's spec but probably not meant. `path` is the spec's. */
import { templateWarnings } from "../../pod-spec/warnings.ts";
import type { JobSpec } from "../../types.d.ts";

const completionsMany = 100_000;
const parallelismMany = 10_000;

export function jobSpecWarnings(spec: JobSpec | undefined, path: string): string[] {
  const { completionMode, completions = 0, parallelism = 0, template } = spec ?? { template: {} };
  const warnings = templateWarnings(template, `${path}.template`);
  if (completionMode !== "Indexed" || completions <= completionsMany || parallelism <= parallelismMany) return warnings;
  const why =
    "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail";
  return [`${path}: ${why}`, ...warnings];
}
