/**
 * Deployments and the sets below them, stateful and daemon sets as Kubernetes' conformance suite asks for them (test/e2e/apps), on simulated
 * nodes, in time that runs thirty times as fast.
 */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { scaledClock } from "#testing";
import { type Loops, type Loose, startLoops } from "./loops.ts";

/** Whatever was made has metadata. */
interface Thing extends Loose {
  readonly metadata: NonNullable<Loose["metadata"]>;
  readonly items: readonly Thing[];
}

const basic = "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic]";
const image = (n: number) => `example.com/web:${n}`;
const container = (n: number) => ({ name: "web", image: image(n), readinessProbe: { exec: { command: ["true"] } } });
const unready = { "sampan.dev/readiness-probe": "fail" };

suite("workloads", { concurrency: true }, () => {
  let loops: Loops;
  let namespaces = 0;
  before(async () => {
    loops = await startLoops({ nodes: 3, clock: scaledClock(30) });
  });
  after(() => loops.close());

  const call = async (...request: Parameters<Loops["call"]>) => (await loops.call(...request)) as Thing; // as it says

  /** A namespace of its own, and there a workload of this kind called `w`. */
  async function withKind(kind: string) {
    const namespace = `n-${++namespaces}`;
    await call("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
    const core = `/api/v1/namespaces/${namespace}`;
    const apps = `/apis/apps/v1/namespaces/${namespace}`;
    const all = `${kind === "replicationcontrollers" ? core : apps}/${kind}`;
    await loops.until("its account", () => loops.find(`${core}/serviceaccounts/default`));
    const own = `${all}/w`;
    const template = (more: object = {}) => ({
      metadata: { labels: { app: "w" } },
      spec: {
        containers: [container(1)],
        ...more,
      },
    });
    const list = async (what: string) =>
      (await call("GET", `${what === "pods" || what === "events" ? core : apps}/${what}`)).items;
    return {
      core,
      apps,
      all,
      own,
      list,
      template,
      create: (spec: object = {}, metadata: object = {}) =>
        call("POST", all, {
          metadata: { name: "w", labels: { app: "w" }, ...metadata },
          spec: {
            ...(kind === "daemonsets" ? {} : { replicas: 3 }),
            selector: kind === "replicationcontrollers" ? { app: "w" } : { matchLabels: { app: "w" } },
            template: template(),
            ...(kind === "statefulsets" ? { serviceName: "w" } : {}),
            ...spec,
          },
        }),
      get: () => call("GET", own),
      patch: async (body: object, at = own) => (await loops.merge(at, body)) as Thing,
      roll: (n: number) => loops.merge(own, { spec: { template: { spec: { containers: [container(n)] } } } }),
      pods: async (alive = true) =>
        (await list("pods")).filter(({ metadata }) => !alive || !metadata.deletionTimestamp),
      /** Pods that run, by image. */
      running: async (n?: number) =>
        (await list("pods")).filter(
          ({ metadata, spec, status }) =>
            !metadata.deletionTimestamp &&
            isReady(status) &&
            (n === undefined || (spec.containers as { image: string }[])[0]?.image === image(n)),
        ),
      until: (what: string, status: object) =>
        loops.until(what, async () => {
          const { metadata, status: seen } = await call("GET", own);
          const isSeen = ((seen?.observedGeneration as number) ?? 0) >= (metadata.generation ?? 0);
          return isSeen && Object.entries(status).every(([key, value]) => (seen[key] ?? 0) === value);
        }),
      /** What the controller said it did, in order. */
      said: async (reason: RegExp) =>
        (await list("events"))
          .filter((event) => reason.test(String(event.reason)))
          .sort((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))
          .map(({ message }) => String(message)),
    };
  }
  type Space = Awaited<ReturnType<typeof withKind>>;

  const isReady = (status: Thing["status"]) =>
    ((status?.conditions ?? []) as { type: string; status: string }[]).some(
      ({ type, status: is }) => type === "Ready" && is === "True",
    );
  const names = (things: readonly Thing[]) => things.map(({ metadata }) => metadata.name).sort();
  const condition = ({ status }: Thing, type: string) =>
    ((status.conditions ?? []) as { type: string; status: string; reason: string; message: string }[]).find(
      (each) => each.type === type,
    );
  const controllerOf = ({ metadata }: Thing) => metadata.ownerReferences?.find(({ controller }) => controller)?.name;

  // Deployments

  test("conformance: [sig-apps] Deployment RollingUpdateDeployment should delete old pods and create new ones [Conformance]", async () => {
    const w = await withKind("deployments");
    // A set of its pods was there before: it is adopted and rolled over.
    await call("POST", `${w.apps}/replicasets`, {
      metadata: {
        name: "old",
        labels: { app: "w" },
        annotations: { "deployment.kubernetes.io/revision": "3546343826724305832" },
      },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: "w", old: "1" } },
        template: { ...w.template(), metadata: { labels: { app: "w", old: "1" } } },
      },
    });
    await loops.until("the old pod", async () => (await w.running()).length === 1);
    await w.create({ replicas: 1 });
    await w.until("complete", { updatedReplicas: 1, availableReplicas: 1, replicas: 1 });
    assert.equal((await w.get()).metadata.annotations?.["deployment.kubernetes.io/revision"], "3546343826724305833");
    const old = await call("GET", `${w.apps}/replicasets/old`);
    assert.deepEqual([controllerOf(old), old.spec.replicas], ["w", 0]);
  });

  test("conformance: [sig-apps] Deployment RecreateDeployment should delete old pods and create new ones [Conformance]", async () => {
    const w = await withKind("deployments");
    await w.create({ strategy: { type: "Recreate" } });
    await w.until("complete", { availableReplicas: 3 });
    await w.roll(2);
    await loops.until("all new", async () => {
      const images = new Set(
        (await w.pods(false)).map(({ spec }) => (spec.containers as { image: string }[])[0]?.image),
      );
      assert.ok(images.size <= 1, "old and new at the same time");
      return images.has(image(2)) && (await w.running(2)).length === 3;
    });
  });

  test("conformance: [sig-apps] Deployment deployment should delete old replica sets [Conformance]", async () => {
    const w = await withKind("deployments");
    await w.create({ replicas: 1, revisionHistoryLimit: 0 });
    await w.until("complete", { availableReplicas: 1, replicas: 1 });
    await w.roll(2);
    await loops.until(
      "one set",
      async () => (await w.running(2)).length === 1 && (await w.list("replicasets")).length === 1,
    );
  });

  test("conformance: [sig-apps] Deployment deployment should support rollover [Conformance]", async () => {
    const w = await withKind("deployments");
    await w.create({ minReadySeconds: 1, strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } });
    await w.until("complete", { availableReplicas: 3 });
    await loops.merge(w.own, {
      spec: { template: { metadata: { annotations: { "sampan.dev/pull-failures": "always" } } } },
    });
    await w.roll(2);
    await w.until("stuck", { updatedReplicas: 1, availableReplicas: 3, replicas: 4 });
    await loops.merge(w.own, { spec: { template: { metadata: { annotations: null } } } });
    await w.roll(3);
    await w.until("over", { updatedReplicas: 3, availableReplicas: 3, replicas: 3 });
    const sizes = (await w.list("replicasets")).map(({ spec }) => spec.replicas);
    assert.deepEqual(
      sizes
        .sort()
        .slice(0, -1)
        .every((size) => size === 0),
      true,
      String(sizes),
    );
  });

  test("conformance: [sig-apps] Deployment deployment should support proportional scaling [Conformance]", async () => {
    const w = await withKind("deployments");
    await w.create({ replicas: 10, strategy: { rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } });
    await w.until("complete", { availableReplicas: 10 });
    await loops.merge(w.own, {
      spec: { template: { metadata: { annotations: { "sampan.dev/pull-failures": "always" } } } },
    });
    await w.until("stuck", { availableReplicas: 8, updatedReplicas: 5, replicas: 13 });
    await w.patch({ spec: { replicas: 30 } }, `${w.own}/scale`);
    await w.until("scaled", { replicas: 33 });
    const sizes = (await w.list("replicasets")).map(({ spec }) => Number(spec.replicas)).sort((a, b) => a - b);
    assert.deepEqual(sizes, [13, 20]);
  });

  test("conformance: [sig-apps] Deployment should run the lifecycle of a Deployment [Conformance]", async () => {
    const w = await withKind("deployments");
    await w.create({ replicas: 2 });
    await w.until("complete", { readyReplicas: 2 });
    await w.patch({ spec: { replicas: 1 } });
    await w.until("one", { readyReplicas: 1, replicas: 1 });
    const patched = await w.patch(
      {
        status: { readyReplicas: 0, availableReplicas: 0, unavailableReplicas: 2 },
        metadata: { annotations: { a: "b" } },
      },
      `${w.own}/status`,
    );
    assert.equal(patched.metadata.annotations?.a, "b");
    await w.until("put right", { readyReplicas: 1 });
    await call("DELETE", w.own);
    await loops.until("gone", async () => (await w.list("replicasets")).length + (await w.pods()).length === 0);
  });

  test("deployment: paused it keeps its sets, resumed it goes on, and undone it takes its old set under a new revision", async () => {
    const w = await withKind("deployments");
    await w.create({ replicas: 2 });
    await w.until("complete", { availableReplicas: 2 });
    await w.patch({ spec: { paused: true } });
    await w.roll(2);
    await loops.until("paused", async () => condition(await w.get(), "Progressing")?.reason === "DeploymentPaused");
    await w.patch({ spec: { replicas: 3 } }, `${w.own}/scale`);
    await w.until("scaled while paused", { replicas: 3, updatedReplicas: 0 });
    assert.equal((await w.running(1)).length + (await w.running(2)).length <= 3, true);
    await w.patch({ spec: { paused: false } });
    await w.until("complete", { updatedReplicas: 3, availableReplicas: 3, replicas: 3 });
    await w.roll(1);
    await w.until("back", { updatedReplicas: 3, availableReplicas: 3, replicas: 3 });
    const revisions = (await w.list("replicasets")).map(
      ({ metadata }) => metadata.annotations?.["deployment.kubernetes.io/revision"],
    );
    assert.deepEqual(revisions.sort(), ["2", "3"]);
  });

  test("deployment: it says when its deadline has passed, and that a quota is full", async () => {
    const w = await withKind("deployments");
    await call("POST", `${w.core}/resourcequotas`, { metadata: { name: "q" }, spec: { hard: { pods: "2" } } });
    await loops.until(
      "counted",
      async () => (await call("GET", `${w.core}/resourcequotas/q`)).status?.used !== undefined,
    );
    await w.create({ progressDeadlineSeconds: 10 });
    const progressing = await loops.until("late", async () => {
      const found = condition(await w.get(), "Progressing");
      return found?.reason === "ProgressDeadlineExceeded" && found;
    });
    assert.match(progressing.message, /^ReplicaSet "w-[a-z0-9]+" has timed out progressing\.$/);
    const failure = await loops.until("said", async () => condition(await w.get(), "ReplicaFailure"));
    assert.match(failure.message, /exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2/);
    await w.patch({ spec: { hard: { pods: "5" } } }, `${w.core}/resourcequotas/q`);
    await w.until("mended", { availableReplicas: 3 });
    assert.equal(condition(await w.get(), "ReplicaFailure"), undefined);
  });

  // Sizes, for all kinds that have them

  for (const [kind, title] of [
    ["deployments", "[sig-apps] Deployment Deployment should have a working scale subresource [Conformance]"],
    ["replicasets", "[sig-apps] ReplicaSet Replicaset should have a working scale subresource [Conformance]"],
    [
      "replicationcontrollers",
      "[sig-apps] ReplicationController should get and update a ReplicationController scale [Conformance]",
    ],
    ["statefulsets", `${basic} should have a working scale subresource [Conformance]`],
  ] as const)
    test(`conformance: ${title}`, async () => {
      const w = await withKind(kind);
      await w.create({ replicas: 1 });
      await w.until("one", { replicas: 1, readyReplicas: 1 });
      const scale = await call("GET", `${w.own}/scale`);
      assert.deepEqual([scale.kind, scale.spec.replicas, scale.status.replicas], ["Scale", 1, 1]);
      await call("PUT", `${w.own}/scale`, { ...scale, spec: { replicas: 2 } });
      await w.until("two", { replicas: 2, readyReplicas: 2 });
      await w.patch({ spec: { replicas: 4 } }, `${w.own}/scale`);
      await w.until("four", { replicas: 4, readyReplicas: 4 });
    });

  // Status, for all kinds

  for (const [kind, title] of [
    ["deployments", "[sig-apps] Deployment should validate Deployment Status endpoints [Conformance]"],
    ["replicasets", "[sig-apps] ReplicaSet should validate Replicaset Status endpoints [Conformance]"],
    ["daemonsets", "[sig-apps] Daemon set [Serial] should verify changes to a daemon set status [Conformance]"],
    ["statefulsets", `${basic} should validate Statefulset Status endpoints [Conformance]`],
  ] as const)
    test(`conformance: ${title}`, async () => {
      const w = await withKind(kind);
      await w.create(kind === "daemonsets" ? {} : { replicas: 1 });
      await w.until("ready", kind === "daemonsets" ? { numberReady: 3 } : { readyReplicas: 1 });
      const mine = { type: "StatusUpdate", status: "True", reason: "E2E", message: "Set from e2e test" };
      await loops.until("updated", async () => {
        const seen = await call("GET", `${w.own}/status`);
        const conditions = [...((seen.status.conditions as object[]) ?? []), mine];
        // The controller may write between the two.
        return call("PUT", `${w.own}/status`, { ...seen, status: { ...seen.status, conditions } }).catch(() => false);
      });
      assert.equal(condition(await w.get(), "StatusUpdate")?.message, mine.message);
      await w.patch({ status: { conditions: [{ ...mine, type: "StatusPatched" }] } }, `${w.own}/status`);
      assert.equal(condition(await call("GET", `${w.own}/status`), "StatusPatched")?.status, "True");
    });

  // Collections

  for (const [kind, title] of [
    ["replicasets", "[sig-apps] ReplicaSet should list and delete a collection of ReplicaSets [Conformance]"],
    ["daemonsets", "[sig-apps] Daemon set [Serial] should list and delete a collection of DaemonSets [Conformance]"],
    ["statefulsets", `${basic} should list, patch and delete a collection of StatefulSets [Conformance]`],
  ] as const)
    test(`conformance: ${title}`, async () => {
      const w = await withKind(kind);
      await w.create();
      await loops.until("pods", async () => (await w.running()).length === 3);
      await w.patch({ metadata: { labels: { patched: "yes" } } });
      const selected = `${w.all}?labelSelector=${encodeURIComponent("patched=yes")}`;
      assert.deepEqual(names((await call("GET", selected)).items), ["w"]);
      await call("DELETE", selected);
      await loops.until(
        "gone",
        async () => (await w.pods(false)).length + (await call("GET", selected)).items.length === 0,
      );
    });

  // Replica sets and replication controllers

  for (const [kind, group] of [
    ["replicasets", "ReplicaSet"],
    ["replicationcontrollers", "ReplicationController"],
  ] as const) {
    test(`conformance: [sig-apps] ${group} should serve a basic image on each replica with a public image [Conformance]`, async () => {
      const w = await withKind(kind);
      await w.create();
      await w.until("ready", { readyReplicas: 3, availableReplicas: 3, fullyLabeledReplicas: 3 });
      assert.deepEqual(new Set((await w.running(1)).map(controllerOf)), new Set(["w"]));
    });

    const adoption = `[sig-apps] ${group} should adopt matching pods on creation`;
    test(`conformance: ${adoption}${kind === "replicasets" ? " and release no longer matching pods" : ""} [Conformance]`, async () => {
      const w = await withKind(kind);
      await call("POST", `${w.core}/pods`, {
        metadata: { name: "lonely", labels: { app: "w" } },
        spec: w.template().spec,
      });
      await w.create({ replicas: 1 });
      await w.until("adopted", { replicas: 1, readyReplicas: 1 });
      assert.deepEqual(
        (await w.pods()).map((pod) => [pod.metadata.name, controllerOf(pod)]),
        [["lonely", "w"]],
      );
      await release(w, "lonely");
    });
  }

  test("conformance: [sig-apps] ReplicationController should release no longer matching pods [Conformance]", async () => {
    const w = await withKind("replicationcontrollers");
    await w.create({ replicas: 1 });
    await w.until("ready", { readyReplicas: 1 });
    await release(w, (await w.pods())[0]?.metadata.name ?? "");
  });

  async function release(w: Space, name: string) {
    await w.patch({ metadata: { labels: { app: "other" } } }, `${w.core}/pods/${name}`);
    await loops.until("released", async () => !controllerOf(await call("GET", `${w.core}/pods/${name}`)));
    const isOwn = (pod: Thing) => controllerOf(pod) === "w";
    await loops.until("replaced", async () => (await w.running()).filter(isOwn).length === 1);
  }

  test("conformance: [sig-apps] ReplicaSet Replace and Patch tests [Conformance]", async () => {
    const w = await withKind("replicasets");
    await w.create({ replicas: 1 });
    await w.until("one", { readyReplicas: 1 });
    await w.patch({ spec: { replicas: 2 } });
    await w.until("two", { readyReplicas: 2 });
    await w.patch({
      metadata: { labels: { "test-rs": "patched" } },
      spec: { replicas: 3, template: { spec: { terminationGracePeriodSeconds: 0 } } },
    });
    await w.until("three", { readyReplicas: 3 });
    assert.equal((await w.get()).metadata.labels?.["test-rs"], "patched");
  });

  test("conformance: [sig-apps] ReplicationController should surface a failure condition on a common issue like exceeded quota [Conformance]", async () => {
    const w = await withKind("replicationcontrollers");
    await call("POST", `${w.core}/resourcequotas`, { metadata: { name: "q" }, spec: { hard: { pods: "2" } } });
    await loops.until(
      "counted",
      async () => (await call("GET", `${w.core}/resourcequotas/q`)).status?.used !== undefined,
    );
    await w.create();
    const failure = await loops.until("said", async () => condition(await w.get(), "ReplicaFailure"));
    assert.deepEqual([failure.status, failure.reason], ["True", "FailedCreate"]);
    await w.patch({ spec: { replicas: 2 } });
    await loops.until("taken back", async () => !condition(await w.get(), "ReplicaFailure"));
    assert.match(
      (await w.said(/FailedCreate/))[0] ?? "",
      /^Error creating: pods "w-[a-z0-9]{5}" is forbidden: exceeded quota: q,/,
    );
  });

  test("conformance: [sig-apps] ReplicationController should test the lifecycle of a ReplicationController [Conformance]", async () => {
    const w = await withKind("replicationcontrollers");
    await w.create({ replicas: 1 });
    await w.until("ready", { readyReplicas: 1 });
    await w.patch({ metadata: { labels: { "test-rc": "patched" } } });
    const patched = await w.patch({ status: { readyReplicas: 0, availableReplicas: 0 } }, `${w.own}/status`);
    assert.equal(patched.metadata.labels?.["test-rc"], "patched");
    await w.until("put right", { readyReplicas: 1, availableReplicas: 1 });
    await w.patch({ spec: { replicas: 2 } }, `${w.own}/scale`);
    await w.until("two", { readyReplicas: 2 });
    await call("DELETE", `${w.all}?labelSelector=test-rc%3Dpatched`);
    await loops.until("gone", async () => !(await loops.find(w.own)));
    // Of v1, pods stay unless the request says otherwise.
    await loops.until("orphans", async () => (await w.pods()).filter((pod) => !controllerOf(pod)).length === 2);
  });

  // Stateful sets

  test(`conformance: ${basic} Scaling should happen in predictable order and halt if any stateful pod is unhealthy [Slow] [Conformance]`, async () => {
    const w = await withKind("statefulsets");
    await w.create({
      template: { ...w.template(), metadata: { labels: { app: "w" }, annotations: unready } },
      replicas: 1,
    });
    await w.until("the first, sick", { replicas: 1, readyReplicas: 0 });
    await w.patch({ spec: { replicas: 3 } }, `${w.own}/scale`);
    const heal = (pod: string, health: string | null) =>
      w.patch({ metadata: { annotations: { "sampan.dev/readiness-probe": health } } }, `${w.core}/pods/${pod}`);
    for (const [ordinal, there] of [
      [0, ["w-0"]],
      [1, ["w-0", "w-1"]],
      [2, ["w-0", "w-1", "w-2"]],
    ] as const) {
      await loops.until(`w-${ordinal}`, async () => (await w.pods()).length === there.length);
      await w.until("seen", { replicas: there.length, readyReplicas: ordinal });
      assert.deepEqual(names(await w.pods()), there);
      await heal(`w-${ordinal}`, null);
    }
    await w.until("all", { readyReplicas: 3 });
    await heal("w-0", "fail");
    await w.until("one sick", { readyReplicas: 2 });
    await w.patch({ spec: { replicas: 0 } }, `${w.own}/scale`);
    await w.until("halted", { replicas: 3, readyReplicas: 2 });
    await heal("w-0", null);
    await w.until("none", { replicas: 0 });
    assert.deepEqual(
      (await w.said(/^Successful/)).map((message) => message.slice(0, 14)),
      ["Create Pod w-0", "Create Pod w-1", "Create Pod w-2", "Delete Pod w-2", "Delete Pod w-1", "Delete Pod w-0"],
    );
  });

  test(`conformance: ${basic} Burst scaling should run to completion even with unhealthy pods [Slow] [Conformance]`, async () => {
    const w = await withKind("statefulsets");
    const template = { ...w.template(), metadata: { labels: { app: "w" }, annotations: unready } };
    await w.create({ podManagementPolicy: "Parallel", template });
    await w.until("all, though sick", { replicas: 3, readyReplicas: 0 });
    await w.patch({ spec: { replicas: 1 } }, `${w.own}/scale`);
    await w.until("one, though sick", { replicas: 1, readyReplicas: 0 });
    assert.deepEqual(names(await w.pods()), ["w-0"]);
  });

  test(`conformance: ${basic} should perform rolling updates and roll backs of template modifications [Conformance]`, async () => {
    const w = await withKind("statefulsets");
    await w.create();
    await w.until("ready", { readyReplicas: 3 });
    const { currentRevision: first, updateRevision } = (await w.get()).status;
    assert.equal(first, updateRevision);
    await w.roll(2);
    await w.until("rolled", { updatedReplicas: 3, readyReplicas: 3, currentReplicas: 3 });
    assert.equal((await w.running(2)).length, 3);
    const { currentRevision: second } = (await w.get()).status;
    assert.notEqual(second, first);
    await w.roll(1);
    await w.until("back", { updatedReplicas: 3, readyReplicas: 3, currentReplicas: 3, currentRevision: first });
    assert.deepEqual(
      (await w.list("controllerrevisions")).map(({ metadata, revision }) => [metadata.name, revision]).sort(),
      [
        [first, 3],
        [second, 2],
      ].sort(),
    );
    const deletions = (await w.said(/SuccessfulDelete/)).map((message) => message.slice(0, 14));
    assert.deepEqual(
      deletions,
      ["2", "1", "0"].map((ordinal) => `Delete Pod w-${ordinal}`),
    );
  });

  test(`conformance: ${basic} should perform canary updates and phased rolling updates of template modifications [Conformance]`, async () => {
    const w = await withKind("statefulsets");
    const partition = (n: number) => ({
      spec: { updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: n } } },
    });
    await w.create(partition(3).spec);
    await w.until("ready", { readyReplicas: 3 });
    const imageOf = async (pod: string) =>
      ((await call("GET", `${w.core}/pods/${pod}`)).spec.containers as { image: string }[])[0]?.image;
    await w.roll(2);
    await w.until("nothing moves", { updatedReplicas: 0, readyReplicas: 3 });
    await w.patch(partition(2));
    await w.until("canary", { updatedReplicas: 1, readyReplicas: 3 });
    assert.deepEqual([await imageOf("w-2"), await imageOf("w-1")], [image(2), image(1)]);
    for (const pod of ["w-0", "w-2"]) {
      const { uid } = (await call("GET", `${w.core}/pods/${pod}`)).metadata;
      await call("DELETE", `${w.core}/pods/${pod}`);
      await loops.until("made anew", async () => {
        const found = (await loops.find(`${w.core}/pods/${pod}`)) as Thing | undefined;
        return found && found.metadata.uid !== uid && isReady(found.status);
      });
    }
    assert.deepEqual([await imageOf("w-2"), await imageOf("w-0")], [image(2), image(1)]);
    for (const n of [1, 0]) {
      await w.patch(partition(n));
      await w.until(`down to ${n}`, { updatedReplicas: 3 - n, readyReplicas: 3 });
    }
    const { currentRevision, updateRevision } = (await w.get()).status;
    assert.equal(currentRevision, updateRevision);
  });

  test(`conformance: ${basic} Should recreate evicted statefulset [Conformance]`, async () => {
    const w = await withKind("statefulsets");
    const ports = [{ name: "p", containerPort: 21017, hostPort: 21017 }];
    const containers = [{ name: "web", image: image(1), ports }];
    const node = "node-0";
    await call("POST", `${w.core}/pods`, { metadata: { name: "holder" }, spec: { nodeName: node, containers } });
    await loops.until("held", async () => (await w.running()).length === 1);
    await w.create({
      replicas: 1,
      template: { metadata: { labels: { app: "w" } }, spec: { nodeName: node, containers } },
    });
    const uids = new Set<string>();
    await loops.until("refused again and again", async () => {
      const pod = (await loops.find(`${w.core}/pods/w-0`)) as Thing | undefined;
      if (pod?.metadata.uid) uids.add(pod.metadata.uid);
      return uids.size > 1;
    });
    await call("DELETE", `${w.core}/pods/holder`);
    await w.until("runs", { readyReplicas: 1 });
  });

  // Daemon sets

  test("conformance: [sig-apps] Daemon set [Serial] should run and stop simple daemon [Conformance]", async () => {
    const w = await withKind("daemonsets");
    await w.create();
    await w.until("everywhere", { numberReady: 3, desiredNumberScheduled: 3 });
    const [first] = await w.running();
    await call("DELETE", `${w.core}/pods/${first?.metadata.name}`);
    await loops.until(
      "revived",
      async () => (await w.running()).filter(({ metadata }) => metadata.name !== first?.metadata.name).length === 3,
    );
    assert.equal(new Set((await w.running()).map(({ spec }) => spec.nodeName)).size, 3);
  });

  test("conformance: [sig-apps] Daemon set [Serial] should run and stop complex daemon [Conformance]", async () => {
    const w = await withKind("daemonsets");
    const color = (value: string | null) => w.patch({ metadata: { labels: { color: value } } }, "/api/v1/nodes/node-1");
    await w.create({ template: w.template({ nodeSelector: { color: "blue" } }) });
    await w.until("nowhere", { desiredNumberScheduled: 0, numberMisscheduled: 0 });
    await color("blue");
    await w.until("on one", { numberReady: 1, desiredNumberScheduled: 1 });
    await color("green");
    await w.until("gone", { desiredNumberScheduled: 0, numberMisscheduled: 0, currentNumberScheduled: 0 });
    await loops.merge(w.own, {
      spec: { template: { spec: { nodeSelector: { color: "green" } } }, updateStrategy: { type: "RollingUpdate" } },
    });
    await w.until("on one again", { numberReady: 1, updatedNumberScheduled: 1 });
    await color(null);
  });

  test("conformance: [sig-apps] Daemon set [Serial] should retry creating failed daemon pods [Conformance]", async () => {
    const w = await withKind("daemonsets");
    await w.create();
    await w.until("everywhere", { numberReady: 3 });
    const [first] = await w.running();
    await w.patch({ status: { phase: "Failed" } }, `${w.core}/pods/${first?.metadata.name}/status`);
    await loops.until(
      "replaced",
      async () => (await w.running()).length === 3 && !(await loops.find(`${w.core}/pods/${first?.metadata.name}`)),
    );
    assert.match(
      (await w.said(/FailedDaemonPod/))[0] ?? "",
      /^Found failed daemon pod n-\d+\/w-[a-z0-9]+ on node node-\d, will try to kill it$/,
    );
  });

  test("conformance: [sig-apps] Daemon set [Serial] should update pod when spec was updated and update strategy is RollingUpdate [Conformance]", async () => {
    const w = await withKind("daemonsets");
    await w.create();
    await w.until("everywhere", { numberAvailable: 3 });
    await w.roll(2);
    await loops.until("one at a time", async () => {
      assert.ok((await w.running()).length >= 2, "more than one is missing");
      return (await w.running(2)).length === 3;
    });
    const hashes = new Set((await w.pods()).map(({ metadata }) => metadata.labels?.["controller-revision-hash"]));
    const revisions = (await w.list("controllerrevisions")).toSorted((a, b) => Number(a.revision) - Number(b.revision));
    assert.deepEqual([...hashes], [revisions.at(-1)?.metadata.labels?.["controller-revision-hash"]]);
  });

  test("conformance: [sig-apps] Daemon set [Serial] should rollback without unnecessary restarts [Conformance]", async () => {
    const w = await withKind("daemonsets");
    await w.create();
    await w.until("everywhere", { numberAvailable: 3 });
    const before = new Set(names(await w.running(1)));
    await loops.merge(w.own, {
      spec: { template: { metadata: { annotations: { "sampan.dev/pull-failures": "always" } } } },
    });
    await w.until("stuck", { updatedNumberScheduled: 1, numberAvailable: 2 });
    const kept = names(await w.running(1));
    await loops.merge(w.own, { spec: { template: { metadata: { annotations: null } } } });
    await w.until("back", { updatedNumberScheduled: 3, numberAvailable: 3 });
    const now = new Set(names(await w.running(1)));
    assert.ok(
      kept.length === 2 && kept.every((name) => now.has(name) && before.has(name)),
      "working pods were restarted",
    );
  });

  test("daemon set: with surge the new pod works before the old one goes", async () => {
    const w = await withKind("daemonsets");
    await w.create({ updateStrategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } });
    await w.until("everywhere", { numberAvailable: 3 });
    await w.roll(2);
    await loops.until("all new", async () => {
      assert.equal(new Set((await w.running()).map(({ spec }) => spec.nodeName)).size, 3);
      return (await w.running(2)).length === 3 && (await w.pods()).length === 3;
    });
  });

  test("conformance: [sig-apps] ControllerRevision [Serial] should manage the lifecycle of a ControllerRevision [Conformance]", async () => {
    const w = await withKind("daemonsets");
    await w.create();
    await w.until("everywhere", { numberAvailable: 3 });
    const revisions = `${w.apps}/controllerrevisions`;
    const [first] = await w.list("controllerrevisions");
    assert.ok(first && (await w.list("controllerrevisions")).length === 1);
    const patched = await w.patch({ metadata: { labels: { mine: "patched" } } }, `${revisions}/${first.metadata.name}`);
    assert.equal(patched.metadata.labels?.mine, "patched");
    // A second revision of the same template: one of the two goes.
    await call("POST", revisions, {
      metadata: { name: "copy", labels: { app: "w" }, ownerReferences: first.metadata.ownerReferences },
      data: first.data,
      revision: Number(first.revision) + 1,
    });
    await loops.until("merged", async () => names(await w.list("controllerrevisions")).join() === "copy");
    await w.until("still everywhere", { updatedNumberScheduled: 3, numberAvailable: 3 });
    await call("DELETE", `${revisions}/copy`);
    await loops.until(
      "made anew",
      async () => names(await w.list("controllerrevisions")).join() === first.metadata.name,
    );
    await w.roll(2);
    await loops.until("two", async () => (await w.list("controllerrevisions")).length === 2);
  });

  // Bad input

  test("deployments with the same selector leave each other's pods alone", async () => {
    const w = await withKind("deployments");
    await w.create();
    const { spec } = await w.get();
    await call("POST", w.all, { metadata: { name: "rival" }, spec: { ...spec, replicas: 2 } });
    await loops.until("both", async () => (await w.running()).length === 5);
    await w.patch({ spec: { replicas: 1 } }, `${w.own}/scale`);
    await loops.until("each its own", async () => {
      const sizes = (await w.list("replicasets")).map((set) => `${controllerOf(set)} ${set.status.replicas}`);
      return sizes.sort().join() === "rival 2,w 1" && (await w.pods(false)).length === 3;
    });
    await assert.rejects(w.patch({ spec: { selector: { matchLabels: { app: "x" } } } }), /field is immutable/);
  });

  test("replica sets with the same selector: what one leaves behind the other takes, and only as many as it wants", async () => {
    const w = await withKind("replicasets");
    await w.create();
    const { spec } = await w.get();
    await call("POST", w.all, { metadata: { name: "rival" }, spec: { ...spec, replicas: 2 } });
    await loops.until("both", async () => (await w.running()).length === 5);
    await call("DELETE", `${w.own}?propagationPolicy=Orphan`);
    await loops.until("one left", async () => !(await loops.find(w.own)) && (await w.pods(false)).length === 2);
    assert.deepEqual(new Set((await w.pods()).map(controllerOf)), new Set(["rival"]));
  });

  test("a pod whose owner is gone is nobody's: not counted, not adopted, collected", async () => {
    const w = await withKind("replicasets");
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "w", uid: "00000000-0000-0000-0000-000000000001" };
    const metadata = { name: "child", labels: { app: "w" }, ownerReferences: [{ ...owner, controller: true }] };
    await call("POST", `${w.core}/pods`, { metadata, spec: w.template().spec });
    await w.create({ replicas: 1 });
    await w.until("its own", { replicas: 1, readyReplicas: 1 });
    await loops.until("collected", async () => !(await loops.find(`${w.core}/pods/child`)));
  });

  test("a finalizer that is stuck: a replica set goes on without that pod, a stateful set waits for it", async () => {
    for (const kind of ["replicasets", "statefulsets"]) {
      const w = await withKind(kind);
      await w.create({ replicas: 1 });
      await w.until("ready", { readyReplicas: 1 });
      const stuck = `${w.core}/pods/${(await w.pods())[0]?.metadata.name}`;
      await w.patch({ metadata: { finalizers: ["example.com/stuck"] } }, stuck);
      await call("DELETE", stuck);
      if (kind === "replicasets") await loops.until("replaced", async () => (await w.running()).length === 1);
      else assert.equal((await w.pods(false)).length, 1);
      await w.patch({ metadata: { finalizers: null } }, stuck);
      await loops.until("gone", async () => (await w.pods(false)).length === 1 && (await w.running()).length === 1);
    }
  });

  test("a node that vanishes takes its pods along: they are made anew elsewhere", async () => {
    const w = await withKind("replicasets");
    await w.create({ replicas: 2 });
    await w.until("two", { readyReplicas: 2 });
    const [pod] = await w.pods();
    assert.ok(pod);
    // Another one, on a node where nobody runs anything.
    const node = "leaving";
    await call("POST", "/api/v1/nodes", { metadata: { name: node } });
    const { labels, ownerReferences } = pod.metadata;
    await w.patch({ metadata: { labels: { app: "off" } } }, `${w.core}/pods/${pod.metadata.name}`);
    const spec = { ...w.template().spec, nodeName: node };
    await call("POST", `${w.core}/pods`, { metadata: { name: "lost", labels, ownerReferences }, spec });
    await w.patch({ spec: { replicas: 3 } }, `${w.own}/scale`);
    await loops.until("counted", async () => (await w.get()).status.replicas === 3);
    await call("DELETE", `/api/v1/nodes/${node}`);
    await w.until("three elsewhere", { replicas: 3, readyReplicas: 3 });
    assert.equal(await loops.find(`${w.core}/pods/lost`), undefined);
  });
});
