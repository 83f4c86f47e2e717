/** Simulated nodes in a whole cluster whose clock runs thirty times as fast. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { ContainerStatus, Node, Pod } from "#api";
import { createClient, createHttpsTransport, kubeconfigTarget, readKubeconfig } from "#client";
import { scaledClock, startCluster } from "#testing";
import { type Loops, startLoops } from "./conformance/loops.ts";

const nodes = 3;

suite("simulated nodes", () => {
  let loops: Loops;
  before(async () => {
    loops = await startLoops({ nodes, clock: scaledClock(30) });
  });
  after(() => loops.close());

  const at = (name: string) => `/api/v1/namespaces/default/pods/${name}`;
  const get = async (name: string) => (await loops.find(at(name))) as Pod | undefined; // lives there
  async function create(name: string, annotations: Record<string, string> = {}, spec: object = {}) {
    const prefixed = Object.fromEntries(
      Object.entries(annotations).map(([key, value]) => [`sampan.dev/${key}`, value]),
    );
    const containers = [{ name: "c", image: "example.com/c:1" }];
    const metadata = { name, annotations: prefixed };
    await loops.call("POST", "/api/v1/namespaces/default/pods", { metadata, spec: { containers, ...spec } });
  }
  const becomes = (name: string, fits: (pod: Pod, container: ContainerStatus | undefined) => unknown) =>
    loops.until(`${name} becomes as wanted`, async () => {
      const pod = await get(name);
      return pod && fits(pod, pod.status?.containerStatuses?.[0]) ? pod : undefined;
    });
  const reasons = async (name: string) =>
    (await loops.call("GET", `/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=${name}`)).items.map(
      ({ reason }) => reason,
    );
  const condition = ({ status }: Pod, type: string) => status?.conditions?.find((one) => one.type === type);
  const isReady = (pod: Pod) => condition(pod, "Ready")?.status === "True";

  test("nodes: registered as kubelets do, each with a lease, addresses and a pod network of its own", async () => {
    const list = (await loops.call("GET", "/api/v1/nodes")).items as unknown as Node[];
    assert.deepEqual(
      list.map(({ metadata }) => metadata.name),
      ["node-0", "node-1", "node-2"],
    );
    for (const [field, of] of Object.entries<(node: Node) => unknown>({
      podCIDR: ({ spec }) => spec?.podCIDR,
      address: ({ status }) => status?.addresses?.find(({ type }) => type === "InternalIP")?.address,
    }))
      assert.equal(new Set(list.map(of)).size, nodes, field);
    const [first] = list;
    assert.equal(first?.metadata.labels?.["kubernetes.io/hostname"], "node-0");
    assert.deepEqual(
      first?.status?.conditions?.map(({ type, status }) => `${type} ${status}`),
      ["MemoryPressure False", "DiskPressure False", "PIDPressure False", "Ready True"],
    );
    const lease = await loops.call("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-0");
    assert.equal(lease.spec.holderIdentity, "node-0");
    await loops.until("the lease is renewed", async () => {
      const later = await loops.call("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-0");
      return later.spec.renewTime !== lease.spec.renewTime;
    });
  });

  test("a pod: runs for ever with an address of its node, then ends and is gone", async () => {
    await create("plain");
    const pod = await becomes("plain", isReady);
    const node = (await loops.call("GET", `/api/v1/nodes/${pod.spec?.nodeName}`)) as unknown as Node;
    const network = node.spec?.podCIDR?.replace(/\.0\/24$/, ".");
    assert.ok(pod.status?.podIP?.startsWith(network ?? "-"), `${pod.status?.podIP} is in ${node.spec?.podCIDR}`);
    assert.equal(pod.status?.hostIP, node.status?.addresses?.[0]?.address);
    await loops.until("its events", async () => (await reasons("plain")).includes("Started"));
    await loops.call("DELETE", at("plain"));
    await loops.until("it is gone", async () => !(await get("plain")));
    assert.ok((await reasons("plain")).includes("Killing"));
  });

  test("a pod that isn't restarted: ends well after a moment, or as it is told", async () => {
    await create("once", {}, { restartPolicy: "Never" });
    await create("fails", { "exit-code": "3" }, { restartPolicy: "Never" });
    await becomes("once", ({ status }) => status?.phase === "Succeeded");
    const failed = await becomes("fails", ({ status }) => status?.phase === "Failed");
    assert.equal(failed.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 3);
  });

  test("annotations: start and readiness are late, an image can't be pulled at first", async () => {
    await create("late", { "start-after": "4s", "ready-after": "5s" });
    await create("pull", { "pull-failures": "1" });
    await becomes("late", (_, container) => container?.state?.waiting?.reason === "ContainerCreating");
    await becomes("pull", (_, container) => container?.state?.waiting?.reason === "ImagePullBackOff");
    await becomes("late", (pod, container) => container?.state?.running && !isReady(pod));
    await becomes("late", isReady);
    await becomes("pull", isReady);
  });

  test("annotations: runs fail and are restarted with back-off until they go well", async () => {
    await create("crash", { failures: "2" });
    await becomes("crash", (_, container) => container?.state?.waiting?.reason === "CrashLoopBackOff");
    const pod = await becomes("crash", isReady);
    assert.equal(pod.status?.containerStatuses?.[0]?.restartCount, 2);
    assert.equal(pod.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 1);
  });

  test("annotations: failures of pods that aren't restarted are counted for their owner", async () => {
    const template = {
      metadata: { annotations: { "sampan.dev/failures": "1" } },
      spec: { restartPolicy: "Never", containers: [{ name: "c", image: "example.com/c:1" }] },
    };
    await loops.call("POST", "/apis/batch/v1/namespaces/default/jobs", {
      metadata: { name: "job" },
      spec: { template },
    });
    const job = await loops.until("the job is done", async () => {
      const { status } = await loops.call("GET", "/apis/batch/v1/namespaces/default/jobs/job");
      return status.succeeded === 1 && status;
    });
    assert.equal(job.failed, 1);
  });

  test("annotations: a liveness probe turns and the container is restarted", async () => {
    const probe = { httpGet: { port: 80 } };
    const containers = [{ name: "c", image: "example.com/c:1", livenessProbe: { ...probe, periodSeconds: 2 } }];
    await create("alive", { "liveness-probe": "fail after 4s" }, { containers });
    const pod = await becomes("alive", (_, container) => container?.restartCount === 1);
    assert.equal(pod.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 143);
  });

  test("annotations: what can't be read is said, and mended by a change", async () => {
    await create("bad", { "run-for": "5 apples" });
    const pod = await becomes(
      "bad",
      (_, container) => container?.state?.waiting?.reason === "CreateContainerConfigError",
    );
    assert.match(pod.status?.containerStatuses?.[0]?.state?.waiting?.message ?? "", /run-for can't be "5 apples"/);
    await loops.merge(at("bad"), { metadata: { annotations: { "sampan.dev/run-for": "forever" } } });
    await becomes("bad", isReady);
  });

  test("init containers and sidecars: in order, and a sidecar ends last", async () => {
    const image = "example.com/c:1";
    const initContainers = [
      { name: "first", image },
      { name: "side", image, restartPolicy: "Always" },
    ];
    await create("init", { "run-for": "first=3s", "stop-after": "2s, side=3s" }, { initContainers });
    await becomes("init", ({ status }) => status?.initContainerStatuses?.[0]?.state?.running);
    await becomes("init", isReady);
    await loops.call("DELETE", at("init"));
    const ending = await becomes("init", (_, container) => container?.state?.terminated);
    assert.ok(ending.status?.initContainerStatuses?.[1]?.state?.running);
    await loops.until("it is gone", async () => !(await get("init")));
  });

  test("a deadline: ends the pod", async () => {
    await create("deadline", {}, { activeDeadlineSeconds: 5 });
    const pod = await becomes("deadline", ({ status }) => status?.phase === "Failed");
    assert.equal(pod.status?.reason, "DeadlineExceeded");
  });

  test("a node refuses what it has no room for", async () => {
    const resources = { requests: { cpu: "33" } };
    await create("large", {}, { nodeName: "node-1", containers: [{ name: "c", image: "example.com/c:1", resources }] });
    const pod = await becomes("large", ({ status }) => status?.phase === "Failed");
    assert.equal(pod.status?.reason, "OutOfcpu");
  });

  test("tests: end a container, ask what it uses, take a node's power", async () => {
    const resources = { requests: { cpu: "250m", memory: "1Mi" } };
    await create("used", { cpu: "100m" }, { containers: [{ name: "c", image: "example.com/c:1", resources }] });
    const pod = await becomes("used", isReady);
    const key = { namespace: "default", name: "used" };
    assert.deepEqual(loops.nodes?.usage(key, "c"), { cpuMilli: 100, memoryBytes: 2 ** 20 });
    assert.ok(loops.nodes?.exit(key, "c", 7));
    await becomes(
      "used",
      (_, container) => container?.lastState?.terminated?.exitCode === 7 && container.state?.running,
    );
    loops.nodes?.setPower(pod.spec?.nodeName ?? "", false);
    const ready = async () => {
      const { status } = (await loops.call("GET", `/api/v1/nodes/${pod.spec?.nodeName}`)) as unknown as Node;
      return status?.conditions?.find(({ type }) => type === "Ready")?.status;
    };
    await loops.until("the node is missed", async () => (await ready()) === "Unknown");
    loops.nodes?.setPower(pod.spec?.nodeName ?? "", true);
    await loops.until("the node is back", async () => (await ready()) === "True");
  });
});

test("an embedded cluster: reached by its kubeconfig, as any other", async () => {
  const cluster = await startCluster({ nodes: { count: 1, names: () => "here", capacity: { pods: "5" } } });
  try {
    const target = await kubeconfigTarget(await readKubeconfig([cluster.kubeconfigPath], { mustExist: true }));
    const client = createClient(createHttpsTransport({ ...target.transport, userAgent: "test" }));
    const { status } = await client.resource("v1/nodes").get("here");
    assert.equal(status?.allocatable?.pods, "5");
    client.transport.close();
  } finally {
    await cluster.close();
  }
});
