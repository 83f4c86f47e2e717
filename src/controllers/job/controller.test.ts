/** The job controller on a tiny server with a driven clock: ended at the worst moment and started again, nothing is made or counted twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job, Pod } from "#api";
import type { ApiRequest } from "#machinery";
import { FakeTransport } from "#testing";
import { ago, runController } from "../lib/fixture.ts";
import { jobController } from "./controller.ts";

const pods = "/api/v1/namespaces/default/pods";
const jobs = "/apis/batch/v1/namespaces/default/jobs";

function setUp(spec: Partial<Job["spec"]> & object = {}) {
  const transport = new FakeTransport();
  const server: FakeTransport["intercept"] = ({ method, path, body }: ApiRequest) => {
    const { metadata } = (body ?? {}) as { metadata?: Record<string, unknown> };
    const gone = metadata?.["$deleteFromPrimitiveList/finalizers"] as string[] | undefined;
    const pod = transport.objects.get(path);
    if (method !== "PATCH" || !gone || !pod) return undefined;
    const finalizers = (pod.metadata?.finalizers ?? []).filter((name) => !gone.includes(name));
    const { resourceVersion: _, ...rest } = pod.metadata ?? {};
    return transport.put(path, { ...pod, metadata: { ...rest, finalizers } });
  };
  transport.intercept = server;
  transport.create(jobs, {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "j", creationTimestamp: ago(0) },
    spec: {
      parallelism: 2,
      completions: 2,
      backoffLimit: 6,
      selector: { matchLabels: { app: "a" } },
      template: { metadata: { labels: { app: "a" } }, spec: { containers: [], restartPolicy: "Never" } },
      ...spec,
    },
  } as Job);
  const all = () => [...transport.objects].filter(([path]) => path.startsWith(pods)).map(([, pod]) => pod as Pod);
  const job = () => transport.objects.get(`${jobs}/j`) as Job;
  const end = (pod: Pod, phase: string) => {
    const { resourceVersion: _, ...metadata } = pod.metadata;
    const state = { terminated: { exitCode: phase === "Failed" ? 1 : 0, finishedAt: ago(-1) } };
    const status = { phase, containerStatuses: [{ name: "c", state }] };
    return transport.put(`${pods}/${metadata.name}`, { ...pod, metadata, status } as Pod);
  };
  const writes = () => transport.requests.filter(({ method }) => method !== "GET");
  return { transport, server, all, job, end, writes };
}

/** The process dies as soon as such a request is made: it and all later ones are lost. */
function diesAt(
  transport: FakeTransport,
  { method, path, times = 1 }: { method: string; path: RegExp; times?: number },
) {
  const before = transport.intercept;
  const state = { dead: false };
  let seen = 0;
  transport.intercept = (request) => {
    if (request.method === method && path.test(request.path)) seen++;
    state.dead ||= seen === times;
    if (state.dead && request.method !== "GET") throw new Error("the process is dead");
    return before?.(request);
  };
  return { died: () => state.dead, revive: () => (transport.intercept = before) };
}

for (const [why, at] of [
  ["after making pods, before writing status", { method: "PUT", path: /jobs\/j\/status$/ }],
  ["after making the first pod", { method: "POST", path: /pods$/, times: 2 }],
] as const)
  test(`job: ended ${why}, and started again: no pod is made twice`, async () => {
    const { transport, all, job } = setUp();
    const crash = diesAt(transport, at);
    const first = runController(jobController, transport);
    await first.until(crash.died);
    assert.equal(all().length, at.method === "PUT" ? 2 : 1);
    await first.stop();
    crash.revive();
    const second = runController(jobController, transport);
    await second.until(() => job().status?.active === 2);
    assert.equal(all().length, 2);
    await second.stop();
  });

for (const [why, at] of [
  ["before the uids are written down", { method: "PUT", path: /jobs\/j\/status$/ }],
  ["before finalizers are taken off", { method: "PATCH", path: /pods\// }],
] as const)
  test(`job: ended ${why}, and started again: pods are counted once`, async () => {
    const { transport, all, job, end } = setUp();
    const first = runController(jobController, transport);
    await first.until(() => job().status?.active === 2);
    const crash = diesAt(transport, at);
    for (const [at_, pod] of all().entries()) end(pod, at_ === 0 ? "Succeeded" : "Failed");
    await first.until(crash.died);
    await first.stop();
    crash.revive();
    const second = runController(jobController, transport);
    await second.until(() => job().status?.succeeded === 1 && job().status?.failed === 1);
    second.clock.advance(11_000);
    await second.until(() => all().length === 3);
    const last = all().at(-1);
    if (last) end(last, "Succeeded");
    await second.until(() => job().status?.completionTime);
    const { succeeded, failed, uncountedTerminatedPods, conditions } = job().status ?? {};
    assert.deepEqual([succeeded, failed, uncountedTerminatedPods], [2, 1, {}]);
    assert.deepEqual(
      conditions?.map(({ type }) => type),
      ["SuccessCriteriaMet", "Complete"],
    );
    await second.stop();
  });

test("job: a pod that ends is seen at once, that one is ready within a second", async () => {
  const { transport, all, job, end, writes } = setUp();
  const running = runController(jobController, transport);
  await running.until(() => job().status?.active === 2);
  const before = writes().length;
  for (const pod of all()) {
    const { resourceVersion: _, ...metadata } = pod.metadata;
    const conditions = [{ type: "Ready", status: "True" }];
    transport.put(`${pods}/${metadata.name}`, { ...pod, metadata, status: { phase: "Running", conditions } } as Pod);
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(writes().length, before);
  running.clock.advance(1000);
  await running.until(() => job().status?.ready === 2);
  assert.equal(writes().length, before + 1, "one write for both");
  for (const pod of all()) end(pod, "Succeeded");
  await running.until(() => job().status?.completionTime);
  await running.stop();
});

test("job: one of a hundred pods and more is looked at once a second", async () => {
  const { all, job, end, writes, transport } = setUp({ parallelism: 120, completions: 120 });
  const running = runController(jobController, transport);
  await running.until(() => job().status?.active === 120);
  running.clock.advance(1000);
  await running.until(() => true);
  const before = writes().filter(({ path }) => path.endsWith("/status")).length;
  for (const pod of all()) {
    end(pod, "Succeeded");
    await new Promise((resolve) => setImmediate(resolve));
  }
  running.clock.advance(1000);
  await running.until(() => job().status?.completionTime);
  assert.equal(job().status?.succeeded, 120);
  const statuses = writes().filter(({ path }) => path.endsWith("/status")).length - before;
  assert.ok(statuses <= 6, `${statuses} statuses for 120 pods`);
  await running.stop();
});

test("job: pods of a Job that is gone, or of nobody, lose its finalizer; those of other owners keep it", async () => {
  const { transport, all, job } = setUp();
  const running = runController(jobController, transport);
  await running.until(() => job().status?.active === 2);
  const finalizers = ["batch.kubernetes.io/job-tracking"];
  const ownerReferences = [{ apiVersion: "example.com/v1", kind: "Other", name: "o", uid: "o", controller: true }];
  transport.create(pods, { apiVersion: "v1", kind: "Pod", metadata: { name: "other", finalizers, ownerReferences } });
  transport.create(pods, { apiVersion: "v1", kind: "Pod", metadata: { name: "nobody", finalizers } });
  transport.remove(`${jobs}/j`);
  const bound = () =>
    all()
      .filter(({ metadata }) => metadata.finalizers?.length)
      .map(({ metadata }) => metadata.name);
  await running.until(() => bound().length === 1);
  assert.deepEqual(bound(), ["other"]);
  await running.stop();
});

test("job: managed by somebody else: nothing is done", async () => {
  const { transport, writes } = setUp({ managedBy: "example.com/other" });
  const running = runController(jobController, transport);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(writes(), []);
  await running.stop();
});
