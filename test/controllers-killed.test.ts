/**
 * A kill test over the controllers: the API server and its nodes live on while the controllers die in the middle of what they do, after a
 * random number of writes, of which the last may or may not have landed, and start again. In the end everything must be as in a calm run
 * of the same, and nothing made twice. A run prints its seed; KILL_SEED=N repeats it.
 */
import assert from "node:assert/strict";
import type { webcrypto } from "node:crypto";
import { after, before, suite, test } from "node:test";
import type { KubernetesObject, Transport } from "#machinery";
import { createInformers, type Informer } from "#client";
import { createRandom, scaledClock } from "#testing";
import { type Loops, type Loose, startLoops } from "./conformance/loops.ts";

const speed = 20;
const nodes = 3;
const seed = Number(process.env.KILL_SEED ?? Math.floor(Math.random() * 1e9));
/** Controllers that nobody kills finish in some 500 writes. */
const writesMax = 60;

/** A machine may be busy with other tests. */
const waitMsMax = 90_000;

interface Life {
  isAlive: boolean;
  /** How many it has left; the last is answered to nobody. */
  writes: number;
  readonly landsLast: boolean;
  readonly end: () => void;
  /** On their way to the server: they land even when nobody lives to hear of it. */
  readonly underWay: Set<Promise<unknown>>;
}

/** What goes to the server while the process lives, and what comes back. */
function mortal(inner: Transport, life: Life): Transport {
  const cut = () => new Error("the process is dead");
  return {
    async request(request) {
      if (!life.isAlive) throw cut();
      const isWrite = request.method !== "GET" && !/\/events|reviews$/.test(request.path);
      const isLast = isWrite && --life.writes <= 0;
      const landing = isLast && !life.landsLast ? Promise.reject(cut()) : inner.request(request);
      const settled = landing.catch(() => undefined).finally(() => life.underWay.delete(settled));
      life.underWay.add(settled);
      if (isLast) {
        life.isAlive = false;
        life.end();
      }
      const answer = await landing;
      if (!life.isAlive) throw cut();
      return answer;
    },
    watch: (request, onEvent) => inner.watch(request, (event) => life.isAlive && onEvent(event)),
    close: () => undefined,
  };
}

const containers = (image = "x:1") => [{ name: "c", image, resources: { requests: { cpu: "10m" } } }];
const template = (app: string, spec: object = {}, annotations: Record<string, string> = {}) => ({
  metadata: { labels: { app }, annotations },
  spec: { containers: containers(), terminationGracePeriodSeconds: 1, ...spec },
});
const selector = (app: string) => ({ matchLabels: { app } });
const workload = (name: string, spec: object) => ({
  metadata: { name },
  spec: { selector: selector(name), template: template(name), ...spec },
});
const job = (name: string, spec: object, annotations: Record<string, string> = {}) => ({
  metadata: { name },
  spec: { template: template(name, { restartPolicy: "Never" }, annotations), ...spec },
});
const newImage = { spec: { template: { spec: { containers: containers("x:2") } } } };
const claim = { accessModes: ["ReadWriteOnce"], storageClassName: "", resources: { requests: { storage: "1Gi" } } };
const address = { ip: "192.0.2.7" };

/** Paths below the namespace's, where a resource has none below the cluster's. */
const paths: Record<string, string> = {
  ...Object.fromEntries(
    "pods services endpoints serviceaccounts configmaps resourcequotas replicationcontrollers persistentvolumeclaims"
      .split(" ")
      .map((resource) => [resource, "/api/v1"]),
  ),
  ...{ deployments: "/apis/apps/v1", replicasets: "/apis/apps/v1", statefulsets: "/apis/apps/v1" },
  ...{ daemonsets: "/apis/apps/v1", controllerrevisions: "/apis/apps/v1", jobs: "/apis/batch/v1" },
  ...{
    cronjobs: "/apis/batch/v1",
    poddisruptionbudgets: "/apis/policy/v1",
    endpointslices: "/apis/discovery.k8s.io/v1",
  },
};

/** What somebody asks for, in the order in which it is asked. */
const wishes: readonly (readonly [resource: string, object: KubernetesObject & Record<string, unknown>])[] = [
  [
    "resourcequotas",
    { metadata: { name: "quota" }, spec: { hard: { pods: "200", configmaps: "20", "count/jobs.batch": "50" } } },
  ],
  ["deployments", workload("web", { replicas: 6 })],
  ["deployments", workload("recreated", { replicas: 3, strategy: { type: "Recreate" } })],
  ["deployments", workload("left", { replicas: 2 })],
  ["deployments", workload("gone", { replicas: 4 })],
  ["deployments", workload("fore", { replicas: 2 })],
  [
    "replicationcontrollers",
    { metadata: { name: "old" }, spec: { replicas: 2, selector: { app: "old" }, template: template("old") } },
  ],
  [
    "statefulsets",
    workload("db", {
      replicas: 3,
      serviceName: "db",
      volumeClaimTemplates: [{ metadata: { name: "data" }, spec: claim }],
    }),
  ],
  [
    "daemonsets",
    workload("agent", {
      template: template("agent", { nodeSelector: { "node.kubernetes.io/instance-type": "simulated" } }),
    }),
  ],
  ["jobs", job("indexed", { completions: 6, parallelism: 3, completionMode: "Indexed" })],
  ["jobs", job("flaky", { completions: 3, parallelism: 2, backoffLimit: 6 }, { "sampan.dev/failures": "2" })],
  ["jobs", job("short", { ttlSecondsAfterFinished: 5 })],
  ["cronjobs", { metadata: { name: "tick" }, spec: { schedule: "* * * * *", jobTemplate: job("tick", {}) } }],
  ["services", { metadata: { name: "web" }, spec: { selector: { app: "web" }, ports: [{ port: 80 }] } }],
  ["services", { metadata: { name: "outside" }, spec: { ports: [{ port: 80 }] } }],
  ["endpoints", { metadata: { name: "outside" }, subsets: [{ addresses: [address], ports: [{ port: 80 }] }] }],
  ["poddisruptionbudgets", { metadata: { name: "web" }, spec: { minAvailable: 4, selector: selector("web") } }],
];

/** What of it is compared: what has no time, no address and no name that the server made up. */
const shown: Record<string, (object: Loose) => unknown> = {
  deployments: ({ status }) => [status.replicas, status.updatedReplicas, status.availableReplicas, conditions(status)],
  replicasets: ({ metadata, spec, status }) => [
    metadata?.annotations?.["deployment.kubernetes.io/revision"],
    spec.replicas,
    status.readyReplicas,
  ],
  replicationcontrollers: ({ status }) => [status.replicas, status.readyReplicas],
  statefulsets: ({ status }) => [
    status.replicas,
    status.readyReplicas,
    status.updatedReplicas,
    status.currentRevision === status.updateRevision,
  ],
  daemonsets: ({ status }) => [status.desiredNumberScheduled, status.numberReady, status.updatedNumberScheduled],
  controllerrevisions: ({ revision }) => revision,
  jobs: ({ status }) => [
    status.succeeded,
    status.failed,
    status.completedIndexes,
    status.uncountedTerminatedPods,
    conditions(status),
  ],
  pods: ({ status }) => status.phase,
  persistentvolumeclaims: ({ status }) => status.phase,
  serviceaccounts: () => "",
  configmaps: ({ data }) => Object.keys(Object(data)),
  endpoints: ({ subsets }) =>
    (subsets as { addresses?: object[] }[] | undefined)?.map(({ addresses }) => addresses?.length),
  endpointslices: ({ metadata, endpoints }) => [
    metadata?.labels?.["kubernetes.io/service-name"],
    (endpoints as { conditions: { ready: boolean } }[] | null)?.map(({ conditions: { ready } }) => ready),
  ],
  poddisruptionbudgets: ({ status }) => [
    status.currentHealthy,
    status.desiredHealthy,
    status.expectedPods,
    status.disruptionsAllowed,
  ],
};

const conditions = (status: Record<string, unknown>) =>
  ((status.conditions ?? []) as { type: string; status: string; reason?: string }[])
    .map(({ type, status: value, reason }) => `${type} ${value} ${reason}`)
    .sort();

/** Whose it is, else what it is called: names behind an owner's are made up. */
const nameOf = ({ metadata }: KubernetesObject): string => {
  const owner = metadata?.ownerReferences?.[0];
  return owner ? `of ${owner.kind} ${owner.name.replace(/-[0-9]{7,}$/, "-N")}` : (metadata?.name ?? "");
};

suite("controllers that are killed", () => {
  let loops: Loops;
  const watching = new AbortController();
  const made = new Map<string, Map<string, number>>();
  let watched: Promise<void>;
  before(async () => {
    loops = await startLoops({ nodes, clock: scaledClock(speed), controllers: false });
    const informers = createInformers(loops.client);
    const count = (resource: string, informer: Informer<KubernetesObject>) =>
      informer.addHandler({
        added(object) {
          const { namespace = "" } = object.metadata ?? {};
          const own = made.get(namespace) ?? new Map<string, number>();
          made.set(namespace, own);
          const name = `${resource} ${nameOf(object as KubernetesObject)}`;
          own.set(name, (own.get(name) ?? 0) + 1);
        },
      });
    for (const [resource, path] of Object.entries(paths)) {
      if (["services", "resourcequotas", "endpoints"].includes(resource)) continue;
      const [group = "", version = ""] = path.startsWith("/apis/") ? path.split("/").slice(2) : ["", "v1"];
      count(resource, informers.of({ group, version, resource, namespaced: true }));
    }
    watched = informers.run(watching.signal);
  });
  after(async () => {
    watching.abort();
    await watched;
    await loops.close();
  });

  const at = (namespace: string, resource: string, name = "") =>
    `${paths[resource]}/namespaces/${namespace}/${resource}${name && `/${name}`}`;
  const cluster = {
    pv: "/api/v1/persistentvolumes",
    node: "/api/v1/nodes",
    roles: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
  };
  const requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

  /** Many wait at once, so each looks seldom. */
  async function until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
    const end = Date.now() + waitMsMax;
    for (;;) {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      if (Date.now() > end) throw new Error(`not within ${waitMsMax} ms: ${what}`);
      await new Promise((next) => setTimeout(next, 100));
    }
  }

  /** Asks for everything, changes it, removes some, and answers how it all ends. */
  async function live(namespace: string): Promise<{ state: string[]; made: [string, number][]; perJob: number[] }> {
    const { call, merge, find } = loops;
    const status = async (resource: string, name: string) => (await find(at(namespace, resource, name)))?.status ?? {};
    const namespaces = "/api/v1/namespaces";
    for (const name of [namespace, `${namespace}-end`]) await call("POST", namespaces, { metadata: { name } });
    const accessModes = ["ReadWriteOnce"];
    for (let index = 0; index < 3; index++) {
      const hostPath = { path: `/tmp/${index}` };
      const spec = { capacity: { storage: "1Gi" }, accessModes, hostPath, persistentVolumeReclaimPolicy: "Retain" };
      await call("POST", cluster.pv, { metadata: { name: `${namespace}-${index}` }, spec });
    }
    const silent = `${namespace}-silent`;
    await call("POST", cluster.node, { metadata: { name: silent }, spec: { unschedulable: true } });
    await merge(`${cluster.node}/${silent}/status`, { status: { conditions: [{ type: "Ready", status: "True" }] } });
    const labels = { [`join-${namespace}`]: "true" };
    const rules = [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }];
    await call("POST", cluster.roles, { metadata: { name: `${namespace}-part`, labels }, rules });
    const clusterRoleSelectors = [{ matchLabels: labels }];
    await call("POST", cluster.roles, {
      metadata: { name: `${namespace}-all` },
      aggregationRule: { clusterRoleSelectors },
    });
    await until("the default account", () => find(at(namespace, "serviceaccounts", "default")));
    await until("its default account", () => find(at(`${namespace}-end`, "serviceaccounts", "default")));
    for (const [resource, object] of wishes) await call("POST", at(namespace, resource), object);
    for (let index = 0; index < 3; index++)
      await call("POST", at(`${namespace}-end`, "configmaps"), { metadata: { name: `c${index}`, finalizers: [] } });
    await call("POST", at(`${namespace}-end`, "deployments"), workload("web", { replicas: 3 }));
    await askForCertificate(namespace);

    const ready = async (resource: string, name: string, fields: Record<string, unknown>) =>
      until(`${resource} ${name} in ${namespace} is ${JSON.stringify(fields)}`, async () => {
        const found = (await find(at(namespace, resource, name))) as Loose | undefined;
        if (
          found?.status.observedGeneration !== undefined &&
          found.status.observedGeneration !== found.metadata?.generation
        )
          return false;
        return Object.entries(fields).every(([field, value]) => found?.status?.[field] === value);
      });
    const all = (count: number) => ({ replicas: count, updatedReplicas: count, availableReplicas: count });
    const first = () =>
      Promise.all([
        ready("deployments", "web", all(6)),
        ready("deployments", "recreated", all(3)),
        ready("deployments", "left", all(2)),
        ready("deployments", "gone", all(4)),
        ready("deployments", "fore", all(2)),
        ready("statefulsets", "db", { readyReplicas: 3, updatedReplicas: 3 }),
        ready("daemonsets", "agent", { numberReady: nodes, updatedNumberScheduled: nodes }),
        ready("replicationcontrollers", "old", { readyReplicas: 2 }),
      ]);
    await first();
    // Roll-outs, more and fewer, and three ways of removing.
    await merge(at(namespace, "deployments", "web"), newImage);
    await merge(at(namespace, "deployments", "recreated"), newImage);
    await merge(at(namespace, "statefulsets", "db"), newImage);
    await merge(at(namespace, "daemonsets", "agent"), newImage);
    await merge(at(namespace, "replicationcontrollers", "old"), { spec: { replicas: 5 } });
    const remove = (name: string, propagationPolicy: string) =>
      call("DELETE", at(namespace, "deployments", name), { propagationPolicy });
    await remove("left", "Orphan");
    await remove("gone", "Background");
    await remove("fore", "Foreground");
    await call("DELETE", `${namespaces}/${namespace}-end`);
    await call("DELETE", at(namespace, "configmaps", "kube-root-ca.crt"));
    const list = async (resource: string) => (await call("GET", at(namespace, resource))).items;
    await Promise.all([
      ready("deployments", "web", all(6)),
      ready("deployments", "recreated", all(3)),
      ready("statefulsets", "db", { readyReplicas: 3, updatedReplicas: 3 }),
      ready("daemonsets", "agent", { numberReady: nodes, updatedNumberScheduled: nodes }),
      ready("replicationcontrollers", "old", { readyReplicas: 5, replicas: 5 }),
      ready("jobs", "indexed", { succeeded: 6 }),
      ready("jobs", "flaky", { succeeded: 3 }),
      until("the short job is gone", async () => !(await find(at(namespace, "jobs", "short")))),
      until("the namespace is gone", async () => !(await find(`${namespaces}/${namespace}-end`))),
      until("the cron job has run", async () => (await status("cronjobs", "tick")).lastSuccessfulTime),
      until("the authority is published", () => find(at(namespace, "configmaps", "kube-root-ca.crt"))),
      until("the node is unknown", async () => {
        const node = await find(`${cluster.node}/${silent}`);
        const taints = (node?.spec.taints ?? []) as { key: string; effect: string }[];
        return taints.some(({ key, effect }) => key === "node.kubernetes.io/unreachable" && effect === "NoExecute");
      }),
      until("the certificate is there", async () => (await find(`${requests}/${namespace}`))?.status.certificate),
      until(
        "the roles are joined",
        async () => ((await find(`${cluster.roles}/${namespace}-all`))?.rules as object[] | null)?.length === 1,
      ),
      until("what was removed is gone", async () =>
        [...(await list("replicasets")), ...(await list("pods"))].every(
          (object) => !/^(gone|fore)-/.test(object.metadata?.name ?? "") && !object.metadata?.deletionTimestamp,
        ),
      ),
      until("the left ones are free", async () =>
        (await list("replicasets")).every(
          ({ metadata }) => !metadata?.name?.startsWith("left-") || !metadata.ownerReferences,
        ),
      ),
    ]);
    await call("DELETE", at(namespace, "cronjobs", "tick"), { propagationPolicy: "Background" });
    await until("its jobs are gone", async () =>
      [...(await list("jobs")), ...(await list("pods"))].every(({ metadata }) => !metadata?.name?.startsWith("tick-")),
    );
    const look = async () => {
      const lines: string[] = [];
      for (const [resource, of] of Object.entries(shown))
        for (const object of await list(resource)) lines.push(JSON.stringify([resource, nameOf(object), of(object)]));
      const quota = (await status("resourcequotas", "quota")) as { used?: Record<string, string> };
      const pods = (await list("pods")).filter(
        ({ status: { phase } }) => phase !== "Succeeded" && phase !== "Failed",
      ).length;
      const isCounted = quota.used?.pods === String(pods);
      return { lines: [...lines, JSON.stringify(quota.used)].sort(), isCounted };
    };
    // Statuses follow what they count: looked at until two looks a while apart are the same.
    let last = await look();
    await until(`${namespace} is quiet`, async () => {
      await new Promise((next) => setTimeout(next, 200));
      const next = await look();
      const isQuiet = next.isCounted && next.lines.join() === last.lines.join();
      last = next;
      return isQuiet;
    });
    const counts = [...(made.get(namespace) ?? [])];
    const isCron = ([name]: readonly [string, number]) => name.includes("tick");
    return {
      state: last.lines,
      made: counts.filter((each) => !isCron(each)).sort(),
      perJob: counts.filter(([name]) => /^pods of Job tick-/.test(name)).map(([, count]) => count),
    };
  }

  async function askForCertificate(name: string): Promise<void> {
    await import("reflect-metadata"); // x509's container needs it first
    const x509 = await import("@peculiar/x509");
    const signingAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
    const keys = (await crypto.subtle.generateKey(signingAlgorithm, true, [
      "sign",
      "verify",
    ])) as webcrypto.CryptoKeyPair; // for these uses
    const pem = (
      await x509.Pkcs10CertificateRequestGenerator.create({ name: "CN=a", keys, signingAlgorithm })
    ).toString("pem");
    const request = Buffer.from(pem).toString("base64");
    const spec = { request, signerName: "kubernetes.io/kube-apiserver-client", usages: ["client auth"] };
    const made = await loops.call("POST", requests, { metadata: { name }, spec });
    const approved = { type: "Approved", status: "True", reason: "Test", message: "" };
    await loops.call("PUT", `${requests}/${name}/approval`, { ...made, status: { conditions: [approved] } });
  }

  test(`all of them: what they leave is as after a calm run, and nothing is made twice (KILL_SEED=${seed})`, async () => {
    const calm = new AbortController();
    const running = loops.runControllers(calm.signal).done;
    const expected = await live("calm").finally(() => calm.abort());
    await running;

    const random = createRandom(seed);
    const whole = new AbortController();
    let lives = 0;
    const buried: Promise<unknown>[] = [];
    const storm = (async () => {
      while (!whole.signal.aborted) {
        lives++;
        const stop = new AbortController();
        const died = Promise.withResolvers<void>();
        const end = () => {
          stop.abort();
          died.resolve();
        };
        const life: Life = {
          underWay: new Set(),
          isAlive: true,
          writes: 1 + random.below(writesMax),
          landsLast: random.below(2) === 0,
          end,
        };
        whole.signal.addEventListener("abort", end, { once: true });
        buried.push(loops.runControllers(stop.signal, (transport) => mortal(transport, life)).done);
        await died.promise;
        // Who starts it again waits at least that long: its lease has to run out.
        await Promise.all(life.underWay);
      }
    })();
    const found = await live("wild").finally(() => whole.abort());
    await storm;
    await Promise.all(buried);
    assert.ok(lives > 10, `${lives} lives are few`);
    assert.deepEqual(found.state.join("\n"), expected.state.join("\n"));
    assert.deepEqual(found.made, expected.made);
    assert.ok(
      [...found.perJob, ...expected.perJob].every((count) => count >= 1),
      "each run has its pod",
    );
  });
});
