/** Logs, commands, ports and proxies with a stock kubectl and real containers, over WebSocket and over SPDY. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
const busybox = ["/bin/busybox", "/usr/bin/busybox"].find(existsSync);
const why = whyNoCluster() ?? (busybox ? undefined : "needs busybox-static");
const applets = ["sh", "cat", "echo", "sleep", "ls", "tar", "head", "wc", "dd", "httpd", "stty", "mkdir", "md5sum"];

/** What a kubectl is told to speak. */
const modes = {
  WebSocket: [],
  SPDY: ["KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false", "KUBECTL_PORT_FORWARD_WEBSOCKETS=false"],
} as const;

interface Failure {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

suite("streaming", { skip: why ?? false }, () => {
  let cluster: TestCluster;

  before(async () => {
    cluster = await startTestCluster();
    const files = ["busybox", ...applets].flatMap((name) => ["--file", `${busybox}:/bin/${name}`]);
    await cluster.sampan("image", "pack", image, ...files);
    const pod = (name: string, container: object) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, labels: { app: name } },
      spec: {
        terminationGracePeriodSeconds: 0,
        restartPolicy: name === "crash" ? "Always" : "Never",
        containers: [{ name: "c", image, imagePullPolicy: "Never", ...container }],
      },
    });
    const page = `<a href="/there">there</a>`;
    const serve = `mkdir -p /www/x && echo '${page}' > /www/index.html && echo hello > /www/hello && httpd -f -p 80 -h /www`;
    const pods = [
      pod("web", { command: ["sh", "-c", serve], ports: [{ containerPort: 80 }] }),
      pod("shell", { command: ["sh"], stdin: true, tty: true }),
      pod("reader", { command: ["cat"], stdin: true }),
      // The runtime reads both outputs side by side: only time between them makes an order.
      pod("talk", {
        command: ["sh", "-c", "for i in 1 2 3; do echo line $i; done; sleep 1; echo complaint >&2; sleep 3600"],
      }),
      pod("crash", { command: ["sh", "-c", "echo run; exit 3"] }),
    ];
    await cluster.kubectlInput(JSON.stringify({ apiVersion: "v1", kind: "List", items: pods }), "create");
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "pod/shell", "pod/reader", "pod/talk");
  });
  after(() => cluster?.close());

  const shell = (script: string, env: readonly string[] = []) => cluster.run("env", ...env, "sh", "-c", script);
  async function fails(work: Promise<string>): Promise<Failure> {
    try {
      assert.fail(`succeeded: ${await work}`);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return error as Failure; // of a child process
    }
  }

  for (const [mode, env] of Object.entries(modes)) {
    const kubectl = (...args: string[]) => cluster.run("env", ...env, "kubectl", ...args);

    test(`${mode}: exec answers on both outputs and with the exit code`, async () => {
      assert.equal(await kubectl("exec", "talk", "--", "echo", "in here"), "in here\n");
      const failure = await fails(kubectl("exec", "talk", "--", "sh", "-c", "echo out; echo err >&2; exit 7"));
      assert.equal(failure.code, 7);
      assert.equal(failure.stdout, "out\n");
      assert.match(failure.stderr, /^err\ncommand terminated with exit code 7\n$/);
    });

    test(`${mode}: exec of what isn't there says so`, async () => {
      const { stderr } = await fails(kubectl("exec", "talk", "--", "nosuch"));
      assert.match(stderr, /exec: "nosuch": executable file not found in \$PATH/);
    });

    test(`${mode}: input comes in, to its end, also megabytes`, async () => {
      assert.equal(await shell("echo typed | kubectl exec -i talk -- cat", env), "typed\n");
      const sums = await shell(
        "head -c 5000000 /dev/urandom > noise && md5sum < noise && kubectl exec -i talk -- cat < noise | md5sum",
        env,
      ).finally(() => cluster.run("rm", "-f", "noise"));
      const [sent, received] = sums.trim().split("\n");
      assert.equal(received, sent);
    });

    test(`${mode}: a terminal has the size of ours`, async () => {
      // A program may be faster than the first size, and busybox calls having none a success.
      const look = String.raw`while [ x = x\$size ]; do size=\$(stty size 2>/dev/null); done; echo \$size; exit 5`;
      const inner = `stty rows 33 cols 99; kubectl exec -it talk -- sh -c '${look}'`;
      const failure = await fails(shell(`script -qefc "${inner}" /dev/null < /dev/null`, env));
      assert.equal(failure.code, 5);
      assert.match(failure.stdout, /33 99/);
    });

    test(`${mode}: attach gives input to the program that runs`, async () => {
      const heard = `kubectl logs reader | grep -q "from ${mode}"`;
      await shell(`(echo from ${mode}; until ${heard}; do :; done) | timeout 30 kubectl attach -i reader`, env);
    });

    test(`${mode}: cp, there and back`, async () => {
      await shell(
        `head -c 300000 /dev/urandom > noise && kubectl cp noise talk:/noise-${mode} &&
         kubectl cp talk:/noise-${mode} noise2 && cmp noise noise2`,
        env,
      ).finally(() => cluster.run("rm", "-f", "noise", "noise2"));
    });

    test(`${mode}: port-forward carries connections, and says why when nobody listens`, async () => {
      const forward = (ports: string, client: string) =>
        shell(
          `kubectl port-forward pod/web ${ports} > forward.log 2>&1 & pid=$!
           until grep -q Forwarding forward.log; do :; done
           ${client}; kill $pid 2>/dev/null; wait $pid; cat forward.log; rm forward.log`,
          env,
        );
      const get = "busybox wget -q -O - http://127.0.0.1:18080/hello";
      assert.match(await forward("18080:80", `${get}; ${get}; ${get}`), /^hello\nhello\nhello\n/);
      const refused = await forward(
        "18081:81",
        "echo x | busybox nc -w 5 127.0.0.1 18081; until grep -q error forward.log; do :; done",
      );
      assert.match(refused, /error forwarding port 81 to pod .*connection refused/);
    });
  }

  // conformance: Kubectl client Kubectl logs should be able to retrieve and filter logs
  test("logs: all, the last, with times, of one stream, of the run before", async () => {
    const logs = (...args: string[]) => cluster.kubectl("logs", ...args);
    await cluster.until(
      async () => ((await logs("talk")).includes("complaint") ? true : undefined),
      "the pod has talked",
    );
    assert.deepEqual((await logs("talk")).split("\n").sort(), ["", "complaint", "line 1", "line 2", "line 3"]);
    assert.equal((await logs("talk", "--tail=1")).split("\n").length, 2);
    assert.match(await logs("talk", "--timestamps"), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\S+ line 1$/m);
    assert.equal(await logs("talk", "--since-time=2100-01-01T00:00:00Z"), "");
    assert.equal(await logs("talk", "--limit-bytes=4"), "line");
    const path = "/api/v1/namespaces/default/pods/talk/log?stream=Stderr";
    assert.equal(await cluster.kubectl("get", "--raw", path), "complaint\n");
    await cluster.until(
      async () => ((await logs("crash", "--previous").catch(() => "")) === "run\n" ? true : undefined),
      "the pod has crashed twice",
    );
    const failure = await fails(logs("talk", "--previous"));
    assert.match(failure.stderr, /previous terminated container "c" in pod "talk" not found/);
  });

  test("logs: a follower sees lines as they come and ends with the container", async () => {
    const script = "echo one; sleep 1; echo two; printf unfinished";
    await cluster.kubectl("run", "short", `--image=${image}`, "--restart=Never", "--command", "--", "sh", "-c", script);
    await cluster.kubectl("wait", "--for=jsonpath={.status.phase}!=Pending", "pod/short").catch(() => "");
    const text = await cluster.until(
      async () => (await cluster.kubectl("logs", "-f", "short").catch(() => undefined)) || undefined,
      "the pod has a log",
    );
    assert.equal(text, "one\ntwo\nunfinished");
  });

  test("proxies: pods, services and nodes, with links that lead through them", async () => {
    const raw = (path: string) => cluster.kubectl("get", "--raw", path);
    const pods = "/api/v1/namespaces/default/pods";
    assert.equal(await raw(`${pods}/web/proxy/hello`), "hello\n");
    assert.equal(await raw(`${pods}/http:web:80/proxy/`), `<a href="${pods}/http:web:80/proxy/there">there</a>\n`);
    await cluster.kubectl("expose", "pod", "web", "--port=8080", "--target-port=80", "--name=web");
    const service = "/api/v1/namespaces/default/services/web:8080/proxy";
    await cluster.until(
      async () => ((await raw(`${service}/hello`).catch(() => "")) === "hello\n" ? true : undefined),
      "the service leads to the pod",
    );
    const node = (await cluster.kubectl("get", "nodes", "-o", "name")).trim().replace("node/", "");
    assert.equal(await raw(`/api/v1/nodes/${node}/proxy/healthz`), "ok");
    assert.match(await raw(`/api/v1/nodes/${node}:10250/proxy/runningpods/`), /"name":"web"/);
  });

  test("older WebSocket protocols: exec and port-forward as the runtime speaks them", async () => {
    // The client must be in the cluster's network.
    const client = path.join(import.meta.dirname, "old-websockets.ts");
    const out = await cluster.run("env", "-u", "NODE_TEST_CONTEXT", process.execPath, client);
    assert.deepEqual(JSON.parse(out), { exec: "old\n", status: "Success", forwarded: true });
  });
});
