import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ConfigMap, PodSecurityContext } from "#api";
import { realClock, silentLogger } from "#base";
import type { Client } from "#client";
import { podOf } from "../core/testing.ts";
import { type Payload, writePayload } from "./atomic-writer.ts";
import { checkHostPath } from "./host-path.ts";
import { nodeLayout } from "./layout.ts";
import { createVolumeManager } from "./manager.ts";
import { bindMount, mountsUnder, unmount } from "./mount-table.ts";
import type { ObjectCache } from "./object-cache.ts";
import { setGroup } from "./ownership.ts";
import { type PayloadSources, volumePayload } from "./payload.ts";
import { mountSubPath, SubPathError } from "./sub-path.ts";
import type { TokenSource } from "./tokens.ts";

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "volumes-"));
  t.after(async () => {
    for (const point of await mountsUnder(path)) await unmount(point, { lazy: true });
    await rm(path, { recursive: true, force: true });
  });
  return path;
}

const files = (of: Record<string, string>, mode = 0o644): Payload =>
  new Map(Object.entries(of).map(([path, text]) => [path, { bytes: Buffer.from(text), mode }]));

test("atomic files: links through ..data; an update swaps them all, drops old names, and does nothing when nothing changed", async (t) => {
  const path = await folder(t);
  assert.equal(await writePayload(path, files({ a: "1", "d/b": "2" })), true);
  assert.deepEqual([await readlink(join(path, "a")), await readlink(join(path, "d"))], ["..data/a", "..data/d"]);
  assert.match(await readlink(join(path, "..data")), /^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\./);
  assert.equal(await readFile(join(path, "d/b"), "utf8"), "2");
  const before = await readlink(join(path, "..data"));
  assert.equal(await writePayload(path, files({ a: "1", "d/b": "2" })), false);
  assert.equal(await readlink(join(path, "..data")), before);
  assert.equal(await writePayload(path, files({ a: "3", c: "4" })), true);
  assert.equal(await readFile(join(path, "a"), "utf8"), "3");
  assert.deepEqual((await readdir(path)).filter((name) => !/^\.\.\d/.test(name)).sort(), ["..data", "a", "c"]);
  assert.equal((await readdir(path)).filter((name) => /^\.\.\d/.test(name)).length, 1);
});

test("atomic files: a wider mode from the pod's group is not a change", async (t) => {
  const path = await folder(t);
  const payload = files({ a: "1" }, 0o400);
  await writePayload(path, payload);
  assert.equal((await stat(join(path, "a"))).mode & 0o777, 0o400);
  await setGroup(path, { gid: 3000, readOnly: true });
  const about = await stat(join(path, "a"));
  assert.deepEqual([about.mode & 0o777, about.gid], [0o440, 3000]);
  assert.equal(await writePayload(path, payload), false);
});

const sources: PayloadSources = {
  podIPs: [],
  hostIPs: [],
  allocatable: {},
  configMap: async (name) =>
    name === "cfg" ? { alpha: Buffer.from("one"), "beta.txt": Buffer.from("two") } : undefined,
  secret: async (name) => (name === "sec" ? { pass: Buffer.from("p") } : undefined),
  token: async ({ audience }) => `token-${audience}`,
};

test("payloads: items, modes, optional sources, and what is missing", async () => {
  const pod = podOf({ containers: ["a"] });
  const of = async (volume: object) => {
    const payload = await volumePayload(pod, { name: "v", ...volume }, sources);
    return [...(payload ?? [])].map(([path, { bytes, mode }]) => `${path} ${mode.toString(8)} ${Buffer.from(bytes)}`);
  };
  assert.deepEqual(await of({ configMap: { name: "cfg" } }), ["alpha 644 one", "beta.txt 644 two"]);
  const items = [{ key: "alpha", path: "d/a", mode: 0o440 }];
  assert.deepEqual(await of({ configMap: { name: "cfg", items, defaultMode: 0o400 } }), ["d/a 440 one"]);
  assert.deepEqual(await of({ secret: { secretName: "none", optional: true } }), []);
  const failures: [object, string][] = [
    [{ secret: { secretName: "nope" } }, 'secret "nope" not found'],
    [
      { configMap: { name: "cfg", items: [{ key: "x", path: "x" }] } },
      "configmap references non-existent config key: x",
    ],
    [{ secret: { secretName: "sec", items: [{ key: "x", path: "x" }] } }, "references non-existent secret key: x"],
    [
      { projected: { sources: [{ secret: { name: "no" } }, { configMap: { name: "ne" } }] } },
      '[secret "no" not found, configmap "ne" not found]',
    ],
  ];
  for (const [volume, message] of failures) await assert.rejects(of(volume), { message });
  const projected = [
    { serviceAccountToken: { path: "token", audience: "x" } },
    { downwardAPI: { items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }] } },
  ];
  assert.deepEqual(await of({ projected: { sources: projected } }), ["token 644 token-x", "name 644 pod"]);
  pod.spec!.securityContext = { fsGroup: 5 };
  assert.deepEqual((await of({ projected: { sources: projected } }))[0], "token 600 token-x");
});

test("tokens: for the one user of all containers, else for the group, else for everybody", async () => {
  const volume = { name: "v", projected: { sources: [{ serviceAccountToken: { path: "t" } }] } };
  const access = async (securityContext: PodSecurityContext, user?: number) => {
    const pod = podOf({ containers: ["a", "b"] });
    pod.spec!.securityContext = securityContext; // podOf makes a spec
    if (user !== undefined) pod.spec!.containers[1]!.securityContext = { runAsUser: user };
    const file = (await volumePayload(pod, volume, sources))?.get("t");
    return [file?.mode.toString(8), file?.uid];
  };
  assert.deepEqual(await access({}), ["644", undefined]);
  assert.deepEqual(await access({ fsGroup: 5 }), ["600", undefined]);
  assert.deepEqual(await access({ runAsUser: 7 }), ["600", 7]);
  assert.deepEqual(await access({ runAsUser: 7, fsGroup: 5 }), ["600", 7]);
  assert.deepEqual(await access({ runAsUser: 7 }, 8), ["644", undefined]);
});

const managerIn = (root: string, configMap?: () => Promise<ConfigMap>) =>
  createVolumeManager({
    plugin: () => undefined,
    images: { tearDown: async () => undefined, close: () => undefined },
    clock: realClock,
    event: () => undefined,
    client: {} as Client, // not asked for these volumes
    layout: nodeLayout({ root, logs: join(root, "logs") }),
    localFolder: join(root, "local"),
    objects: { configMap } as unknown as ObjectCache, // nothing else is asked for
    tokens: {} as TokenSource,
    memoryBytes: 2 ** 30,
    log: silentLogger,
  });

test("volume manager: a pod's volumes are deleted when nothing is written to them any more", async (t) => {
  const root = await folder(t);
  const config = Promise.withResolvers<ConfigMap>();
  const manager = managerIn(root, () => config.promise);
  const pod = podOf({ containers: ["a"] });
  pod.metadata.uid = "u1";
  pod.spec!.volumes = [{ name: "v", configMap: { name: "c" } }]; // podOf makes a spec
  pod.spec!.containers[0]!.volumeMounts = [{ name: "v", mountPath: "/v" }];
  const written = manager.setUp(pod, { podIPs: [], hostIPs: [], allocatable: {} });
  const gone = manager.tearDown("u1");
  config.resolve({ metadata: {}, data: { a: "1" } });
  await Promise.all([written, gone]);
  const { volumes } = nodeLayout({ root, logs: join(root, "logs") }).pod("u1");
  await assert.rejects(stat(volumes), { code: "ENOENT" });
});

test("volume manager: an emptyDir is given to its pod's group once, not again under running containers", async (t) => {
  const root = await folder(t);
  const pod = podOf({ containers: ["a"] });
  pod.metadata.uid = "u1";
  pod.spec!.securityContext = { fsGroup: process.getgid?.() ?? 0 }; // podOf makes a spec
  pod.spec!.volumes = [{ name: "v", emptyDir: {} }];
  pod.spec!.containers[0]!.volumeMounts = [{ name: "v", mountPath: "/v" }];
  // Twice: as after a restart of the node.
  const path = async () =>
    (await managerIn(root).setUp(pod, { podIPs: [], hostIPs: [], allocatable: {} })).get("v")?.path ?? "";
  const secret = join(await path(), "secret");
  await writeFile(secret, "", { mode: 0o600 });
  await path();
  assert.equal((await stat(secret)).mode & 0o777, 0o600);
  assert.equal((await stat(await path())).mode & 0o7777, 0o2777);
});

test("host paths: types are checked, or made", async (t) => {
  const path = await folder(t);
  await writeFile(join(path, "f"), "");
  await assert.rejects(checkHostPath("/no/such/dir", "Directory"), {
    message: "hostPath type check failed: /no/such/dir is not a directory",
  });
  await assert.rejects(checkHostPath(join(path, "f"), "Directory"), /is not a directory/);
  await assert.rejects(checkHostPath(join(path, "f"), "Socket"), /is not a socket file/);
  await checkHostPath(join(path, "new/dir"), "DirectoryOrCreate");
  await checkHostPath(join(path, "new/dir"), "Directory");
  await checkHostPath(join(path, "new/file"), "FileOrCreate");
  await checkHostPath(join(path, "new/file"), "File");
  await checkHostPath("/dev/null", "CharDevice");
});

const canMount = process.getuid?.() === 0;

test("sub paths: made when missing, links inside are followed, links out are refused", {
  skip: !canMount,
}, async (t) => {
  const path = await folder(t);
  const volume = join(path, "volume");
  await mkdir(volume);
  await writePayload(volume, files({ alpha: "one" }));
  await mountSubPath(volume, "alpha", join(path, "m/0"));
  assert.equal(await readFile(join(path, "m/0"), "utf8"), "one");
  await mountSubPath(volume, "x/y", join(path, "m/1"));
  await writeFile(join(path, "m/1/z"), "deep");
  assert.equal(await readFile(join(volume, "x/y/z"), "utf8"), "deep");
  await symlink("/etc", join(volume, "out"));
  await assert.rejects(mountSubPath(volume, "out/passwd", join(path, "m/2")), /not within volume path/);
  await symlink("/nowhere/at/all", join(volume, "dangling"));
  await assert.rejects(mountSubPath(volume, "dangling", join(path, "m/3")), /unexpected symlink found/);
  await assert.rejects(mountSubPath(volume, "dangling/new", join(path, "m/3")), { step: "create" });
  // A link that stays inside may lead to what isn't there yet.
  await symlink("x", join(volume, "inside"));
  await mountSubPath(volume, "inside/later", join(path, "m/4"));
  assert.ok((await stat(join(volume, "x/later"))).isDirectory());
});

test("subPath: a container that starts again gets the file that its source has by then", {
  skip: !canMount,
}, async (t) => {
  const path = await folder(t);
  const volume = join(path, "volume");
  await mkdir(volume);
  for (const text of ["one", "two"]) {
    await writePayload(volume, files({ alpha: text }));
    await mountSubPath(volume, "alpha", join(path, "m"));
    assert.equal(await readFile(join(path, "m"), "utf8"), text);
  }
  assert.equal((await mountsUnder(join(path, "m"))).length, 1);
});

test("subPath: containers that swap folders and links all the time never get anything outside", {
  skip: !canMount,
}, async (t) => {
  const path = await folder(t);
  const volume = join(path, "volume");
  await mkdir(join(volume, "real/part"), { recursive: true });
  await mkdir(join(path, "outside/part"), { recursive: true });
  await symlink(join(path, "outside"), join(volume, "bad"));
  await writeFile(join(path, "outside/part/secret"), "");
  let swapping = true;
  const swaps = (async () => {
    for (let round = 0; swapping; round++) {
      for (const name of ["real", "bad"]) {
        // In a moment without it the folder was made, or it isn't there: the next round goes on with what there is.
        const move = (from: string, to: string) => rename(join(volume, from), join(volume, to)).catch(() => undefined);
        await move(name, "at");
        await move("at", name);
        await move("at", `made-${name}-${round}`);
      }
    }
  })();
  const seen: string[] = [];
  for (let n = 0; n < 30; n++) {
    const target = join(path, `m/${n}`);
    await mountSubPath(volume, "at/part", target).then(
      async () => seen.push(...(await readdir(target))),
      (error: unknown) => assert.ok(error instanceof SubPathError, String(error)),
    );
  }
  swapping = false;
  await swaps;
  assert.deepEqual(seen, []);
  // What it made for want of anything isn't wider than the volume.
  assert.deepEqual(await readdir(join(path, "outside")), ["part"]);
});

test("mounts: below a data folder that is a link they are found, and nothing is deleted through them", {
  skip: !canMount,
}, async (t) => {
  const path = await folder(t);
  await mkdir(join(path, "disk/data"), { recursive: true });
  await mkdir(join(path, "volume"));
  await writeFile(join(path, "volume/precious"), "");
  await symlink(join(path, "disk"), join(path, "link"));
  const root = join(path, "link/data");
  const layout = nodeLayout({ root, logs: join(root, "logs") });
  const manager = managerIn(root);
  const target = layout.pod("u").subPath("v", "c", 0);
  await mkdir(target, { recursive: true });
  await bindMount(join(path, "volume"), target);
  assert.deepEqual(await mountsUnder(layout.pods), [target]);
  await manager.tearDown("u");
  await mkdir(target, { recursive: true });
  await bindMount(join(path, "volume"), target);
  await manager.close();
  assert.deepEqual(await readdir(join(path, "volume")), ["precious"]);
});

test("mount table: finds and removes mounts, also with blanks in their names", { skip: !canMount }, async (t) => {
  const path = await folder(t);
  const target = join(path, "a b");
  await mkdir(target);
  await bindMount(path, target);
  assert.deepEqual(await mountsUnder(path), [target]);
  await unmount(target);
  await unmount(target);
  assert.deepEqual(await mountsUnder(path), []);
});
