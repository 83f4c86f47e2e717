/** Deletes finished Jobs when their time to live is over. */
import type { Job } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { timeMs } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";

/** When it may go, in ms; undefined when it may not. */
export function expiryMs(job: Seen<Job>): number | undefined {
  const { ttlSecondsAfterFinished } = job.spec ?? {};
  const end = job.status?.conditions?.find(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
  if (ttlSecondsAfterFinished === undefined || !end || isDeleting(job)) return undefined;
  const at = timeMs(end.lastTransitionTime) + ttlSecondsAfterFinished * 1000;
  return Number.isNaN(at) ? undefined : at;
}

export const ttlAfterFinishedController: Controller = defineController({
  name: "ttl-after-finished-controller",
  create({ client, informers, clock }) {
    const jobs = informers.of("batch/v1/jobs");
    return [
      {
        watches(queue: WorkQueue) {
          const mark = (job: Seen<Job>) => {
            const at = expiryMs(job);
            if (at !== undefined) queue.addAfter(keyOf(job), at - clock.now());
          };
          return [watch(jobs, { added: mark, updated: mark })];
        },
        async reconcile(key, queue) {
          const known = jobs.get(key);
          const own = client.resource("batch/v1/jobs", known && namespaceOf(known));
          // Its time to live may just have been changed: read before it is lost.
          const job = known && (await unlessGone(own.get(nameOf(known))));
          const at = job && expiryMs(job);
          if (!job || at === undefined) return;
          const leftMs = at - clock.now();
          if (leftMs > 0) return queue.addAfter(key, leftMs);
          const options = { propagationPolicy: "Foreground", preconditions: { uid: uidOf(job) } } as const;
          await unlessGone(own.delete(nameOf(job), options));
        },
      },
    ];
  },
});
