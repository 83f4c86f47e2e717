/** Network policies on real containers: what pods reach, from their first packet on. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, suite, test } from "node:test";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
const busybox = "/bin/busybox";
const applets = ["sh", "httpd", "wget", "timeout", "sleep", "mkdir"];
const why = whyNoCluster() ?? (existsSync(busybox) ? undefined : "needs busybox-static");

suite("network policies", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  const kubectl = (...args: string[]) => cluster.kubectl(...args);
  const apply = (...objects: object[]) =>
    cluster.kubectlInput(JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }), "apply");
  const pod = (name: string, script: string, more: { labels?: object; container?: object } = {}) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name, ...more.labels } },
    spec: {
      terminationGracePeriodSeconds: 0,
      restartPolicy: "Never",
      containers: [{ name: "c", image, imagePullPolicy: "Never", command: ["sh", "-c", script], ...more.container }],
    },
  });
  const policy = (name: string, spec: object) => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name },
    spec,
  });
  /** What a pod gets of a page within a second; "" when nothing. */
  const get = (from: string, url: string) =>
    kubectl("exec", from, "--", "sh", "-c", `timeout 1 wget -q -O - ${url} || true`);
  const until = (from: string, url: string, answer: string) =>
    cluster.until(
      async () => ((await get(from, url)) === answer ? true : undefined),
      `${from} gets ${answer} of ${url}`,
    );
  const tables = () => cluster.run("nft", "list", "tables");
  const ours = "table inet sampan-policy";
  const app = (name: string) => ({ matchLabels: { app: name } });
  const byName = "http://web.default.svc.cluster.local/";

  before(async () => {
    cluster = await startTestCluster();
    await cluster.sampan(
      ...["image", "pack", image],
      ...["busybox", ...applets].flatMap((name) => ["--file", `${busybox}:/bin/${name}`]),
    );
    await apply(
      pod("web", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www", {
        container: {
          ports: [{ name: "http", containerPort: 8080 }],
          readinessProbe: { httpGet: { path: "/", port: "http" }, periodSeconds: 1 },
        },
      }),
      pod("client", "sleep 3600"),
      pod("other", "sleep 3600"),
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "web" },
        spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: "http" }] },
      },
    );
    await kubectl("wait", "pod/web", "pod/client", "pod/other", "--for=condition=Ready", "--timeout=60s");
  });
  after(() => cluster?.close());

  test("network policy: none, no table", async () => {
    await until("client", byName, "hello\n");
    assert.ok(!(await tables()).includes(ours));
  });

  test("network policy: default deny, but not to the kubelet's probes", async () => {
    await apply(policy("deny", { podSelector: {}, policyTypes: ["Ingress"] }));
    await until("client", byName, "");
    await kubectl("delete", "pod", "web", "--wait");
    await apply(
      pod("web", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www", {
        container: {
          ports: [{ name: "http", containerPort: 8080 }],
          readinessProbe: { httpGet: { path: "/", port: "http" }, periodSeconds: 1 },
        },
      }),
    );
    await kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s");
    assert.equal(await get("client", byName), "");
  });

  test("network policy: a label and a named port let in", async () => {
    const ingress = [{ from: [{ podSelector: { matchLabels: { role: "friend" } } }], ports: [{ port: "http" }] }];
    await apply(policy("allow", { podSelector: app("web"), ingress }));
    await kubectl("label", "pod", "client", "role=friend");
    await until("client", byName, "hello\n");
    assert.equal(await get("other", byName), "");
    await kubectl("label", "pod", "client", "role-");
    await until("client", byName, "");
    await kubectl("label", "pod", "client", "role=friend");
    await until("client", byName, "hello\n");
  });

  test("network policy: egress with the cluster's DNS, as it is written for other clusters", async () => {
    await apply(
      policy("out", {
        podSelector: app("client"),
        policyTypes: ["Egress"],
        egress: [{ to: [{ podSelector: app("web") }] }],
      }),
    );
    const address = `http://${(await kubectl("get", "pod", "web", "-o", "jsonpath={.status.podIP}")).trim()}:8080/`;
    await until("client", byName, "");
    assert.equal(await get("client", address), "hello\n", "the name isn't found, its owner is");
    await apply(
      policy("dns", {
        podSelector: {},
        policyTypes: ["Egress"],
        egress: [
          {
            to: [
              {
                namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } },
                podSelector: { matchLabels: { "k8s-app": "kube-dns" } },
              },
            ],
            ports: [
              { port: 53, protocol: "UDP" },
              { port: 53, protocol: "TCP" },
            ],
          },
        ],
      }),
    );
    await until("client", byName, "hello\n");
  });

  test("network policy: a pod is held from its first packet", async () => {
    const address = (await kubectl("get", "pod", "web", "-o", "jsonpath={.status.podIP}")).trim();
    await apply(
      policy("web", { podSelector: app("web"), ingress: [{}] }),
      policy("early", { podSelector: { matchLabels: { held: "yes" } }, policyTypes: ["Egress"] }),
    );
    const script = `exec 2> /dev/null; timeout 1 wget -q -O - http://${address}:8080/ || echo nothing`;
    const names = Array.from({ length: 5 }, (_, at) => `early-${at}`);
    await apply(...names.map((name) => pod(name, script, { labels: { held: "yes" } })));
    for (const name of names) {
      await kubectl("wait", `pod/${name}`, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s");
      assert.equal(await kubectl("logs", name), "nothing\n");
    }
  });

  test("network policy: the last one takes the table along; down takes it when there are some", async () => {
    await kubectl("delete", "networkpolicy", "--all");
    await until("other", byName, "hello\n");
    await cluster.until(async () => ((await tables()).includes(ours) ? undefined : true), "the table is gone");
    await apply(policy("deny", { podSelector: {}, policyTypes: ["Ingress"] }));
    await until("other", byName, "");
    assert.ok((await tables()).includes(ours));
    await cluster.sampan("down");
    assert.equal(await tables(), "");
  });
});
