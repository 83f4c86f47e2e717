/**
 * Where pods go and who makes room, as Kubernetes' conformance suite asks for it (test/e2e/scheduling), on simulated nodes in time that
 * runs ten times as fast. Each test has a resource of its own on the nodes, so that it may fill them.
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

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

const hostname = "kubernetes.io/hostname";
const classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
const resources = ["limits", "basic", "critical", "disruption", "path"].map((name) => `example.com/${name}`);

suite("scheduling", { concurrency: true }, () => {
  let loops: Loops;
  let namespaces = 0;
  before(async () => {
    const capacity = {
      cpu: "32",
      memory: "128Gi",
      pods: "110",
      ...Object.fromEntries(resources.map((name) => [name, "10"])),
    };
    loops = await startLoops({ nodes: { count: 2, capacity }, clock: scaledClock(10) });
    for (const [name, value] of [
      ["low", 1],
      ["medium", 100],
      ["high", 1000],
    ] as const) {
      await loops.call("POST", classes, { metadata: { name }, value });
    }
  });
  after(() => loops.close());

  const call = async (...request: Parameters<Loops["call"]>) => (await loops.call(...request)) as Thing; // as it says

  async function inNamespace() {
    const namespace = `n-${++namespaces}`;
    await call("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
    const core = `/api/v1/namespaces/${namespace}`;
    await loops.until("its account", () => loops.find(`${core}/serviceaccounts/default`));
    const get = async (name: string) => (await loops.find(`${core}/pods/${name}`)) as Thing | undefined; // as above
    const create = (
      name: string,
      {
        requests = {},
        metadata = {},
        ...spec
      }: { requests?: Record<string, string>; metadata?: object; [field: string]: unknown },
    ) =>
      call("POST", `${core}/pods`, {
        metadata: { name, ...metadata },
        spec: {
          containers: [{ name: "c", image: "registry.k8s.io/pause:3.10", resources: { requests, limits: requests } }],
          terminationGracePeriodSeconds: 0,
          ...spec,
        },
      });
    const conditionOf = (pod: Thing | undefined, type: string) =>
      ((pod?.status.conditions ?? []) as readonly Condition[]).find((each) => each.type === type);
    const running = (name: string) =>
      loops.until(`${name} runs`, async () => {
        const pod = await get(name);
        return pod?.status.phase === "Running" && pod;
      });
    const unschedulable = (name: string) =>
      loops.until(`${name} fits nowhere`, async () => {
        const condition = conditionOf(await get(name), "PodScheduled");
        return condition?.reason === "Unschedulable" && condition.message;
      });
    const gone = (name: string) => loops.until(`${name} goes`, async () => (await get(name)) === undefined);
    return { namespace, core, get, create, conditionOf, running, unschedulable, gone };
  }

  const nodeNames = () => loops.nodes?.names ?? [];

  test("conformance: [sig-scheduling] SchedulerPredicates [Serial] validates resource limits of pods that are allowed to run  [Conformance]", async () => {
    const { core, create, running, unschedulable } = await inNamespace();
    const requests = { "example.com/limits": "7" };
    for (const node of nodeNames()) {
      await create(`filler-${node}`, { requests, nodeSelector: { [hostname]: node } });
      await running(`filler-${node}`);
    }
    await create("more", { requests: { "example.com/limits": "5" } });
    assert.match(await unschedulable("more"), /^0\/2 nodes are available: 2 Insufficient example\.com\/limits\./);
    const events = () => call("GET", `${core}/events?fieldSelector=involvedObject.name=more`);
    await loops.until("the event", async () =>
      (await events()).items.some(({ reason }) => reason === "FailedScheduling"),
    );
    await create("less", { requests: { "example.com/limits": "3" } });
    await running("less");
    // It is tried again when one of those in its way goes.
    await call("DELETE", `${core}/pods/filler-${nodeNames()[0]}`);
    await running("more");
  });

  test("conformance: [sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if not matching  [Conformance]", async () => {
    const { create, unschedulable, running } = await inNamespace();
    await create("restricted", { nodeSelector: { label: "nonempty" } });
    assert.match(await unschedulable("restricted"), /2 node\(s\) didn't match Pod's node affinity\/selector/);
    const [node = ""] = nodeNames();
    await loops.merge(`/api/v1/nodes/${node}`, { metadata: { labels: { label: "nonempty" } } });
    assert.equal((await running("restricted")).spec.nodeName, node);
    await loops.merge(`/api/v1/nodes/${node}`, { metadata: { labels: { label: null } } });
  });

  test("conformance: [sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if matching  [Conformance]", async () => {
    const { create, running } = await inNamespace();
    const node = nodeNames()[1] ?? "";
    await loops.merge(`/api/v1/nodes/${node}`, { metadata: { labels: { "kubernetes.io/e2e-x": "42" } } });
    await create("with-labels", { nodeSelector: { "kubernetes.io/e2e-x": "42" } });
    assert.equal((await running("with-labels")).spec.nodeName, node);
  });

  test("conformance: [sig-scheduling] SchedulerPredicates [Serial] validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 hostIP [Conformance]", async () => {
    const { create, running, unschedulable } = await inNamespace();
    const nodeSelector = { [hostname]: nodeNames()[0] };
    const withPort = (hostIP?: string, protocol = "TCP") => [
      {
        name: "c",
        image: "registry.k8s.io/pause:3.10",
        ports: [{ containerPort: 8080, hostPort: 54322, protocol, hostIP }],
      },
    ];
    await create("pod4", { nodeSelector, containers: withPort() });
    await running("pod4");
    await create("udp", { nodeSelector, containers: withPort("127.0.0.1", "UDP") });
    await running("udp");
    await create("pod5", { nodeSelector, containers: withPort("127.0.0.1") });
    assert.match(await unschedulable("pod5"), /1 node\(s\) didn't have free ports for the requested pod ports/);
  });

  /** Two thirds of each node, by pods of low and medium priority. */
  async function fill(resource: string, { create, running }: Awaited<ReturnType<typeof inNamespace>>) {
    for (const [index, node] of nodeNames().entries()) {
      const priorityClassName = index === 0 ? "low" : "medium";
      await create(`victim-${index}`, {
        priorityClassName,
        requests: { [resource]: "6" },
        nodeSelector: { [hostname]: node },
      });
    }
    for (const index of nodeNames().keys()) await running(`victim-${index}`);
  }

  test("conformance: [sig-scheduling] SchedulerPreemption [Serial] validates basic preemption works [Conformance]", async () => {
    const here = await inNamespace();
    await fill("example.com/basic", here);
    await here.create("preemptor", { priorityClassName: "high", requests: { "example.com/basic": "6" } });
    assert.equal((await here.running("preemptor")).spec.nodeName, nodeNames()[0]);
    assert.equal(await here.get("victim-0"), undefined);
    assert.ok((await here.get("victim-1"))?.metadata.deletionTimestamp === undefined);
    assert.equal((await here.get("preemptor"))?.status.nominatedNodeName, undefined, "cleared by the binding");
  });

  test("conformance: [sig-scheduling] SchedulerPreemption [Serial] validates lower priority pod preemption by critical pod [Conformance]", async () => {
    const here = await inNamespace();
    await fill("example.com/critical", here);
    const path = "/api/v1/namespaces/kube-system/pods";
    const requests = { "example.com/critical": "6" };
    await call("POST", path, {
      metadata: { name: "critical" },
      spec: {
        containers: [{ name: "c", image: "registry.k8s.io/pause:3.10", resources: { requests, limits: requests } }],
        priorityClassName: "system-cluster-critical",
        tolerations: [],
      },
    });
    await loops.until(
      "the critical pod runs",
      async () => (await loops.find(`${path}/critical`))?.status.phase === "Running",
    );
    await here.gone("victim-0");
    assert.ok(await here.get("victim-1"));
  });

  test("conformance: [sig-scheduling] SchedulerPreemption [Serial] validates pod disruption condition is added to the preempted pod [Conformance]", async () => {
    const { core, create, running, get, conditionOf, gone } = await inNamespace();
    const nodeSelector = { [hostname]: nodeNames()[0] };
    const requests = { "example.com/disruption": "10" };
    const metadata = { finalizers: ["example.com/test-finalizer"] };
    await create("victim", { metadata, priorityClassName: "low", requests, nodeSelector });
    await running("victim");
    await create("preemptor", { priorityClassName: "high", requests, nodeSelector });
    const condition = await loops.until("the condition", async () =>
      conditionOf(await get("victim"), "DisruptionTarget"),
    );
    assert.deepEqual(
      [condition.status, condition.reason, condition.message],
      ["True", "PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"],
    );
    await loops.until("the victim ends", async () => (await get("victim"))?.metadata.deletionTimestamp);
    await loops.merge(`${core}/pods/victim`, { metadata: { finalizers: null } });
    await gone("victim");
    await running("preemptor");
  });

  test("conformance: [sig-scheduling] SchedulerPreemption [Serial] PreemptionExecutionPath runs ReplicaSets to verify preemption running path [Conformance]", async () => {
    const { namespace, core, create, running } = await inNamespace();
    const nodeSelector = { [hostname]: nodeNames()[0] };
    const amounts = ["2", "3", "4"];
    const sets = `/apis/apps/v1/namespaces/${namespace}/replicasets`;
    for (const [index, amount] of amounts.entries()) {
      const name = `pod${index + 1}`;
      await call("POST", classes, { metadata: { name: `p${index + 1}` }, value: index + 1 });
      const requests = { "example.com/path": amount };
      const spec = {
        containers: [{ name: "c", image: "registry.k8s.io/pause:3.10", resources: { requests, limits: requests } }],
        priorityClassName: `p${index + 1}`,
        terminationGracePeriodSeconds: 0,
        nodeSelector,
      };
      const template = { metadata: { labels: { name } }, spec };
      await call("POST", sets, {
        metadata: { name: `rs-${name}` },
        spec: { replicas: 1, selector: { matchLabels: { name } }, template },
      });
    }
    const phases = async (name: string) =>
      (await call("GET", `${core}/pods?labelSelector=name=${name}`)).items.map(({ status }) => status.phase);
    for (const name of ["pod1", "pod2", "pod3"]) {
      await loops.until(`${name} runs`, async () => (await phases(name)).join() === "Running");
    }
    const before = new Map<string, string>();
    for (const { metadata } of (await call("GET", `${core}/pods`)).items)
      before.set(metadata.name ?? "", metadata.uid ?? "");
    await call("POST", classes, { metadata: { name: "p4" }, value: 4 });
    await create("pod4", {
      priorityClassName: "p4",
      requests: { "example.com/path": "5" },
      nodeSelector,
      metadata: { labels: { name: "pod4" } },
    });
    await running("pod4");
    // Those of the two lower ones had to go, once each; their successors wait.
    await loops.until(
      "successors",
      async () => (await phases("pod1")).join() === "Pending" && (await phases("pod2")).join() === "Pending",
    );
    const now = (await call("GET", `${core}/pods`)).items.map(({ metadata }) => metadata);
    const same = now.filter(({ name = "", uid }) => before.get(name) === uid).map(({ labels }) => labels?.name);
    assert.deepEqual(same, ["pod3"]);
  });

  test("conformance: [sig-scheduling] SchedulerPreemption [Serial] PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods [Conformance]", async () => {
    const made = await call("POST", classes, { metadata: { name: "endpoints" }, value: 7 });
    assert.deepEqual([made.value, made.preemptionPolicy], [7, "PreemptLowerPriority"]);
    const { items } = await call("GET", classes);
    assert.ok(items.some(({ metadata }) => metadata.name === "endpoints"));
    const described = await loops.merge(`${classes}/endpoints`, { description: "patched" });
    assert.equal(described.description, "patched");
    assert.equal((await call("PUT", `${classes}/endpoints`, { ...described, description: "put" })).description, "put");
    for (const change of [{ value: 8 }, { preemptionPolicy: "Never" }]) {
      await assert.rejects(loops.merge(`${classes}/endpoints`, change), (error) => isStatusError(error, "Invalid"));
    }
    await call("DELETE", `${classes}/endpoints`);
    assert.equal(await loops.find(`${classes}/endpoints`), undefined);
  });

  test("conformance: [sig-scheduling] LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied. [Conformance]", async () => {
    const { core, create } = await inNamespace();
    const min = { cpu: "50m", memory: "100Mi", "ephemeral-storage": "100Gi" };
    const max = { cpu: "500m", memory: "500Mi", "ephemeral-storage": "500Gi" };
    const defaultRequest = { cpu: "100m", memory: "200Mi", "ephemeral-storage": "200Gi" };
    const limits = [{ type: "Container", min, max, default: max, defaultRequest }];
    await call("POST", `${core}/limitranges`, { metadata: { name: "range" }, spec: { limits } });
    const bare = [{ name: "c", image: "registry.k8s.io/pause:3.10" }];
    const of = (pod: Thing) => (pod.spec.containers as readonly { resources: object }[])[0]?.resources; // a pod has one
    assert.deepEqual(of(await create("none", { containers: bare })), { limits: max, requests: defaultRequest });
    const partly = [{ ...bare[0], resources: { requests: { cpu: "300m" }, limits: { memory: "300Mi" } } }];
    assert.deepEqual(of(await create("partly", { containers: partly })), {
      limits: { ...max, memory: "300Mi" },
      requests: { ...defaultRequest, cpu: "300m", memory: "300Mi" },
    });
    for (const amount of ["10m", "600m"]) {
      const refused = [{ ...bare[0], resources: { requests: { cpu: amount }, limits: { cpu: amount } } }];
      await assert.rejects(create("refused", { containers: refused }), (error) => isStatusError(error, "Forbidden"));
    }
    await loops.merge(`${core}/limitranges/range`, { spec: { limits: [{ ...limits[0], min: { cpu: "9m" } }] } });
    const small = { requests: { cpu: "10m" }, limits: { cpu: "10m" } };
    await loops.until("the new range", async () =>
      create("small", { containers: [{ ...bare[0], resources: small }] }).catch((error: unknown) => {
        if (isStatusError(error, "Forbidden")) return undefined;
        throw error;
      }),
    );
    await call("DELETE", `${core}/limitranges/range`);
    assert.equal(await loops.find(`${core}/limitranges/range`), undefined);
  });

  test("conformance: [sig-scheduling] LimitRange should list, patch and delete a LimitRange by collection [Conformance]", async () => {
    const [one, two] = [await inNamespace(), await inNamespace()];
    const spec = { limits: [{ type: "Container", max: { cpu: "500m" } }] };
    for (const { core } of [one, two]) {
      await call("POST", `${core}/limitranges`, {
        metadata: { name: "range", labels: { "by-collection": "yes" } },
        spec,
      });
    }
    const listed = async () => (await call("GET", "/api/v1/limitranges?labelSelector=by-collection=yes")).items;
    assert.equal((await listed()).length, 2);
    const min = { cpu: "42m" };
    const patched = await loops.merge(`${one.core}/limitranges/range`, {
      metadata: { labels: { patched: "yes" } },
      spec: { limits: [{ ...spec.limits[0], min }] },
    });
    assert.deepEqual((patched.spec.limits as readonly { min: object }[])[0]?.min, min);
    await call("DELETE", `${one.core}/limitranges?labelSelector=patched=yes`);
    assert.deepEqual(
      (await listed()).map(({ metadata }) => metadata.namespace),
      [two.namespace],
    );
  });
});
