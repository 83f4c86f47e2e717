/** Runs Jobs to their end. A second loop frees pods whose Job is gone or over: nobody else takes the finalizer off them. */
import type { Job, JobStatus } from "#api";
import { keyOf, type ResourceReference, type WorkQueue } from "#client";
import { isStatusError, semanticEqual } from "#machinery";
import { carryOutClaims, planClaims } from "../lib/claim.ts";
import { type Controller, defineController, type Loop, onEvery, watch } from "../lib/controller.ts";
import { Expectations } from "../lib/expectations.ts";
import { allAtOnce, inBatches } from "../lib/in-batches.ts";
import { controllerOf, isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { ownerOfPod, watchOwnedPods } from "../lib/owned-pods.ts";
import { claimable, indexByController, managedByUid } from "../lib/owner-index.ts";
import { createPodControl, isNamespaceTerminating } from "../lib/pod-control.ts";
import type { SeenPod } from "../lib/pods.ts";
import { createSelectorCache } from "../lib/selectors.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { isTracked, jobPod, kind, trackingFinalizer } from "./pods.ts";
import { isFinished, type JobPlan, planJob } from "./reconcile.ts";
import { type JobEvent, statusAfter, statusBefore } from "./status.ts";

const jobsReference: ResourceReference = { group: "batch", version: "v1", resource: "jobs", namespaced: true };
const podsReference: ResourceReference = { group: "", version: "v1", resource: "pods", namespaced: true };
/** `spec.managedBy` of Jobs that are ours. */
const ownManager = "kubernetes.io/job-controller";

const isOurs = ({ spec }: Seen<Job>): boolean => spec?.managedBy === undefined || spec.managedBy === ownManager;

export const jobController: Controller = defineController({
  name: "job-controller",
  create({ client, informers, events, clock }): Loop[] {
    const jobs = informers.of("batch/v1/jobs");
    const pods = informers.of("v1/pods");
    indexByController(pods);
    const selectors = createSelectorCache();
    const expectations = new Expectations(clock);
    const podControl = createPodControl(client, events);
    /** By Job: uids of pods that have lost their finalizer, until the cache shows it. */
    const released = new Map<string, Set<string>>();

    function watches(queue: WorkQueue) {
      const forget = (pod: SeenPod) => {
        const reference = controllerOf(pod);
        if (reference) released.get(`${namespaceOf(pod)}/${reference.name}`)?.delete(uidOf(pod));
      };
      return [
        onEvery(jobs, (job) => queue.add(keyOf(job))),
        watch(pods, {
          updated(pod, old) {
            if (!isTracked(pod)) forget(pod);
            // Beside its beginning, the end of a deletion matters too.
            const job =
              isDeleting(pod) && isTracked(pod) !== isTracked(old)
                ? ownerOfPod(pod, { owners: jobs, kind: kind.kind })
                : undefined;
            if (job) queue.add(keyOf(job));
          },
          deleted(pod) {
            forget(pod);
            const job = ownerOfPod(pod, { owners: jobs, kind: kind.kind });
            if (job) queue.add(keyOf(job));
          },
        }),
        watchOwnedPods({
          pods,
          owners: jobs,
          kind: kind.kind,
          queue,
          expectations,
          selectorOf: (job) => selectors.of(job.spec?.selector),
        }),
      ];
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const job = jobs.get(key);
      if (!job) {
        released.delete(key);
        return expectations.forget(key);
      }
      if (!isOurs(job) || isFinished(job)) return;
      const { completionMode = "NonIndexed" } = job.spec ?? {};
      if (completionMode !== "NonIndexed" && completionMode !== "Indexed") {
        const message = "Skipped Job sync because completion mode is unknown";
        events.event(job, { type: "Warning", reason: "UnknownCompletionMode", message });
        return;
      }
      const mayAct = expectations.areMet(key);
      const selector = selectors.of(job.spec?.selector);
      const owned = await carryOutClaims({
        client,
        owner: job,
        ownerKind: kind,
        ownerResource: jobsReference,
        resource: podsReference,
        kind: "Pod",
        finalizer: trackingFinalizer,
        claims: planClaims(job, claimable(pods, job), (labels) => selector.matches(labels)),
      });
      const state = { job, pods: owned, released: new Set(released.get(key)), mayAct, now: clock.now() };
      const plan = planJob(state);
      if (plan.againMs !== undefined) queue.addAfter(key, plan.againMs);
      const done = await act(key, job, plan);
      const before = statusBefore({ job, plan, ...done, now: clock.now() });
      say(job, before.events);
      const written = await writeStatus(job, before.status);
      if (!written) return;
      const freed = await release(key, plan.release);
      const isFree = (pod: SeenPod) => freed.uids.has(uidOf(pod)) || state.released.has(uidOf(pod));
      const stillTracked = owned.filter((pod) => isTracked(pod) && !isFree(pod));
      const uids = new Set(stillTracked.map(uidOf));
      const after = statusAfter(before.status, {
        plan,
        hasFinalizer: (uid) => uids.has(uid),
        tracked: stillTracked.length,
        completions: job.spec?.completions,
        now: clock.now(),
      });
      await writeStatus(written, after.status);
      say(job, after.events);
      const error = freed.error ?? done.error;
      if (error !== undefined) throw error;
    }

    function say(job: Seen<Job>, list: readonly JobEvent[]): void {
      for (const event of list) events.event(job, event);
    }

    /** Answers the Job as it is then; undefined when it is gone. */
    async function writeStatus(job: Seen<Job>, status: JobStatus): Promise<Seen<Job> | undefined> {
      if (semanticEqual(job.status, status)) return job;
      return unlessGone(client.resource("batch/v1/jobs").updateStatus({ ...(job as Job), status })); // sent, never changed
    }

    interface Done {
      readonly created: number;
      readonly removed: number;
      readonly stopped: number;
      readonly error?: unknown;
    }

    async function act(key: string, job: Seen<Job>, plan: JobPlan): Promise<Done> {
      if (plan.create.length + plan.remove.length > 0) {
        expectations.expect(key, plan.create.length, plan.remove.map(uidOf));
      }
      const created = await inBatches(plan.create.length, async (index) => {
        try {
          await podControl.create(jobPod(job, plan.create[index]), job);
        } catch (error) {
          if (!isNamespaceTerminating(error)) throw error;
        }
      });
      expectations.created(key, plan.create.length - created.succeeded);
      const removed = await allAtOnce(plan.remove, async (pod) => {
        try {
          await takeFinalizer(pod);
          await podControl.delete(nameOf(pod), job);
        } catch (error) {
          expectations.deleted(key, uidOf(pod));
          if (!isStatusError(error, "NotFound")) throw error;
        }
      });
      const stopped = await allAtOnce(plan.stop, async (pod) => {
        await unlessGone(podControl.delete(nameOf(pod), job));
      });
      const error = created.error ?? removed.error ?? stopped.error;
      return {
        created: created.succeeded,
        removed: removed.succeeded,
        stopped: stopped.succeeded,
        ...(error === undefined ? {} : { error }),
      };
    }

    async function release(
      key: string,
      some: readonly SeenPod[],
    ): Promise<{ uids: ReadonlySet<string>; error?: unknown }> {
      const uids = new Set<string>();
      if (some.length === 0) return { uids };
      const known = released.get(key) ?? new Set<string>();
      released.set(key, known);
      const { error } = await allAtOnce(some, async (pod) => {
        // Before the request: its event may come before its answer.
        known.add(uidOf(pod));
        try {
          await takeFinalizer(pod);
          uids.add(uidOf(pod));
        } catch (failure) {
          known.delete(uidOf(pod));
          throw failure;
        }
      });
      return { uids, ...(error === undefined ? {} : { error }) };
    }

    async function takeFinalizer(pod: SeenPod): Promise<void> {
      if (!isTracked(pod)) return;
      const metadata = { uid: uidOf(pod), "$deleteFromPrimitiveList/finalizers": [trackingFinalizer] };
      await unlessGone(
        client.resource("v1/pods", namespaceOf(pod)).patch(nameOf(pod), { metadata }, { type: "strategic" }),
      );
    }

    /** Pods with our finalizer whose Job doesn't count them. */
    const orphans: Loop = {
      watches(queue) {
        const look = (pod: SeenPod) => {
          if (isTracked(pod)) queue.add(keyOf(pod));
        };
        const lookAtAll = (job: Seen<Job>) => managedByUid(pods, uidOf(job)).forEach(look);
        return [
          watch(pods, {
            added: look,
            updated(pod, old) {
              const isNew = controllerOf(pod)?.uid !== controllerOf(old)?.uid || isTracked(pod) !== isTracked(old);
              if (isNew || (isDeleting(pod) && !isDeleting(old))) look(pod);
            },
          }),
          watch(jobs, {
            updated(job, old) {
              if (isFinished(job) && !isFinished(old)) lookAtAll(job);
            },
            deleted: lookAtAll,
          }),
        ];
      },
      async reconcile(key) {
        const pod = pods.get(key);
        if (!pod || !isTracked(pod)) return;
        const job = ownerOfPod(pod, { owners: jobs, kind: kind.kind });
        if (job && !(isOurs(job) && isFinished(job))) return;
        await takeFinalizer(pod);
      },
    };

    return [{ watches, reconcile }, orphans];
  },
});
