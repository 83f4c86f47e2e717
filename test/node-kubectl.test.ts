/** What people do with a node through kubectl: logs of many containers, floods, long lines, debugging, ports. Real containers. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
const busybox = ["/bin/busybox", "/usr/bin/busybox"].find(existsSync);
const why = whyNoCluster() ?? (busybox ? undefined : "needs busybox-static");
const applets = ["sh", "cat", "echo", "sleep", "ls", "head", "tr", "wc", "httpd", "mkdir", "seq", "stty", "yes"];
/** What may be on its way in the node, the API server and the sockets between them. */
const floodBytesMax = 120e6;

suite("a node through kubectl", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  let node: string;
  const kubectl = (...args: string[]) => cluster.kubectl(...args);
  const shell = (script: string) => cluster.run("sh", "-c", script);
  const container = (name: string, script: string) => ({
    name,
    image,
    imagePullPolicy: "Never",
    command: ["sh", "-c", script],
  });
  const pod = (name: string, spec: object) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: { terminationGracePeriodSeconds: 0, restartPolicy: "Never", ...spec },
  });

  before(async () => {
    cluster = await startTestCluster();
    const files = ["busybox", ...applets].flatMap((name) => ["--file", `${busybox}:/bin/${name}`]);
    await cluster.sampan("image", "pack", image, ...files);
    node = (await kubectl("get", "nodes", "-o", "name")).trim().replace("node/", "");
    const serve = "mkdir /www; echo hello > /www/hello; exec httpd -f -p 80 -h /www";
    const items = [
      pod("many", {
        initContainers: [container("first", "echo begun")],
        containers: [container("a", "seq 3; sleep 3600"), container("b", "echo alone; sleep 3600")],
      }),
      pod("long", {
        containers: [container("c", "head -c 8000000 /dev/zero | tr '\\0' x; echo; echo end; sleep 3600")],
      }),
      pod("web", { containers: [container("c", serve)] }),
    ];
    await cluster.kubectlInput(JSON.stringify({ apiVersion: "v1", kind: "List", items }), "create");
    await kubectl("wait", "--for=condition=Ready", "pod/many", "pod/long", "pod/web");
  });
  after(() => cluster?.close());

  const sorted = (text: string) => text.trim().split("\n").sort();

  test("logs: all containers, each named, the last lines with their times, since when", async () => {
    const logs = (...args: string[]) => kubectl("logs", "many", "--all-containers", "--prefix", ...args);
    const all = ["[pod/many/a] 1", "[pod/many/a] 2", "[pod/many/a] 3", "[pod/many/b] alone", "[pod/many/first] begun"];
    await cluster.until(async () => sorted(await logs()).length === all.length || undefined, "all have spoken");
    assert.deepEqual(sorted(await logs()), all);
    const last = sorted(await logs("--tail=1", "--since=1h", "--timestamps"));
    assert.deepEqual(
      last.map((line) => line.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\S+/, "TIME")),
      ["[pod/many/a] TIME 3", "[pod/many/b] TIME alone", "[pod/many/first] TIME begun"],
    );
    // Followed until two of them have nothing more to say.
    const followed = await shell(
      `kubectl logs many --all-containers --prefix -f --tail=2 --since=1h > follow.log & pid=$!
       until [ "$(wc -l < follow.log)" -ge 4 ]; do :; done; kill $pid; cat follow.log; rm follow.log`,
    );
    assert.deepEqual(sorted(followed), all.slice(1));
  });

  test("logs: a line of megabytes comes whole, and so does its end", async () => {
    await cluster.until(async () => (await kubectl("logs", "long", "--tail=1")) === "end\n" || undefined, "the end");
    assert.equal((await shell("kubectl logs long | wc -c")).trim(), String(8_000_000 + 1 + 4));
    assert.equal(await kubectl("logs", "long", "--limit-bytes=3"), "xxx");
  });

  test("exec: a flood waits for a slow reader, memory doesn't grow with it", async () => {
    const { pid } = cluster.process;
    const memory = (field: string) =>
      Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
    const before = memory("VmRSS");
    // Forgets the highest so far.
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
    const slow = "(busybox dd bs=1 count=200000 of=/dev/null 2>/dev/null; wc -c)";
    const count = await shell(`kubectl exec many -c a -- head -c 200000000 /dev/zero | ${slow}`);
    assert.equal(count.trim(), String(200_000_000 - 200_000));
    const grown = memory("VmHWM") - before;
    assert.ok(grown < floodBytesMax, `${Math.round(grown / 1e6)} MB more than before`);
  });

  test("debug: a container beside the others, a copy of the pod, the node itself", async () => {
    const debug = (...args: string[]) => kubectl("debug", "--image-pull-policy=Never", ...args);
    await debug("many", `--image=${image}`, "--target=a", "-c", "look", "--", "sh", "-c", "ls /proc; cat /proc/1/comm");
    const text = await cluster.until(async () => {
      const said = await kubectl("logs", "many", "-c", "look").catch(() => "");
      return said.includes("self") ? said : undefined;
    }, "the debugger has looked");
    assert.match(text, /^(sh|sleep)$/m);
    const again = await kubectl(
      "get",
      "pod",
      "many",
      "-o",
      "jsonpath={.spec.ephemeralContainers[0].targetContainerName}",
    );
    assert.equal(again, "a");

    await debug("many", `--image=${image}`, "--copy-to=copy", "-c", "look", "--", "sh", "-c", "echo copied");
    const copied = await cluster.until(async () => {
      const said = await kubectl("logs", "copy", "-c", "look").catch(() => "");
      return said || undefined;
    }, "the copy's debugger has spoken");
    assert.equal(copied, "copied\n");

    const made = await debug(`node/${node}`, `--image=${image}`, "--profile=sysadmin", "--", "ls", "/host");
    const [, name = ""] = /pod (\S+) with/.exec(made) ?? [];
    const listed = await cluster.until(
      async () => (await kubectl("logs", name).catch(() => "")) || undefined,
      "the node's folders are listed",
    );
    assert.match(listed, /^etc$/m);
  });

  test("run -it --rm: a terminal on a pod that goes with it", async () => {
    const command = `kubectl run once --rm -it --image=${image} --image-pull-policy=Never --restart=Never --command -- sh -c 'read word; echo said \\$word'`;
    // What is typed before the terminal is attached is still read; input must not end before the pod has.
    const text = await shell(
      `(echo hello; until grep -q deleted run.log; do :; done) | timeout 40 script -qefc "${command}" run.log; rm run.log`,
    );
    assert.match(text, /said hello[\s\S]*pod "once" deleted/);
    assert.equal(await kubectl("get", "pods", "-o", "name", "--field-selector=metadata.name=once"), "");
  });

  test("port-forward: many connections at once, no UDP", async () => {
    const forward = (client: string) =>
      shell(
        `kubectl port-forward pod/web 18080:80 > forward.log 2>&1 & pid=$!
         until grep -q Forwarding forward.log; do :; done
         ${client}; kill $pid; wait $pid 2>/dev/null; rm forward.log`,
      );
    const get = "busybox wget -q -O - http://127.0.0.1:18080/hello";
    const many = await forward(`for i in $(seq 20); do (${get}) & all="$all $!"; done; wait $all`);
    assert.equal(many, "hello\n".repeat(20));
    await kubectl("create", "service", "clusterip", "plain", "--tcp=53");
    const patch = JSON.stringify({ spec: { selector: { app: "web" }, ports: [{ port: 53, protocol: "UDP" }] } });
    await kubectl("patch", "service", "plain", "--type=merge", "-p", patch);
    await assert.rejects(kubectl("port-forward", "service/plain", "18053:53"), /UDP protocol is not supported for 53/);
  });

  test("a node's own WebSockets: kubectl's newest protocols, without the API server", async () => {
    const client = path.join(import.meta.dirname, "node-websocket.ts");
    const out = await cluster.run("env", "-u", "NODE_TEST_CONTEXT", process.execPath, client);
    assert.deepEqual(JSON.parse(out), {
      protocol: "v5.channel.k8s.io",
      out: "typed\n",
      status: "Success",
      tunnel: true,
    });
  });
});
