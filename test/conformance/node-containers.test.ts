/** What containers see and may do, as Kubernetes' conformance suite asks for it (test/e2e/common/node), on real containers. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { ClusterApi, TestCluster } from "#testing";
import {
  containerOf,
  env,
  fieldEnv,
  idle,
  image,
  type NodeCluster,
  type PodOptions,
  podOf,
  speakingImage,
  startNodeCluster,
  whyNoPods,
} from "./node-pods.ts";

suite("containers of the node", { skip: whyNoPods ?? false, concurrency: true }, () => {
  let node: NodeCluster;
  let cluster: TestCluster;
  let api: ClusterApi;
  before(async () => {
    node = await startNodeCluster();
    ({ cluster, api } = node);
  });
  after(() => node?.close());

  const create = (resource: string, body: object) => api.call("POST", `${api.base}/${resource}`, body);
  const refused = (call: Promise<unknown>) =>
    call.then(
      () => assert.fail("it was let in"),
      (error: { code: number; message: string }) => error,
    );
  const exec = (pod: string, ...command: string[]) => cluster.kubectl("exec", pod, "-c", "c", "--", ...command);
  const isRunning = (name: string) => api.pod(name, (one) => one?.status?.phase === "Running");
  const lines = (log: string) => log.trim().split("\n");

  /** Runs a pod to its good end and compares what it printed. */
  const prints = (behaviour: string, script: string, expected: string | RegExp, options: PodOptions = {}) =>
    test(`conformance: ${behaviour}`, async () => {
      const name = behaviour
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, "-")
        .slice(-50)
        .replace(/^-+|-+$/g, "");
      const { pod, log } = await api.run(podOf(`p${name}`, script, options));
      assert.equal(pod.status?.phase, "Succeeded", JSON.stringify(pod.status));
      if (typeof expected === "string") assert.equal(log, expected);
      else assert.match(log, expected);
    });

  suite("variables and arguments", { concurrency: true }, () => {
    prints(
      "Variable Expansion should allow composing env vars into new env vars",
      "echo $FOOBAR",
      "foo-value;;bar-value\n",
      {
        container: { env: env({ FOO: "foo-value", BAR: "bar-value", FOOBAR: "$(FOO);;$(BAR)" }) },
      },
    );
    const said = { env: env({ TEST_VAR: "test-value" }) };
    prints(
      "Variable Expansion should allow substituting values in a container's command",
      "",
      "test-value $(TEST_VAR)\n",
      {
        container: { ...said, command: ["/bin/sh", "-c", "echo '$(TEST_VAR) $$(TEST_VAR)'"] },
      },
    );
    prints("Variable Expansion should allow substituting values in a container's args", "", "test-value\n", {
      container: { ...said, command: ["/bin/sh", "-c"], args: ["echo $(TEST_VAR)"] },
    });
    const speaks = (more: object) => ({ container: { image: speakingImage, command: undefined, ...more } });
    const docker = "Docker Containers should";
    prints(
      `${docker} use the image defaults if command and args are blank`,
      "",
      "image default arguments\n",
      speaks({}),
    );
    prints(
      `${docker} be able to override the image's default arguments (docker cmd)`,
      "",
      "image own\n",
      speaks({ args: ["own"] }),
    );
    prints(
      `${docker} be able to override the image's default command (docker entrypoint)`,
      "",
      "entry\n",
      speaks({ command: ["/bin/busybox", "echo", "entry"] }),
    );
    prints(
      `${docker} be able to override the image's default command and arguments`,
      "",
      "entry own\n",
      speaks({ command: ["/bin/busybox", "echo", "entry"], args: ["own"] }),
    );
  });

  suite("downward API", { concurrency: true }, () => {
    test("conformance: Downward API should provide pod name, namespace and IP address as env vars", async () => {
      const variables = { NAME: "metadata.name", NAMESPACE: "metadata.namespace", IP: "status.podIP" };
      const options = { container: { env: fieldEnv(variables) } };
      const { pod, log } = await api.run(podOf("downward-names", "echo $NAME $NAMESPACE $IP", options));
      assert.equal(log, `downward-names default ${pod.status?.podIP}\n`);
    });
    test("conformance: Downward API should provide host IP as an env var", async () => {
      const options = { container: { env: fieldEnv({ IP: "status.hostIP" }) } };
      const { pod, log } = await api.run(podOf("downward-host", "echo $IP", options));
      assert.match(log, /^\d+\.\d+\.\d+\.\d+\n$/);
      assert.equal(log, `${pod.status?.hostIP}\n`);
    });
    test("conformance: Downward API should provide pod UID as env vars", async () => {
      const options = { container: { env: fieldEnv({ POD_UID: "metadata.uid" }) } };
      const { pod, log } = await api.run(podOf("downward-uid", "echo $POD_UID", options));
      assert.equal(log, `${pod.metadata.uid}\n`);
    });
    const resources = (names: readonly string[]) =>
      names.map((name) => ({ name: name.replace(".", "_"), valueFrom: { resourceFieldRef: { resource: name } } }));
    const all = ["limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    const print = "echo $limits_cpu $limits_memory $requests_cpu $requests_memory";
    const limited = { requests: { cpu: "250m", memory: "32Mi" }, limits: { cpu: "1250m", memory: "64Mi" } };
    const behaviour = "Downward API should provide container's limits.cpu/memory and requests.cpu/memory as env vars";
    prints(behaviour, print, `2 ${64 * 2 ** 20} 1 ${32 * 2 ** 20}\n`, {
      container: { env: resources(all), resources: limited },
    });
    test("conformance: Downward API should provide default limits.cpu/memory from node allocatable", async () => {
      const options = { container: { env: resources(all.slice(0, 2)) } };
      const { pod, log } = await api.run(podOf("downward-allocatable", "echo $limits_cpu $limits_memory", options));
      const found = await api.call("GET", `/api/v1/nodes/${pod.spec?.nodeName}`);
      const { allocatable } = found.status as { allocatable: Record<string, string> };
      assert.match(allocatable.memory ?? "", /^\d+Ki$/);
      const memory = Number.parseInt(allocatable.memory ?? "", 10) * 1024;
      assert.equal(log, `${Math.ceil(Number(allocatable.cpu))} ${memory}\n`);
    });
  });

  suite("variables from objects", { concurrency: true }, () => {
    before(async () => {
      await create("configmaps", { metadata: { name: "settings" }, data: { "data-1": "value-1", key2: "value-2" } });
      const data = { "data-1": Buffer.from("secret-1").toString("base64"), key2: "c2VjcmV0LTI=" };
      await create("secrets", { metadata: { name: "secrets" }, data });
      // In the list of services before its pod starts: variables are made once.
      await create("services", {
        metadata: { name: "front-end" },
        spec: { ports: [{ port: 8765, targetPort: 8080 }] },
      });
    });
    const from = (name: string, kind: "configMapKeyRef" | "secretKeyRef") => ({
      container: { env: env({ V: { [kind]: { name, key: "data-1" } } }) },
    });
    prints(
      "ConfigMap should be consumable via environment variable",
      "echo $V",
      "value-1\n",
      from("settings", "configMapKeyRef"),
    );
    prints(
      "Secrets should be consumable from pods in env vars",
      "echo $V",
      "secret-1\n",
      from("secrets", "secretKeyRef"),
    );
    // Shells drop names with a dash.
    const sorted = "busybox tr '\\0' '\\n' < /proc/1/environ | busybox grep -E '^(p_)?(data-1|key2)=' | busybox sort";
    prints(
      "ConfigMap should be consumable via the environment",
      sorted,
      "data-1=value-1\nkey2=value-2\np_data-1=value-1\np_key2=value-2\n",
      {
        container: {
          envFrom: [{ configMapRef: { name: "settings" } }, { prefix: "p_", configMapRef: { name: "settings" } }],
        },
      },
    );
    prints(
      "Secrets should be consumable via the environment",
      sorted,
      "data-1=secret-1\nkey2=secret-2\np_data-1=secret-1\np_key2=secret-2\n",
      {
        container: { envFrom: [{ secretRef: { name: "secrets" } }, { prefix: "p_", secretRef: { name: "secrets" } }] },
      },
    );
    test("conformance: Pods should contain environment variables for services", async () => {
      const service = await api.call("GET", `${api.base}/services/front-end`);
      const { clusterIP } = service.spec as { clusterIP: string };
      const { log } = await api.run(podOf("service-links", "busybox env | busybox grep ^FRONT_END | busybox sort"));
      assert.deepEqual(lines(log), [
        `FRONT_END_PORT=tcp://${clusterIP}:8765`,
        `FRONT_END_PORT_8765_TCP=tcp://${clusterIP}:8765`,
        `FRONT_END_PORT_8765_TCP_ADDR=${clusterIP}`,
        "FRONT_END_PORT_8765_TCP_PORT=8765",
        "FRONT_END_PORT_8765_TCP_PROTO=tcp",
        `FRONT_END_SERVICE_HOST=${clusterIP}`,
        "FRONT_END_SERVICE_PORT=8765",
      ]);
    });
  });

  suite("expanded sub-paths", { concurrency: true }, () => {
    const work = { volumes: [{ name: "work", emptyDir: {} }] };
    const mounts = (subPathExpr: string) => [
      { name: "work", mountPath: "/part", subPathExpr },
      { name: "work", mountPath: "/whole" },
    ];
    prints(
      "Variable Expansion should allow substituting values in a volume subpath",
      "echo x > /part/f; busybox find /whole/foo -type f",
      "/whole/foo/f\n",
      {
        container: { env: env({ POD_NAME: "foo" }), volumeMounts: mounts("$(POD_NAME)") },
        spec: work,
      },
    );
    for (const [what, POD_NAME, said] of [
      ["with backticks", "..", "unable to provision SubPath `..`: must not contain '..'"],
      ["with absolute path", "/tmp", "error SubPath `/tmp` must not be an absolute path"],
    ] as const)
      test(`conformance: Variable Expansion should fail substituting values in a volume subpath ${what}`, async () => {
        const name = `sub-path-${what.replaceAll(" ", "-")}`;
        const container = { env: env({ POD_NAME }), volumeMounts: mounts("$(POD_NAME)") };
        await create("pods", podOf(name, idle, { spec: { ...work, containers: [containerOf("c", idle, container)] } }));
        const pod = await api.pod(name, (one) => one?.status?.containerStatuses?.[0]?.state?.waiting?.message === said);
        assert.equal(pod.status?.containerStatuses?.[0]?.state?.waiting?.reason, "CreateContainerConfigError");
        assert.equal(pod.status?.phase, "Pending");
        await cluster.kubectl("delete", "pod", name, "--now");
      });
    const named = {
      env: [...fieldEnv({ ANNOTATION: "metadata.annotations['mysubpath']" }), ...env({ POD_NAME: "foo" })],
    };
    const annotate = (name: string, mysubpath: string) =>
      api.call(
        "PATCH",
        `${api.base}/pods/${name}`,
        { metadata: { annotations: { mysubpath } } },
        "application/merge-patch+json",
      );
    const annotated = (name: string, annotations: object) =>
      podOf(name, idle, {
        metadata: { annotations },
        spec: {
          ...work,
          containers: [containerOf("c", idle, { ...named, volumeMounts: mounts("$(ANNOTATION)/$(POD_NAME)") })],
        },
      });
    const lifecycle =
      "Variable Expansion should verify that a failing subpath expansion can be modified during the lifecycle of a container";
    test(`conformance: ${lifecycle}`, async () => {
      await create("pods", annotated("sub-path-later", { notmysubpath: "mypath" }));
      await api.pod(
        "sub-path-later",
        (one) => one?.status?.containerStatuses?.[0]?.state?.waiting?.reason === "CreateContainerConfigError",
      );
      await annotate("sub-path-later", "mypath");
      await isRunning("sub-path-later");
      await cluster.kubectl("delete", "pod", "sub-path-later", "--now");
    });
    test("conformance: Variable Expansion should succeed in writing subpaths in container", async () => {
      await create("pods", annotated("sub-path-writes", { mysubpath: "mypath" }));
      await isRunning("sub-path-writes");
      await exec("sub-path-writes", "busybox", "touch", "/whole/mypath/foo/test.log");
      assert.equal(await exec("sub-path-writes", "busybox", "ls", "/part"), "test.log\n");
      await annotate("sub-path-writes", "mynewpath");
      await exec("sub-path-writes", "busybox", "touch", "/part/other.log");
      assert.equal(await exec("sub-path-writes", "busybox", "ls", "/whole/mypath/foo"), "other.log\ntest.log\n");
      await cluster.kubectl("delete", "pod", "sub-path-writes", "--now");
      await api.pod("sub-path-writes", (one) => one === undefined);
    });
  });

  suite("security", { concurrency: true }, () => {
    const ids = "busybox id -u; busybox id -g";
    prints(
      "Security Context When creating a container with runAsUser should run the container with uid 65534",
      ids,
      "65534\n0\n",
      {
        container: { securityContext: { runAsUser: 65534 } },
      },
    );
    prints(
      "Security Context should support container.SecurityContext.RunAsUser And container.SecurityContext.RunAsGroup",
      ids,
      "1001\n2002\n",
      {
        container: { securityContext: { runAsUser: 1001, runAsGroup: 2002 } },
      },
    );
    prints(
      "Security Context should support pod.Spec.SecurityContext.RunAsUser And pod.Spec.SecurityContext.RunAsGroup",
      ids,
      "1001\n2002\n",
      {
        spec: { securityContext: { runAsUser: 1001, runAsGroup: 2002 } },
      },
    );
    prints(
      "Security Context When creating a pod with privileged should run the container as unprivileged when false",
      "busybox ip link add dummy1 type dummy 2>&1 || echo refused",
      /Operation not permitted[\s\S]*refused\n$/,
      { container: { securityContext: { privileged: false } } },
    );
    const writes = "busybox touch /checkfile && echo written || echo refused";
    prints(
      "Security Context When creating a pod with readOnlyRootFilesystem should run the container with writable rootfs when readOnlyRootFilesystem=false",
      writes,
      "written\n",
      {
        container: { securityContext: { readOnlyRootFilesystem: false } },
      },
    );
    prints(
      "Kubelet when scheduling a read only busybox container should not write to root filesystem",
      `${writes} 2>&1`,
      /Read-only file system\n(refused\n)?$/,
      {
        container: {
          command: ["/bin/sh", "-c", "busybox touch /checkfile 2>&1; true"],
          securityContext: { readOnlyRootFilesystem: true },
        },
      },
    );
    prints(
      "Security Context when creating containers with AllowPrivilegeEscalation should not allow privilege escalation when false",
      "busybox grep NoNewPrivs /proc/self/status",
      "NoNewPrivs:\t1\n",
      { container: { securityContext: { allowPrivilegeEscalation: false, runAsUser: 1000 } } },
    );
    prints("Sysctls [LinuxOnly] should support sysctls", "busybox cat /proc/sys/kernel/shm_rmid_forced", "1\n", {
      spec: { securityContext: { sysctls: [{ name: "kernel.shm_rmid_forced", value: "1" }] } },
    });
    test("conformance: Sysctls [LinuxOnly] should reject invalid sysctls", async () => {
      const sysctls = ["foo-", "kernel.shmmax", "safe-and-unsafe", "bar.."].map((name) => ({ name, value: "42" }));
      const { code, message } = await refused(
        create("pods", podOf("bad-sysctls", "", { spec: { securityContext: { sysctls } } })),
      );
      assert.equal(code, 422);
      assert.match(message, /Invalid value: "foo-"[\s\S]*Invalid value: "bar\.\."/);
      assert.doesNotMatch(message, /"kernel\.shmmax"/);
    });
  });

  suite("files of the node's own", { concurrency: true }, () => {
    test("conformance: Kubelet when scheduling a busybox Pod with hostAliases should write entries to /etc/hosts", async () => {
      const spec = { hostAliases: [{ ip: "123.45.67.89", hostnames: ["foo", "bar"] }] };
      const { log } = await api.run(podOf("host-aliases", "busybox cat /etc/hosts", { spec }));
      assert.match(
        log,
        /^# Kubernetes-managed hosts file\.\n[\s\S]*\n# Entries added by HostAliases\.\n123\.45\.67\.89\tfoo\tbar\n$/,
      );
    });
    test("conformance: KubeletManagedEtcHosts should test kubelet managed /etc/hosts file", async () => {
      const managed = /^# Kubernetes-managed hosts file\.\n/;
      const both = (name: string, more: object) =>
        podOf(name, "busybox cat /etc/hosts", {
          spec: {
            containers: [
              containerOf("c", "busybox cat /etc/hosts"),
              containerOf("own", "busybox cat /etc/hosts", {
                volumeMounts: [{ name: "own", mountPath: "/etc/hosts" }],
              }),
            ],
            volumes: [{ name: "own", hostPath: { path: "/etc/hosts", type: "File" } }],
            ...more,
          },
        });
      const { log } = await api.run(both("etc-hosts", {}));
      assert.match(log, managed);
      assert.doesNotMatch(await api.text(`${api.base}/pods/etc-hosts/log?container=own`), managed);
      // On the host's network it is the host's, and the node says that it wrote it.
      const host = await api.run(both("etc-hosts-host", { hostNetwork: true }));
      assert.match(host.log, /^# Kubernetes-managed hosts file \(host network\)\.\n/);
      assert.doesNotMatch(await api.text(`${api.base}/pods/etc-hosts-host/log?container=own`), managed);
    });
    prints(
      "Kubelet when scheduling a busybox command in a pod should print the output to logs",
      "echo 'Hello World'",
      "Hello World\n",
    );
  });

  suite("termination messages", { concurrency: true }, () => {
    const terminated = (
      behaviour: string,
      script: string,
      expected: { message?: string; exitCode: number },
      more: object,
    ) =>
      test(`conformance: Container Runtime blackbox test on terminated container should report termination message ${behaviour}`, async () => {
        const name = `last-words-${behaviour
          .replace(/[^a-z]+/gi, "-")
          .toLowerCase()
          .slice(0, 40)}x`;
        const { pod } = await api.run(podOf(name, script, { container: more }));
        const { message, exitCode, reason } = pod.status?.containerStatuses?.[0]?.state?.terminated ?? {};
        assert.deepEqual({ exitCode, ...(message === undefined ? {} : { message }) }, expected);
        assert.equal(reason, expected.exitCode === 0 ? "Completed" : "Error");
      });
    const fallback = { terminationMessagePolicy: "FallbackToLogsOnError" };
    terminated(
      "if TerminationMessagePath is set as non-root user and at a non-default path",
      "echo -n DONE > /dev/termination-custom-log",
      { message: "DONE", exitCode: 0 },
      { terminationMessagePath: "/dev/termination-custom-log", securityContext: { runAsUser: 1000 } },
    );
    terminated(
      "from log output if TerminationMessagePolicy FallbackToLogsOnError is set",
      "echo -n DONE; exit 1",
      { message: "DONE", exitCode: 1 },
      fallback,
    );
    terminated(
      "as empty when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set",
      "echo DONE",
      { exitCode: 0 },
      fallback,
    );
    terminated(
      "from file when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set",
      "echo -n OK > /dev/termination-log; echo DONE",
      { message: "OK", exitCode: 0 },
      fallback,
    );
  });

  test("conformance: Container Runtime blackbox test when starting a container that exits should run with the expected status", async () => {
    const cases = { Always: [2, "Running"], OnFailure: [1, "Succeeded"], Never: [0, "Failed"] } as const;
    await Promise.all(
      Object.entries(cases).map(async ([restartPolicy, [restarts, phase]]) => {
        const name = `exits-${restartPolicy.toLowerCase()}`;
        const volumeMounts = [{ name: "v", mountPath: "/v" }];
        // Ends badly the first time; then well once if it isn't to run for ever.
        const end =
          restartPolicy === "Always"
            ? `[ -e /v/b ] && { ${idle}; }; [ -e /v/a ] && echo > /v/b`
            : "[ -e /v/a ] && exit 0";
        const script = `${end}; echo > /v/a; exit 1`;
        const spec = {
          restartPolicy,
          containers: [containerOf("c", script, { volumeMounts })],
          volumes: [{ name: "v", emptyDir: {} }],
        };
        await create("pods", podOf(name, script, { spec }));
        const pod = await api.pod(name, (one) => {
          const status = one?.status?.containerStatuses?.[0];
          return (
            one?.status?.phase === phase &&
            status?.restartCount === restarts &&
            (phase !== "Running" || status.ready === true)
          );
        });
        const ready = pod.status?.conditions?.find(({ type }) => type === "Ready");
        assert.equal(ready?.status, phase === "Running" ? "True" : "False");
        const { state } = pod.status?.containerStatuses?.[0] ?? {};
        assert.deepEqual(Object.keys(state ?? {}), [phase === "Running" ? "running" : "terminated"]);
        await cluster.kubectl("delete", "pod", name, "--now");
      }),
    );
  });

  test("conformance: RuntimeClass should schedule a Pod requesting a RuntimeClass and initialize its Overhead", async () => {
    const overhead = { podFixed: { cpu: "10m", memory: "1Mi" } };
    const target = "/apis/node.k8s.io/v1/runtimeclasses";
    await api.call("POST", target, { metadata: { name: "with-overhead" }, handler: "runc", overhead });
    const spec = { runtimeClassName: "with-overhead" };
    const { pod, log } = await api.run(podOf("with-overhead", "echo runs", { spec }));
    assert.deepEqual(pod.spec?.overhead, overhead.podFixed);
    assert.ok(pod.spec?.nodeName);
    assert.equal(log, "runs\n");
    // A handler that the runtime doesn't know keeps the pod from starting, and is told.
    await api.call("POST", target, { metadata: { name: "unknown" }, handler: "unheard-of" });
    await create("pods", podOf("unknown-handler", "", { spec: { ...spec, runtimeClassName: "unknown" } }));
    const events = await cluster.until(async () => {
      const { items } = await api.call(
        "GET",
        `${api.base}/events?fieldSelector=involvedObject.name=unknown-handler,reason=FailedCreatePodSandBox`,
      );
      return items[0];
    }, "the node says why");
    assert.match(String(events.message), /no runtime for "unheard-of" is configured/);
    await cluster.kubectl("delete", "pod", "unknown-handler", "--now");
  });

  test("images: what isn't there is told, and not tried again when it must not be pulled", async () => {
    await create("pods", podOf("no-image", "", { container: { image: "demo/none:1", imagePullPolicy: "Never" } }));
    const pod = await api.pod(
      "no-image",
      (one) => one?.status?.containerStatuses?.[0]?.state?.waiting?.reason === "ErrImageNeverPull",
    );
    assert.match(
      pod.status?.containerStatuses?.[0]?.state?.waiting?.message ?? "",
      /demo\/none:1.* is not present with pull policy of Never/,
    );
    assert.notEqual(image, "demo/none:1");
  });
});
