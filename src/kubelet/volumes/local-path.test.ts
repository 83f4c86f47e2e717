import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  localPathProvisionerName,
  localPathRemoveAnnotation,
  type Node,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
} from "#api";
import { realClock, silentLogger } from "#base";
import { createClient, createInformers } from "#client";
import { FakeTransport } from "#testing";
import { claimedVolume, folderOf } from "./claims.ts";
import { followRemovals, makeLocalFolder, removeLocalFolder } from "./local-path.ts";
import { nodeLayout } from "./layout.ts";
import { createVolumeManager } from "./manager.ts";
import { bindMount, unmount } from "./mount-table.ts";
import type { ObjectCache } from "./object-cache.ts";
import type { TokenSource } from "./tokens.ts";

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "sampan-local-path-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}
const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

test("local path: a folder is open to every user, and keeps what it has", async (t) => {
  const path = join(await folder(t), "volumes/v");
  await makeLocalFolder(path);
  assert.equal((await stat(path)).mode & 0o7777, 0o777);
  await writeFile(join(path, "f"), "x");
  await makeLocalFolder(path);
  assert.equal(await readFile(join(path, "f"), "utf8"), "x");
});

test("local path: nothing outside of the folder is ever removed", async (t) => {
  const root = await folder(t);
  const volumes = join(root, "volumes");
  await mkdir(join(volumes, "v/deep"), { recursive: true });
  await mkdir(join(root, "kept"));
  await writeFile(join(root, "kept/f"), "x");
  await symlink(join(root, "kept"), join(volumes, "v/deep/out"));
  await symlink(join(root, "kept"), join(volumes, "link"));
  for (const name of ["", ".", "..", "../kept", "v/deep", "/etc"])
    await assert.rejects(removeLocalFolder(volumes, name), /is no folder of/);
  await removeLocalFolder(volumes, "link");
  await removeLocalFolder(volumes, "v");
  await removeLocalFolder(volumes, "never there");
  assert.equal(await exists(join(volumes, "v")), false);
  assert.equal(await exists(join(volumes, "link")), false);
  assert.equal(await readFile(join(root, "kept/f"), "utf8"), "x");
});

test("local path: what is mounted in a volume isn't emptied", { skip: process.getuid?.() !== 0 }, async (t) => {
  const root = await folder(t);
  await mkdir(join(root, "volumes/v/m"), { recursive: true });
  await mkdir(join(root, "kept"));
  await writeFile(join(root, "kept/f"), "x");
  await bindMount(join(root, "kept"), join(root, "volumes/v/m"));
  await assert.rejects(removeLocalFolder(join(root, "volumes"), "v"), /still mounted/);
  await unmount(join(root, "volumes/v/m"));
  await removeLocalFolder(join(root, "volumes"), "v");
  assert.equal(await readFile(join(root, "kept/f"), "utf8"), "x");
});

test("local path: a node removes what it is asked for, and says so", async (t) => {
  const root = await folder(t);
  await mkdir(join(root, "pvc-u_ns_c"));
  const transport = new FakeTransport();
  const client = createClient(transport);
  const informers = createInformers(client);
  const nodes = informers.of("v1/nodes");
  const stop = new AbortController();
  const running = informers.run(stop.signal);
  const end = followRemovals(nodes, { client, folder: root, log: silentLogger });
  const key = `${localPathRemoveAnnotation}pvc-u`;
  const node: Node = {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "n", annotations: { [key]: "pvc-u_ns_c", other: "1" } },
  };
  transport.create("/api/v1/nodes", node);
  const annotations = () => transport.objects.get("/api/v1/nodes/n")?.metadata?.annotations;
  while (annotations()?.[key] !== undefined) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(annotations(), { other: "1" });
  assert.equal(await exists(join(root, "pvc-u_ns_c")), false);
  end();
  stop.abort();
  await running;
});

test("volume manager: the first pod of a local volume says whose group it is", async (t) => {
  const root = await folder(t);
  const files = join(root, "files");
  await mkdir(files);
  const transport = new FakeTransport();
  const start = () =>
    createVolumeManager({
      plugin: () => undefined,
      images: { tearDown: async () => undefined, close: () => undefined },
      clock: realClock,
      event: () => undefined,
      client: createClient(transport),
      layout: nodeLayout({ root, logs: join(root, "logs") }),
      localFolder: join(root, "local"),
      objects: {} as ObjectCache, // nothing of these is asked for
      tokens: {} as TokenSource,
      memoryBytes: 2 ** 30,
      log: silentLogger,
    });
  let manager = start();
  const claim: PersistentVolumeClaim = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: "c", namespace: "ns", uid: "u" },
    spec: { volumeName: "v" },
    status: { phase: "Bound" },
  };
  transport.create("/api/v1/namespaces/ns/persistentvolumeclaims", claim);
  const volume: PersistentVolume = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "v" },
    spec: { local: { path: files }, claimRef: { uid: "u" } },
  };
  transport.create("/api/v1/persistentvolumes", volume);
  const own = process.getgid?.() ?? 0;
  const warned = async (uid: string, fsGroup: number) => {
    const pod = user();
    pod.metadata.uid = uid;
    pod.spec = { ...pod.spec, containers: pod.spec?.containers ?? [], securityContext: { fsGroup } };
    return (await manager.setUp(pod, { podIPs: [], hostIPs: [], allocatable: {} })).get("d")?.warning;
  };
  assert.equal(await warned("a", own), undefined);
  assert.equal(await warned("b", own), undefined);
  assert.match(
    (await warned("b", own + 1)) ?? "",
    /^The requested fsGroup is \d+, but the volume v has GID \d+\. The volume may/,
  );
  // After a restart of the node its pods come back in any order, and what runs in them may have changed the mode.
  manager = start();
  await chmod(files, 0o700);
  assert.equal(await warned("b", own), undefined);
  assert.equal(await warned("a", own), undefined);
  assert.equal((await stat(files)).mode & 0o7777, 0o700);
  await manager.tearDown("a");
  await manager.tearDown("b");
  assert.equal(await warned("b", own), undefined);
  assert.equal((await stat(files)).mode & 0o7777, 0o2770);
});

async function claimed(transport: FakeTransport, pod: Pod, localFolder = "/nowhere") {
  const [volume] = pod.spec?.volumes ?? [];
  assert.ok(volume);
  const { persistent } = await claimedVolume(pod, volume, createClient(transport));
  return folderOf(persistent, localFolder);
}
const user = (
  spec: object = { volumeMounts: [{ name: "d", mountPath: "/d" }] },
  volume: object = { persistentVolumeClaim: { claimName: "c" } },
): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "ns", uid: "up" },
  spec: { containers: [{ name: "c", image: "i", ...spec }], volumes: [{ name: "d", ...volume }] },
});

test("claims: why there is nothing to mount, in upstream's words", async (t) => {
  const local = await folder(t);
  const transport = new FakeTransport();
  const [claimPath, volumePath] = ["/api/v1/namespaces/ns/persistentvolumeclaims", "/api/v1/persistentvolumes"];
  const refused = async (message: RegExp | string, pod = user()) =>
    assert.rejects(claimed(transport, pod), { message });
  const about = "error processing PVC ns/c: ";
  await refused(/^error processing PVC ns\/c: failed to fetch PVC from API server: .*not found/);
  const claim: PersistentVolumeClaim = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: "c", namespace: "ns", uid: "u" },
    spec: {},
    status: { phase: "Pending" },
  };
  transport.create(claimPath, claim);
  await refused(`${about}PVC is not bound`);
  transport.patch(`${claimPath}/c`, { status: { phase: "Bound" } });
  await refused(`${about}PVC has empty pvc.Spec.VolumeName`);
  transport.patch(`${claimPath}/c`, { spec: { volumeName: "v" } });
  const volume: PersistentVolume = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "v", annotations: { "pv.kubernetes.io/provisioned-by": localPathProvisionerName } },
    spec: { local: { path: join(local, "v") } },
  };
  transport.create(volumePath, volume);
  await refused(
    `${about}found PV object v but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim`,
  );
  transport.patch(`${volumePath}/v`, { spec: { claimRef: { uid: "other" } } });
  await refused(`${about}found PV object v but its pv.Spec.ClaimRef.UID other does not point to claim.UID u`);
  transport.patch(`${volumePath}/v`, { spec: { claimRef: { uid: "u" } } });
  await refused(`path ${JSON.stringify(join(local, "v"))} does not exist`);
  await refused(
    "volume d has volumeMode Filesystem, but is specified in volumeDevices",
    user({ volumeDevices: [{ name: "d", devicePath: "/d" }] }),
  );
  assert.deepEqual(await claimed(transport, user(), local), {
    path: join(local, "v"),
    ownsFiles: true,
  });
  // What a link leads to is mounted.
  await symlink(join(local, "v"), join(local, "link"));
  transport.patch(`${volumePath}/v`, { spec: { local: { path: join(local, "link") } } });
  assert.equal((await claimed(transport, user(), local))?.path, join(local, "v"));
  // A claim that goes only after this pod is still the pod's.
  transport.patch(`${claimPath}/c`, {
    metadata: { deletionTimestamp: "2026-01-01T00:00:00Z", finalizers: ["kubernetes.io/pvc-protection"] },
  });
  await claimed(transport, user(), local);
  transport.patch(`${claimPath}/c`, { metadata: { finalizers: ["other"] } });
  await refused(`${about}PVC is being deleted`);
  transport.patch(`${volumePath}/v`, { spec: { volumeMode: "Block" } });
  transport.patch(`${claimPath}/c`, { metadata: { deletionTimestamp: null } });
  await refused("volume d has volumeMode Block, but is specified in volumeMounts");
  transport.create(claimPath, {
    ...claim,
    metadata: { name: "p-d", namespace: "ns", uid: "e" },
    spec: { volumeName: "v" },
    status: { phase: "Bound" },
  } as PersistentVolumeClaim);
  await refused("PVC ns/p-d was not created for pod ns/p (pod is not owner)", user(undefined, { ephemeral: {} }));
});
