/** Claims and volumes through a real API server, each controller with no more rights than its own role (test/e2e/storage). */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { type Loops, type Loose, startLoops } from "./loops.ts";

const claimsPath = "/api/v1/namespaces/default/persistentvolumeclaims";
const volumesPath = "/api/v1/persistentvolumes";
const podsPath = "/api/v1/namespaces/default/pods";
const storage = "/apis/storage.k8s.io/v1";

suite("volumes", () => {
  let loops: Loops;
  before(async () => {
    loops = await startLoops();
  });
  after(() => loops.close());

  const claim = (name: string, spec: object = {}, metadata: object = {}) =>
    loops.call("POST", claimsPath, {
      metadata: { name, ...metadata },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } }, ...spec },
    });
  const volume = (name: string, spec: object = {}, metadata: object = {}) =>
    loops.call("POST", volumesPath, {
      metadata: { name, ...metadata },
      spec: {
        capacity: { storage: "2Gi" },
        accessModes: ["ReadWriteOnce"],
        csi: { driver: "d.dev", volumeHandle: name },
        storageClassName: name,
        ...spec,
      },
    });
  const pod = (name: string, source: object, nodeName?: string) =>
    loops.call("POST", podsPath, {
      metadata: { name },
      spec: {
        ...(nodeName && { nodeName }),
        terminationGracePeriodSeconds: 0,
        containers: [{ name: "c", image: "example.com/c:1" }],
        volumes: [{ name: "v", ...source }],
      },
    });
  const uses = (claimName: string) => ({ persistentVolumeClaim: { claimName } });
  const phase = (at: string, wanted: string) =>
    loops.until(`${at} ${wanted}`, async () => {
      const found = await loops.find(at);
      return found?.status.phase === wanted ? found : undefined;
    });
  const gone = (at: string) => loops.until(`${at} gone`, async () => !(await loops.find(at)));
  const annotationsOf = ({ metadata }: Loose) => metadata?.annotations ?? {};
  const node = (name: string) =>
    loops.call("POST", "/api/v1/nodes", {
      metadata: { name, annotations: { "volumes.kubernetes.io/controller-managed-attach-detach": "true" } },
    });

  test("conformance: PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC", async () => {
    await volume("life");
    const free = await phase(`${volumesPath}/life`, "Available");
    assert.ok(free.status.lastPhaseTransitionTime);
    await claim("life", { storageClassName: "life", volumeName: "life" });
    const bound = await phase(`${claimsPath}/life`, "Bound");
    assert.deepEqual(bound.status.capacity, { storage: "2Gi" });
    assert.equal(annotationsOf(bound)["pv.kubernetes.io/bind-completed"], "yes");
    await loops.merge(`${volumesPath}/life`, { metadata: { labels: { a: "b" } } });
    await loops.call("DELETE", `${volumesPath}/life`);
    assert.ok((await loops.find(`${volumesPath}/life`))?.metadata?.deletionTimestamp, "bound, so it stays");
    await loops.call("DELETE", `${claimsPath}/life`);
    await gone(`${claimsPath}/life`);
    await gone(`${volumesPath}/life`);
  });

  test("volumes: a claim takes what comes later, and its volume is released with it", async () => {
    await claim("late", { storageClassName: "late" });
    await volume("late", { persistentVolumeReclaimPolicy: "Retain" });
    await phase(`${claimsPath}/late`, "Bound");
    await loops.call("DELETE", `${claimsPath}/late`);
    await phase(`${volumesPath}/late`, "Released");
    // Its administrator gives it away again.
    await loops.merge(`${volumesPath}/late`, { spec: { claimRef: null } });
    await phase(`${volumesPath}/late`, "Available");
  });

  test("volumes: a claim without a class gets the default one when there is one", async () => {
    await claim("classless");
    const mark = { "storageclass.kubernetes.io/is-default-class": "true" };
    const body = { metadata: { name: "default", annotations: mark }, provisioner: "x.dev/a" };
    await loops.call("POST", `${storage}/storageclasses`, body);
    const told = await loops.until("its provisioner", async () => {
      const found = await loops.find(`${claimsPath}/classless`);
      return found && annotationsOf(found)["volume.kubernetes.io/storage-provisioner"] ? found : undefined;
    });
    assert.equal(told.spec.storageClassName, "default");
    await loops.call("DELETE", `${storage}/storageclasses/default`);
  });

  test("local path: a volume is made where the scheduler wants it, and goes with its claim", async () => {
    await node("keeper");
    await loops.call("POST", `${storage}/storageclasses`, {
      metadata: { name: "local-path" },
      provisioner: "sampan.dev/local-path",
      volumeBindingMode: "WaitForFirstConsumer",
    });
    await claim("made", { storageClassName: "local-path" });
    await loops.merge(`${claimsPath}/made`, {
      metadata: { annotations: { "volume.kubernetes.io/selected-node": "keeper" } },
    });
    const { spec } = await phase(`${claimsPath}/made`, "Bound");
    const at = `${volumesPath}/${spec.volumeName}`;
    assert.equal((await phase(at, "Bound")).spec.persistentVolumeReclaimPolicy, "Delete");
    // One that keeps folders is asked to remove this one.
    const folder = { "sampan.dev/local-path": "/data" };
    await loops.merge("/api/v1/nodes/keeper", { metadata: { annotations: folder } });
    await loops.call("DELETE", `${claimsPath}/made`);
    const key = `remove.local-path.sampan.dev/${spec.volumeName}`;
    await loops.until("the node is asked", async () => {
      const found = await loops.find("/api/v1/nodes/keeper");
      return found && annotationsOf(found)[key] !== undefined;
    });
    assert.ok(await loops.find(at), "the volume stays until the folder is gone");
    await loops.merge("/api/v1/nodes/keeper", { metadata: { annotations: { [key]: null } } });
    await gone(at);
  });

  test("ephemeral volumes: the pod owns the claim", async () => {
    const template = {
      metadata: { labels: { a: "b" } },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    };
    await pod("owner", { ephemeral: { volumeClaimTemplate: template } });
    const found = await loops.until("the claim", () => loops.find(`${claimsPath}/owner-v`));
    assert.equal(found.metadata?.ownerReferences?.[0]?.name, "owner");
    assert.deepEqual(found.metadata?.labels, { a: "b" });
    await loops.call("DELETE", `${podsPath}/owner`);
    await gone(`${claimsPath}/owner-v`);
  });

  test("attributes classes: stay while a claim has them", async () => {
    const path = `${storage}/volumeattributesclasses`;
    await loops.call("POST", path, { metadata: { name: "gold" }, driverName: "d.dev", parameters: { a: "b" } });
    await loops.until(
      "the finalizer",
      async () => (await loops.find(`${path}/gold`))?.metadata?.finalizers?.length === 1,
    );
    await claim("golden", { volumeAttributesClassName: "gold", storageClassName: "none" });
    await loops.call("DELETE", `${path}/gold`);
    assert.ok(await loops.find(`${path}/gold`));
    await loops.call("DELETE", `${claimsPath}/golden`);
    await gone(`${path}/gold`);
  });

  // conformance: VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment
  test("attachments: are made for pods and go with them; those made by hand stay", async () => {
    const path = `${storage}/volumeattachments`;
    await node("host");
    await volume("disk");
    await claim("disk", { storageClassName: "disk" });
    await phase(`${claimsPath}/disk`, "Bound");
    const body = { spec: { attacher: "e2e", nodeName: "host", source: { persistentVolumeName: "disk" } } };
    await loops.call("POST", path, { metadata: { name: "by-hand" }, ...body });
    await pod("user", uses("disk"), "host");
    const other = async () =>
      (await loops.call("GET", path)).items.find(({ metadata }) => metadata?.name?.startsWith("csi-"));
    const made = await loops.until("the attachment", other);
    assert.equal(made.spec.attacher, "d.dev");
    await loops.merge(`${path}/${made.metadata?.name}/status`, { status: { attached: true } });
    const attached = async () =>
      (await loops.find("/api/v1/nodes/host"))?.status.volumesAttached as object[] | undefined;
    await loops.until("the node knows", attached);
    assert.deepEqual(await attached(), [{ name: "kubernetes.io/csi/d.dev^disk", devicePath: "" }]);
    await loops.call("DELETE", `${podsPath}/user?gracePeriodSeconds=0`);
    await gone(`${path}/${made.metadata?.name}`);
    await loops.until("the node forgets", async () => !(await attached())?.length);
    assert.ok(await loops.find(`${path}/by-hand`));
  });
});
