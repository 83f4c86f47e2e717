export { createScheduler, type Scheduler, type SchedulerOptions } from "./shell.ts";
