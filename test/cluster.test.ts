/** The whole thing, as a person uses it: real containers, stock kubectl, in a namespace without a route out. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, suite, test } from "node:test";
import { leftovers, startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
/** Debian's static busybox crashes when its wget is given a time-out. */
const fetchProgram =
  "fetch(process.argv[1], { signal: AbortSignal.timeout(2000) }).then((r) => r.text()).then((t) => process.stdout.write(t))";
const why = whyNoCluster() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static");

suite("cluster", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  before(async () => {
    // Autoscalers are looked at oftener than anybody would wait for.
    cluster = await startTestCluster("--horizontal-pod-autoscaler-sync-period=2s");
    await cluster.sampan(
      "image",
      "pack",
      image,
      "--file",
      "/bin/busybox:/bin/busybox",
      "--file",
      "/bin/busybox:/bin/sh",
    );
  });
  after(() => cluster?.close());

  const get = async <T>(...args: string[]): Promise<T> =>
    JSON.parse(await cluster.kubectl("get", ...args, "-o", "json")) as T;
  const manifest = (name: string, script: string, more: object = {}) =>
    JSON.stringify({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          { name: "c", image, imagePullPolicy: "IfNotPresent", command: ["/bin/sh", "-c", script], ...more },
        ],
      },
    });

  test("cluster: the node is Ready and kubectl sees it", async () => {
    assert.match(await cluster.kubectl("get", "nodes"), / Ready /);
    assert.match(await cluster.kubectl("version"), /Server Version: v1\.36\./);
  });

  test("cluster: a deployment behind a service answers by name, by cluster address and by node port", async () => {
    await cluster.kubectl(
      "create",
      "deployment",
      "web",
      `--image=${image}`,
      "--replicas=2",
      "--",
      "/bin/sh",
      "-c",
      "echo hello > /tmp/index.html; busybox httpd -f -p 80 -h /tmp",
    );
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    await cluster.kubectl("expose", "deployment", "web", "--port=80", "--type=NodePort");
    const service = await get<{ spec: { clusterIP: string; ports: { nodePort: number }[] } }>("service", "web");
    const node = await get<{ status: { addresses: { address: string }[] } }>(
      "node",
      (await cluster.kubectl("get", "nodes", "-o", "name")).trim().replace("node/", ""),
    );
    const fetch = (url: string) => cluster.run(process.execPath, "-e", fetchProgram, url).catch(() => undefined);
    const answers = (url: string) =>
      cluster.until(async () => ((await fetch(url)) === "hello\n" ? true : undefined), url, 20_000);
    await answers(`http://${service.spec.clusterIP}/`);
    await answers(`http://${node.status.addresses[0]?.address}:${service.spec.ports[0]?.nodePort}/`);
    await cluster.kubectlInput(
      manifest("client", "busybox wget -q -O - http://web.default.svc.cluster.local/ && sleep 3600"),
      "create",
    );
    await cluster.until(
      async () => ((await cluster.kubectl("logs", "client").catch(() => "")) === "hello\n" ? true : undefined),
      "a pod asks by name",
    );
  });

  test("cluster: logs, exec and exit codes", async () => {
    await cluster.kubectlInput(manifest("talk", "echo one; echo two; while :; do busybox sleep 1; done"), "create");
    await cluster.kubectl("wait", "pod/talk", "--for=condition=Ready", "--timeout=60s");
    assert.equal(await cluster.kubectl("logs", "talk", "--tail=1"), "two\n");
    assert.equal(await cluster.kubectl("exec", "talk", "--", "/bin/sh", "-c", "echo in"), "in\n");
    await assert.rejects(cluster.kubectl("exec", "talk", "--", "/bin/sh", "-c", "exit 3"), /exit code 3/);
  });

  test("cluster: what pods burn is measured, shown and followed by an autoscaler", async () => {
    const template = {
      metadata: { labels: { app: "burn" } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: "c",
            image,
            imagePullPolicy: "IfNotPresent",
            command: ["/bin/sh", "-c", "while :; do :; done"],
            resources: { requests: { cpu: "50m" }, limits: { cpu: "200m" } },
          },
        ],
      },
    };
    const spec = { replicas: 1, selector: { matchLabels: { app: "burn" } }, template };
    const deployment = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "burn" }, spec };
    await cluster.kubectlInput(JSON.stringify(deployment), "create");
    await cluster.kubectl("rollout", "status", "deployment/burn", "--timeout=60s");
    await cluster.kubectl("autoscale", "deployment", "burn", "--min=1", "--max=3", "--cpu-percent=50");
    const readyOf = async () =>
      (await get<{ status: { readyReplicas?: number } }>("deployment", "burn")).status.readyReplicas;
    await cluster.until(async () => ((await readyOf()) === 3 ? true : undefined), "three that burn", 50_000);
    type Event = { reason: string; message: string; involvedObject: { kind: string } };
    const { items } = await get<{ items: Event[] }>("events");
    const rescale = items.find(({ reason }) => reason === "SuccessfulRescale");
    const above = "reason: cpu resource utilization (percentage of request) above target";
    assert.equal(rescale?.message, `New size: 3; ${above}`);
    assert.match(
      await cluster.kubectl("top", "pods", "--containers", "--no-headers", "-l", "app=burn"),
      /^burn-\S+ +c +[1-9]\d*m +\d+Mi/m,
    );
    const [[node = "", cpu = ""] = []] = (await cluster.kubectl("top", "nodes", "--no-headers"))
      .split("\n")
      .map((line) => line.split(/ +/));
    assert.match(cpu, /^[1-9]\d*m$/);
    const summary = JSON.parse(await cluster.kubectl("get", "--raw", `/api/v1/nodes/${node}/proxy/stats/summary`));
    const [pod] = summary.pods.filter(({ podRef }: { podRef: { name: string } }) => podRef.name.startsWith("burn-"));
    assert.ok(pod.containers[0].cpu.usageNanoCores > 0 && pod.memory.workingSetBytes > 0 && pod.network.rxBytes >= 0);
    assert.ok(summary.node.fs.usedBytes > 0 && summary.node.runtime.imageFs.capacityBytes > 0);
    await cluster.kubectl("delete", "deployment/burn", "hpa/burn");
  });

  // conformance: [sig-auth] ServiceAccounts should mount an API token into pods  [Conformance]
  // conformance: [sig-auth] ServiceAccounts should mount projected service account token [Conformance]
  test("cluster: a pod finds a token of its own, the authority and its namespace", async () => {
    const folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    const read = (file: string) => cluster.kubectl("exec", "talk", "--", "/bin/busybox", "cat", `${folder}/${file}`);
    assert.equal(await read("namespace"), "default");
    const authority = await get<{ data: Record<string, string> }>("configmap", "kube-root-ca.crt");
    assert.equal(await read("ca.crt"), authority.data["ca.crt"]);
    const review = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token: await read("token") },
    };
    const answer = await cluster.kubectlInput(JSON.stringify(review), "create", "-o", "json");
    const { user } = JSON.parse(answer).status;
    assert.equal(user.username, "system:serviceaccount:default:default");
    assert.deepEqual(user.extra["authentication.kubernetes.io/pod-name"], ["talk"]);
  });

  test("cluster: a Secret for an account's token is filled", async () => {
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      type: "kubernetes.io/service-account-token",
      metadata: { name: "old", annotations: { "kubernetes.io/service-account.name": "default" } },
    };
    await cluster.kubectlInput(JSON.stringify(secret), "create");
    const filled = () => get<{ data?: Record<string, string> }>("secret", "old");
    const { token = "" } = await cluster.until(async () => (await filled()).data, "it is filled");
    const spec = { token: Buffer.from(token, "base64").toString() };
    const review = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec };
    const answer = await cluster.kubectlInput(JSON.stringify(review), "create", "-o", "json");
    assert.equal(JSON.parse(answer).status.user.username, "system:serviceaccount:default:default");
  });

  test("cluster: a killed sampan adopts its pods, none is restarted", async () => {
    const pods = async () =>
      (
        await get<{
          items: {
            metadata: { uid: string };
            status: { phase: string; containerStatuses: { containerID: string; restartCount: number }[] };
          }[];
        }>("pods")
      ).items.map(({ metadata, status }) => [
        metadata.uid,
        status.phase,
        status.containerStatuses[0]?.containerID,
        status.containerStatuses[0]?.restartCount,
      ]);
    const before = await pods();
    await cluster.stop("SIGKILL");
    await cluster.start();
    assert.deepEqual(await pods(), before);
    assert.equal(await cluster.kubectl("exec", "talk", "--", "/bin/sh", "-c", "echo again"), "again\n");
  });

  test("cluster: a second up on the same folder is refused", async () => {
    await assert.rejects(cluster.sampan("up"), /runs with this data folder already/);
  });

  test("cluster: a namespace dies with all that is in it", async () => {
    await cluster.kubectl("create", "namespace", "gone");
    await cluster.kubectl(
      "create",
      "deployment",
      "x",
      "-n",
      "gone",
      `--image=${image}`,
      "--",
      "/bin/sh",
      "-c",
      "trap 'exit 0' TERM; while :; do busybox sleep 0.2; done",
    );
    await cluster.kubectl("delete", "namespace", "gone", "--timeout=60s");
    await assert.rejects(cluster.kubectl("get", "namespace", "gone"), /not found/);
  });

  test("cluster: down leaves no process, mount, interface, namespace or rule", async () => {
    await cluster.sampan("down");
    assert.deepEqual(await leftovers(cluster), []);
    assert.match(await cluster.sampan("down"), /^down/, "twice is like once");
  });
});
