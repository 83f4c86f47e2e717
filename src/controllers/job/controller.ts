/** Runs Jobs to their end. A second loop frees pods whose Job is gone or over: nobody else takes the finalizer off them. */
import type { Job, JobStatus } from "#api";
import { keyOf, type ResourceReference, type WorkQueue } from "#client";
import { isStatusError, semanticEqual } from "#machinery";
import { carryOutClaims, planClaims } from "../lib/claim.ts";
import { type Controller, defineController, type Loop, watch } from "../lib/controller.ts";
import { Expectations } from "../lib/expectations.ts";
import { allAtOnce, inBatches } from "../lib/in-batches.ts";
import { controllerOf, isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { ownerOfPod, watchOwnedPods } from "../lib/owned-pods.ts";
import { claimable, indexByController, managedByUid } from "../lib/owner-index.ts";
import { createPodControl, isNamespaceTerminating } from "../lib/pod-control.ts";
import { isPodActive, isPodReady, type SeenPod } from "../lib/pods.ts";
import { createSelectorCache } from "../lib/selectors.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { type Backoff, noBackoff } from "./backoff.ts";
import { isTracked, jobPod, kind, trackingFinalizer } from "./pods.ts";
import { isFinished, type JobPlan, planJob } from "./reconcile.ts";
import { countReleased, type Done, end, type JobEvent, settle } from "./status.ts";

const jobsReference: ResourceReference = { group: "batch", version: "v1", resource: "jobs", namespaced: true };
const podsReference: ResourceReference = { group: "", version: "v1", resource: "pods", namespaced: true };
/** `spec.managedBy` of Jobs that are ours. */
const ownManager = "kubernetes.io/job-controller";
/** What happens to many pods at once is counted at once: a Job of a hundred pods and more is looked at once a second, as upstream. */
const batchMsMax = 1000;
const batchMsPerPod = 10;
/** So few are looked at as soon as one ends. That one is ready can wait. */
const immediatePodsMax = 10;
/** As upstream; what keeps failing (a full quota) is tried again later and later. */
const retryMs = [1000, 60_000] as const;

const batchMs = ({ spec }: Seen<Job>): number =>
  Math.min(batchMsMax, batchMsPerPod * Math.max(0, (spec?.parallelism ?? 1) - immediatePodsMax));

const isOurs = ({ spec }: Seen<Job>): boolean => spec?.managedBy === undefined || spec.managedBy === ownManager;

/** What is remembered of a Job between two looks. */
interface Memory {
  readonly uid: string;
  backoff: Backoff;
  /** Uids of pods that have lost their finalizer, until the cache shows it. */
  readonly released: Set<string>;
  /** Revision of the last status written: an older one in the cache says nothing new. */
  written: number;
  lookedAtMs: number;
}

export const jobController: Controller = defineController({
  name: "job-controller",
  create({ client, informers, events, clock }): Loop[] {
    const jobs = informers.of("batch/v1/jobs");
    const pods = informers.of("v1/pods");
    indexByController(pods);
    const selectors = createSelectorCache();
    const expectations = new Expectations(clock);
    const podControl = createPodControl(client, events);
    const memories = new Map<string, Memory>();

    function memoryOf(key: string, job: Seen<Job>): Memory {
      let memory = memories.get(key);
      if (memory?.uid !== uidOf(job)) {
        memory = {
          uid: uidOf(job),
          backoff: noBackoff,
          released: new Set(),
          written: 0,
          lookedAtMs: Number.NEGATIVE_INFINITY,
        };
        memories.set(key, memory);
      }
      return memory;
    }

    function watches(queue: WorkQueue) {
      const forget = (pod: SeenPod) => {
        const reference = controllerOf(pod);
        if (reference) memories.get(`${namespaceOf(pod)}/${reference.name}`)?.released.delete(uidOf(pod));
      };
      const addSoon = (key: string) => {
        const job = jobs.get(key);
        const lookedAtMs = memories.get(key)?.lookedAtMs ?? Number.NEGATIVE_INFINITY;
        queue.addAfter(key, job ? Math.max(0, lookedAtMs + batchMs(job) - clock.now()) : 0);
      };
      return [
        watch(jobs, {
          added: (job) => queue.add(keyOf(job)),
          updated(job, old) {
            if (job.metadata.generation === old.metadata.generation) addSoon(keyOf(job));
            else queue.add(keyOf(job));
          },
          deleted: (job) => queue.add(keyOf(job)),
        }),
        watch(pods, {
          updated(pod, old) {
            if (!isTracked(pod)) forget(pod);
            // Beside its beginning, the end of a deletion matters too.
            const job =
              isDeleting(pod) && isTracked(pod) !== isTracked(old)
                ? ownerOfPod(pod, { owners: jobs, kind: kind.kind })
                : undefined;
            if (job) addSoon(keyOf(job));
          },
          deleted: forget,
        }),
        watchOwnedPods({
          pods,
          owners: jobs,
          kind: kind.kind,
          queue,
          // An end is seen at once, that a pod is ready now and then.
          mark: (key, pod, old) =>
            old && isPodActive(pod) && isPodActive(old) ? queue.addAfter(key, batchMsMax) : addSoon(key),
          expectations,
          selectorOf: (job) => selectors.of(job.spec?.selector),
        }),
      ];
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const job = jobs.get(key);
      if (!job) {
        memories.delete(key);
        return expectations.forget(key);
      }
      if (!isOurs(job)) return;
      if (isFinished(job)) return void memories.delete(key);
      const { completionMode = "NonIndexed", completions } = job.spec ?? {};
      if (completionMode !== "NonIndexed" && completionMode !== "Indexed") {
        const message = "Skipped Job sync because completion mode is unknown";
        events.event(job, { type: "Warning", reason: "UnknownCompletionMode", message });
        return;
      }
      const memory = memoryOf(key, job);
      // Its event comes and marks the Job again.
      if (Number(job.metadata.resourceVersion) < memory.written) return;
      memory.lookedAtMs = clock.now();
      const mayAct = expectations.areMet(key);
      const state = {
        job,
        pods: await claim(job),
        released: new Set(memory.released),
        backoff: memory.backoff,
        mayAct,
        now: clock.now(),
      };
      const plan = planJob(state);
      if (plan.againMs !== undefined) queue.addAfter(key, plan.againMs);
      const { error: actError, ...done } = await act(key, job, plan);
      const settled = settle(state, plan, done);
      say(job, settled.events);
      const written = await writeStatus(memory, job, settled.status);
      if (!written) return;
      memory.backoff = plan.backoff;
      const freed = await release(memory, settled.release);
      const bound = new Set(state.pods.filter((pod) => isTracked(pod) && !state.released.has(uidOf(pod))).map(uidOf));
      for (const uid of freed.uids) bound.delete(uid);
      const counted = countReleased(written.status ?? {}, (uid) => bound.has(uid));
      const { outcome } = settled;
      const ended =
        outcome && freed.error === undefined ? end(counted, { outcome, completions, now: state.now }) : undefined;
      await writeStatus(memory, written, ended?.status ?? counted);
      say(job, ended?.events ?? []);
      const error = freed.error ?? actError;
      if (error !== undefined) throw error;
    }

    async function claim(job: Seen<Job>): Promise<readonly SeenPod[]> {
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
      // Adopted just now, with our finalizer, though the cache doesn't show it.
      const withFinalizer = (pod: SeenPod): SeenPod => ({
        ...pod,
        metadata: { ...pod.metadata, finalizers: [...(pod.metadata.finalizers ?? []), trackingFinalizer] },
      });
      return owned.map((pod) => (controllerOf(pod) || isTracked(pod) ? pod : withFinalizer(pod)));
    }

    function say(job: Seen<Job>, list: readonly JobEvent[]): void {
      for (const event of list) events.event(job, event);
    }

    /** Answers the Job as it is then; undefined when it is gone. */
    async function writeStatus(memory: Memory, job: Seen<Job>, status: JobStatus): Promise<Seen<Job> | undefined> {
      if (semanticEqual(job.status, status)) return job;
      const written = await unlessGone(
        client.resource("batch/v1/jobs").updateStatus({ ...(job as Job), status }), // sent, never changed
      );
      if (written) memory.written = Number(written.metadata.resourceVersion);
      return written;
    }

    async function act(key: string, job: Seen<Job>, plan: JobPlan): Promise<Done & { error?: unknown }> {
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
      let deletedReady = 0;
      const deleted = await allAtOnce([...plan.remove, ...plan.stop], async (pod) => {
        const isSurplus = plan.stop.length === 0;
        try {
          if (isSurplus) await takeFinalizer(pod);
          await podControl.delete(nameOf(pod), job);
        } catch (error) {
          if (isSurplus) expectations.deleted(key, uidOf(pod));
          if (!isStatusError(error, "NotFound")) throw error;
        }
        if (isPodReady(pod)) deletedReady++;
      });
      const error = created.error ?? deleted.error;
      return {
        created: created.succeeded,
        deleted: deleted.succeeded,
        deletedReady,
        ...(error === undefined ? {} : { error }),
      };
    }

    async function release(
      { released }: Memory,
      some: readonly SeenPod[],
    ): Promise<{ uids: ReadonlySet<string>; error?: unknown }> {
      const uids = new Set<string>();
      const { error } = await allAtOnce(some, async (pod) => {
        // Before the request: its event may come before its answer.
        released.add(uidOf(pod));
        try {
          await takeFinalizer(pod);
          uids.add(uidOf(pod));
        } catch (failure) {
          released.delete(uidOf(pod));
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
        const owner = controllerOf(pod);
        if (owner && (owner.kind !== kind.kind || owner.apiVersion !== kind.apiVersion)) return;
        const job = ownerOfPod(pod, { owners: jobs, kind: kind.kind });
        if (job && !(isOurs(job) && isFinished(job))) return;
        await takeFinalizer(pod);
      },
    };

    return [
      { watches, reconcile, retryMs },
      { ...orphans, retryMs },
    ];
  },
});
