/** Quotas as Kubernetes' conformance suite asks for them (test/e2e/apimachinery/resource_quota.go). */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { isStatusError } from "#machinery";
import { type Loops, startLoops } from "./loops.ts";

suite("quotas", () => {
  let loops: Loops;
  let namespaces = 0;
  before(async () => {
    loops = await startLoops();
  });
  after(() => loops.close());

  /** A namespace of its own, with a quota that has been counted. */
  async function quota(hard: Record<string, string>, more: object = {}) {
    const namespace = `quota-${++namespaces}`;
    const core = `/api/v1/namespaces/${namespace}`;
    await loops.call("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
    await loops.until(
      "its account and authority",
      async () =>
        (await loops.find(`${core}/serviceaccounts/default`)) && loops.find(`${core}/configmaps/kube-root-ca.crt`),
    );
    await loops.call("POST", `${core}/resourcequotas`, { metadata: { name: "q" }, spec: { hard, ...more } });
    const used = async () =>
      (await loops.call("GET", `${core}/resourcequotas/q`)).status.used as Record<string, string> | undefined;
    await loops.until("the quota is counted", async () => (await used())?.[Object.keys(hard)[0] ?? ""] !== undefined);
    const becomes = (name: string, value: string) =>
      loops.until(`${name} used: ${value}`, async () => (await used())?.[name] === value);
    return { namespace, core, used, becomes };
  }
  const exceeded = (call: Promise<unknown>) =>
    assert.rejects(call, (error) => isStatusError(error, "Forbidden") && /exceeded quota: q/.test(error.message));
  const pod = (
    name: string,
    more: object = {},
    resources: object = { requests: { cpu: "500m", memory: "252Mi" } },
  ) => ({
    metadata: { name },
    spec: { containers: [{ name: "c", image: "example.com/c:1", resources }], ...more },
  });
  /** One object more is counted, a second refused, and deletion gives back. */
  async function lifeOf(
    hardName: string,
    before: string,
    { path, object, after }: { path: string; object: (name: string) => object; after: string },
  ) {
    const { namespace, core, becomes } = await quota({ [hardName]: after });
    const at = path.startsWith("/") ? path.replace("NS", namespace) : `${core}/${path}`;
    await becomes(hardName, before);
    await loops.call("POST", at, object("one"));
    await becomes(hardName, after);
    await exceeded(loops.call("POST", at, object("two")));
    await loops.call("DELETE", `${at}/one`, { propagationPolicy: "Background" });
    await becomes(hardName, before);
  }

  test("conformance: ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated.", async () => {
    const { used } = await quota({ pods: "5", services: "10", "requests.cpu": "1" });
    assert.deepEqual(await used(), { pods: "0", services: "0", "requests.cpu": "0" });
  });

  test("conformance: ResourceQuota should create a ResourceQuota and capture the life of a service.", async () => {
    const { core, becomes } = await quota({ services: "2", "services.nodeports": "1", "services.loadbalancers": "1" });
    const service = (name: string, type: string, more: object = {}) =>
      loops.call("POST", `${core}/services`, { metadata: { name }, spec: { type, ports: [{ port: 80 }], ...more } });
    await service("cluster", "ClusterIP");
    await service("node", "NodePort");
    await becomes("services", "2");
    await becomes("services.nodeports", "1");
    await exceeded(service("lb", "LoadBalancer"));
    for (const name of ["cluster", "node"]) await loops.call("DELETE", `${core}/services/${name}`);
    await becomes("services", "0");
    await becomes("services.nodeports", "0");
  });

  test("conformance: ResourceQuota should create a ResourceQuota and capture the life of a secret.", () =>
    lifeOf("secrets", "0", {
      path: "secrets",
      object: (name) => ({ metadata: { name }, stringData: { a: "b" } }),
      after: "1",
    }));

  test("conformance: ResourceQuota should create a ResourceQuota and capture the life of a configMap.", () =>
    // One is the authority that every namespace has.
    lifeOf("configmaps", "1", {
      path: "configmaps",
      object: (name) => ({ metadata: { name }, data: { a: "b" } }),
      after: "2",
    }));

  test("conformance: ResourceQuota should create a ResourceQuota and capture the life of a pod.", async () => {
    const { core, becomes } = await quota({ pods: "5", cpu: "1", memory: "500Mi", "requests.example.com/dongle": "3" });
    const dongles = {
      requests: { cpu: "500m", memory: "252Mi", "example.com/dongle": "2" },
      limits: { "example.com/dongle": "2" },
    };
    await loops.call("POST", `${core}/pods`, pod("fits", {}, dongles));
    await becomes("pods", "1");
    await becomes("cpu", "500m");
    await becomes("requests.example.com/dongle", "2");
    await exceeded(
      loops.call("POST", `${core}/pods`, pod("too-much", {}, { requests: { cpu: "600m", memory: "100Mi" } })),
    );
    await exceeded(loops.call("POST", `${core}/pods`, pod("dongles", {}, dongles)));
    await assert.rejects(
      loops.merge(`${core}/pods/fits`, {
        spec: { containers: [pod("fits", {}, { requests: { cpu: "100m" } }).spec.containers[0]] },
      }),
    );
    await becomes("cpu", "500m");
    await loops.call("DELETE", `${core}/pods/fits`, { gracePeriodSeconds: 0 });
    await becomes("pods", "0");
    await becomes("memory", "0");
  });

  const template = {
    metadata: { labels: { app: "x" } },
    spec: { containers: [{ name: "c", image: "example.com/c:1" }] },
  };

  test("conformance: ResourceQuota should create a ResourceQuota and capture the life of a replication controller.", () =>
    lifeOf("replicationcontrollers", "0", {
      path: "replicationcontrollers",
      object: (name) => ({ metadata: { name }, spec: { replicas: 0, selector: { app: "x" }, template } }),
      after: "1",
    }));

  test("conformance: ResourceQuota should create a ResourceQuota and capture the life of a replica set.", () =>
    lifeOf("count/replicasets.apps", "0", {
      path: "/apis/apps/v1/namespaces/NS/replicasets",
      object: (name) => ({
        metadata: { name },
        spec: { replicas: 0, selector: { matchLabels: { app: "x" } }, template },
      }),
      after: "1",
    }));

  test("conformance: ResourceQuota should verify ResourceQuota with terminating scopes.", async () => {
    const { core, becomes, used } = await quota({ pods: "5" }, { scopes: ["Terminating"] });
    await loops.call("POST", `${core}/resourcequotas`, {
      metadata: { name: "not" },
      spec: { hard: { pods: "5" }, scopes: ["NotTerminating"] },
    });
    const other = async (value: string) =>
      loops.until(`not terminating: ${value}`, async () => {
        const { status } = await loops.call("GET", `${core}/resourcequotas/not`);
        return (status.used as Record<string, string> | undefined)?.pods === value;
      });
    await loops.call("POST", `${core}/pods`, pod("long"));
    await other("1");
    assert.equal((await used())?.pods, "0");
    await loops.call("POST", `${core}/pods`, pod("short", { activeDeadlineSeconds: 3600 }));
    await becomes("pods", "1");
    await other("1");
    await loops.call("DELETE", `${core}/pods/short`, { gracePeriodSeconds: 0 });
    await becomes("pods", "0");
  });

  test("conformance: ResourceQuota should verify ResourceQuota with best effort scope.", async () => {
    const { core, becomes, used } = await quota({ pods: "5" }, { scopes: ["BestEffort"] });
    await loops.call("POST", `${core}/pods`, pod("effort", {}, {}));
    await becomes("pods", "1");
    await loops.call("POST", `${core}/pods`, pod("more"));
    await loops.call("DELETE", `${core}/pods/effort`, { gracePeriodSeconds: 0 });
    await becomes("pods", "0");
    assert.equal((await used())?.pods, "0");
  });

  test("conformance: ResourceQuota should be able to update and delete ResourceQuota.", async () => {
    const { core } = await quota({ cpu: "1", memory: "500Mi" });
    const now = await loops.call("GET", `${core}/resourcequotas/q`);
    const updated = await loops.call("PUT", `${core}/resourcequotas/q`, {
      ...now,
      spec: { hard: { cpu: "2", memory: "1Gi" } },
    });
    assert.deepEqual(updated.spec.hard, { cpu: "2", memory: "1Gi" });
    await loops.call("DELETE", `${core}/resourcequotas/q`);
    assert.equal(await loops.find(`${core}/resourcequotas/q`), undefined);
  });

  test("conformance: ResourceQuota should manage the lifecycle of a ResourceQuota", async () => {
    const { core } = await quota({ services: "1" });
    const patched = await loops.merge(`${core}/resourcequotas/q`, {
      metadata: { labels: { e2e: "patched" } },
      spec: { hard: { services: "2" } },
    });
    assert.deepEqual(
      [patched.metadata?.labels?.e2e, (patched.spec.hard as Record<string, string>).services],
      ["patched", "2"],
    );
    const everywhere = await loops.call("GET", "/api/v1/resourcequotas?labelSelector=e2e%3Dpatched");
    assert.equal(everywhere.items.length, 1);
    await loops.call("DELETE", `${core}/resourcequotas?labelSelector=e2e%3Dpatched`);
    assert.deepEqual((await loops.call("GET", "/api/v1/resourcequotas?labelSelector=e2e%3Dpatched")).items, []);
  });

  test("conformance: ResourceQuota should apply changes to a resourcequota status", async () => {
    const { core, becomes } = await quota({ cpu: "500m", memory: "500Mi" });
    await loops.merge(`${core}/resourcequotas/q`, { spec: { hard: { cpu: "1", memory: "1Gi" } } });
    await loops.until("the status follows", async () => {
      const { status } = await loops.call("GET", `${core}/resourcequotas/q`);
      return (status.hard as Record<string, string>).cpu === "1";
    });
    // What the status says is put right by whoever counts.
    const told = await loops.merge(`${core}/resourcequotas/q/status`, { status: { used: { cpu: "7" } } });
    assert.equal((told.status.used as Record<string, string>).cpu, "7");
    assert.equal((told.spec.hard as Record<string, string>).cpu, "1");
    await becomes("cpu", "0");
  });
});
