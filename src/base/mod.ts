export { aborted } from "./aborted.ts";
export { AssertionError, assert } from "./assert.ts";
export { type BackoffOptions, backoffMs } from "./backoff.ts";
export { type Clock, FakeClock, preciseNow, realClock, steadyClock } from "./clock.ts";
export { createLogger, type LogFields, type Logger, type LoggerOptions, type LogLevel, silentLogger } from "./log.ts";
export { durationProblem, parseDuration, printDuration } from "./duration.ts";
export {
  describeFlags,
  FlagError,
  type FlagInput,
  type FlagSpec,
  type FlagSpecs,
  type FlagValues,
  parseFlags,
} from "./flag.ts";
export {
  Counter,
  exponentialBounds,
  Family,
  Gauge,
  Histogram,
  type Metric,
  MetricRegistry,
  seriesMax,
} from "./metric.ts";
export { metricContentTypes, metricFormatOf, printMetrics } from "./metric-text.ts";
export { collectProcess } from "./process-metric.ts";
export {
  accessArguments,
  accessProblem,
  type CephAccess,
  cephKeyOf,
  imageArguments,
  ProgramError,
  type RbdImage,
  rbd,
  rbdInfo,
  rbdWatchers,
  runProgram,
  wrongWord,
} from "./rbd.ts";
export { type ApplyScript, createNft, NftError } from "./nft.ts";
export { lingerMs, splice } from "./splice.ts";
export { atOnce, inTurns } from "./turns.ts";
export { printHead, requestUpgrade, type UpgradeAnswer, type UpgradeRequest } from "./upgrade.ts";
