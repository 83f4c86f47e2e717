import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiRequest, Transport } from "#machinery";
import { scaledClock } from "#testing";
import { startLoops } from "./conformance/loops.ts";

const labels = { app: "web" };
const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "pause" }] } };
const workload = { selector: { matchLabels: labels }, template };
const run = {
  metadata: { labels: { run: "yes" } },
  spec: { restartPolicy: "Never", containers: [{ name: "c", image: "x" }] },
};
const claim = {
  metadata: { name: "data" },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
};

/** Of what is asked for, whole collections: what a reconcile must find in its caches. */
const isList = ({ method, path }: ApiRequest): boolean =>
  method === "GET" &&
  /^\/(api\/v1|apis\/[^/]+\/[^/]+)(\/namespaces\/[^/]+)?\/[^/]+$/.test(path) &&
  !/\/namespaces\/[^/]+$/.test(path);

test("controllers: once their caches are filled, nothing they do asks for a list", async () => {
  const loops = await startLoops({ nodes: 3, controllers: false, scheduler: true, clock: scaledClock(30) });
  const asked: ApiRequest[] = [];
  const counted = (transport: Transport): Transport => ({
    ...transport,
    request(request) {
      asked.push(request);
      return transport.request(request);
    },
    watch: (request, onEvent) => transport.watch(request, onEvent),
    close: () => transport.close(),
  });
  const stop = new AbortController();
  const { informers, done } = loops.runControllers(stop.signal, counted);
  try {
    const make = (group: string, resource: string, kind: string, spec: object, more: object = {}) =>
      loops.call("POST", `${group}/namespaces/default/${resource}`, {
        ...{ apiVersion: group.replace(/^\/apis?\//, ""), kind, metadata: { name: resource.slice(0, -1), labels } },
        ...{ spec, ...more },
      });
    const [core, apps, batch] = ["/api/v1", "/apis/apps/v1", "/apis/batch/v1"];
    const at = (group: string, resource: string) => `${group}/namespaces/default/${resource}/${resource.slice(0, -1)}`;
    const status = (target: string, fit: (status: Record<string, unknown>) => boolean) =>
      loops.until(target, async () => fit(((await loops.call("GET", target)).status ?? {}) as Record<string, unknown>));
    await loops.until("accounts", () => loops.find("/api/v1/namespaces/default/serviceaccounts/default"));
    await loops.until("the root authority", () => loops.find("/api/v1/namespaces/default/configmaps/kube-root-ca.crt"));
    await Promise.all([informers.of("v1/pods").synced(), informers.of("apps/v1/replicasets").synced()]);
    await make(batch, "jobs", "Job", { template: run, completions: 1 });
    await status(at(batch, "jobs"), ({ succeeded }) => succeeded === 1);
    await make(core, "resourcequotas", "ResourceQuota", { hard: { pods: "50", "count/deployments.apps": "9" } });
    // What a quota counts is watched from then on.
    await status(at(core, "resourcequotas"), ({ used }) => used !== undefined);
    assert.ok(asked.some(isList), "the caches were filled by lists, which this counts");

    asked.length = 0;
    await make("/apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", {
      minAvailable: 1,
      selector: { matchLabels: labels },
    });
    await make(core, "services", "Service", { selector: labels, ports: [{ port: 80 }] });
    await make(apps, "deployments", "Deployment", { replicas: 3, ...workload });
    await make(apps, "statefulsets", "StatefulSet", {
      replicas: 2,
      serviceName: "s",
      ...workload,
      volumeClaimTemplates: [claim],
    });
    await make(apps, "daemonsets", "DaemonSet", workload);
    await make(core, "replicationcontrollers", "ReplicationController", { replicas: 2, selector: labels, template });
    await make(batch, "cronjobs", "CronJob", { schedule: "* * * * *", jobTemplate: { spec: { template: run } } });
    await status(at(apps, "deployments"), ({ readyReplicas }) => readyReplicas === 3);
    await status(at(apps, "daemonsets"), ({ numberReady }) => numberReady === 3);
    await status(at(batch, "cronjobs"), ({ lastSuccessfulTime }) => lastSuccessfulTime !== undefined);
    const roll = { spec: { template: { metadata: { annotations: { again: "yes" } } } } };
    await loops.merge(at(apps, "deployments"), roll);
    await loops.merge(at(apps, "daemonsets"), roll);
    await status(at(apps, "deployments"), ({ updatedReplicas, replicas }) => updatedReplicas === 3 && replicas === 3);
    await status(
      at(apps, "daemonsets"),
      ({ updatedNumberScheduled, numberReady }) => updatedNumberScheduled === 3 && numberReady === 3,
    );
    const options = { kind: "DeleteOptions", apiVersion: "v1", propagationPolicy: "Foreground" };
    for (const target of [
      at(apps, "deployments"),
      at(apps, "daemonsets"),
      at(core, "replicationcontrollers"),
      at(batch, "cronjobs"),
    ])
      await loops.call("DELETE", target, options);
    await loops.until(
      "all gone",
      async () => !(await loops.find(at(apps, "deployments"))) && !(await loops.find(at(apps, "daemonsets"))),
    );
    assert.ok(asked.length > 50, `only ${asked.length} requests were seen`);
    assert.deepEqual(
      [...new Set(asked.filter(isList).map(({ path, query }) => `${path} ${JSON.stringify(query)}`))],
      [],
    );
  } finally {
    stop.abort();
    await done;
    await loops.close();
  }
});
