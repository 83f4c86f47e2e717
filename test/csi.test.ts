/** Volumes of a CSI driver on real containers, by kubectl: the driver is ours, its controller's part is played by the test. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { type CsiDriver, startCsiDriver, startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
const driverName = "csi.test.example";
const why = whyNoCluster() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static");

interface Wire {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, never>>;
  readonly status?: Readonly<Record<string, never>>;
}

suite("CSI on real containers", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  let driver: CsiDriver;
  let node: string;
  let nodeFolder: string;
  const kubectl = (line: string) => cluster.kubectl(...line.split(" "));
  const apply = (...objects: object[]) =>
    cluster.kubectlInput(JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }), "apply");
  const get = async (what: string): Promise<Wire | undefined> => {
    const text = await kubectl(`get ${what} --ignore-not-found -o json`);
    return text ? (JSON.parse(text) as Wire) : undefined; // kubectl prints objects
  };
  const patch = (what: string, body: object, ...more: string[]) =>
    cluster.kubectl("patch", ...what.split(" "), "--type=merge", "-p", JSON.stringify(body), ...more);
  const called = (method: string, volumeId: string) =>
    driver.calls.filter((call) => call.method === method && call.request.volumeId === volumeId);
  const untilCalled = (method: string, volumeId: string) =>
    cluster.until(async () => called(method, volumeId)[0], `${method} of ${volumeId}`);
  const ready = (name: string) => kubectl(`wait pod/${name} --for=condition=Ready --timeout=60s`);
  const eventOf = (name: string, wanted: RegExp) =>
    cluster.until(async () => {
      const line = `get events --field-selector involvedObject.name=${name} -o jsonpath={range.items[*]}{.reason}:{.message}{"\\n"}{end}`;
      return wanted.exec(await kubectl(line))?.[0];
    }, `an event of ${name} like ${wanted}`);

  const claim = (name: string, more: object = {}) => ({
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name },
    spec: {
      storageClassName: "csi",
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "1Gi" } },
      ...more,
    },
  });
  const pod = (name: string, spec: { volumes: object[] } & Record<string, unknown>, container: object = {}) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 1,
      ...spec,
      containers: [
        {
          name: "c",
          image,
          command: ["/bin/sh", "-c", "trap exit TERM; sleep 3600 & wait"],
          volumeMounts: [{ name: "v", mountPath: "/v" }],
          ...container,
        },
      ],
    },
  });
  const claimed = (claimName: string) => ({ volumes: [{ name: "v", persistentVolumeClaim: { claimName } }] });

  /** The provisioner's part: a volume for a claim that asks for it. */
  async function provision(name: string, volumeMode = "Filesystem"): Promise<void> {
    const found = await cluster.until(async () => {
      const seen = await get(`pvc ${name}`);
      return seen?.metadata.annotations?.["volume.kubernetes.io/storage-provisioner"] === driverName ? seen : undefined;
    }, `claim ${name} waits for its driver`);
    await apply({
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name: `pv-${name}`, annotations: { "pv.kubernetes.io/provisioned-by": driverName } },
      spec: {
        storageClassName: "csi",
        accessModes: ["ReadWriteOnce"],
        capacity: { storage: "1Gi" },
        volumeMode,
        persistentVolumeReclaimPolicy: "Retain",
        claimRef: { namespace: "default", name, uid: found.metadata.uid },
        csi: { driver: driverName, volumeHandle: `vol-${name}`, ...(volumeMode === "Block" ? {} : { fsType: "ext4" }) },
      },
    });
  }
  /** The attacher's part. */
  async function attach(name: string): Promise<void> {
    const found = await cluster.until(async () => {
      const line = `get volumeattachments -o jsonpath={range.items[*]}{.metadata.name}:{.spec.source.persistentVolumeName}{"\\n"}{end}`;
      return new RegExp(`^(.*):pv-${name}$`, "m").exec(await kubectl(line))?.[1];
    }, `attachment of pv-${name}`);
    await patch(
      `volumeattachment ${found}`,
      { status: { attached: true, attachmentMetadata: { at: "x" } } },
      "--subresource=status",
    );
  }
  const mounts = async () =>
    (await cluster.run("cat", "/proc/mounts")).split("\n").filter((line) => line.includes("kubernetes.io"));

  before(async () => {
    cluster = await startTestCluster();
    const files = ["/bin/busybox:/bin/busybox", "/bin/busybox:/bin/sh"].flatMap((file) => ["--file", file]);
    await cluster.sampan("image", "pack", image, ...files);
    node = (await kubectl("get nodes -o name")).trim().replace("node/", "");
    nodeFolder = join(cluster.dataDir, "nodes", node, "kubelet");
    await apply(
      {
        apiVersion: "storage.k8s.io/v1",
        kind: "CSIDriver",
        metadata: { name: driverName },
        spec: { podInfoOnMount: true, fsGroupPolicy: "File", volumeLifecycleModes: ["Persistent", "Ephemeral"] },
      },
      {
        apiVersion: "storage.k8s.io/v1",
        kind: "StorageClass",
        metadata: { name: "csi" },
        provisioner: driverName,
        allowVolumeExpansion: true,
        volumeBindingMode: "Immediate",
      },
    );
    driver = await startCsiDriver({
      name: driverName,
      nodeName: node,
      nodeFolder,
      dataFolder: join(cluster.directory, "csi"),
      run: cluster.run,
      nodeInfo: { maxVolumesPerNode: 20, segments: { "topology.test/node": node } },
    });
    await cluster.until(async () => driver.said.includes("registered") || undefined, "the driver is registered");
  });
  after(async () => {
    await driver?.stop();
    await cluster?.close();
  });

  test("a driver is shown in CSINode and on the node", async () => {
    const line = await kubectl(`get csinode ${node} -o jsonpath={.spec.drivers}`);
    assert.deepEqual(JSON.parse(line), [
      { name: driverName, nodeID: `${node}-id`, topologyKeys: ["topology.test/node"], allocatable: { count: 20 } },
    ]);
    assert.match(await kubectl(`get node ${node} --show-labels`), new RegExp(`topology\\.test/node=${node}`));
  });

  test("a claim is provisioned, attached, shared by two pods, survives kill -9 of the node, and is given back", async () => {
    await apply(claim("data"));
    await provision("data");
    await apply(
      pod("writer", { ...claimed("data"), securityContext: { fsGroup: 77 } }),
      pod("reader", claimed("data")),
    );
    await attach("data");
    await Promise.all([ready("writer"), ready("reader")]);
    await cluster.kubectl("exec", "writer", "--", "/bin/busybox", "sh", "-c", "echo kept > /v/f");
    assert.equal(await cluster.kubectl("exec", "reader", "--", "/bin/busybox", "cat", "/v/f"), "kept\n");
    assert.match(await cluster.kubectl("exec", "writer", "--", "/bin/busybox", "stat", "-c", "%g", "/v"), /^77$/m);
    assert.equal(called("NodeStageVolume", "vol-data").length, 1);
    assert.deepEqual(called("NodeStageVolume", "vol-data")[0]?.request.publishContext, { at: "x" });
    const inUse = await kubectl(`get node ${node} -o jsonpath={.status.volumesInUse}`);
    assert.deepEqual(JSON.parse(inUse), [`kubernetes.io/csi/${driverName}^vol-data`]);

    const started = await kubectl("get pod writer -o jsonpath={.status.containerStatuses[0].state.running.startedAt}");
    await cluster.stop("SIGKILL");
    await cluster.start();
    await ready("writer");
    await kubectl("delete pod writer --wait");
    assert.equal(called("NodeUnstageVolume", "vol-data").length, 0);
    assert.equal(await cluster.kubectl("exec", "reader", "--", "/bin/busybox", "cat", "/v/f"), "kept\n");
    assert.ok(started);
    await kubectl("delete pod reader --wait");
    await untilCalled("NodeUnstageVolume", "vol-data");
    await cluster.until(
      async () => ((await kubectl("get volumeattachments -o name")) === "" ? true : undefined),
      "it is detached",
    );
    await cluster.until(
      async () => ((await mounts()).some((line) => line.includes("csi")) ? undefined : true),
      "nothing is mounted",
    );
    assert.equal((await readFile(join(cluster.directory, "csi/vol-data/f"), "utf8")).trim(), "kept");
  });

  test("a driver that refuses or is gone: upstream's events, and the pod starts when it can", async () => {
    await apply(claim("late"));
    await provision("late");
    driver.failures.set("NodeStageVolume", { code: 13, message: "no disk" });
    await apply(pod("late", claimed("late")));
    await attach("late");
    await eventOf(
      "late",
      /FailedMount:MountVolume\.MountDevice failed for volume "pv-late" : rpc error: code = Internal desc = no disk/,
    );
    driver.failures.clear();
    driver.failures.set("NodePublishVolume", { code: 3, message: "no place" });
    await eventOf(
      "late",
      /FailedMount:MountVolume\.SetUp failed for volume "pv-late" : rpc error: code = InvalidArgument desc = no place/,
    );
    driver.failures.clear();
    await ready("late");
    await driver.stop();
    await cluster.until(
      async () => ((await kubectl(`get csinode ${node} -o jsonpath={.spec.drivers}`)) === "null" ? true : undefined),
      "the driver is gone",
    );
    await kubectl("delete pod late --wait=false");
    const orphan = pod("orphan", { volumes: [{ name: "v", csi: { driver: driverName } }] });
    await apply(orphan);
    await eventOf(
      "orphan",
      /FailedMount:MountVolume\.SetUp failed for volume "v" : kubernetes\.io\/csi: mounter\.SetUpAt failed to get CSI client: driver name csi\.test\.example not found in the list of registered CSI drivers/,
    );
    assert.ok(await get("pod late"));
    await driver.start();
    await kubectl("wait pod/late --for=delete --timeout=60s");
    await ready("orphan");
    await kubectl("delete pod orphan --wait");
  });

  test("a volume in a pod lives as long as it", async () => {
    await apply(pod("inline", { volumes: [{ name: "v", csi: { driver: driverName, volumeAttributes: { k: "w" } } }] }));
    await ready("inline");
    const { request } = await cluster.until(
      async () => driver.calls.findLast((call) => call.method === "NodePublishVolume"),
      "published",
    );
    assert.equal(request.volumeContext.k, "w");
    assert.equal(request.volumeContext["csi.storage.k8s.io/ephemeral"], "true");
    await kubectl("delete pod inline --wait");
    await untilCalled("NodeUnpublishVolume", request.volumeId);
    assert.equal(existsSync(request.targetPath), false);
  });

  test("raw block: a pod writes to the device that another one reads, and no loop device is left", async () => {
    await apply(claim("raw", { volumeMode: "Block" }));
    await provision("raw", "Block");
    const device = { volumeMounts: [], volumeDevices: [{ name: "v", devicePath: "/dev/xda" }] };
    await apply(pod("raw", claimed("raw"), device));
    await attach("raw");
    await ready("raw");
    await cluster.kubectl(
      "exec",
      "raw",
      "--",
      "/bin/busybox",
      "sh",
      "-c",
      "echo block | /bin/busybox dd of=/dev/xda conv=fsync 2>/dev/null",
    );
    const link = join(
      nodeFolder,
      "pods",
      (await get("pod raw"))?.metadata.uid ?? "",
      "volumeDevices/kubernetes.io~csi/pv-raw",
    );
    assert.match(await cluster.run("readlink", link), /plugins\/kubernetes\.io\/csi\/volumeDevices\/publish\/pv-raw\//);
    await kubectl("delete pod raw --wait");
    const readOnly = { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "raw", readOnly: true } }] };
    await apply(pod("raw-reader", readOnly, device));
    await attach("raw").catch(() => undefined);
    await ready("raw-reader");
    const read = await cluster.kubectl("exec", "raw-reader", "--", "/bin/busybox", "head", "-n", "1", "/dev/xda");
    assert.equal(read, "block\n");
    await kubectl("delete pod raw-reader --wait");
    await cluster.until(async () => called("NodeUnstageVolume", "vol-raw").at(-1), "it is given back");
    const left = async () =>
      (await cluster.run("losetup", "-a"))
        .split("\n")
        .filter((line) => line.includes(cluster.directory) || line.includes("pv-raw"));
    await cluster.until(async () => ((await left()).length === 0 ? true : undefined), "no loop device is left");
    await cluster.until(
      async () => ((await mounts()).some((line) => line.includes("csi")) ? undefined : true),
      "nothing is mounted",
    );
  });

  test("raw block: a device of the machine, writable and read-only", async () => {
    const file = join(cluster.directory, "disk.img");
    await cluster.run("truncate", "-s", "4M", file);
    const loop = (await cluster.run("losetup", "-f", "--show", file)).trim();
    try {
      await apply(
        {
          apiVersion: "v1",
          kind: "PersistentVolume",
          metadata: { name: "disk" },
          spec: {
            capacity: { storage: "4Mi" },
            accessModes: ["ReadWriteOnce"],
            volumeMode: "Block",
            storageClassName: "manual",
            local: { path: loop },
            nodeAffinity: {
              required: {
                nodeSelectorTerms: [
                  { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [node] }] },
                ],
              },
            },
          },
        },
        claim("disk", { storageClassName: "manual", volumeMode: "Block", resources: { requests: { storage: "1Mi" } } }),
        pod(
          "disk",
          { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "disk" } }] },
          { volumeMounts: [], volumeDevices: [{ name: "v", devicePath: "/dev/d" }] },
        ),
        pod("wrong", { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "disk" } }] }),
      );
      await ready("disk");
      await eventOf("wrong", /volume v has volumeMode Block, but is specified in volumeMounts/);
      await cluster.kubectl(
        "exec",
        "disk",
        "--",
        "/bin/busybox",
        "sh",
        "-c",
        "echo local | /bin/busybox dd of=/dev/d conv=fsync 2>/dev/null",
      );
      assert.equal((await cluster.run("head", "-n", "1", file)).trim(), "local");
      await kubectl("delete pod disk wrong --wait");
    } finally {
      await cluster.run("losetup", "-d", loop);
    }
    assert.ok(!(await cluster.run("losetup", "-a")).includes(loop.replace("/dev/", "volumeDevices/")));
  });

  test("a claim that grew is made larger on the node when its pod starts", async () => {
    await apply(claim("grow"));
    await provision("grow");
    await cluster.until(
      async () => (await kubectl("get pvc grow -o jsonpath={.status.phase}")) === "Bound" || undefined,
      "it is bound",
    );
    await patch("pvc grow", { spec: { resources: { requests: { storage: "2Gi" } } } });
    // The resizer's part.
    await patch("pv pv-grow", { spec: { capacity: { storage: "2Gi" } } });
    const conditions = [
      { type: "FileSystemResizePending", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" },
    ];
    const status = {
      conditions,
      allocatedResources: { storage: "2Gi" },
      allocatedResourceStatuses: { storage: "NodeResizePending" },
    };
    await patch("pvc grow", { status }, "--subresource=status");
    await apply(pod("grow", claimed("grow")));
    await attach("grow");
    await ready("grow");
    assert.equal(
      await kubectl(
        "get pvc grow -o jsonpath={.status.capacity.storage}{.status.conditions}{.status.allocatedResourceStatuses}",
      ),
      "2Gi",
    );
    await eventOf(
      "grow",
      new RegExp(`FileSystemResizeSuccessful:MountVolume\\.NodeExpandVolume succeeded for volume "pv-grow" ${node}`),
    );
    await kubectl("delete pod grow --wait");
  });

  test("claims that pods bring with them, of the node's folders and of the driver, go with the pods", async () => {
    const template = (storageClassName: string) => ({
      name: "v",
      ephemeral: { volumeClaimTemplate: { spec: claim("", { storageClassName }).spec } },
    });
    await apply(pod("own", { volumes: [template("local-path")] }), pod("own-csi", { volumes: [template("csi")] }));
    await provision("own-csi-v");
    await attach("own-csi-v");
    await Promise.all([ready("own"), ready("own-csi")]);
    for (const name of ["own", "own-csi"]) {
      await cluster.kubectl("exec", name, "--", "/bin/busybox", "sh", "-c", "echo mine > /v/f");
      assert.match(
        await kubectl(
          `get pvc ${name}-v -o jsonpath={.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}`,
        ),
        new RegExp(`^Pod/${name}$`),
      );
    }
    await kubectl("delete pod own own-csi --wait");
    await kubectl("wait pvc/own-v pvc/own-csi-v --for=delete --timeout=60s").catch((error: { stderr?: string }) => {
      if (!/not found/.test(error.stderr ?? "")) throw error;
    });
    await untilCalled("NodeUnstageVolume", "vol-own-csi-v");
  });
});
