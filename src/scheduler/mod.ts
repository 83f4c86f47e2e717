export { createScheduler, type Scheduler, type SchedulerOptions } from "./shell.ts";
export {
  ConfigurationError,
  type LeaderElectionConfiguration,
  readSchedulerConfiguration,
  type SchedulerConfiguration,
} from "./configuration.ts";
