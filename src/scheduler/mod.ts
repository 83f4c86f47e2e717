export { createScheduler, type Scheduler, type SchedulerOptions } from "./shell.ts";
export { ConfigurationError, readSchedulerConfiguration, type SchedulerConfiguration } from "./configuration.ts";
