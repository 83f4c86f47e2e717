/** How pods live and end, as Kubernetes' conformance suite asks for it (test/e2e/common/node, test/e2e/node), on real containers. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, suite, test } from "node:test";
import WebSocket from "ws";
import type { Pod } from "#api";
import type { ClusterApi, TestCluster } from "#testing";
import { containerOf, idle, type NodeCluster, podOf, startNodeCluster, whyNoPods } from "./node-pods.ts";

const merge = "application/merge-patch+json";
const strategic = "application/strategic-merge-patch+json";

suite("life of pods", { skip: whyNoPods ?? false }, () => {
  let node: NodeCluster;
  let cluster: TestCluster;
  let api: ClusterApi;
  before(async () => {
    node = await startNodeCluster();
    ({ cluster, api } = node);
  });
  after(() => node?.close());

  const create = (body: object) => api.call("POST", `${api.base}/pods`, body);
  const patch = (name: string, body: object, type = merge) => api.call("PATCH", `${api.base}/pods/${name}`, body, type);
  const remove = (name: string, options: object = { gracePeriodSeconds: 0 }) =>
    api.call("DELETE", `${api.base}/pods/${name}`, options);
  const gone = (name: string) => api.pod(name, (one) => one === undefined);
  const exec = (pod: string, ...command: string[]) =>
    cluster.kubectl("exec", pod, "-c", "c", "--", "busybox", ...command);
  const phase = (name: string, wanted: string) => api.pod(name, (one) => one?.status?.phase === wanted);
  const condition = (pod: Pod | undefined, type: string) => pod?.status?.conditions?.find((each) => each.type === type);
  const isReady = (pod: Pod | undefined) => condition(pod, "Ready")?.status === "True";
  const first = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0];
  const always = (container: object = {}, spec: object = {}) => ({
    container,
    spec: { restartPolicy: "Always", ...spec },
  });

  suite("side by side", { concurrency: true }, () => {
    suite("probes", { concurrency: true }, () => {
      const often = { periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 5 };
      const serve = (script: string) =>
        `mkdir() { busybox mkdir -p "$@"; }; mkdir /www/cgi-bin; ${script}; busybox chmod +x /www/cgi-bin/*; busybox httpd -f -p 8080 -h /www & trap exit TERM; wait`;
      const answer = (name: string, body: string) => `printf '#!/bin/sh\\n${body}\\n' > /www/cgi-bin/${name}`;
      const well = `echo x >> /hits; printf "Content-Type: text/plain\\\\r\\\\n\\\\r\\\\nok"`;
      const ill = 'printf "Status: 500 ill\\\\r\\\\nContent-Type: text/plain\\\\r\\\\n\\\\r\\\\nill"';

      const restarted = (behaviour: string, name: string, script: string, livenessProbe: object) =>
        test(`conformance: Probing container should be restarted with a ${behaviour} liveness probe`, async () => {
          await create(podOf(name, script, always({ livenessProbe: { ...often, ...livenessProbe } })));
          const pod = await api.pod(name, (one) => (first(one)?.restartCount ?? 0) >= 1);
          assert.equal(pod.status?.phase, "Running");
          await remove(name);
        });
      restarted(
        'exec "cat /tmp/health"',
        "liveness-exec",
        `busybox mkdir -p /tmp; echo ok > /tmp/health; busybox sleep 2; busybox rm /tmp/health; ${idle}`,
        { exec: { command: ["busybox", "cat", "/tmp/health"] }, initialDelaySeconds: 1 },
      );
      restarted("/healthz http", "liveness-http", serve(answer("healthz", ill)), {
        httpGet: { path: "/cgi-bin/healthz", port: 8080 },
        initialDelaySeconds: 1,
      });

      /** Probes count themselves in `/hits`: several have been good when the restarts are looked at. */
      const kept = (behaviour: string, name: string, script: string, livenessProbe: object) =>
        test(`conformance: Probing container should *not* be restarted with a ${behaviour} liveness probe`, async () => {
          await create(
            podOf(name, script, always({ livenessProbe: { ...often, initialDelaySeconds: 1, ...livenessProbe } })),
          );
          await phase(name, "Running");
          const hits = async () => (await exec(name, "cat", "/hits").catch(() => "")).split("\n").length;
          await cluster.until(async () => (await hits()) > 3 || undefined, "three probes");
          const pod = await phase(name, "Running");
          assert.equal(first(pod)?.restartCount, 0);
          await remove(name);
        });
      kept('exec "cat /tmp/health"', "alive-exec", idle, {
        exec: { command: ["/bin/sh", "-c", "echo x >> /hits; busybox cat /hits"] },
      });
      kept("/healthz http", "alive-http", serve(answer("healthz", well)), {
        httpGet: { path: "/cgi-bin/healthz", port: 8080 },
      });
      kept(
        "tcp:8080",
        "alive-tcp",
        "printf '#!/bin/sh\\necho x >> /hits' > /hit; busybox chmod +x /hit; exec busybox nc -ll -p 8080 -e /hit",
        {
          tcpSocket: { port: 8080 },
        },
      );

      test("conformance: Probing container should have monotonically increasing restart count", async () => {
        const livenessProbe = { ...often, exec: { command: ["busybox", "false"] } };
        await create(podOf("restarts", idle, always({ livenessProbe })));
        const seen: number[] = [];
        await api.pod("restarts", (one) => {
          const count = first(one)?.restartCount ?? 0;
          if (count !== seen.at(-1)) seen.push(count);
          return count >= 2;
        });
        assert.deepEqual(seen, [0, 1, 2]);
        await remove("restarts");
      });
      test("conformance: Probing container with readiness probe should not be ready before initial delay and never restart", async () => {
        const readinessProbe = { ...often, exec: { command: ["busybox", "true"] }, initialDelaySeconds: 3 };
        await create(podOf("ready-late", idle, always({ readinessProbe })));
        const pod = await api.pod("ready-late", isReady);
        const started = Date.parse(String(first(pod)?.state?.running?.startedAt));
        assert.ok(Date.parse(String(condition(pod, "Ready")?.lastTransitionTime)) - started >= 2000);
        assert.equal(first(pod)?.restartCount, 0);
      });
      test("conformance: Probing container with readiness probe that fails should never be ready and never restart", async () => {
        const readinessProbe = { ...often, exec: { command: ["/bin/sh", "-c", "echo x >> /hits; exit 1"] } };
        await create(podOf("never-ready", idle, always({ readinessProbe })));
        let wasReady = false;
        await api.pod("never-ready", (one) => {
          wasReady ||= isReady(one);
          return one?.status?.phase === "Running";
        });
        const hits = async () => (await exec("never-ready", "cat", "/hits").catch(() => "")).split("\n").length;
        await cluster.until(async () => (await hits()) > 3 || undefined, "three probes");
        const pod = await api.pod("never-ready", (one) => {
          wasReady ||= isReady(one);
          return true;
        });
        assert.equal(wasReady, false);
        assert.equal(first(pod)?.restartCount, 0);
      });

      suite("hooks", { concurrency: true }, () => {
        let address = "";
        before(async () => {
          const hit = `echo $QUERY_STRING >> /hits; printf "Content-Type: text/plain\\\\r\\\\n\\\\r\\\\nok"`;
          await create(podOf("hooked", serve(answer("hit", hit)), always()));
          address = (await api.pod("hooked", isReady)).status?.podIP ?? "";
        });
        const hooks = (what: string) => ({
          exec: {
            exec: { command: ["/bin/sh", "-c", `busybox wget -q -O - http://${address}:8080/cgi-bin/hit?${what}`] },
          },
          http: { httpGet: { host: address, port: 8080, path: `/cgi-bin/hit?${what}` } },
        });
        const heard = (what: string) =>
          cluster.until(
            async () => (await exec("hooked", "cat", "/hits").catch(() => "")).includes(what) || undefined,
            what,
          );
        for (const kind of ["exec", "http"] as const) {
          const about = (when: string) =>
            `conformance: Container Lifecycle Hook when create a pod with lifecycle hook should execute ${when} ${kind} hook properly`;
          test(about("poststart"), async () => {
            const what = `after-${kind}`;
            await create(podOf(what, idle, always({ lifecycle: { postStart: hooks(what)[kind] } })));
            await api.pod(what, isReady);
            await heard(what);
            await remove(what);
          });
          test(about("prestop"), async () => {
            const what = `before-${kind}`;
            await create(
              podOf(
                what,
                idle,
                always({ lifecycle: { preStop: hooks(what)[kind] } }, { terminationGracePeriodSeconds: 15 }),
              ),
            );
            await api.pod(what, isReady);
            await remove(what, {});
            await gone(what);
            await heard(what);
          });
        }
        test("conformance: PreStop should call prestop when killing a pod", async () => {
          const preStop = hooks("killed").exec;
          await create(
            podOf("killed", idle, always({ lifecycle: { preStop } }, { terminationGracePeriodSeconds: 15 })),
          );
          await api.pod("killed", isReady);
          await cluster.kubectl("delete", "pod", "killed");
          await heard("killed");
        });
      });
    });

    suite("init containers", { concurrency: true }, () => {
      const init = (name: string, script: string) => containerOf(name, script);
      const what = "conformance: InitContainer";
      for (const restartPolicy of ["Never", "Always"])
        test(`${what} should invoke init containers on a Restart${restartPolicy} pod`, async () => {
          const name = `init-${restartPolicy.toLowerCase()}`;
          const initContainers = [init("init1", "exit 0"), init("init2", "exit 0")];
          const script = restartPolicy === "Never" ? "exit 0" : idle;
          await create(podOf(name, script, { spec: { restartPolicy, initContainers } }));
          const pod = await phase(name, restartPolicy === "Never" ? "Succeeded" : "Running");
          assert.equal(condition(pod, "Initialized")?.status, "True");
          for (const { state, ready } of pod.status?.initContainerStatuses ?? []) {
            assert.equal(state?.terminated?.exitCode, 0);
            assert.equal(ready, true);
          }
          assert.equal(pod.status?.initContainerStatuses?.length, 2);
        });
      test(`${what} should not start app containers if init containers fail on a RestartAlways pod`, async () => {
        const initContainers = [init("init1", "exit 1"), init("init2", "exit 0")];
        await create(podOf("init-fails", idle, always({}, { initContainers })));
        const pod = await api.pod(
          "init-fails",
          (one) => (one?.status?.initContainerStatuses?.[0]?.restartCount ?? 0) >= 1,
        );
        assert.equal(pod.status?.phase, "Pending");
        assert.equal(condition(pod, "Initialized")?.reason, "ContainersNotInitialized");
        assert.equal(condition(pod, "Initialized")?.message, "containers with incomplete status: [init1 init2]");
        assert.equal(first(pod)?.state?.waiting?.reason, "PodInitializing");
        await remove("init-fails");
      });
      test(`${what} should not start app containers and fail the pod if init containers fail on a RestartNever pod`, async () => {
        const initContainers = [init("init1", "exit 0"), init("init2", "exit 1")];
        await create(podOf("init-ends", idle, { spec: { initContainers } }));
        const pod = await phase("init-ends", "Failed");
        const [one, two] = pod.status?.initContainerStatuses ?? [];
        assert.equal(one?.state?.terminated?.exitCode, 0);
        assert.equal(two?.state?.terminated?.exitCode, 1);
        assert.equal(first(pod)?.state?.waiting?.reason, "PodInitializing");
        assert.equal(condition(pod, "Initialized")?.status, "False");
      });
    });

    suite("ephemeral containers", { concurrency: true }, () => {
      const add = (pod: string, ephemeralContainers: object[]) =>
        api.call("PATCH", `${api.base}/pods/${pod}/ephemeralcontainers`, { spec: { ephemeralContainers } }, strategic);
      const debug = (name: string) => containerOf(name, `echo polo ${name}; ${idle}`);
      const says = async (pod: string, container: string) => {
        await api.pod(pod, (one) =>
          Boolean(one?.status?.ephemeralContainerStatuses?.find(({ name }) => name === container)?.state?.running),
        );
        await cluster.until(
          async () =>
            (await api.text(`${api.base}/pods/${pod}/log?container=${container}`)) === `polo ${container}\n` ||
            undefined,
          "its log",
        );
      };
      test("conformance: Ephemeral Containers will start an ephemeral container in an existing pod", async () => {
        await create(podOf("debugged", idle));
        await phase("debugged", "Running");
        await add("debugged", [debug("debugger")]);
        await says("debugged", "debugger");
      });
      test("conformance: Ephemeral Containers should update the ephemeral containers in an existing pod", async () => {
        await create(podOf("debugged-twice", idle));
        await phase("debugged-twice", "Running");
        await add("debugged-twice", [debug("one")]);
        await says("debugged-twice", "one");
        const target = `${api.base}/pods/debugged-twice/ephemeralcontainers`;
        const pod = await api.call("GET", target);
        const spec = pod.spec as { ephemeralContainers: object[] };
        spec.ephemeralContainers.push(debug("two"));
        await api.call("PUT", target, pod);
        await says("debugged-twice", "two");
        assert.equal((await api.pod("debugged-twice", () => true)).spec?.ephemeralContainers?.length, 2);
      });
    });

    suite("pods of the API", { concurrency: true }, () => {
      test("conformance: Pods should get a host IP", async () => {
        await create(podOf("host-ip", idle));
        const pod = await phase("host-ip", "Running");
        assert.match(pod.status?.hostIP ?? "", /^\d+\.\d+\.\d+\.\d+$/);
        assert.equal(pod.status?.hostIPs?.[0]?.ip, pod.status?.hostIP);
      });
      test("conformance: Pods should be submitted and removed", async () => {
        await create(
          podOf("submitted", idle, {
            metadata: { labels: { name: "foo" } },
            spec: { terminationGracePeriodSeconds: 5 },
          }),
        );
        await phase("submitted", "Running");
        assert.equal((await api.call("GET", `${api.base}/pods?labelSelector=name=foo`)).items.length, 1);
        await remove("submitted", {});
        // It is shown as ending until its container has, and only then not any more.
        const ending = await api.pod("submitted", (one) => one?.metadata.deletionTimestamp !== undefined);
        assert.equal(ending.metadata.deletionGracePeriodSeconds, 5);
        await gone("submitted");
        assert.equal((await api.call("GET", `${api.base}/pods?labelSelector=name=foo`)).items.length, 0);
      });
      test("conformance: Pods should be updated", async () => {
        await create(podOf("updated", idle, { metadata: { labels: { time: "one" } } }));
        const pod = await phase("updated", "Running");
        const found = (await api.call("GET", `${api.base}/pods/updated`)) as unknown as Pod;
        await api.call("PUT", `${api.base}/pods/updated`, {
          ...found,
          metadata: { ...found.metadata, labels: { time: "two" } },
        });
        assert.equal((await api.call("GET", `${api.base}/pods?labelSelector=time=two`)).items.length, 1);
        const after = await phase("updated", "Running");
        assert.equal(first(after)?.containerID, first(pod)?.containerID);
      });
      test("conformance: Pods should allow activeDeadlineSeconds to be updated", async () => {
        await create(podOf("deadline", idle, { spec: { activeDeadlineSeconds: 3600 } }));
        await phase("deadline", "Running");
        await patch("deadline", { spec: { activeDeadlineSeconds: 1 } });
        const pod = await phase("deadline", "Failed");
        assert.equal(pod.status?.reason, "DeadlineExceeded");
      });
      test("conformance: Pods should patch a pod status", async () => {
        await create(podOf("patched", idle));
        await phase("patched", "Running");
        const conditions = [{ type: "StatusUpdate", status: "True" }];
        const body = { status: { message: "Patched by e2e test", reason: "E2E", conditions } };
        const answer = (await api.call("PATCH", `${api.base}/pods/patched/status`, body, strategic)) as unknown as Pod;
        assert.equal(answer.status?.message, "Patched by e2e test");
        assert.equal(answer.status?.reason, "E2E");
        // The node keeps what others say.
        assert.equal(condition(answer, "StatusUpdate")?.status, "True");
      });
      test("conformance: Pods should delete a collection of pods", async () => {
        const names = ["test-pod-1", "test-pod-2", "test-pod-3"];
        for (const name of names) await create(podOf(name, idle, { metadata: { labels: { type: "Testing" } } }));
        await Promise.all(names.map((name) => phase(name, "Running")));
        assert.equal((await api.call("GET", `${api.base}/pods?labelSelector=type=Testing`)).items.length, 3);
        await api.call("DELETE", `${api.base}/pods?labelSelector=type=Testing`);
        await Promise.all(names.map(gone));
      });
      test("conformance: Pods should run through the lifecycle of Pods and PodStatus", async () => {
        const phases: (string | undefined)[] = [];
        const labels = { "test-pod-static": "true" };
        await create(podOf("lifecycle", idle, { metadata: { labels }, spec: { restartPolicy: "Always" } }));
        const ready = await api.pod("lifecycle", (one) => {
          if (one && one.status?.phase !== phases.at(-1)) phases.push(one.status?.phase);
          return isReady(one);
        });
        assert.deepEqual(phases, ["Pending", "Running"]);
        await patch("lifecycle", { metadata: { labels: { "test-pod": "patched" } } }, strategic);
        const readyTime = condition(ready, "Ready")?.lastTransitionTime;
        const status = (await api.call("GET", `${api.base}/pods/lifecycle/status`)) as unknown as Pod;
        for (const one of status.status?.conditions ?? []) if (one.type === "Ready") one.status = "False";
        const written = (await api.call("PUT", `${api.base}/pods/lifecycle/status`, status)) as unknown as Pod;
        assert.equal(condition(written, "Ready")?.status, "False");
        // What is true is the node's to say: it says it again.
        const again = await api.pod(
          "lifecycle",
          (one) => isReady(one) && one?.metadata.labels?.["test-pod"] === "patched",
        );
        assert.ok(readyTime && condition(again, "Ready"));
        await api.call("DELETE", `${api.base}/pods?labelSelector=test-pod-static=true`);
        await gone("lifecycle");
      });
      test("conformance: Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu", async () => {
        const both = { cpu: "10m", memory: "32Mi" };
        const made = await create(podOf("qos", idle, { container: { resources: { requests: both, limits: both } } }));
        assert.equal((made.status as Pod["status"])?.qosClass, "Guaranteed");
        assert.equal((await phase("qos", "Running")).status?.qosClass, "Guaranteed");
      });
      const streams = (target: string) =>
        new WebSocket(`ws+unix:${api.socket}:${api.base}/pods/${target}`, ["v4.channel.k8s.io", "binary.k8s.io"], {
          headers: { host: "localhost" },
        });
      const received = async (socket: WebSocket) => {
        const parts: Buffer[] = [];
        socket.on("message", (data: Buffer) => parts.push(data));
        await once(socket, "close");
        return parts;
      };
      test("conformance: Pods should support remote command execution over websockets", async () => {
        await create(podOf("commands", idle));
        await phase("commands", "Running");
        const command = ["busybox", "echo", "remote execution test"]
          .map((part) => `command=${encodeURIComponent(part)}`)
          .join("&");
        const parts = await received(streams(`commands/exec?stdout=1&stderr=1&container=c&${command}`));
        const channel = (number: number) =>
          Buffer.concat(parts.filter((part) => part[0] === number).map((part) => part.subarray(1))).toString();
        assert.equal(channel(1), "remote execution test\n");
        assert.equal(JSON.parse(channel(3)).status, "Success");
      });
      test("conformance: Pods should support retrieving logs from the container over websockets", async () => {
        await create(podOf("log-socket", `echo container is alive; ${idle}`));
        await phase("log-socket", "Running");
        const read = async () => Buffer.concat(await received(streams("log-socket/log?container=c"))).toString();
        await cluster.until(async () => (await read()) === "container is alive\n" || undefined, "the log");
      });
      const fails = "conformance: Kubelet when scheduling a busybox command that always fails in a pod should";
      test(`${fails} have an terminated reason`, async () => {
        await create(podOf("false", "exit 1", always()));
        const pod = await api.pod("false", (one) => Boolean(first(one)?.lastState?.terminated));
        assert.equal(first(pod)?.lastState?.terminated?.exitCode, 1);
        assert.equal(first(pod)?.lastState?.terminated?.reason, "Error");
      });
      test(`${fails} be possible to delete`, async () => {
        await create(podOf("false-deleted", "exit 1", always()));
        await api.pod("false-deleted", (one) => Boolean(first(one)?.lastState?.terminated));
        await remove("false-deleted", {});
        await gone("false-deleted");
      });
    });
  });

  suite("on a tainted node", () => {
    const key = "kubernetes.io/e2e-evict-taint-key";
    const taint = (taints: object[]) => api.call("PATCH", nodePath, { spec: { taints } }, merge);
    let nodePath = "";
    before(async () => {
      const { items } = await api.call("GET", "/api/v1/nodes");
      nodePath = `/api/v1/nodes/${items[0]?.metadata?.name}`;
    });
    after(() => taint([]));
    const tolerating = (name: string, ...seconds: [key: string, tolerationSeconds?: number][]) =>
      podOf(name, idle, {
        spec: {
          tolerations: seconds.map(([one, tolerationSeconds]) => ({
            key: one,
            operator: "Exists",
            effect: "NoExecute",
            ...(tolerationSeconds === undefined ? {} : { tolerationSeconds }),
          })),
        },
      });
    const taints = [{ key, value: "evictTaintVal", effect: "NoExecute" }];

    test("conformance: NoExecuteTaintManager Multiple Pods evicts pods with minTolerationSeconds", async () => {
      await create(tolerating("short", [key, 1]));
      await create(tolerating("long", [key, 300]));
      await Promise.all(["short", "long"].map((name) => phase(name, "Running")));
      await taint(taints);
      await gone("short");
      assert.equal((await phase("long", "Running")).metadata.deletionTimestamp, undefined);
      await taint([]);
    });
    test("conformance: NoExecuteTaintManager Single Pod removing taint cancels eviction", async () => {
      await create(tolerating("spared", [key, 3], ["other"]));
      await create(tolerating("witness", [key], ["other", 4]));
      await Promise.all(["spared", "witness"].map((name) => phase(name, "Running")));
      await taint(taints);
      // When the witness goes, the time of the pod that was to go before it has passed.
      await taint([{ key: "other", value: "x", effect: "NoExecute" }]);
      await gone("witness");
      assert.equal((await phase("spared", "Running")).metadata.deletionTimestamp, undefined);
    });
  });
});
