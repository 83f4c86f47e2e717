/**
 * A program that knows nothing of us (`program.ts`) against the API server and the controllers, without root: installs a kind with two versions,
 * converts and validates by webhook, keeps status and finalizers, and hands over when its leader is killed.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import {
  ApiException,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  type KubernetesListObject,
  makeInformer,
  setHeaderOptions,
  Watch,
} from "@kubernetes/client-node";
import { realClock, silentLogger } from "#base";
import { createInformers } from "#client";
import { createControllers } from "#controllers";
import { testCertificate } from "../../src/apiserver/test-server.ts";
import { type ControlPlane, startControlPlane } from "../../src/cmd/control-plane.ts";
import { writeAdminKubeconfig } from "../../src/cmd/kubeconfig-file.ts";
import { dataLayout } from "../../src/cmd/settings.ts";
import type { Boat } from "./program.ts";

const waitMsMax = 20_000;

suite("an operator on the official client", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "sampan-operator-"));
  const layout = dataLayout(directory);
  const stop = new AbortController();
  const operators: ChildProcess[] = [];
  let plane: ControlPlane;
  let running: Promise<unknown>;
  let core: CoreV1Api;
  let custom: CustomObjectsApi;
  let kubeconfig: KubeConfig;
  let output = "";
  const key = (name: string) => ({
    group: "fleet.example.com",
    version: "v1",
    namespace: "default",
    plural: "boats",
    name,
  });
  const boats = { group: "fleet.example.com", version: "v1", namespace: "default", plural: "boats" };

  const until = async <T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> => {
    const end = Date.now() + waitMsMax;
    for (;;) {
      const seen = await look();
      if (seen !== undefined) return seen;
      if (Date.now() > end) throw new Error(`not within ${waitMsMax} ms: ${what}\n${output}`);
      await new Promise((next) => setTimeout(next, 20));
    }
  };
  const unlessMissing = async <T>(get: Promise<T>): Promise<T | undefined> => {
    try {
      return await get;
    } catch (error) {
      if (error instanceof ApiException && error.code === 404) return undefined;
      throw error;
    }
  };
  const boat = (name: string, sails: number, version = "v1") => ({
    apiVersion: `fleet.example.com/${version}`,
    kind: "Boat",
    metadata: { name },
    spec: version === "v1" ? { sails: { count: sails } } : { sails },
  });
  const sailing = (name: string) =>
    until(`${name} sails`, async () => {
      const { status } = (await custom.getNamespacedCustomObject(key(name))) as Boat;
      return status?.phase === "Sailing" ? status : undefined;
    });
  const startOperator = (identity: string) => {
    const child = spawn(process.execPath, [path.join(import.meta.dirname, "program.ts")], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        KUBECONFIG: layout.kubeconfig,
        IDENTITY: identity,
        CERTIFICATE: path.join(directory, "hook.crt"),
        KEY: path.join(directory, "hook.key"),
      },
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    operators.push(child);
    return child;
  };
  const kill = async (child: ChildProcess) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };

  before(async () => {
    plane = await startControlPlane({
      layout,
      serviceCidr: "10.96.0.0/16",
      clusterDomain: "cluster.local",
      bindAddress: "127.0.0.1",
      port: 0,
      advertiseAddress: "127.0.0.1",
      staticTokens: new Map(),
      clock: realClock,
      log: silentLogger,
    });
    await writeAdminKubeconfig(layout.kubeconfig, { server: `https://127.0.0.1:${plane.port}`, pki: plane.pki });
    const user = (name: string, groups: string[] = []) => plane.client({ name, groups, userAgent: "test" });
    const informers = createInformers(user("system:kube-controller-manager"), { clock: realClock });
    const controllers = createControllers({
      informers,
      clock: realClock,
      log: silentLogger,
      clientFor: (account) =>
        user(`system:serviceaccount:kube-system:${account}`, [
          "system:serviceaccounts",
          "system:serviceaccounts:kube-system",
        ]),
      options: { clusterCidrs: ["10.244.0.0/16"], rootCa: "the authority", namespaceDelayMs: 0 },
    });
    running = Promise.all([informers.run(stop.signal), controllers.run(stop.signal)]);
    const { certificate, key: secret } = await testCertificate();
    writeFileSync(path.join(directory, "hook.crt"), certificate);
    writeFileSync(path.join(directory, "hook.key"), secret);
    kubeconfig = new KubeConfig();
    kubeconfig.loadFromFile(layout.kubeconfig);
    core = kubeconfig.makeApiClient(CoreV1Api);
    custom = kubeconfig.makeApiClient(CustomObjectsApi);
    await core.createNamespacedConfigMap({ namespace: "default", body: { metadata: { name: "harbour" } } });
    startOperator("first");
    await until("the first operator leads", () => /first leads/.test(output) || undefined);
    startOperator("second");
  });
  after(async () => {
    for (const child of operators) await kill(child);
    stop.abort();
    await running;
    await plane.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test("operator: status and owned objects of a boat appear", async () => {
    await custom.createNamespacedCustomObject({ ...boats, body: boat("dinghy", 1) });
    const status = await sailing("dinghy");
    assert.equal(status.observedGeneration, 1);
    const manifest = await core.readNamespacedConfigMap({ namespace: "default", name: "dinghy-manifest" });
    assert.deepEqual(manifest.data, { sails: "1", colour: "white" });
  });

  test("operator: the validating webhook refuses with its own words, and warns", async () => {
    await assert.rejects(
      custom.createNamespacedCustomObject({ ...boats, body: boat("raft", 2) }),
      (error) =>
        error instanceof ApiException &&
        error.code === 422 &&
        /admission webhook \\"boats.fleet.example.com\\" denied the request: a boat with 2 sails goes in circles/.test(
          String(error.body),
        ),
    );
    const paused = { ...boat("buoy", 2), spec: { sails: { count: 2 }, paused: true } };
    const { headers, statusCode } = await callPlainly(
      kubeconfig,
      "POST",
      "/apis/fleet.example.com/v1/namespaces/default/boats",
      paused,
    );
    assert.equal(statusCode, 201);
    assert.match(String(headers.warning), /^299 - "a paused boat does not sail"$/);
  });

  test("operator: the old version is converted, both ways, in lists and watches, too", async () => {
    await custom.createNamespacedCustomObject({ ...boats, version: "v1alpha1", body: boat("junk", 3, "v1alpha1") });
    await sailing("junk");
    const modern = (await custom.getNamespacedCustomObject(key("junk"))) as Boat;
    assert.deepEqual(modern.spec.sails, { count: 3, colour: "white" });
    const old = (await custom.listNamespacedCustomObject({ ...boats, version: "v1alpha1" })) as {
      items: { spec: object }[];
    };
    assert.ok(old.items.length >= 2);
    for (const { spec } of old.items) assert.equal(typeof (spec as { sails: unknown }).sails, "number");
    const seen = await new Promise<{ spec: { sails: unknown } }>((resolve, reject) => {
      void new Watch(kubeconfig)
        .watch(
          "/apis/fleet.example.com/v1alpha1/namespaces/default/boats",
          { fieldSelector: "metadata.name=junk" },
          (_, object) => resolve(object),
          reject,
        )
        .then((request) => stop.signal.addEventListener("abort", () => request.abort()));
    });
    assert.equal(seen.spec.sails, 3);
    // Whoever speaks the old version may change it, and what it can't say stays.
    await custom.patchNamespacedCustomObject(
      { ...key("junk"), version: "v1alpha1", body: { spec: { sails: 5 } } },
      setHeaderOptions("Content-Type", "application/merge-patch+json"),
    );
    await until("the manifest follows", async () => {
      const { data } = await core.readNamespacedConfigMap({ namespace: "default", name: "junk-manifest" });
      return data?.sails === "5" || undefined;
    });
  });

  test("operator: a killed leader is followed by the other, finalizers wait for it", async () => {
    const [first] = operators;
    assert.ok(first);
    await kill(first);
    await custom.deleteNamespacedCustomObject(key("dinghy"));
    const waiting = (await custom.getNamespacedCustomObject(key("dinghy"))) as Boat;
    assert.ok(waiting.metadata?.deletionTimestamp);
    await until("the second leads", () => /second leads/.test(output) || undefined);
    await until("the boat is gone", async () =>
      (await unlessMissing(custom.getNamespacedCustomObject(key("dinghy")))) ? undefined : true,
    );
    const harbour = await core.readNamespacedConfigMap({ namespace: "default", name: "harbour" });
    assert.equal(harbour.data?.dinghy, "left, says second");
    await until("its manifest is collected", async () =>
      (await unlessMissing(core.readNamespacedConfigMap({ namespace: "default", name: "dinghy-manifest" })))
        ? undefined
        : true,
    );
  });

  test("official client: an informer lists, follows, and comes back when its watch ends", async () => {
    const seen: string[] = [];
    const list = () => core.listNamespacedConfigMap({ namespace: "default", labelSelector: "fleet=test" });
    const informer = makeInformer(
      kubeconfig,
      "/api/v1/namespaces/default/configmaps",
      list as () => Promise<KubernetesListObject<Boat>>,
      "fleet=test",
    );
    for (const event of ["add", "update", "delete"] as const)
      informer.on(event, (object) => void seen.push(`${event} ${object.metadata?.name}`));
    const body = { metadata: { name: "js", labels: { fleet: "test" } } };
    await core.createNamespacedConfigMap({ namespace: "default", body });
    await informer.start();
    await core.patchNamespacedConfigMap(
      { namespace: "default", name: "js", body: { data: { a: "b" } } },
      setHeaderOptions("Content-Type", "application/merge-patch+json"),
    );
    await until("the update", () => seen.includes("update js") || undefined);
    await informer.stop();
    await informer.start();
    await core.deleteNamespacedConfigMap({ namespace: "default", name: "js" });
    await until("the deletion", () => seen.includes("delete js") || undefined);
    await informer.stop();
    assert.deepEqual([...new Set(seen)], ["add js", "update js", "delete js"]);
  });
});

/** The client's generated calls don't show headers of answers. */
async function callPlainly(kubeconfig: KubeConfig, method: string, target: string, body: object) {
  const cluster = kubeconfig.getCurrentCluster();
  const options = { method, headers: { "content-type": "application/json" } };
  await kubeconfig.applyToHTTPSOptions(options);
  const call = request(`${cluster?.server}${target}`, options);
  call.end(JSON.stringify(body));
  const [answer] = await once(call, "response");
  answer.resume();
  await once(answer, "end");
  return answer as IncomingMessage;
}
