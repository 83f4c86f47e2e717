/** Two loops of the API server's own, where the feature CoordinatedLeaderElection is on: elections, and candidates that are gone. */
import type { Lease, LeaseCandidate } from "#api";
import { keyOf } from "#client";
import { formatMicroTime } from "#machinery";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { draft, nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { candidateEnd, electedSpec, electionMs, owesAnswer, planElection } from "./reconcile.ts";

const candidatesName = "coordination.k8s.io/v1beta1/leasecandidates";
const leasesName = "coordination.k8s.io/v1/leases";

export const leaseCandidatesController: Controller = defineController({
  name: "leader-election-controller",
  account: undefined,
  create({ client, informers, clock, log }) {
    const leases = informers.of(leasesName);
    const candidates = informers.of(candidatesName);
    const leaseOf = (candidate: Seen<LeaseCandidate>) => `${namespaceOf(candidate)}/${candidate.spec.leaseName}`;
    candidates.addIndex("lease", (candidate) => [leaseOf(candidate)]);

    async function elect(key: string): Promise<boolean> {
      const now = clock.now();
      const alive = candidates.by("lease", key).filter((candidate) => candidateEnd(candidate) >= now);
      const plan = planElection(alive, leases.get(key), now);
      const at = formatMicroTime(now);
      if (plan.type === "ping")
        await Promise.all(
          plan.candidates.map((candidate) => {
            const next = draft<LeaseCandidate>(candidate);
            next.spec.pingTime = at;
            return client.resource(candidatesName, namespaceOf(candidate)).update(next);
          }),
        );
      if (plan.type !== "elect") return alive.length > 0;
      const [namespace = "", name = ""] = key.split("/");
      const own = client.resource(leasesName, namespace);
      const existing = await unlessGone(own.get(name));
      const spec = electedSpec(existing && draft<Lease>(existing).spec, plan, { now, at });
      if (!spec) return true;
      log.info("a leader is elected", { lease: key, holder: spec.holderIdentity, preferred: spec.preferredHolder });
      if (existing) await own.update({ ...draft<Lease>(existing), spec });
      else await own.create({ metadata: { name, namespace }, spec });
      return true;
    }

    return [
      {
        workers: 1,
        watches: (queue) => [
          // Leases that nobody is a candidate for are most of them.
          onEvery(leases, (lease) => candidates.by("lease", keyOf(lease)).length > 0 && queue.add(keyOf(lease))),
          onEvery(candidates, (candidate) => owesAnswer(candidate) || queue.add(leaseOf(candidate))),
        ],
        async reconcile(key, queue) {
          if (await elect(key)) queue.addAfter(key, electionMs);
        },
      },
      {
        workers: 1,
        watches(queue) {
          const mark = (candidate: Seen<LeaseCandidate>) =>
            queue.addAfter(keyOf(candidate), Math.max(0, candidateEnd(candidate) - clock.now()));
          return [watch(candidates, { added: mark, updated: mark })];
        },
        async reconcile(key, queue) {
          const known = candidates.get(key);
          const own = client.resource(candidatesName, known && namespaceOf(known));
          const candidate = known && (await unlessGone(own.get(nameOf(known))));
          if (!candidate) return;
          const leftMs = candidateEnd(candidate) - clock.now();
          if (leftMs > 0) queue.addAfter(key, leftMs);
          else await unlessGone(own.delete(nameOf(candidate)));
        },
      },
    ];
  },
});
