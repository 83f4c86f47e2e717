/** Parts as processes of their own that meet only in the API: an API server, the controllers and the scheduler, without root. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import path from "node:path";
import { test } from "node:test";
import { createClient, createHttpsTransport, createInformers, kubeconfigTarget, readKubeconfig } from "#client";
import type { Transport } from "#machinery";
import { freePort, startPart, temporaryFolder } from "./processes.ts";

test("parts: separate processes make a deployment's pods and place them", async (t) => {
  const dataDir = temporaryFolder(t);
  const start = (args: string[], ready: RegExp) => startPart(t, args).printed(ready);
  const port = String(await freePort());
  await start(["apiserver", "--data-dir", dataDir, "--secure-port", port, "--bind-address", "127.0.0.1"], /serving on/);
  const kubeconfig = path.join(dataDir, "admin.kubeconfig");
  assert.match(readFileSync(kubeconfig, "utf8"), /client-certificate-data/);
  const more = ["--kubeconfig", kubeconfig];
  const authority = path.join(dataDir, "pki/ca.crt");
  const [managerPort, schedulerPort] = [await freePort(), await freePort()];
  const own = (port: number) => ["--bind-address", "127.0.0.1", "--secure-port", String(port)];
  await start(["controllers", ...more, ...own(managerPort), "--root-ca-file", authority], /works against/);
  await start(["scheduler", ...more, ...own(schedulerPort)], /works against/);

  const target = await kubeconfigTarget(await readKubeconfig([kubeconfig]));
  const transport = createHttpsTransport({ ...target.transport, userAgent: "test" });
  const client = createClient(transport);
  const stop = new AbortController();
  const informers = createInformers(client);
  const pods = informers.of("v1/pods");
  const nodes = informers.of("v1/nodes");
  const running = informers.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
    transport.close();
  });
  const capacity = { cpu: "4", memory: "8Gi", pods: "110" };
  const conditions = [{ type: "Ready", status: "True" }];
  await client.resource("v1/nodes").create({ metadata: { name: "n1" } });
  await client
    .resource("v1/nodes")
    .patch("n1", { status: { capacity, allocatable: capacity, conditions } }, { type: "merge", subresource: "status" });
  const labels = { app: "web" };
  await client.resource("apps/v1/deployments", "default").create({
    metadata: { name: "web" },
    spec: {
      replicas: 3,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "x:1" }] } },
    },
  });
  await new Promise<void>((done) => {
    const look = () => {
      if (pods.list("default").filter(({ spec }) => spec?.nodeName === "n1").length === 3) done();
    };
    pods.addHandler({ added: look, updated: look });
  });
  assert.equal(nodes.get("n1")?.spec?.podCIDR, "10.244.0.0/24");

  // Health for everyone, metrics for who may see them.
  const token = await monitorToken(transport);
  for (const [own, metric] of [
    [managerPort, /workqueue_adds_total\{name="deployment-controller"} [1-9]/],
    [schedulerPort, /scheduler_schedule_attempts_total\{result="scheduled",profile="default-scheduler"} [1-3]\n/],
  ] as const) {
    assert.deepEqual(await ask(own, "/healthz"), { status: 200, body: "ok" });
    assert.equal((await ask(own, "/metrics")).status, 403);
    assert.equal((await ask(own, "/metrics", "nonsense")).status, 401);
    assert.match((await ask(own, "/metrics", token)).body, metric);
  }
});

/** Of a service account with upstream's role for those who watch. */
async function monitorToken(transport: Transport): Promise<string> {
  const accounts = "/api/v1/namespaces/default/serviceaccounts";
  await transport.request({ method: "POST", path: accounts, body: { metadata: { name: "monitor" } } });
  await transport.request({
    method: "POST",
    path: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    body: {
      metadata: { name: "monitor" },
      subjects: [{ kind: "ServiceAccount", namespace: "default", name: "monitor" }],
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:monitoring" },
    },
  });
  const answer = await transport.request({ method: "POST", path: `${accounts}/monitor/token`, body: { spec: {} } });
  return (answer as { status: { token: string } }).status.token;
}

function ask(port: number, path: string, token?: string): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const options = { host: "127.0.0.1", port, path, headers, rejectUnauthorized: false, agent: false };
    const request = httpsRequest(options, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode, body }));
    });
    request.on("error", reject).end();
  });
}
