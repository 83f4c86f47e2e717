/**
 * Jobs, cron jobs and disruption budgets as Kubernetes' conformance suite asks for them (test/e2e/apps/{job,cronjob,disruption}.go), on
 * simulated nodes, in time that runs twenty times as fast.
 */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { isStatusError } from "#machinery";
import { scaledClock } from "#testing";
import { type Loops, type Loose, startLoops } from "./loops.ts";

/** Whatever was made has metadata. */
interface Thing extends Loose {
  readonly metadata: NonNullable<Loose["metadata"]>;
  readonly items: readonly Thing[];
}

const indexLabel = "batch.kubernetes.io/job-completion-index";

suite("jobs and budgets", { concurrency: true }, () => {
  let loops: Loops;
  let clock = scaledClock(20);
  let namespaces = 0;
  before(async () => {
    clock = scaledClock(20);
    loops = await startLoops({ nodes: 2, clock });
  });
  after(() => loops.close());

  const call = async (...request: Parameters<Loops["call"]>) => (await loops.call(...request)) as Thing; // as it says
  const merge = async (...request: Parameters<Loops["merge"]>) => (await loops.merge(...request)) as Thing;

  async function inNamespace() {
    const namespace = `n-${++namespaces}`;
    await call("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
    const core = `/api/v1/namespaces/${namespace}`;
    const batch = `/apis/batch/v1/namespaces/${namespace}`;
    const policy = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
    await loops.until("its account", () => loops.find(`${core}/serviceaccounts/default`));
    const pods = async () => (await call("GET", `${core}/pods`)).items;
    const phases = async (phase: string) => (await pods()).filter(({ status }) => status.phase === phase);
    return { namespace, core, batch, policy, pods, phases };
  }
  type Space = Awaited<ReturnType<typeof inNamespace>>;

  const template = (annotations: Record<string, string> = {}, more: object = {}) => ({
    metadata: {
      labels: { app: "a" },
      annotations: Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`sampan.dev/${key}`, value])),
    },
    spec: { restartPolicy: "Never", containers: [{ name: "c", image: "example.com/c:1" }], ...more },
  });
  const forever = { "run-for": "forever" };
  const create = (space: Space, spec: object, pod: object = template(forever)) =>
    call("POST", `${space.batch}/jobs`, { metadata: { name: "j" }, spec: { template: pod, ...spec } });
  const job = (space: Space) => call("GET", `${space.batch}/jobs/j`);
  const conditionsOf = ({ status }: Thing) =>
    ((status.conditions ?? []) as { type: string; status: string; reason?: string }[])
      .filter((each) => each.status === "True")
      .map(({ type, reason }) => `${type} ${reason}`);
  const ends = (space: Space) =>
    loops.until("the job ends", async () => {
      const seen = await job(space);
      return conditionsOf(seen).some((text) => /^(Complete|Failed) /.test(text)) && seen;
    });
  const running = (space: Space, count: number) =>
    loops.until(`${count} pods run`, async () => {
      const pods = await space.phases("Running");
      return pods.length === count && pods;
    });
  const exit = (space: Space, pod: Thing, code: number) =>
    loops.nodes?.exit({ namespace: space.namespace, name: pod.metadata.name ?? "" }, "c", code);
  const byIndex = (pods: readonly Thing[], index: number): Thing => {
    const found = pods.find(({ metadata }) => metadata.labels?.[indexLabel] === String(index));
    assert.ok(found, `index ${index}`);
    return found;
  };

  test("conformance: Job should run a job to completion when tasks sometimes fail and are locally restarted", async () => {
    const space = await inNamespace();
    await create(
      space,
      { parallelism: 2, completions: 4, backoffLimit: 6 },
      template({ failures: "1" }, { restartPolicy: "OnFailure" }),
    );
    const seen = await ends(space);
    assert.deepEqual(conditionsOf(seen), ["SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"]);
    assert.deepEqual([seen.status.succeeded, seen.status.failed], [4, undefined]);
    const restarts = (await space.pods()).map(
      ({ status }) => (status.containerStatuses as { restartCount: number }[])[0]?.restartCount,
    );
    assert.deepEqual(restarts, [1, 1, 1, 1]);
  });

  test("conformance: Job should create pods for an Indexed job with completion indexes and specified hostname", async () => {
    const space = await inNamespace();
    await create(space, { parallelism: 2, completions: 4, completionMode: "Indexed" }, template());
    assert.equal((await ends(space)).status.completedIndexes, "0-3");
    const pods = await space.pods();
    assert.deepEqual(pods.map(({ metadata }) => metadata.annotations?.[indexLabel]).sort(), ["0", "1", "2", "3"]);
    for (const { metadata, spec } of pods) {
      assert.equal(spec.hostname, `j-${metadata.annotations?.[indexLabel]}`);
      assert.ok(metadata.name?.startsWith(`j-${metadata.annotations?.[indexLabel]}-`));
    }
  });

  test("conformance: Job should allow to use the pod failure policy on exit code to fail the job early", async () => {
    const space = await inNamespace();
    const rules = [{ action: "FailJob", onExitCodes: { operator: "In", values: [1] } }];
    await create(space, { completions: 1, podFailurePolicy: { rules } }, template({ "exit-code": "1" }));
    const seen = await ends(space);
    assert.deepEqual(conditionsOf(seen), ["FailureTarget PodFailurePolicy", "Failed PodFailurePolicy"]);
    assert.equal((await space.pods()).length, 1);
  });

  test("conformance: Job should allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition", async () => {
    const space = await inNamespace();
    const rules = [{ action: "Ignore", onPodConditions: [{ type: "DisruptionTarget" }] }];
    await create(space, { backoffLimit: 0, podFailurePolicy: { rules } });
    const [first] = await running(space, 1);
    const body = {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name: first?.metadata.name, namespace: space.namespace },
    };
    await call("POST", `${space.core}/pods/${first?.metadata.name}/eviction`, body);
    const second = await loops.until("another pod runs", async () =>
      (await space.phases("Running")).find(({ metadata }) => metadata.uid !== first?.metadata.uid),
    );
    exit(space, second, 0);
    const { status } = await ends(space);
    assert.deepEqual([status.succeeded, status.failed], [1, undefined]);
  });

  test("conformance: Job should execute all indexes despite some failing when using backoffLimitPerIndex", async () => {
    const space = await inNamespace();
    await create(space, {
      parallelism: 2,
      completions: 4,
      completionMode: "Indexed",
      backoffLimitPerIndex: 1,
      backoffLimit: 4,
    });
    const failing = new Map<string, number>();
    const seen = await loops.until("the job ends", async () => {
      for (const pod of await space.phases("Running")) {
        const index = pod.metadata.labels?.[indexLabel] ?? "";
        const isEven = Number(index) % 2 === 0;
        if (isEven) failing.set(pod.metadata.name ?? "", Number(index));
        exit(space, pod, isEven ? 1 : 0);
      }
      const state = await job(space);
      return conditionsOf(state).includes("Failed FailedIndexes") && state;
    });
    assert.deepEqual(
      [seen.status.failedIndexes, seen.status.completedIndexes, seen.status.failed, seen.status.succeeded],
      ["0,2", "1,3", 4, 2],
    );
    assert.deepEqual([...failing.values()].sort(), [0, 0, 2, 2], "each failing index is tried twice");
  });

  test("conformance: Job should terminate job execution when the number of failed indexes exceeds maxFailedIndexes", async () => {
    const space = await inNamespace();
    await create(space, {
      parallelism: 10,
      completions: 10,
      completionMode: "Indexed",
      backoffLimitPerIndex: 0,
      maxFailedIndexes: 4,
    });
    const pods = await running(space, 10);
    for (let index = 0; index < 5; index++) exit(space, byIndex(pods, index), 1);
    const seen = await ends(space);
    assert.deepEqual(conditionsOf(seen), ["FailureTarget MaxFailedIndexesExceeded", "Failed MaxFailedIndexesExceeded"]);
    assert.deepEqual(
      [seen.status.failedIndexes, seen.status.completedIndexes, seen.status.failed],
      ["0-4", undefined, 10],
    );
  });

  test("conformance: Job should mark indexes as failed when the FailIndex action is matched in podFailurePolicy", async () => {
    const space = await inNamespace();
    const rules = [{ action: "FailIndex", onExitCodes: { operator: "In", values: [42] } }];
    await create(space, {
      parallelism: 2,
      completions: 2,
      completionMode: "Indexed",
      backoffLimitPerIndex: 1,
      podFailurePolicy: { rules },
    });
    const pods = await running(space, 2);
    exit(space, byIndex(pods, 0), 42);
    exit(space, byIndex(pods, 1), 0);
    const seen = await ends(space);
    assert.deepEqual(conditionsOf(seen), ["FailureTarget FailedIndexes", "Failed FailedIndexes"]);
    assert.deepEqual([seen.status.failedIndexes, seen.status.completedIndexes, seen.status.failed], ["0", "1", 1]);
  });

  for (const [name, rule, done, expected] of [
    ["should succeeded when all indexes succeeded", undefined, [0, 1], ["CompletionsReached", "0,1"]],
    [
      "succeededIndexes rule should succeeded even when some indexes remain pending",
      { succeededIndexes: "0" },
      [0],
      ["SuccessPolicy", "0"],
    ],
    [
      "succeededCount rule should succeeded even when some indexes remain pending",
      { succeededCount: 1 },
      [1],
      ["SuccessPolicy", "1"],
    ],
  ] as const)
    test(`conformance: Job with successPolicy ${name}`, async () => {
      const space = await inNamespace();
      const successPolicy = { rules: [rule ?? { succeededIndexes: "0,1" }] };
      await create(space, { parallelism: 2, completions: 2, completionMode: "Indexed", successPolicy });
      const pods = await running(space, 2);
      for (const index of done) exit(space, byIndex(pods, index), 0);
      const seen = await ends(space);
      // Both may be true of all: which is seen first is open.
      const reason = rule ? expected[0] : (conditionsOf(seen)[0]?.split(" ")[1] ?? "");
      assert.deepEqual(conditionsOf(seen), [`SuccessCriteriaMet ${reason}`, `Complete ${reason}`]);
      assert.deepEqual([seen.status.completedIndexes, seen.status.succeeded], [expected[1], done.length]);
      assert.deepEqual(await space.phases("Running"), []);
    });

  test("conformance: Job should delete a job", async () => {
    const space = await inNamespace();
    await create(space, { parallelism: 2, completions: 4 });
    await running(space, 2);
    await call("DELETE", `${space.batch}/jobs/j`, { propagationPolicy: "Foreground" });
    await loops.until("it is gone", async () => !(await loops.find(`${space.batch}/jobs/j`)));
    assert.deepEqual(await space.pods(), []);
  });

  test("conformance: Job should adopt matching orphans and release non-matching pods", async () => {
    const space = await inNamespace();
    await create(space, { parallelism: 2, completions: 4 });
    const [pod] = await running(space, 2);
    const at = `${space.core}/pods/${pod?.metadata.name}`;
    const ownerOf = async () => (await call("GET", at)).metadata.ownerReferences?.[0]?.kind;
    await merge(at, { metadata: { ownerReferences: null } });
    await loops.until("it is adopted", async () => (await ownerOf()) === "Job");
    await merge(at, {
      metadata: {
        labels: {
          "job-name": null,
          "controller-uid": null,
          "batch.kubernetes.io/job-name": null,
          "batch.kubernetes.io/controller-uid": null,
        },
      },
    });
    await loops.until("it is let go", async () => (await ownerOf()) === undefined);
    await loops.until("its finalizer is gone", async () => !(await call("GET", at)).metadata.finalizers?.length);
  });

  test("conformance: Job should apply changes to a job status", async () => {
    const space = await inNamespace();
    const { metadata } = await create(space, { parallelism: 2, completions: 4 });
    await running(space, 2);
    const lastTransitionTime = "2026-01-01T00:00:00Z";
    const status = { conditions: [{ type: "Own", status: "True", lastTransitionTime }] };
    const patched = await merge(`${space.batch}/jobs/j/status`, {
      metadata: { annotations: { a: "b" } },
      status,
    });
    assert.equal(patched.metadata.annotations?.a, "b");
    const read = await call("GET", `${space.batch}/jobs/j/status`);
    assert.deepEqual([read.metadata.uid, conditionsOf(read)], [metadata.uid, ["Own undefined"]]);
  });

  test("conformance: Job should manage the lifecycle of a job", async () => {
    const space = await inNamespace();
    await create(space, { parallelism: 2, completions: 4, suspend: true }, template());
    await loops.until("it is suspended", async () => conditionsOf(await job(space)).includes("Suspended JobSuspended"));
    assert.deepEqual([await space.pods(), (await job(space)).status.startTime], [[], undefined]);
    await merge(`${space.batch}/jobs/j`, { metadata: { labels: { x: "y" } }, spec: { suspend: false } });
    const { status } = await ends(space);
    assert.deepEqual([status.succeeded, status.uncountedTerminatedPods], [4, {}]);
    assert.equal((await call("GET", "/apis/batch/v1/jobs?labelSelector=x%3Dy")).items.length, 1);
    await call("DELETE", `${space.batch}/jobs?labelSelector=x%3Dy`, { propagationPolicy: "Background" });
    await loops.until("its pods are gone", async () => (await space.pods()).length === 0);
  });

  test("job: deleted when its time to live is over, with its pods", async () => {
    const space = await inNamespace();
    await create(space, { ttlSecondsAfterFinished: 20 }, template());
    const { metadata } = await ends(space);
    await loops.until("it is gone", async () => !(await loops.find(`${space.batch}/jobs/${metadata.name}`)));
    assert.deepEqual(await space.pods(), []);
  });

  test("job: a quota that is full is filled up when it has room again, and no pod is made twice", async () => {
    const space = await inNamespace();
    await call("POST", `${space.core}/resourcequotas`, {
      metadata: { name: "q" },
      spec: { hard: { pods: "1" } },
    });
    await loops.until("it is counted", async () => (await call("GET", `${space.core}/resourcequotas/q`)).status.used);
    await create(space, { parallelism: 2, completions: 2 }, template());
    const { status } = await ends(space);
    assert.deepEqual([status.succeeded, status.failed, (await space.pods()).length], [2, undefined, 2]);
  });

  test("job: pods of a node that vanishes are counted once and made anew", async () => {
    const space = await inNamespace();
    const spec = { unschedulable: false };
    await call("POST", "/api/v1/nodes", { metadata: { name: "vanishes" }, spec });
    await create(space, { completions: 1, backoffLimit: 3 });
    const [pod] = await running(space, 1);
    // As if it had been there: bound to a node that nobody tends.
    await call("POST", `${space.core}/pods`, {
      metadata: {
        name: "lost",
        labels: pod?.metadata.labels,
        finalizers: pod?.metadata.finalizers,
        ownerReferences: pod?.metadata.ownerReferences,
      },
      spec: { nodeName: "vanishes", containers: [{ name: "c", image: "i" }], tolerations: [{ operator: "Exists" }] },
    });
    await call("DELETE", "/api/v1/nodes/vanishes");
    await loops.until("the lost one is gone", async () => (await loops.find(`${space.core}/pods/lost`)) === undefined);
    const left = await loops.until("one runs", async () => {
      const pods = await space.phases("Running");
      return pods.length === 1 && pods;
    });
    if (left[0]) exit(space, left[0], 0);
    const { status } = await ends(space);
    assert.equal(status.succeeded, 1);
  });

  const cron = (space: Space, spec: object) =>
    call("POST", `${space.batch}/cronjobs`, {
      metadata: { name: "c" },
      spec: { schedule: "*/1 * * * ?", jobTemplate: { spec: { template: template(forever) } }, ...spec },
    });
  const jobsOf = async (space: Space) => (await call("GET", `${space.batch}/jobs`)).items;
  const activeOf = async (space: Space) =>
    ((await call("GET", `${space.batch}/cronjobs/c`)).status.active ?? []) as { name: string }[];
  const minutesPass = (count: number) => {
    const end = clock.now() + count * 60_000 + 2000;
    return loops.until(`${count} minutes have passed`, async () => clock.now() > end);
  };

  test("conformance: CronJob should schedule multiple jobs concurrently", async () => {
    const space = await inNamespace();
    await cron(space, { concurrencyPolicy: "Allow" });
    await loops.until("two are active", async () => (await activeOf(space)).length > 1);
    assert.ok((await jobsOf(space)).length > 1);
  });

  test("conformance: CronJob should not schedule jobs when suspended", async () => {
    const space = await inNamespace();
    await cron(space, { suspend: true });
    await minutesPass(2);
    assert.deepEqual([await jobsOf(space), await activeOf(space)], [[], []]);
  });

  test("conformance: CronJob should not schedule new jobs when ForbidConcurrent", async () => {
    const space = await inNamespace();
    await cron(space, { concurrencyPolicy: "Forbid" });
    const [first] = await loops.until("one is active", async () => {
      const active = await activeOf(space);
      return active.length === 1 && active;
    });
    await minutesPass(2);
    assert.deepEqual(
      (await jobsOf(space)).map(({ metadata }) => metadata.name),
      [first?.name],
    );
  });

  test("conformance: CronJob should replace jobs when ReplaceConcurrent", async () => {
    const space = await inNamespace();
    await cron(space, { concurrencyPolicy: "Replace" });
    const [first] = await loops.until("one is active", async () => {
      const active = await activeOf(space);
      return active.length === 1 && active;
    });
    await loops.until("another is active instead", async () => {
      const active = await activeOf(space);
      return active.length === 1 && active[0]?.name !== first?.name;
    });
    await loops.until("the first is gone", async () => !(await loops.find(`${space.batch}/jobs/${first?.name}`)));
  });

  test("conformance: CronJob should support CronJob API operations", async () => {
    const space = await inNamespace();
    const at = `${space.batch}/cronjobs/c`;
    const { metadata } = await cron(space, { schedule: "* */1 * * ?", suspend: true });
    const patched = await merge(at, { metadata: { annotations: { patched: "true" }, labels: { s: "1" } } });
    const updated = await call("PUT", at, {
      ...patched,
      metadata: { ...patched.metadata, annotations: { updated: "true" } },
    });
    assert.deepEqual([updated.metadata.uid, updated.metadata.annotations], [metadata.uid, { updated: "true" }]);
    assert.equal((await call("GET", "/apis/batch/v1/cronjobs?labelSelector=s%3D1")).items.length, 1);
    const lastScheduleTime = "2026-01-01T00:00:00Z";
    const status = (await merge(`${at}/status`, { status: { lastScheduleTime } })).status;
    assert.equal(status.lastScheduleTime, lastScheduleTime);
    await call("DELETE", `${space.batch}/cronjobs?labelSelector=s%3D1`);
    assert.equal(await loops.find(at), undefined);
  });

  test("cron job: keeps as many finished jobs as wanted", async () => {
    const space = await inNamespace();
    const jobTemplate = { spec: { template: template() } };
    await cron(space, { jobTemplate, successfulJobsHistoryLimit: 1 });
    await loops.until("one was deleted", async () =>
      (await call("GET", `${space.core}/events`)).items.some(
        ({ reason, message }) => reason === "SuccessfulDelete" && /^Deleted job c-/.test(String(message)),
      ),
    );
    await loops.until(
      "one is left",
      async () => (await jobsOf(space)).filter(({ status }) => status.completionTime).length === 1,
    );
  });

  const budget = (space: Space, spec: object, name = "b", labels?: object) =>
    call("POST", space.policy, {
      metadata: { name, ...(labels ? { labels } : {}) },
      spec: { selector: { matchLabels: { app: "a" } }, ...spec },
    });
  const evict = (space: Space, pod: Thing | undefined) =>
    call("POST", `${space.core}/pods/${pod?.metadata.name}/eviction`, {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name: pod?.metadata.name, namespace: space.namespace },
    });
  const refused = (call: Promise<unknown>) =>
    assert.rejects(
      call,
      (error) =>
        isStatusError(error, "TooManyRequests") && JSON.stringify(error.status.details).includes('"DisruptionBudget"'),
    );
  const allowed = (space: Space, count: number) =>
    loops.until(`${count} may be disrupted`, async () => {
      const { metadata, status } = await call("GET", `${space.policy}/b`);
      return status.disruptionsAllowed === count && status.observedGeneration === metadata.generation;
    });
  const replicaSet = (space: Space, replicas: number) =>
    call("POST", `/apis/apps/v1/namespaces/${space.namespace}/replicasets`, {
      metadata: { name: "r" },
      spec: { replicas, selector: { matchLabels: { app: "a" } }, template: template({}, { restartPolicy: "Always" }) },
    });

  test("conformance: DisruptionController should block an eviction until the PDB is updated to allow it", async () => {
    const space = await inNamespace();
    await budget(space, { minAvailable: 3 });
    await replicaSet(space, 3);
    const [first] = await running(space, 3);
    await refused(evict(space, first));
    await merge(`${space.policy}/b`, { spec: { minAvailable: 2 } });
    await allowed(space, 1);
    await evict(space, first);
    await merge(`${space.policy}/b`, { spec: { minAvailable: null, maxUnavailable: 0 } });
    await allowed(space, 0);
    const another = (await space.phases("Running")).find(({ metadata }) => !metadata.deletionTimestamp);
    await refused(evict(space, another));
    await call("DELETE", `${space.policy}/b`);
    await evict(space, another);
  });

  test("conformance: DisruptionController should observe PodDisruptionBudget status updated", async () => {
    const space = await inNamespace();
    await budget(space, { minAvailable: 1 });
    await replicaSet(space, 3);
    await allowed(space, 2);
  });

  test("conformance: DisruptionController should create a PodDisruptionBudget", async () => {
    const space = await inNamespace();
    await budget(space, { minAvailable: "1%" });
    // Its status is written at the same time.
    const updated = await loops.until("it is updated", async () => {
      const seen = await call("GET", `${space.policy}/b`);
      return call("PUT", `${space.policy}/b`, { ...seen, spec: { ...seen.spec, minAvailable: "2%" } }).catch(
        (error) => {
          if (!isStatusError(error, "Conflict")) throw error;
          return undefined;
        },
      );
    });
    assert.equal(updated.spec.minAvailable, "2%");
    assert.equal((await merge(`${space.policy}/b`, { spec: { minAvailable: "3%" } })).spec.minAvailable, "3%");
    await call("DELETE", `${space.policy}/b`);
    assert.equal(await loops.find(`${space.policy}/b`), undefined);
  });

  test("conformance: DisruptionController should update/patch PodDisruptionBudget status", async () => {
    const space = await inNamespace();
    await budget(space, { minAvailable: 1 });
    await replicaSet(space, 1);
    const [pod] = await running(space, 1);
    await allowed(space, 0);
    const disruptedPods = { [pod?.metadata.name ?? ""]: new Date(clock.now()).toISOString().replace(/\.\d+/, "") };
    const patched = await merge(`${space.policy}/b/status`, { status: { disruptedPods } });
    assert.deepEqual(patched.status.disruptedPods, disruptedPods);
    // It isn't deleted: two minutes later the budget no longer counts on it, and says so.
    await loops.until("it is forgotten", async () => !(await call("GET", `${space.policy}/b`)).status.disruptedPods);
    await loops.until("an event says so", async () =>
      (await call("GET", `${space.core}/events`)).items.some(({ reason }) => reason === "NotDeleted"),
    );
  });

  test("conformance: DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of PodDisruptionBudgets", async () => {
    const [space, other] = [await inNamespace(), await inNamespace()];
    await budget(space, { minAvailable: 2 }, "b", { l: "m" });
    await budget(space, { minAvailable: "1%" }, "b2", { l: "m" });
    await budget(other, { minAvailable: 2 }, "b3", { l: "m" });
    const names = async (at: string) =>
      (await call("GET", `${at}?labelSelector=l%3Dm`)).items.map(({ metadata }) => metadata.name);
    assert.deepEqual(await names("/apis/policy/v1/poddisruptionbudgets"), ["b", "b2", "b3"]);
    assert.deepEqual(await names(space.policy), ["b", "b2"]);
    await call("DELETE", `${space.policy}?labelSelector=l%3Dm`);
    assert.deepEqual([await names(space.policy), await names(other.policy)], [[], ["b3"]]);
  });
});
