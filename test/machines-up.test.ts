/** `sampan up --nodes 3`: three nodes on one machine, each with namespaces and a containerd of its own; they outlive what goes wrong, and `down` ends them all. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { Node, Pod } from "#api";
import { leftovers, startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const why = whyNoCluster() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static");
const image = "demo/busybox:1";
const fetching =
  "fetch(process.argv[1], { signal: AbortSignal.timeout(5000) }).then((answer) => answer.text()).then((text) => process.stdout.write(text))";
const first = hostname().toLowerCase();
const names = [first, `${first}-2`, `${first}-3`];

suite("machines", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  const read = async <T>(what: string) =>
    JSON.parse(await cluster.kubectl("get", ...what.split(" "), "-o", "json")) as { items: T[] }; // of that kind
  const pods = async () => {
    const { items } = await read<Pod>("pods -l app=web");
    return names.map((name) => items.find(({ spec }) => spec?.nodeName === name));
  };
  const readyPods = (but: readonly (string | undefined)[] = []) =>
    cluster.until(async () => {
      const found = await pods();
      const isReady = (pod: Pod | undefined) =>
        pod?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") &&
        !but.includes(pod.metadata.uid);
      return found.every(isReady) ? found.filter((pod) => pod !== undefined) : undefined;
    }, "a pod on each node is ready");
  /** What HTTP answers there; busybox's own clients can't resolve names when linked statically. */
  const ask = async (from: Pod, host = "") => {
    const script =
      'exec 3<>/dev/tcp/$0/80; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; busybox timeout 5 busybox tail -n 1 <&3';
    return cluster.kubectl("exec", from.metadata.name ?? "", "--", "bash", "-c", script, host);
  };
  const ids = (all: readonly Pod[]) => all.map(({ status }) => status?.containerStatuses?.[0]?.containerID);

  before(async () => {
    cluster = await startTestCluster("--nodes", "3");
    const files = ["busybox", "sh"]
      .flatMap((name) => ["--file", `/bin/busybox:/bin/${name}`])
      .concat("--file", "/bin/bash:/bin/bash");
    await cluster.sampan("image", "pack", image, ...files);
    const script =
      'hostname > /tmp/index.html; trap exit TERM; httpd -p 80 -h /tmp; echo "I am $NODE"; sleep 3600 & wait';
    const daemonSet = {
      ...{ apiVersion: "apps/v1", kind: "DaemonSet", metadata: { name: "web" } },
      spec: {
        selector: { matchLabels: { app: "web" } },
        template: {
          metadata: { labels: { app: "web" } },
          spec: {
            terminationGracePeriodSeconds: 1,
            volumes: [{ name: "tmp", emptyDir: { medium: "Memory" } }],
            containers: [
              {
                ...{ name: "c", image, command: ["/bin/sh", "-c", script] },
                env: [{ name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }],
                volumeMounts: [{ name: "tmp", mountPath: "/tmp" }],
                readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 },
              },
            ],
          },
        },
      },
    };
    const service = {
      ...{ apiVersion: "v1", kind: "Service", metadata: { name: "web" } },
      spec: { selector: { app: "web" }, type: "NodePort", ports: [{ port: 80, nodePort: 30080 }] },
    };
    await cluster.kubectlInput(
      JSON.stringify({ apiVersion: "v1", kind: "List", items: [daemonSet, service] }),
      "create",
    );
  });
  after(() => cluster?.close());

  test("machines: three nodes with addresses and pod ranges of their own; each pod reaches each", async () => {
    const { items } = await read<Node>("nodes");
    assert.deepEqual(items.map(({ metadata }) => metadata.name).sort(), [...names].sort());
    const ips = names.map(
      (name) => items.find(({ metadata }) => metadata.name === name)?.status?.addresses?.[0]?.address,
    );
    assert.deepEqual(ips, ["172.30.240.1", "172.30.240.2", "172.30.240.3"]);
    assert.equal(new Set(items.map(({ spec }) => spec?.podCIDR)).size, 3);
    assert.equal(items.find(({ metadata }) => metadata.name === first)?.spec?.podCIDR, "10.244.0.0/24");
    const all = await readyPods();
    for (const from of all)
      for (const to of all) {
        const name = to.metadata.name ?? "";
        const got = await ask(from, to.status?.podIP);
        assert.equal(got.trim(), name);
      }
    for (const pod of all)
      assert.equal((await cluster.kubectl("logs", pod.metadata.name ?? "")).trim(), `I am ${pod.spec?.nodeName}`);
  });

  test("machines: Services by name, cluster address and node port from every node", async () => {
    const all = await readyPods();
    for (const from of all)
      for (const host of ["web", "web.default.svc.cluster.local"]) assert.match(await ask(from, host), /^web-/);
    for (const ip of ["172.30.240.1", "172.30.240.2", "172.30.240.3"])
      assert.match(await cluster.run(process.execPath, "-e", fetching, `http://${ip}:30080/`), /^web-/);
  });

  test("machines: an agent that dies is started again, and its pods go on", async () => {
    const before = ids(await readyPods());
    const record = path.join(cluster.dataDir, "nodes", `${first}-2`, "agent.pid");
    const pid = () => (JSON.parse(readFileSync(record, "utf8")) as { pid: number }).pid;
    const old = pid();
    process.kill(old, "SIGKILL");
    await cluster.until(async () => (pid() === old ? undefined : true), "there is another agent");
    assert.match(cluster.log(), new RegExp(`a node's agent ended; it is started again node=${first}-2 how=SIGKILL`));
    await cluster.until(
      async () => (cluster.log().split(`node ${first}-2 is ready for pods`).length > 2 ? true : undefined),
      "it is ready again",
    );
    assert.deepEqual(ids(await readyPods()), before);
  });

  for (const how of ["SIGKILL", "SIGTERM"] as const)
    test(`machines: pods of all nodes go on when up ends by ${how}, and the next up takes them over`, async () => {
      const before = ids(await readyPods());
      await cluster.stop(how);
      await cluster.start("--nodes", "3");
      assert.deepEqual(ids(await readyPods()), before);
      const [, second] = await readyPods();
      assert.match(await cluster.kubectl("exec", second?.metadata.name ?? "", "--", "busybox", "hostname"), /^web-/);
    });

  test("machines: an up with fewer nodes ends the others, and one with more has them again", async () => {
    await cluster.stop("SIGTERM");
    await cluster.start("--nodes", "2");
    const left = async () => (await read<Node>("nodes")).items.map(({ metadata }) => metadata.name).sort();
    await cluster.until(async () => ((await left()).length === 2 ? true : undefined), "the third node is gone");
    assert.deepEqual(await left(), names.slice(0, 2).sort());
    const folder = path.join(cluster.dataDir, "nodes", `${first}-3`);
    assert.equal(existsSync(path.join(folder, "machine.json")), false);
    assert.doesNotMatch(await cluster.run("ip", "-o", "link"), /sampan-lan2/);
    await cluster.stop("SIGTERM");
    await cluster.start("--nodes", "3");
    await readyPods();
  });

  test("machines: after a crash of up and an agent, down leaves nothing, and the cluster comes back", async () => {
    const before = await readyPods();
    await cluster.stop("SIGKILL");
    assert.match(await cluster.sampan("down"), /^down/);
    assert.deepEqual(await leftovers(cluster), []);
    await cluster.start("--nodes", "3");
    const now = await readyPods();
    assert.ok(ids(now).every((id) => !ids(before).includes(id)));
  });
});
