/** Parts as processes of their own that meet only in the API: an API server, the controllers and the scheduler, without root. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { createClient, createHttpsTransport, createInformers, kubeconfigTarget, readKubeconfig } from "#client";
import type { Transport } from "#machinery";

const program = path.resolve(import.meta.dirname, "../dist/sampan.js");

/** Resolves when the part has printed this. */
async function start(t: TestContext, args: string[], ready: RegExp): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(async () => {
    if (child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  });
  let output = "";
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        if (ready.test(output)) resolve();
      });
    child.once("exit", () => reject(new Error(`${args.join(" ")} ended:\n${output}`)));
  });
  return child;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("parts: separate processes make a deployment's pods and place them", async (t) => {
  const dataDir = mkdtempSync(path.join(tmpdir(), "sampan-parts-"));
  t.after(() => rmSync(dataDir, { recursive: true }));
  const port = String(await freePort());
  await start(
    t,
    ["apiserver", "--data-dir", dataDir, "--secure-port", port, "--bind-address", "127.0.0.1"],
    /serving on/,
  );
  const kubeconfig = path.join(dataDir, "admin.kubeconfig");
  assert.match(readFileSync(kubeconfig, "utf8"), /client-certificate-data/);
  const more = ["--kubeconfig", kubeconfig];
  const authority = path.join(dataDir, "pki/ca.crt");
  const [managerPort, schedulerPort] = [await freePort(), await freePort()];
  const own = (port: number) => ["--bind-address", "127.0.0.1", "--secure-port", String(port)];
  await start(t, ["controllers", ...more, ...own(managerPort), "--root-ca-file", authority], /works against/);
  await start(t, ["scheduler", ...more, ...own(schedulerPort)], /works against/);

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
