/** Pods that a node runs by itself, on real containers: what the API shows of them, and how they are kept running. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { Event, Pod } from "#api";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
const why = whyNoCluster() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static");

suite("static pods on real containers", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  let node: string;
  let folder: string;
  const file = (name: string) => path.join(folder, `${name}.yaml`);
  const kubectl = (line: string) => cluster.kubectl(...line.split(" "));
  /** Written as editors do: beside, then in its place. */
  const write = (name: string, script: string, podName = name) => {
    const manifest = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: podName, labels: { app: podName } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{ name: "c", image, command: ["/bin/sh", "-c", `${script}; trap exit TERM; sleep 3600 & wait`] }],
      },
    };
    writeFileSync(path.join(folder, `.${name}`), JSON.stringify(manifest));
    renameSync(path.join(folder, `.${name}`), file(name));
  };
  const read = async (name: string): Promise<Pod | undefined> => {
    const text = await kubectl(`get pods --ignore-not-found -o json ${name}-${node}`);
    return text === "" ? undefined : (JSON.parse(text) as Pod); // one pod
  };
  const until = (name: string, wanted: (pod: Pod | undefined) => boolean, what: string) =>
    cluster.until(async () => {
      const pod = await read(name);
      return wanted(pod) ? { pod } : undefined;
    }, `${name}: ${what}`);
  const isReady = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.ready === true;
  const ready = async (name: string, hash?: string) => {
    const { pod } = await until(
      name,
      (one) => isReady(one) && one?.metadata.annotations?.["kubernetes.io/config.hash"] !== hash,
      "is ready",
    );
    assert.ok(pod);
    return pod;
  };
  const container = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.containerID ?? "";
  const hashOf = (pod: Pod) => pod.metadata.annotations?.["kubernetes.io/config.hash"] ?? "";

  before(async () => {
    cluster = await startTestCluster();
    folder = path.join(cluster.directory, "manifests");
    mkdirSync(folder);
    const config = path.join(cluster.directory, "kubelet.yaml");
    writeFileSync(
      config,
      // A machine whose disk is nearly full is not this test's matter.
      `apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nstaticPodPath: manifests\nevictionHard: {pid.available: "5"}\n`,
    );
    await cluster.stop("SIGTERM");
    await cluster.start("--kubelet-config", config);
    const files = ["/bin/busybox:/bin/busybox", "/bin/busybox:/bin/sh"].flatMap((one) => ["--file", one]);
    await cluster.sampan("image", "pack", image, ...files);
    node = (await kubectl("get nodes -o name")).trim().replace("node/", "");
  });
  after(() => cluster?.close());

  // Of upstream's node tests: MirrorPod should be updated when static pod updated; recreated when mirror pod gracefully, forcibly deleted.
  test("mirror pod: shows the static pod, belongs to the node, and answers for it", async () => {
    write("web", "echo one");
    const pod = await ready("web");
    const { annotations = {}, ownerReferences: [owner] = [] } = pod.metadata;
    assert.equal(annotations["kubernetes.io/config.source"], "file");
    assert.equal(annotations["kubernetes.io/config.mirror"], hashOf(pod));
    assert.notEqual(pod.metadata.uid, hashOf(pod));
    assert.deepEqual([owner?.kind, owner?.name, owner?.controller], ["Node", node, true]);
    assert.equal(pod.status?.phase, "Running");
    assert.equal(await kubectl(`logs web-${node}`), "one\n");
    assert.equal(await kubectl(`exec web-${node} -- /bin/sh -c echo`), "\n");
    assert.match(
      await kubectl(`describe pod web-${node}`),
      /Started +\S+ +kubelet +\S* *Started container c|Container started/,
    );
  });

  for (const [how, flags] of [
    ["gracefully", "--grace-period=30 --wait=false"],
    ["by force", "--force --grace-period=0"],
  ] as const)
    test(`mirror pod: comes back when it is deleted ${how}, and the container doesn't notice`, async () => {
      const before = await ready("web");
      await kubectl(`delete pod web-${node} ${flags}`);
      const { pod } = await until(
        "web",
        (one) => one?.metadata.uid !== before.metadata.uid && isReady(one),
        "has another mirror",
      );
      assert.equal(container(pod), container(before));
    });

  test("mirror pod: a changed file ends the old pod, then starts the new one", async () => {
    const before = await ready("web");
    write("web", "echo two");
    const pod = await ready("web", hashOf(before));
    assert.notEqual(container(pod), container(before));
    assert.equal(await kubectl(`logs web-${node}`), "two\n");
  });

  test("static pods: a bad file, a repeated pod and a forbidden reference are said, and the others run on", async () => {
    const before = await ready("web");
    writeFileSync(file("half"), "apiVersion: v1\nkind: Pod\nmeta");
    write("web2", "echo other", "web");
    writeFileSync(
      file("reference"),
      JSON.stringify({
        ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "r" } },
        spec: { serviceAccountName: "x", containers: [{ name: "c", image }] },
      }),
    );
    const event = await cluster.until(async () => {
      const { items } = JSON.parse(await kubectl("get events --field-selector reason=FailedValidation -o json")) as {
        items: Event[];
      };
      return items[0];
    }, "the repeated pod is told of");
    assert.match(
      event.message ?? "",
      /^Error validating pod web-\S+ from file due to duplicate pod name "web-\S+", ignoring$/,
    );
    await cluster.until(
      async () => cluster.log().includes("static pods may not reference serviceaccounts") || undefined,
      "said",
    );
    assert.match(cluster.log(), /half\.yaml: couldn't parse as pod/);
    assert.equal(container(await read("web")), container(before));
    for (const name of ["half", "web2", "reference"]) rmSync(file(name));
  });

  test("static pod as process watcher: a killed process is started again", async () => {
    const before = await ready("web");
    await cluster.run("sh", "-c", `kill -9 $(cat ${await pidFile(before)})`);
    const { pod } = await until("web", (one) => isReady(one) && container(one) !== container(before), "runs again");
    assert.equal(pod?.status?.containerStatuses?.[0]?.restartCount, 1);
    assert.equal(pod?.metadata.uid, before.metadata.uid);
  });

  test("static pods: run on while the node's program is killed; changes made meanwhile are seen after", async () => {
    write("stays", "echo stays");
    write("goes", "echo goes");
    const [stays] = await Promise.all([ready("stays"), ready("goes")]);
    await cluster.stop("SIGKILL");
    rmSync(file("goes"));
    await cluster.start("--kubelet-config", path.join(cluster.directory, "kubelet.yaml"));
    await until("goes", (pod) => pod === undefined, "is gone");
    assert.equal(container(await ready("stays")), container(stays));
  });

  test("static pods: go with their file, or when the node is told of none", async () => {
    rmSync(file("web"));
    await until("web", (pod) => pod === undefined, "is gone");
    await cluster.stop("SIGTERM");
    await cluster.start();
    await until("stays", (pod) => pod === undefined, "is gone");
  });

  /** Of a container's first process, in containerd's folder. */
  async function pidFile(pod: Pod): Promise<string> {
    const id = container(pod).replace(/^\w+:\/\//, "");
    return (await cluster.run("find", cluster.dataDir, "-name", "init.pid", "-path", `*${id}*`)).trim();
  }
});
