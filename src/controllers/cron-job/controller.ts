/** Starts Jobs when their time has come. */
import type { CronJob, CronJobStatus, Job } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { goQuote, isStatusError, semanticEqual } from "#machinery";
import { type Controller, defineController, onEvery } from "../lib/controller.ts";
import { controllerOf, isControlledBy, isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { indexByController, managedBy } from "../lib/owner-index.ts";
import { isNamespaceTerminating, messageOf } from "../lib/pod-control.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { type CronEvent, followJobs, kind, newJob, planRun, surplusJobs, withoutJob } from "./reconcile.ts";
import { parseSchedule, type Schedule, ScheduleError } from "./schedule.ts";

export const cronJobController: Controller = defineController({
  name: "cronjob-controller",
  create({ client, informers, events, clock }) {
    const cronJobs = informers.of("batch/v1/cronjobs");
    const jobs = informers.of("batch/v1/jobs");
    indexByController(jobs);

    function watches(queue: WorkQueue) {
      return [
        onEvery(cronJobs, (cronJob) => queue.add(keyOf(cronJob))),
        onEvery(jobs, (job) => {
          const reference = controllerOf(job);
          if (reference?.kind === kind.kind) queue.add(`${namespaceOf(job)}/${reference.name}`);
        }),
      ];
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const cronJob = cronJobs.get(key);
      if (!cronJob) return;
      const owned = managedBy(jobs, cronJob);
      const followed = followJobs(cronJob, owned);
      for (const job of followed.unexpected) await reportUnexpected(cronJob, job);
      say(cronJob, followed.events);
      let { status } = followed;
      for (const { name = "", uid } of followed.missing) {
        if (await exists(cronJob, name)) continue;
        const message = `Active job went missing: ${name}`;
        events.event(cronJob, { type: "Normal", reason: "MissingJob", message });
        status = withoutJob(status, uid);
      }
      if (!isDeleting(cronJob) && !cronJob.spec?.suspend) {
        const schedule = readSchedule(cronJob);
        if (schedule) status = await runIfDue(cronJob, status, { schedule, queue });
      }
      if (!semanticEqual(status, cronJob.status)) {
        await unlessGone(client.resource("batch/v1/cronjobs").updateStatus({ ...(cronJob as CronJob), status })); // sent, never changed
      }
      for (const job of surplusJobs(cronJob, owned)) await deleteJob(cronJob, nameOf(job));
    }

    const exists = async (cronJob: Seen<CronJob>, jobName: string): Promise<boolean> =>
      (await unlessGone(client.resource("batch/v1/jobs", namespaceOf(cronJob)).get(jobName))) !== undefined;

    /** The cache may be behind our own note of it. */
    async function reportUnexpected(cronJob: Seen<CronJob>, job: Seen<Job>): Promise<void> {
      const fresh = await unlessGone(client.resource("batch/v1/cronjobs", namespaceOf(cronJob)).get(nameOf(cronJob)));
      if (!fresh || fresh.status?.active?.some(({ uid }) => uid === uidOf(job))) return;
      const message = `Saw a job that the controller did not create or forgot: ${nameOf(job)}`;
      events.event(cronJob, { type: "Warning", reason: "UnexpectedJob", message });
    }

    function readSchedule(cronJob: Seen<CronJob>): Schedule | undefined {
      const { schedule: text = "", timeZone } = cronJob.spec ?? {};
      try {
        return parseSchedule(text, timeZone);
      } catch (error) {
        if (error instanceof ScheduleError) {
          const message = `unparseable schedule: ${goQuote(text)} : ${error.message}`;
          events.event(cronJob, { type: "Warning", reason: "UnparseableSchedule", message });
        } else if (error instanceof RangeError) {
          const message = `invalid timeZone: ${goQuote(timeZone ?? "")}: unknown time zone ${timeZone}`;
          events.event(cronJob, { type: "Warning", reason: "UnknownTimeZone", message });
        } else throw error;
        return undefined;
      }
    }

    async function runIfDue(
      cronJob: Seen<CronJob>,
      status: CronJobStatus,
      { schedule, queue }: { schedule: Schedule; queue: WorkQueue },
    ): Promise<CronJobStatus> {
      const plan = planRun(cronJob, status, { schedule, now: clock.now() });
      say(cronJob, plan.events);
      if (plan.nextInMs !== undefined) queue.addAfter(keyOf(cronJob), plan.nextInMs);
      if (plan.startMs === undefined) return status;
      let active = status.active ?? [];
      for (const { name = "", uid } of plan.replace) {
        await deleteJob(cronJob, name);
        active = active.filter((reference) => reference.uid !== uid);
      }
      const job = await createJob(cronJob, plan.startMs);
      if (!job) return status;
      const reference = {
        kind: "Job",
        apiVersion: "batch/v1",
        name: nameOf(job),
        namespace: namespaceOf(job),
        uid: uidOf(job),
        resourceVersion: job.metadata.resourceVersion ?? "",
      };
      const lastScheduleTime = `${new Date(plan.startMs).toISOString().slice(0, 19)}Z`;
      return { ...status, active: [...active, reference], lastScheduleTime };
    }

    /** Undefined when nothing was or should be written down. */
    async function createJob(cronJob: Seen<CronJob>, scheduledMs: number): Promise<Seen<Job> | undefined> {
      const own = client.resource("batch/v1/jobs", namespaceOf(cronJob));
      const job = newJob(cronJob, scheduledMs);
      try {
        const created = await own.create(job);
        events.event(cronJob, { type: "Normal", reason: "SuccessfulCreate", message: `Created job ${nameOf(job)}` });
        return created;
      } catch (error) {
        if (isNamespaceTerminating(error)) return undefined;
        if (isStatusError(error, "AlreadyExists")) {
          // Ours of a moment ago, before its note was written.
          const existing = await own.get(nameOf(job));
          if (isControlledBy(existing, cronJob)) return existing;
        }
        const message = `Error creating job: ${messageOf(error)}`;
        events.event(cronJob, { type: "Warning", reason: "FailedCreate", message });
        throw error;
      }
    }

    async function deleteJob(cronJob: Seen<CronJob>, name: string): Promise<void> {
      try {
        const own = client.resource("batch/v1/jobs", namespaceOf(cronJob));
        await unlessGone(own.delete(name, { propagationPolicy: "Background" }));
      } catch (error) {
        const message = `Deleted job: ${messageOf(error)}`;
        events.event(cronJob, { type: "Warning", reason: "FailedDelete", message });
        throw error;
      }
      events.event(cronJob, { type: "Normal", reason: "SuccessfulDelete", message: `Deleted job ${name}` });
    }

    function say(cronJob: Seen<CronJob>, list: readonly CronEvent[]): void {
      for (const event of list) events.event(cronJob, event);
    }

    return [{ watches, reconcile }];
  },
});
