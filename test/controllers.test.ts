/**
 * The controllers on a real API server, in one process, as their own service accounts with upstream's roles. Scheduler and kubelet are
 * played: every pod gets a node, an address and is ready at once, unless a test says otherwise.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { Pod, PodSpec } from "#api";
import { createLogger, realClock, silentLogger } from "#base";
import { type Client, createInformers, type Informer, type InformerSet } from "#client";
import { createControllers } from "#controllers";
import { type DeepReadonly, isStatusError } from "#machinery";
import { type ControlPlane, startControlPlane } from "../src/cmd/control-plane.ts";
import { dataLayout } from "../src/cmd/settings.ts";

const waitMsMax = 20_000;

suite("controllers on a real API server", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "sampan-controllers-"));
  const stop = new AbortController();
  /** What went wrong that isn't part of a test: a role that is missing shows here. */
  const complaints: string[] = [];
  let plane: ControlPlane;
  let admin: Client;
  let informers: InformerSet;
  let running: Promise<unknown>;
  let pods: Informer<Pod>;
  let addresses = 0;

  before(async () => {
    plane = await startControlPlane({
      layout: dataLayout(directory),
      serviceCidr: "10.96.0.0/16",
      clusterDomain: "cluster.local",
      bindAddress: "127.0.0.1",
      port: 0,
      advertiseAddress: "127.0.0.1",
      staticTokens: new Map(),
      clock: realClock,
      log: silentLogger,
    });
    const manager = plane.client({ name: "system:kube-controller-manager", groups: [], userAgent: "test" });
    admin = plane.client({ name: "admin", groups: ["system:masters"], userAgent: "test" });
    informers = createInformers(manager, { clock: realClock });
    const controllers = createControllers({
      informers,
      clock: realClock,
      log: createLogger({ write: (line) => complaints.push(line), level: "debug" }),
      clientFor: (account) =>
        plane.client({
          name: `system:serviceaccount:kube-system:${account}`,
          groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system"],
          userAgent: "test",
        }),
      options: { clusterCidrs: ["10.244.0.0/16"], rootCa: "the authority", namespaceDelayMs: 0 },
    });
    pods = informers.of("v1/pods");
    pods.addHandler({ added: (pod) => void play(pod), updated: (pod) => void play(pod) });
    running = Promise.all([controllers.run(stop.signal), informers.run(stop.signal)]);
    for (const name of ["n1", "n2"]) {
      await admin.resource("v1/nodes").create({ apiVersion: "v1", kind: "Node", metadata: { name } });
      const status = { conditions: [{ type: "Ready", status: "True" }] };
      await admin.resource("v1/nodes").patch(name, { status }, { type: "merge", subresource: "status" });
    }
    await when(informers.of("v1/serviceaccounts"), (accounts) => accounts.get("default/default"));
  });

  after(async () => {
    stop.abort();
    await running;
    await plane.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** The kubelet's part. Pods labelled `idle` stay as they are. */
  async function play(pod: DeepReadonly<Pod>): Promise<void> {
    const { name = "", namespace = "", labels = {}, deletionTimestamp } = pod.metadata;
    const own = admin.resource("v1/pods", namespace);
    try {
      if (deletionTimestamp) {
        await own.delete(name, { gracePeriodSeconds: 0 });
        return;
      }
      if (labels.idle || pod.status?.phase !== "Pending") return;
      if (!pod.spec?.nodeName) {
        const target = { kind: "Node", name: nodeOf(pod.spec) };
        await own.createSubresource(name, "binding", { apiVersion: "v1", kind: "Binding", metadata: { name }, target });
      }
      const ip = `10.244.0.${++addresses % 250}`;
      const phase = labels["batch.kubernetes.io/job-name"] ? "Succeeded" : "Running";
      const conditions = [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }];
      const status = { phase, podIP: ip, podIPs: [{ ip }], conditions };
      await own.patch(name, { status }, { type: "strategic", subresource: "status" });
    } catch (error) {
      // Another event came first.
      if (!isStatusError(error)) throw error;
    }
  }

  function nodeOf(spec: DeepReadonly<PodSpec> | undefined): string {
    const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
    return required?.nodeSelectorTerms[0]?.matchFields?.[0]?.values?.[0] ?? "n1";
  }

  /** Resolves with what `look` answers as soon as it answers something. */
  function when<T, R>(informer: Informer<T>, look: (informer: Informer<T>) => R | undefined | false): Promise<R> {
    return new Promise((resolve, reject) => {
      let removeHandler: () => void = () => undefined;
      const overdue = setTimeout(() => {
        removeHandler();
        reject(new Error(`not within ${waitMsMax} ms: ${look}\nhave: ${JSON.stringify(informer.list())}`));
      }, waitMsMax);
      const check = () => {
        const found = look(informer);
        if (found === undefined || found === false) return;
        clearTimeout(overdue);
        removeHandler();
        resolve(found);
      };
      removeHandler = informer.addHandler({ added: check, updated: check, deleted: check });
      check();
    });
  }

  const podTemplate = (app: string, more: Record<string, string> = {}, image = "web:1") => ({
    metadata: { labels: { app, ...more } },
    spec: { containers: [{ name: "c", image }] },
  });

  const deployment = (name: string, replicas: number, namespace = "default") => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace },
    spec: { replicas, selector: { matchLabels: { app: name } }, template: podTemplate(name) },
  });

  const podsOf = (app: string) => pods.list().filter(({ metadata }) => metadata.labels?.app === app);

  test("a deployment rolls out, scales, rolls over to a new version and back, and says so", async () => {
    const deployments = informers.of("apps/v1/deployments");
    const own = admin.resource("apps/v1/deployments", "default");
    const isDone = (replicas: number, revision: string) =>
      when(deployments, (all) => {
        const { status, metadata } = all.get("default/web") ?? { metadata: {} };
        const reason = status?.conditions?.find(({ type }) => type === "Progressing")?.reason;
        return (
          reason === "NewReplicaSetAvailable" &&
          status?.replicas === replicas &&
          status.updatedReplicas === replicas &&
          status.availableReplicas === replicas &&
          status.observedGeneration === metadata.generation &&
          metadata.annotations?.["deployment.kubernetes.io/revision"] === revision
        );
      });
    await own.create(deployment("web", 3));
    await isDone(3, "1");
    await own.patch("web", { spec: { replicas: 5 } }, { type: "merge" });
    await isDone(5, "1");
    await own.patch("web", { spec: { template: podTemplate("web", {}, "web:2") } }, { type: "merge" });
    await isDone(5, "2");
    await own.patch("web", { spec: { template: podTemplate("web", {}, "web:1") } }, { type: "merge" });
    await isDone(5, "3");
    const sets = informers.of("apps/v1/replicasets").list("default");
    assert.deepEqual(sets.map(({ spec }) => spec?.replicas).sort(), [0, 5]);
    const history = sets.map(({ metadata }) => metadata.annotations?.["deployment.kubernetes.io/revision-history"]);
    assert.deepEqual(history.filter(Boolean), ["1"]);
    const events = await admin.resource("v1/events", "default").list({ fieldSelector: "involvedObject.name=web" });
    assert.ok(events.items.some(({ message }) => /^Scaled up replica set web-\w+ from 0 to 3$/.test(message ?? "")));
  });

  test("a service has the endpoints of its pods, in both forms", async () => {
    await admin.resource("v1/services", "default").create({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web" },
      spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
    });
    const slice = await when(informers.of("discovery.k8s.io/v1/endpointslices"), (all) =>
      all
        .list("default")
        .find(({ metadata, endpoints = [] }) => metadata.name?.startsWith("web-") && endpoints.length === 5),
    );
    assert.ok(slice.endpoints?.every(({ conditions }) => conditions?.ready));
    assert.deepEqual(slice.ports, [{ name: "", port: 8080, protocol: "TCP" }]);
    await when(informers.of("v1/endpoints"), (all) => all.get("default/web")?.subsets?.[0]?.addresses?.length === 5);
  });

  for (const policy of ["Background", "Foreground", "Orphan"] as const)
    test(`a deployment deleted with ${policy} propagation`, async () => {
      const name = policy.toLowerCase();
      const sets = informers.of("apps/v1/replicasets");
      const setOf = () => sets.list("default").find(({ metadata }) => metadata.labels?.app === name);
      await admin.resource("apps/v1/deployments", "default").create(deployment(name, 2));
      await when(sets, () => setOf()?.status?.availableReplicas === 2);
      await admin.resource("apps/v1/deployments", "default").delete(name, { propagationPolicy: policy });
      await when(informers.of("apps/v1/deployments"), (all) => !all.get(`default/${name}`));
      if (policy === "Orphan") {
        await when(sets, () => (setOf()?.metadata.ownerReferences ?? []).length === 0);
        assert.equal(podsOf(name).length, 2);
        await admin.resource("apps/v1/replicasets", "default").delete(setOf()?.metadata.name ?? "");
      } else if (policy === "Foreground") {
        // Everything below went before it.
        assert.equal(
          (await admin.resource("v1/pods", "default").list({ labelSelector: `app=${name}` })).items.length,
          0,
        );
      }
      await when(pods, () => podsOf(name).length === 0);
    });

  test("a daemon set has a pod on each node, and renews them one by one", async () => {
    const sets = informers.of("apps/v1/daemonsets");
    const own = admin.resource("apps/v1/daemonsets", "default");
    const spec = { selector: { matchLabels: { app: "agent" } }, template: podTemplate("agent") };
    await own.create({ apiVersion: "apps/v1", kind: "DaemonSet", metadata: { name: "agent" }, spec });
    const isDone = (generation: number) =>
      when(sets, (all) => {
        const status = all.get("default/agent")?.status;
        return (
          status?.numberAvailable === 2 &&
          status.updatedNumberScheduled === 2 &&
          status.observedGeneration === generation
        );
      });
    await isDone(1);
    assert.deepEqual(
      podsOf("agent")
        .map((pod) => pod.spec?.nodeName)
        .sort(),
      ["n1", "n2"],
    );
    await own.patch("agent", { spec: { template: podTemplate("agent", {}, "agent:2") } }, { type: "merge" });
    await isDone(2);
    assert.ok(podsOf("agent").every((pod) => pod.spec?.containers[0]?.image === "agent:2"));
    await own.delete("agent");
  });

  test("a stateful set has ordered pods with claims that outlive them", async () => {
    const sets = informers.of("apps/v1/statefulsets");
    const own = admin.resource("apps/v1/statefulsets", "default");
    await own.create({
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "db" },
      spec: {
        serviceName: "db",
        replicas: 3,
        selector: { matchLabels: { app: "db" } },
        template: podTemplate("db"),
        volumeClaimTemplates: [
          {
            metadata: { name: "data" },
            spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
          },
        ],
      },
    });
    await when(sets, (all) => all.get("default/db")?.status?.availableReplicas === 3);
    await own.patch("db", { spec: { replicas: 1 } }, { type: "merge" });
    await when(pods, () => podsOf("db").length === 1);
    assert.deepEqual(
      podsOf("db").map(({ metadata }) => metadata.name),
      ["db-0"],
    );
    const claims = informers
      .of("v1/persistentvolumeclaims")
      .list("default")
      .map(({ metadata }) => metadata.name);
    assert.deepEqual(claims.sort(), ["data-db-0", "data-db-1", "data-db-2"]);
    await own.delete("db");
  });

  test("a job runs to its end, its pods stay, freed of the finalizer", async () => {
    const jobs = informers.of("batch/v1/jobs");
    const template = podTemplate("sum");
    await admin.resource("batch/v1/jobs", "default").create({
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "sum" },
      spec: {
        completions: 5,
        parallelism: 2,
        completionMode: "Indexed",
        template: { ...template, spec: { ...template.spec, restartPolicy: "Never" } },
      },
    });
    const status = await when(jobs, (all) => {
      const found = all.get("default/sum")?.status;
      return found?.completionTime !== undefined && found;
    });
    assert.deepEqual([status.succeeded, status.completedIndexes], [5, "0-4"]);
    await when(pods, () => podsOf("sum").every(({ metadata }) => (metadata.finalizers ?? []).length === 0));
    assert.equal(podsOf("sum").length, 5);
    await admin.resource("batch/v1/jobs", "default").delete("sum", { propagationPolicy: "Foreground" });
    await when(pods, () => podsOf("sum").length === 0);
  });

  test("a namespace gets its account and authority, and ends with everything in it", async () => {
    await admin.resource("v1/namespaces").create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
    await when(informers.of("v1/serviceaccounts"), (all) => all.get("shop/default"));
    const authority = { fieldSelector: "metadata.name=kube-root-ca.crt" };
    await when(informers.of("v1/configmaps", authority), (all) => all.get("shop/kube-root-ca.crt"));
    await admin.resource("apps/v1/deployments", "shop").create(deployment("till", 2, "shop"));
    await when(pods, () => podsOf("till").length === 2);
    await admin.resource("v1/namespaces").delete("shop");
    await when(informers.of("v1/namespaces"), (all) => !all.get("shop"));
    assert.equal((await admin.resource("v1/pods", "shop").list()).items.length, 0);
    assert.equal((await admin.resource("apps/v1/replicasets", "shop").list()).items.length, 0);
  });

  test("a quota gives back what was deleted, and a budget allows what may be missing", async () => {
    const quotas = informers.of("v1/resourcequotas");
    await admin.resource("v1/namespaces").create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "small" } });
    await when(informers.of("v1/serviceaccounts"), (all) => all.get("small/default"));
    await admin.resource("v1/resourcequotas", "small").create({
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: { name: "q" },
      spec: { hard: { pods: "2" } },
    });
    await when(quotas, (all) => all.get("small/q")?.status?.used?.pods === "0");
    await admin.resource("apps/v1/deployments", "small").create(deployment("few", 3, "small"));
    await when(quotas, (all) => all.get("small/q")?.status?.used?.pods === "2");
    await when(informers.of("apps/v1/deployments"), (all) =>
      all
        .get("small/few")
        ?.status?.conditions?.some(
          ({ type, message }) => type === "ReplicaFailure" && /exceeded quota: q/.test(message ?? ""),
        ),
    );
    await admin.resource("policy/v1/poddisruptionbudgets", "small").create({
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: { name: "few" },
      spec: { minAvailable: 1, selector: { matchLabels: { app: "few" } } },
    });
    await when(
      informers.of("policy/v1/poddisruptionbudgets"),
      (all) => all.get("small/few")?.status?.disruptionsAllowed === 1,
    );
    await admin.resource("apps/v1/deployments", "small").patch("few", { spec: { replicas: 1 } }, { type: "merge" });
    await when(quotas, (all) => all.get("small/q")?.status?.used?.pods === "1");
  });

  test("a policy's status tells which expressions can't work for the types that it is about", async () => {
    const policies = informers.of("admissionregistration.k8s.io/v1/validatingadmissionpolicies");
    await admin.resource("admissionregistration.k8s.io/v1/validatingadmissionpolicies").create({
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicy",
      metadata: { name: "checked" },
      spec: {
        matchConstraints: {
          resourceRules: [{ operations: ["*"], apiGroups: ["apps"], apiVersions: ["v1"], resources: ["deployments"] }],
        },
        validations: [
          { expression: "object.spec.replicas > 1 && object.spec.template.spec.containers.all(c, c.image != '')" },
          { expression: "object.spec.nope == 1", messageExpression: "'text'" },
        ],
      },
    });
    await when(policies, (all) => all.get("checked")?.status?.observedGeneration === 1);
    const { expressionWarnings = [] } = policies.get("checked")?.status?.typeChecking ?? {};
    assert.equal(expressionWarnings.length, 1, JSON.stringify(expressionWarnings));
    assert.equal(expressionWarnings[0]?.fieldRef, "spec.validations[1].expression");
    assert.match(
      expressionWarnings[0]?.warning ?? "",
      /^apps\/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'nope'\n \| object\.spec\.nope == 1\n/,
    );
  });

  test("nobody was refused anything for want of a role", () => {
    assert.deepEqual(
      complaints.filter((line) => /cannot (get|list|watch|create|update|patch|delete)/.test(line)),
      [],
    );
  });
});
