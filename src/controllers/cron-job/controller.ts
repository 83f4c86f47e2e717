/** Starts Jobs when their time has come. */
import { type CronJob, type CronJobStatus, isTimeZone, type Job, ScheduleError } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { formatTime, goQuote, isStatusError, semanticEqual } from "#machinery";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import {
  controllerOf,
  draft,
  isControlledBy,
  isDeleting,
  nameOf,
  namespaceOf,
  type Seen,
  uidOf,
} from "../lib/objects.ts";
import { indexByController, managedBy } from "../lib/owner-index.ts";
import { isNamespaceTerminating, messageOf } from "../lib/pod-control.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { type CronEvent, followJobs, kind, newJob, nextInMs, planRun, surplusJobs, withoutJob } from "./reconcile.ts";
import { parseSchedule, type Schedule } from "./schedule.ts";

/** An old object may have what is refused today: Go takes these two for UTC and for the zone of the machine. */
const isKnownZone = (name: string): boolean => name === "" || name === "Local" || isTimeZone(name);

export const cronJobController: Controller = defineController({
  name: "cronjob-controller",
  create({ client, informers, events, clock }) {
    const cronJobs = informers.of("batch/v1/cronjobs");
    const jobs = informers.of("batch/v1/jobs");
    indexByController(jobs);
    /** By cron job: the revision of our last note in its status. */
    const written = new Map<string, number>();

    function watches(queue: WorkQueue) {
      return [
        watch(cronJobs, {
          added: (cronJob) => queue.add(keyOf(cronJob)),
          updated(cronJob, old) {
            const { schedule: text = "", timeZone } = cronJob.spec ?? {};
            if (text === old.spec?.schedule && timeZone === old.spec.timeZone) return queue.add(keyOf(cronJob));
            // What the new schedule would have started before is not made up for.
            const schedule = readSchedule(cronJob, {
              reason: "UnParseableCronJobSchedule",
              message: `unparseable schedule for cronjob: ${text}`,
            });
            if (schedule) queue.addAfter(keyOf(cronJob), nextInMs(cronJob, { schedule, now: clock.now() }));
          },
          deleted: (cronJob) => queue.add(keyOf(cronJob)),
        }),
        onEvery(jobs, (job) => {
          const reference = controllerOf(job);
          if (reference?.kind === kind.kind) queue.add(`${namespaceOf(job)}/${reference.name}`);
        }),
      ];
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const cronJob = cronJobs.get(key);
      if (!cronJob) return void written.delete(key);
      // Our own note comes, and marks it again.
      if (Number(cronJob.metadata.resourceVersion) < (written.get(key) ?? 0)) return;
      const owned = managedBy(jobs, cronJob);
      let known = draft<CronJobStatus>(cronJob.status ?? {});
      for (const job of surplusJobs(cronJob, owned))
        if (await deleteJob(cronJob, nameOf(job))) known = withoutJob(known, uidOf(job));
      const followed = followJobs({ ...cronJob, status: known }, owned);
      for (const job of followed.unexpected) await reportUnexpected(cronJob, job);
      say(cronJob, followed.events);
      let { status } = followed;
      for (const { name = "", uid } of followed.missing) {
        if (await exists(cronJob, name)) continue;
        const message = `Active job went missing: ${name}`;
        events.event(cronJob, { type: "Normal", reason: "MissingJob", message });
        status = withoutJob(status, uid);
      }
      const schedule = isDeleting(cronJob) ? undefined : scheduleOf(cronJob);
      let failure: unknown;
      if (schedule) {
        const run = await runIfDue(cronJob, status, { schedule, queue });
        ({ status, failure } = run);
      }
      if (!semanticEqual(status, cronJob.status)) {
        const own = client.resource("batch/v1/cronjobs");
        const noted = await unlessGone(own.updateStatus({ ...(cronJob as CronJob), status })); // sent, never changed
        if (noted) written.set(key, Number(noted.metadata.resourceVersion));
      }
      if (failure !== undefined) throw failure;
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

    /** Undefined when it can't or must not be followed. */
    function scheduleOf(cronJob: Seen<CronJob>): Schedule | undefined {
      const { schedule = "", timeZone, suspend } = cronJob.spec ?? {};
      const warn = (reason: string, message: string) => events.event(cronJob, { type: "Warning", reason, message });
      if (timeZone !== undefined && !isKnownZone(timeZone)) {
        warn("UnknownTimeZone", `invalid timeZone: ${goQuote(timeZone)}: unknown time zone ${timeZone}`);
        return undefined;
      }
      if (suspend) return undefined;
      if (schedule.includes("TZ")) {
        const more = "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
        const message = `CRON_TZ or TZ used in schedule ${goQuote(schedule)} is not officially supported, ${more}`;
        warn("UnsupportedSchedule", message);
      }
      return readSchedule(cronJob, {
        reason: "UnparseableSchedule",
        message: `unparseable schedule: ${goQuote(schedule)}`,
      });
    }

    /** An event tells when it can't be read. */
    function readSchedule(cronJob: Seen<CronJob>, warning: Record<"reason" | "message", string>): Schedule | undefined {
      const { schedule = "", timeZone } = cronJob.spec ?? {};
      try {
        return parseSchedule(schedule, timeZone !== undefined && isKnownZone(timeZone) ? timeZone : undefined);
      } catch (error) {
        if (!(error instanceof ScheduleError)) throw error;
        const why = warning.reason === "UnparseableSchedule" ? ` : ${error.message}` : "";
        events.event(cronJob, { type: "Warning", ...warning, message: warning.message + why });
        return undefined;
      }
    }

    async function runIfDue(
      cronJob: Seen<CronJob>,
      status: CronJobStatus,
      { schedule, queue }: { schedule: Schedule; queue: WorkQueue },
    ): Promise<{ status: CronJobStatus; failure?: unknown }> {
      const plan = planRun(cronJob, status, { schedule, now: clock.now() });
      say(cronJob, plan.events);
      if (plan.nextInMs !== undefined) queue.addAfter(keyOf(cronJob), plan.nextInMs);
      if (plan.startMs === undefined) return { status };
      let after = status;
      try {
        for (const { name = "", uid } of plan.replace) {
          await replaceJob(cronJob, name);
          after = withoutJob(after, uid);
        }
        const job = await createJob(cronJob, plan.startMs);
        if (!job || after.active?.some(({ uid }) => uid === uidOf(job))) return { status: after };
        const reference = {
          kind: "Job",
          apiVersion: "batch/v1",
          name: nameOf(job),
          namespace: namespaceOf(job),
          uid: uidOf(job),
          resourceVersion: job.metadata.resourceVersion ?? "",
        };
        const lastScheduleTime = formatTime(plan.startMs);
        return { status: { ...after, active: [...(after.active ?? []), reference], lastScheduleTime } };
      } catch (failure) {
        return { status: after, failure };
      }
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
          // Ours of a moment ago, before its note was written; or somebody else's, who is to know.
          const existing = await own.get(nameOf(job));
          return isControlledBy(existing, cronJob) ? existing : undefined;
        }
        const message = `Error creating job: ${messageOf(error)}`;
        events.event(cronJob, { type: "Warning", reason: "FailedCreate", message });
        throw error;
      }
    }

    /** Throws when it is still there. */
    async function replaceJob(cronJob: Seen<CronJob>, name: string): Promise<void> {
      try {
        await client.resource("batch/v1/jobs", namespaceOf(cronJob)).get(name);
      } catch (error) {
        const message = `Get job: ${messageOf(error)}`;
        events.event(cronJob, { type: "Warning", reason: "FailedGet", message });
        throw error;
      }
      if (!(await deleteJob(cronJob, name))) throw new Error(`could not replace job ${namespaceOf(cronJob)}/${name}`);
    }

    async function deleteJob(cronJob: Seen<CronJob>, name: string): Promise<boolean> {
      const own = client.resource("batch/v1/jobs", namespaceOf(cronJob));
      try {
        await own.delete(name, { propagationPolicy: "Background" });
      } catch (error) {
        const message = `Deleted job: ${messageOf(error)}`;
        events.event(cronJob, { type: "Warning", reason: "FailedDelete", message });
        return false;
      }
      events.event(cronJob, { type: "Normal", reason: "SuccessfulDelete", message: `Deleted job ${name}` });
      return true;
    }

    function say(cronJob: Seen<CronJob>, list: readonly CronEvent[]): void {
      for (const event of list) events.event(cronJob, event);
    }

    return [{ watches, reconcile }];
  },
});
