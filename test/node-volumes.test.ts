/** Volumes and security contexts beyond what conformance asks, with real containers: what leads out, lies, is missing or can't be had here. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { Event, NodeStatus, Pod } from "#api";
import type { ClusterApi, TestCluster } from "#testing";
import {
  containerOf,
  idle,
  image,
  type NodeCluster,
  podOf,
  startNodeCluster,
  whyNoPods,
} from "./conformance/node-pods.ts";

const files = ["--file", "/bin/busybox:/bin/busybox", "--file", "/bin/busybox:/bin/sh"];

suite("volumes and rights of pods", { skip: whyNoPods ?? false }, () => {
  let node: NodeCluster;
  let cluster: TestCluster;
  let api: ClusterApi;
  let status: NodeStatus;
  before(async () => {
    node = await startNodeCluster();
    ({ cluster, api } = node);
    // The ids of a user namespace have no rights of root's to go through private folders.
    await cluster.run("chmod", "711", cluster.directory, cluster.dataDir);
    for (const user of ["ghost", "0:0"]) {
      const name = `demo/user-${user.replace(":", "-")}:1`;
      await cluster.sampan("image", "pack", name, ...files, "--user", user);
    }
    const { items } = await api.call("GET", "/api/v1/nodes");
    status = (items[0] as unknown as { status: NodeStatus }).status;
  });
  after(() => node?.close());

  const create = (body: object) => api.call("POST", `${api.base}/pods`, body);
  const waiting = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.state?.waiting;
  /** Why the first container doesn't run. */
  const held = async (name: string, reason: string) =>
    waiting(await api.pod(name, (pod) => waiting(pod)?.reason === reason))?.message ?? "";
  const event = (name: string, reason: string) =>
    cluster.until(async () => {
      const { items } = await api.call("GET", `${api.base}/events?fieldSelector=involvedObject.name=${name}`);
      return (items as unknown as Event[]).find((each) => each.reason === reason)?.message;
    }, `${reason} of ${name}`);
  const prints = async (body: object, expected: string | RegExp) => {
    const { pod, log } = await api.run(body);
    assert.equal(pod.status?.phase, "Succeeded", log);
    if (typeof expected === "string") assert.equal(log, expected);
    else assert.match(log, expected);
  };
  const empty = { name: "v", emptyDir: {} };
  const init = (script: string) => [containerOf("i", script, { volumeMounts: [{ name: "v", mountPath: "/v" }] })];
  const can = (ability: "userNamespaces" | "recursiveReadOnlyMounts") =>
    status.runtimeHandlers?.find(({ name = "" }) => name === "")?.features?.[ability] === true;
  const mounted = () =>
    cluster.run("sh", "-c", `grep -c ' ${cluster.dataDir}/.*/kubelet/pods/' /proc/self/mountinfo || true`);

  suite("side by side", { concurrency: true }, () => {
    test("image volumes: an image's files, read-only, whole or a part; gone with the pod", async () => {
      const body = podOf(
        "image",
        "busybox ls /img/bin; ! busybox touch /img/x 2> /dev/null && /part/busybox echo runs",
        {
          container: {
            volumeMounts: [
              { name: "v", mountPath: "/img" },
              { name: "v", mountPath: "/part", subPath: "bin" },
            ],
          },
          spec: { volumes: [{ name: "v", image: { reference: image } }] },
        },
      );
      await prints(body, "busybox\nsh\nruns\n");
      const missing = { name: "v", image: { reference: "nowhere.example/x:1", pullPolicy: "Never" } };
      const container = { volumeMounts: [{ name: "v", mountPath: "/img" }] };
      await create(podOf("image-missing", "", { container, spec: { volumes: [missing] } }));
      assert.equal(
        await held("image-missing", "ErrImageNeverPull"),
        'Container image "nowhere.example/x:1" is not present with pull policy of Never',
      );
    });

    test("variables: keys of a file that an init container wrote", async () => {
      const from = (key: string, optional = false) => ({
        name: `X_${key}`,
        valueFrom: { fileKeyRef: { volumeName: "v", path: "d/f", key, optional } },
      });
      const spec = {
        volumes: [empty],
        initContainers: init(`busybox mkdir /v/d; printf "A='one'\\nB='two\\nlines' # x\\n" > /v/d/f`),
      };
      const env = [from("A"), from("B"), from("C", true)];
      await prints(podOf("file-keys", 'echo "$X_A;$X_B;$X_C"', { container: { env }, spec }), "one;two\nlines;\n");
      await create(podOf("file-key-missing", "", { container: { env: [from("C")] }, spec }));
      const message = await held("file-key-missing", "CreateContainerConfigError");
      assert.match(message, /^environment variable key "C" not found in file ".*\/v\/d\/f"$/);
    });

    test("parts of volumes: one that leads out is refused without telling what is there", async () => {
      const rows: [string, string, string, "create" | "prepare"][] = [
        ["out", "busybox ln -s /etc /v/l", "l", "prepare"],
        ["out-deep", "busybox ln -s / /v/l", "l/etc/passwd", "prepare"],
        ["out-new", "busybox ln -s /nonexistent /v/l", "l/x", "create"],
        ["up", "busybox mkdir /v/a; busybox ln -s ../../.. /v/a/l", "a/l", "prepare"],
        ["file", "echo > /v/f", "f/x", "prepare"],
      ];
      await Promise.all(
        rows.map(async ([name, script, subPath, step]) => {
          const container = { volumeMounts: [{ name: "v", mountPath: "/v", subPath }] };
          const spec = { volumes: [empty], initContainers: init(script) };
          await create(podOf(`part-${name}`, "", { container, spec }));
          assert.equal(
            await held(`part-${name}`, "CreateContainerConfigError"),
            `failed to ${step === "create" ? "create subPath directory" : "prepare subPath"} for volumeMount "v" of container "c"`,
          );
        }),
      );
    });

    test("parts of volumes: a container that starts again has its ConfigMap's new file", async () => {
      const data = (alpha: string) => ({ metadata: { name: "restarting" }, data: { alpha } });
      await api.call("POST", `${api.base}/configmaps`, data("one"));
      const script =
        "busybox cat /part /whole/alpha; until [ $(busybox cat /whole/alpha) = two ]; do busybox sleep 0.05; done";
      await create(
        podOf("restarting", `[ $(busybox cat /part) = two ] && exec busybox cat /part; ${script}; exit 1`, {
          container: {
            volumeMounts: [
              { name: "v", mountPath: "/part", subPath: "alpha" },
              { name: "v", mountPath: "/whole" },
            ],
          },
          spec: { volumes: [{ name: "v", configMap: { name: "restarting" } }], restartPolicy: "OnFailure" },
        }),
      );
      await api.pod("restarting", (pod) => pod?.status?.phase === "Running");
      await api.call("PUT", `${api.base}/configmaps/restarting`, data("two"));
      await api.pod("restarting", (pod) => pod?.status?.phase === "Succeeded");
      assert.equal(await api.text(`${api.base}/pods/restarting/log`), "two");
    });

    test("propagation: mounts go where they are let, to a container and back", async () => {
      const shared = path.join(cluster.directory, "shared");
      mkdirSync(shared);
      await cluster.run("sh", "-c", `mount --bind ${shared} ${shared} && mount --make-rshared ${shared}`);
      const pod = (name: string, script: string, mountPropagation: string, privileged = false) =>
        podOf(name, script, {
          container: {
            volumeMounts: [{ name: "v", mountPath: "/v", mountPropagation }],
            securityContext: { privileged },
          },
          spec: { volumes: [{ name: "v", hostPath: { path: shared } }] },
        });
      const isThere = "until [ -e /v/m/made ]; do busybox sleep 0.05; done";
      await create(pod("receives", `${isThere}; echo seen`, "HostToContainer"));
      await create(
        pod("apart", `until [ -e /v/done ]; do busybox sleep 0.05; done; [ ! -e /v/m/made ] && echo apart`, "None"),
      );
      for (const name of ["receives", "apart"]) await api.pod(name, (one) => one?.status?.phase === "Running");
      const make = "busybox mkdir -p /v/m; busybox mount -t tmpfs none /v/m && echo > /v/m/made; echo > /v/done";
      await create(pod("gives", `${make}; ${idle}`, "Bidirectional", true));
      for (const [name, said] of [
        ["receives", "seen\n"],
        ["apart", "apart\n"],
      ] as const) {
        await api.pod(name, (one) => one?.status?.phase === "Succeeded");
        assert.equal(await api.text(`${api.base}/pods/${name}/log`), said);
      }
      await cluster.run("umount", `${shared}/m`);
      await cluster.run("umount", "-l", shared);
    });

    test("read-only with all that is below: as the runtime can", async () => {
      const mount = (recursiveReadOnly: string) => ({
        container: { volumeMounts: [{ name: "v", mountPath: "/v", readOnly: true, recursiveReadOnly }] },
        spec: { volumes: [empty] },
      });
      const { pod } = await api.run(podOf("below-possible", "! busybox touch /v/x", mount("IfPossible")));
      const supported = can("recursiveReadOnlyMounts");
      const [seen] = pod.status?.containerStatuses?.[0]?.volumeMounts ?? [];
      assert.equal(seen?.recursiveReadOnly, supported ? "Enabled" : "Disabled");
      await create(podOf("below", "true", mount("Enabled")));
      if (supported) await api.pod("below", (one) => one?.status?.phase === "Succeeded");
      else
        assert.equal(
          await held("below", "CreateContainerConfigError"),
          'failed to resolve recursive read-only mode: volume "v" requested recursive read-only mode, but it is not supported by the runtime',
        );
    });

    test("user namespaces: root inside is nobody outside, or the pod waits with the reason", async () => {
      const volumes = [empty, { name: "t", projected: { sources: [{ serviceAccountToken: { path: "token" } }] } }];
      const volumeMounts = volumes.map(({ name }) => ({ name, mountPath: `/${name}` }));
      const script = "busybox cat /proc/self/uid_map; busybox touch /v/x; busybox stat -L -c '%a %u %g' /v/x /t/token";
      const securityContext = { runAsUser: 1000, fsGroup: 2000 };
      await create(
        podOf("userns", script, { container: { volumeMounts }, spec: { hostUsers: false, volumes, securityContext } }),
      );
      if (!can("userNamespaces"))
        assert.equal(
          await event("userns", "FailedCreatePodSandBox"),
          "Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user namespaces",
        );
      else {
        await api.pod("userns", (one) => one?.status?.phase === "Succeeded");
        const [map = "", ...about] = (await api.text(`${api.base}/pods/userns/log`)).trim().split("\n");
        assert.deepEqual(about, ["644 1000 2000", "640 1000 2000"]);
        const [inside, outside, length] = map.trim().split(/\s+/).map(Number);
        assert.deepEqual([inside, length], [0, 65_536]);
        assert.ok(outside && outside % 65_536 === 0);
      }
    });

    test("rights that the node can't give: the pod is refused with the reason", async () => {
      const rows: [string, object, string | undefined, string][] = [
        [
          "sysctl",
          { sysctls: [{ name: "kernel.msgmax", value: "65536" }] },
          "SysctlForbidden",
          'forbidden sysctl: "kernel.msgmax" not allowlisted',
        ],
        [
          "strict",
          { supplementalGroupsPolicy: "Strict" },
          status.features?.supplementalGroupsPolicy ? undefined : "SupplementalGroupsPolicyNotSupported",
          "SupplementalGroupsPolicy=Strict is not supported in this node",
        ],
        [
          "apparmor",
          { appArmorProfile: { type: "RuntimeDefault" } },
          existsSync("/sys/kernel/security/apparmor") ? undefined : "AppArmor",
          "Cannot enforce AppArmor: AppArmor is not enabled on the host",
        ],
      ];
      await Promise.all(
        rows.map(async ([name, securityContext, reason, message]) => {
          await create(podOf(`right-${name}`, "true", { spec: { securityContext } }));
          const { status: seen } = await api.pod(`right-${name}`, (pod) =>
            /Failed|Succeeded/.test(pod?.status?.phase ?? ""),
          );
          if (reason === undefined) assert.equal(seen?.phase, "Succeeded");
          else
            assert.deepEqual(
              [seen?.phase, seen?.reason, seen?.message],
              ["Failed", reason, `Pod was rejected: ${message}`],
            );
        }),
      );
    });

    test("images that lie about their user: a name that isn't there, root where it mustn't be", async () => {
      const pod = (name: string, of: string, more: object = {}) =>
        podOf(name, "busybox id -u", { container: { image: of, ...more } });
      await create(pod("ghost", "demo/user-ghost:1"));
      assert.match(
        await held("ghost", "CreateContainerError"),
        /etc\/passwd: no such file or directory|no users found/,
      );
      const nonRoot = { securityContext: { runAsNonRoot: true } };
      await create(pod("ghost-root", "demo/user-ghost:1", nonRoot));
      assert.match(
        await held("ghost-root", "CreateContainerConfigError"),
        /^container has runAsNonRoot and image has non-numeric user \(ghost\), cannot verify user is non-root \(pod: "ghost-root_default\([\w-]+\)", container: c\)$/,
      );
      await create(pod("root", "demo/user-0-0:1", nonRoot));
      assert.match(
        await held("root", "CreateContainerConfigError"),
        /^container has runAsNonRoot and image will run as root/,
      );
      await prints(pod("user", "demo/user-ghost:1", { securityContext: { runAsUser: 1234 } }), "1234\n");
    });

    test("volumes that are missing, of the wrong type or read-only: said in events, others go on", async () => {
      const rows: [string, object, string][] = [
        ["none", { configMap: { name: "none" } }, 'configmap "none" not found'],
        [
          "key",
          { configMap: { name: "kube-root-ca.crt", items: [{ key: "zz", path: "z" }] } },
          "configmap references non-existent config key: zz",
        ],
        [
          "dir",
          { hostPath: { path: "/bin/busybox", type: "Directory" } },
          "hostPath type check failed: /bin/busybox is not a directory",
        ],
        [
          "sock",
          { hostPath: { path: "/bin", type: "Socket" } },
          "hostPath type check failed: /bin is not a socket file",
        ],
        [
          "create",
          { hostPath: { path: "/proc/nothing/x", type: "FileOrCreate" } },
          "open /proc/nothing/x: no such file or directory",
        ],
        [
          "huge",
          { emptyDir: { medium: "HugePages" } },
          "medium HugePages: hugePages storage requested, but there is no resource request for huge pages",
        ],
      ];
      await Promise.all(
        rows.map(async ([name, source, why]) => {
          const container = { volumeMounts: [{ name: "v", mountPath: "/v" }] };
          await create(podOf(`volume-${name}`, "", { container, spec: { volumes: [{ name: "v", ...source }] } }));
          assert.equal(
            await event(`volume-${name}`, "FailedMount"),
            `MountVolume.SetUp failed for volume "v" : ${why}`,
          );
        }),
      );
      const small = { name: "v", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } };
      const full = { container: { volumeMounts: [{ name: "v", mountPath: "/v" }] }, spec: { volumes: [small] } };
      const fill =
        "! busybox dd if=/dev/zero of=/v/x bs=64k count=32 2> /tmp/said; busybox grep -o 'No space left.*' /tmp/said";
      await prints(podOf("volume-full", fill, full), "No space left on device\n");
      const mount = { name: "v", mountPath: "/v", readOnly: true };
      await prints(
        podOf("volume-read-only", "! busybox touch /v/x", {
          container: { volumeMounts: [mount] },
          spec: { volumes: [empty] },
        }),
        /Read-only file system/,
      );
    });
  });

  test("after a kill: mounts of pods that went meanwhile are taken down, and snapshots with them", async () => {
    const body = podOf("stays", idle, {
      container: {
        volumeMounts: [
          { name: "v", mountPath: "/v", subPath: "a" },
          { name: "i", mountPath: "/i" },
          { name: "m", mountPath: "/m" },
        ],
      },
      spec: {
        volumes: [empty, { name: "i", image: { reference: image } }, { name: "m", emptyDir: { medium: "Memory" } }],
      },
    });
    await create(body);
    await api.pod("stays", (pod) => pod?.status?.phase === "Running");
    assert.ok(Number(await mounted()) >= 2);
    await cluster.stop("SIGKILL");
    await cluster.start();
    await cluster.kubectl("delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false");
    await cluster.until(async () => (await mounted()).trim() === "0" || undefined, "no mounts of pods");
    const [name = ""] = readdirSync(path.join(cluster.dataDir, "nodes"));
    const socket = path.join(cluster.dataDir, "nodes", name, "containerd", "containerd.sock");
    const snapshots = () => cluster.run("ctr", "-a", socket, "-n", "k8s.io", "snapshots", "ls");
    await cluster.until(
      async () => !(await snapshots()).includes("sampan-volume") || undefined,
      "no snapshots of volumes",
    );
  });
});
