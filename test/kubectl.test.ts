/**
 * kubectl, as installed, through its verbs against the API server and the controllers, without a node and without root.
 * Outputs are those that every kubectl since Debian's 1.20 prints.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, before, suite, test } from "node:test";
import { realClock, silentLogger } from "#base";
import { createInformers } from "#client";
import { createControllers } from "#controllers";
import { type ControlPlane, startControlPlane } from "../src/cmd/control-plane.ts";
import { writeAdminKubeconfig } from "../src/cmd/kubeconfig-file.ts";
import { dataLayout } from "../src/cmd/settings.ts";

const kubectl = process.env.KUBECTL ?? "kubectl";
const commandMsMax = 30_000;

function whyNot(): string | false {
  try {
    execFileSync(kubectl, ["version", "--client"], { stdio: "pipe" });
    return false;
  } catch {
    return "needs kubectl";
  }
}

suite("kubectl", { skip: whyNot() }, () => {
  const directory = mkdtempSync(path.join(tmpdir(), "sampan-kubectl-"));
  const layout = dataLayout(directory);
  const stop = new AbortController();
  let plane: ControlPlane;
  let running: Promise<unknown>;
  const env: NodeJS.ProcessEnv = { ...process.env, KUBECONFIG: layout.kubeconfig, HOME: directory, LC_ALL: "C" };

  /** Output of both kinds; rejects when the exit code isn't the expected one. */
  const run = (line: string | readonly string[], input = "", code = 0) =>
    new Promise<string>((resolve, reject) => {
      const args = typeof line === "string" ? line.split(" ") : line;
      const child = execFile(kubectl, args, { env, timeout: commandMsMax, maxBuffer: 2 ** 26 }, (_, out, complaint) => {
        const text = out + complaint;
        if (child.exitCode === code) resolve(text);
        else reject(new Error(`kubectl ${args.join(" ")}: exit code ${child.exitCode}\n${text}`));
      });
      child.stdin?.end(input);
    });
  const yaml = (document: object) => `${JSON.stringify(document)}\n`;
  const deployment = (replicas: number, image = "example.com/web:1") =>
    yaml({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "web", labels: { app: "web" } },
      spec: {
        replicas,
        selector: { matchLabels: { app: "web" } },
        template: {
          metadata: { labels: { app: "web" } },
          spec: { containers: [{ name: "web", image, ports: [{ containerPort: 80 }] }] },
        },
      },
    });

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
    // Pods need the account, which a controller makes.
    while (!(await run("get serviceaccounts -o name")).includes("default"));
  });
  after(async () => {
    stop.abort();
    await running;
    await plane.close();
    rmSync(directory, { recursive: true, force: true });
  });

  // conformance: Kubectl client Kubectl api-versions should check if v1 is in available api versions
  // conformance: Kubectl client Kubectl cluster-info should check if Kubernetes control plane services is included in cluster-info
  // conformance: Kubectl client Kubectl version should check is all data is printed
  test("kubectl: version, api-versions, api-resources, cluster-info, auth", async () => {
    const version = await run("version");
    assert.match(version, /Client Version: /);
    assert.match(version, /Server Version: .*1\.36/);
    assert.match(await run("api-versions"), /^apps\/v1$/m);
    assert.match(await run("api-versions"), /^v1$/m);
    const resources = await run("api-resources");
    assert.match(resources, /^deployments\s+deploy\s+apps\/v1\s+true\s+Deployment$/m);
    assert.match(await run("api-resources --namespaced=false -o name"), /^nodes$/m);
    assert.match(await run("cluster-info"), /control plane.* is running at/);
    assert.equal(await run("auth can-i create pods"), "yes\n");
    assert.match(await run("auth can-i create pods --as nobody", "", 1), /^no/);
    assert.match(await run("auth can-i --list --as nobody"), /selfsubjectaccessreviews\.authorization\.k8s\.io/);
  });

  test("kubectl: create, get in all outputs, describe, explain", async () => {
    assert.equal(await run("create configmap words --from-literal=a=b"), "configmap/words created\n");
    assert.match(await run("create configmap words", "", 1), /configmaps "words" already exists/);
    assert.match(await run("get configmap words"), /^NAME\s+DATA\s+AGE\nwords\s+1\s/);
    assert.match(await run("get cm words -o wide --show-labels"), /<none>/);
    assert.equal(await run("get configmap words -o name"), "configmap/words\n");
    assert.deepEqual(JSON.parse(await run("get configmap words -o json")).data, { a: "b" });
    assert.match(await run("get configmap words -o yaml"), /^data:\n {2}a: b$/m);
    assert.equal(await run(["get", "configmap", "words", "-o", "jsonpath={.data.a}"]), "b");
    assert.equal(await run(["get", "configmap", "words", "-o", "go-template={{.data.a}}"]), "b");
    assert.equal(await run("get configmap words --no-headers -o custom-columns=A:.data.a"), "b\n");
    assert.match(await run("get configmaps --sort-by=.metadata.name --chunk-size=1"), /words/);
    assert.match(await run("get configmap nope", "", 1), /Error from server \(NotFound\): configmaps "nope" not found/);
    assert.match(await run("get configmaps --selector=a=b"), /No resources found in default namespace/);
    assert.match(
      await run("get --raw /api/v1/namespaces/default/configmaps/words"),
      /^\{"kind":"ConfigMap","apiVersion":"v1"/,
    );
    assert.match(await run("describe configmap words"), /Name:\s+words\nNamespace:\s+default/);
    assert.match(await run("explain deployment.spec.replicas"), /<integer>[\s\S]*Number of desired pods/);
    assert.match(await run("explain pods --recursive"), /hostIPC/);
  });

  test("kubectl: label, annotate, patch in three ways, replace, edit, set", async () => {
    await run("create configmap edited --from-literal=a=b");
    assert.equal(await run("label configmap edited tier=one"), "configmap/edited labeled\n");
    assert.match(await run("label configmap edited tier=two", "", 1), /overwrite is false/);
    assert.equal(await run("annotate configmap edited note=text"), "configmap/edited annotated\n");
    for (const [type, patch] of [
      ["strategic", `{"data":{"s":"1"}}`],
      ["merge", `{"data":{"m":"1"}}`],
      ["json", `[{"op":"add","path":"/data/j","value":"1"}]`],
    ] as const)
      assert.equal(
        await run(["patch", "configmap", "edited", "--type", type, "-p", patch]),
        "configmap/edited patched\n",
      );
    assert.deepEqual(JSON.parse(await run("get configmap edited -o json")).data, { a: "b", s: "1", m: "1", j: "1" });
    const editor = path.join(directory, "editor.sh");
    writeFileSync(editor, `#!/bin/sh\nsed -i 's/a: b/a: edited/' "$1"\n`, { mode: 0o755 });
    env.KUBE_EDITOR = editor;
    assert.equal(await run("edit configmap edited"), "configmap/edited edited\n");
    const changed = JSON.parse(await run("get configmap edited -o json"));
    assert.equal(changed.data.a, "edited");
    changed.data = { only: "this" };
    assert.equal(await run("replace -f -", JSON.stringify(changed)), "configmap/edited replaced\n");
    assert.match(
      await run("replace -f -", JSON.stringify(changed), 1),
      /\(Conflict\).*the object has been modified; please apply your changes to the latest version/,
    );
  });

  test("kubectl: apply on both sides, diff, prune of fields, conflicts", async () => {
    const map = (data: object) => yaml({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "applied" }, data });
    assert.equal(await run("apply -f -", map({ a: "1", b: "1" })), "configmap/applied created\n");
    assert.equal(await run("apply -f -", map({ a: "1", b: "1" })), "configmap/applied unchanged\n");
    assert.match(await run("diff -f -", map({ a: "2" }), 1), /^-\s+a: "1"$[\s\S]*^\+\s+a: "2"$/m);
    assert.equal(await run("apply -f -", map({ a: "2" })), "configmap/applied configured\n");
    assert.deepEqual(JSON.parse(await run("get configmap applied -o json")).data, { a: "2" });
    assert.equal(
      await run("apply --server-side -f -", map({ a: "2", c: "1" })),
      "configmap/applied serverside-applied\n",
    );
    assert.match(
      await run("apply --server-side --field-manager=other -f -", map({ a: "3" }), 1),
      /conflict.* with "kubectl"[\s\S]*\.data\.a/,
    );
    await run("apply --server-side --field-manager=other --force-conflicts -f -", map({ a: "3" }));
    assert.equal(JSON.parse(await run("get configmap applied -o json")).data.a, "3");
    assert.match(await run("apply view-last-applied configmap applied"), /a: "2"/);
    assert.match(await run("diff --server-side --field-manager=other -f -", map({ a: "4" }), 1), /a: "4"/);
  });

  test("kubectl: rollout, scale, expose, autoscale, set image, wait", async () => {
    assert.equal(await run("apply -f -", deployment(2)), "deployment.apps/web created\n");
    assert.equal(await run("expose deployment web --port=80"), "service/web exposed\n");
    assert.equal(await run("scale deployment web --replicas=3"), "deployment.apps/web scaled\n");
    assert.match(
      await run("scale deployment web --current-replicas=7 --replicas=1", "", 1),
      /Expected replicas to be 7, was 3/,
    );
    assert.match(
      await run("autoscale deployment web --max=5 --cpu-percent=50"),
      /horizontalpodautoscaler\.autoscaling\/web autoscaled/,
    );
    assert.match(await run("get horizontalpodautoscaler web"), /Deployment\/web/);
    assert.equal(await run("set image deployment/web web=example.com/web:2"), "deployment.apps/web image updated\n");
    while (!(await run("rollout history deployment/web")).includes("\n2 "));
    assert.equal(await run("rollout pause deployment/web"), "deployment.apps/web paused\n");
    assert.equal(await run("rollout resume deployment/web"), "deployment.apps/web resumed\n");
    assert.equal(await run("rollout undo deployment/web"), "deployment.apps/web rolled back\n");
    assert.equal(
      await run(["get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]),
      "example.com/web:1",
    );
    assert.equal(await run("rollout restart deployment/web"), "deployment.apps/web restarted\n");
    assert.match(
      await run("rollout status deployment/web --timeout=1s", "", 1),
      /Waiting for deployment "web" rollout to finish/,
    );
    assert.match(await run("wait deployment/web --for=condition=Progressing --timeout=20s"), /condition met/);
    assert.equal(
      await run("delete deployment,service,horizontalpodautoscaler web"),
      'deployment.apps "web" deleted\nservice "web" deleted\nhorizontalpodautoscaler.autoscaling "web" deleted\n',
    );
  });

  test("kubectl: nodes are cordoned, tainted and drained", async () => {
    await run("create -f -", yaml({ apiVersion: "v1", kind: "Node", metadata: { name: "played" } }));
    assert.equal(await run("cordon played"), "node/played cordoned\n");
    assert.equal(await run("taint node played gpu=yes:NoSchedule"), "node/played tainted\n");
    assert.match(await run("drain played"), /node\/played (drained|evicted)/);
    assert.equal(await run("uncordon played"), "node/played uncordoned\n");
    await run("delete node played");
  });

  test("kubectl: create what has generators of its own", async () => {
    for (const [line, created] of [
      ["create namespace made", "namespace/made created"],
      ["create serviceaccount robot -n made", "serviceaccount/robot created"],
      ["create role reader --verb=get,list --resource=pods -n made", "role.rbac.authorization.k8s.io/reader created"],
      [
        "create rolebinding reads --role=reader --serviceaccount=made:robot -n made",
        "rolebinding.rbac.authorization.k8s.io/reads created",
      ],
      ["create secret generic hidden --from-literal=k=v -n made", "secret/hidden created"],
      ["create quota few --hard=pods=3 -n made", "resourcequota/few created"],
      ["create job once --image=example.com/x -n made", "job.batch/once created"],
      ["create priorityclass high --value=7", "priorityclass.scheduling.k8s.io/high created"],
      ["create service clusterip plain --tcp=80 -n made", "service/plain created"],
    ] as const)
      assert.equal(await run(line), `${created}\n`);
    assert.equal(await run("auth can-i list pods -n made --as system:serviceaccount:made:robot"), "yes\n");
    assert.match(await run("auth can-i delete pods -n made --as system:serviceaccount:made:robot", "", 1), /^no/);
    assert.match(await run("run shell --image=example.com/x -n made"), /pod\/shell created/);
    assert.match(await run("get all -n made"), /pod\/shell/);
    assert.match(await run("get events -n made"), /SuccessfulCreate/);
    assert.equal(await run("delete namespace made"), 'namespace "made" deleted\n');
  });

  const rc = (replicas: number) =>
    yaml({
      apiVersion: "v1",
      kind: "ReplicationController",
      metadata: { name: "agnhost-primary", labels: { app: "agnhost" } },
      spec: {
        replicas,
        selector: { app: "agnhost" },
        template: {
          metadata: { labels: { app: "agnhost" } },
          spec: { containers: [{ name: "primary", image: "example.com/agnhost:1", ports: [{ containerPort: 6379 }] }] },
        },
      },
    });
  const podNames = async (namespace: string, count: number) => {
    for (;;) {
      const names = (await run(`get pods -n ${namespace} -l app=agnhost -o name`)).split("\n").filter(Boolean);
      if (names.length === count) return names;
    }
  };

  // conformance: Kubectl client Update Demo should create and stop a replication controller
  // conformance: Kubectl client Update Demo should scale a replication controller
  // conformance: Kubectl client Kubectl describe should check if kubectl describe prints relevant information for rc and pods
  // conformance: Kubectl client Kubectl expose should create services for rc
  // conformance: Kubectl client Kubectl patch should add annotations for pods in rc
  // conformance: Kubectl client Kubectl label should update the label on a resource
  test("kubectl: a replication controller is scaled, described, exposed, patched and stopped", async () => {
    await run("create namespace demo");
    assert.equal(await run("create -n demo -f -", rc(2)), "replicationcontroller/agnhost-primary created\n");
    await podNames("demo", 2);
    assert.match(await run("scale rc agnhost-primary -n demo --replicas=1 --timeout=30s"), /agnhost-primary scaled/);
    const [pod = ""] = await podNames("demo", 1);
    const described = await run("describe rc agnhost-primary -n demo");
    for (const line of [
      /Name:\s+agnhost-primary/,
      /Namespace:\s+demo/,
      /Selector:\s+app=agnhost/,
      /Replicas:\s+1 current/,
      /Image:\s+example/,
    ])
      assert.match(described, line);
    assert.match(described, /SuccessfulCreate[\s\S]*Created pod: agnhost-primary-/);
    assert.match(await run(`describe ${pod} -n demo`), /Controlled By:\s+ReplicationController\/agnhost-primary/);
    assert.equal(
      await run("expose rc agnhost-primary -n demo --name=rm2 --port=1234 --target-port=6379"),
      "service/rm2 exposed\n",
    );
    assert.equal(
      await run("expose service rm2 -n demo --name=rm3 --port=2345 --target-port=6379"),
      "service/rm3 exposed\n",
    );
    const { spec } = JSON.parse(await run("get service rm3 -n demo -o json"));
    assert.deepEqual([spec.ports[0].port, spec.ports[0].targetPort, spec.selector], [2345, 6379, { app: "agnhost" }]);
    await run(["patch", pod, "-n", "demo", "-p", `{"metadata":{"annotations":{"x":"y"}}}`]);
    assert.equal(JSON.parse(await run(`get ${pod} -n demo -o json`)).metadata.annotations.x, "y");
    await run(`label ${pod} -n demo testing-label=testing-label-value`);
    assert.match(await run(`get ${pod} -n demo -L testing-label`), /testing-label-value/);
    await run(`label ${pod} -n demo testing-label-`);
    assert.doesNotMatch(await run(`get ${pod} -n demo -L testing-label`), /testing-label-value/);
    await run("delete rc agnhost-primary -n demo");
    await podNames("demo", 0);
    await run("delete namespace demo --wait=false");
  });

  // conformance: Kubectl client Kubectl run pod should create a pod from an image when restart is Never
  // conformance: Kubectl client Kubectl replace should update a single-container pod's image
  // conformance: Kubectl client Kubectl server-side dry-run should check if kubectl can dry-run update Pods
  // conformance: Kubectl client Kubectl diff should check if kubectl diff finds a difference for Deployments
  test("kubectl: a pod is run, tried and replaced; a deployment is compared", async () => {
    assert.equal(await run("run e2e-pod --restart=Never --image=example.com/httpd:1"), "pod/e2e-pod created\n");
    const pod = async () => JSON.parse(await run("get pod e2e-pod -o json"));
    assert.equal((await pod()).spec.restartPolicy, "Never");
    const patch = `{"spec":{"containers":[{"name":"e2e-pod","image":"example.com/busybox:1"}]}}`;
    await run(["patch", "pod", "e2e-pod", "-p", patch, "--dry-run=server"]);
    assert.equal((await pod()).spec.containers[0].image, "example.com/httpd:1");
    const changed = await pod();
    changed.spec.containers[0].image = "example.com/busybox:2";
    await run("replace -f -", JSON.stringify(changed));
    assert.equal((await pod()).spec.containers[0].image, "example.com/busybox:2");
    await run("delete pod e2e-pod --now");
    await run("create -f -", deployment(1));
    assert.match(
      await run("diff -f -", deployment(1, "example.com/other:3"), 1),
      /^\+.*image: example\.com\/other:3$/m,
    );
    await run("delete deployment web");
  });

  // conformance: Kubectl client Proxy server should support --unix-socket=/path
  test("kubectl: proxy serves the API on a socket", async (t) => {
    const socketPath = path.join(directory, "proxy.sock");
    const child: ChildProcess = spawn(kubectl, ["proxy", `--unix-socket=${socketPath}`], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(async () => {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    });
    assert.ok(child.stdout);
    await once(child.stdout, "data");
    const [answer] = await once(get({ socketPath, path: "/api/" }), "response");
    assert.match(await text(answer), /"kind": ?"APIVersions"/);
  });

  // conformance: Kubectl client Proxy server should support proxy with --port 0
  test("kubectl: proxy serves the API on a local port", async (t) => {
    const child: ChildProcess = spawn(kubectl, ["proxy", "--port=0"], { env, stdio: ["ignore", "pipe", "inherit"] });
    t.after(async () => {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    });
    assert.ok(child.stdout);
    const [line] = await once(child.stdout.setEncoding("utf8"), "data");
    const port = /127\.0\.0\.1:(\d+)/.exec(String(line))?.[1];
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/namespaces/default`);
    assert.equal(((await answer.json()) as { kind: string }).kind, "Namespace");
  });
});
