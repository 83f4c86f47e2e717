/** What the machine's `mount` is asked, by one that only notes it; a real server needs a kernel that knows NFS. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { PersistentVolume, Pod } from "#api";
import { silentLogger } from "#base";
import { nodeLayout } from "../layout.ts";
import type { VolumeRequest } from "../plugin.ts";
import { createNfsPlugin, type RunProgram } from "./nfs-plugin.ts";

async function start(t: TestContext, answer?: Awaited<ReturnType<RunProgram>>) {
  const root = await mkdtemp(join(tmpdir(), "nfs-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const layout = nodeLayout({ root, logs: join(root, "logs") });
  const asked: string[] = [];
  const run: RunProgram = async (program, args) => {
    asked.push([program, ...args].join(" "));
    return answer ?? { end: "", output: "" };
  };
  const plugin = createNfsPlugin({ layout, log: silentLogger }, ...(answer || t.name.includes("asks") ? [run] : []));
  const path = layout.pod("u").volume("nfs", "v");
  const request = (more: Partial<VolumeRequest>): VolumeRequest => ({
    pod: { metadata: { name: "p", uid: "u" } } as Pod, // nothing else is looked at
    volume: { name: "v", nfs: { server: "s", path: "/x" } },
    persistent: undefined,
    claim: undefined,
    readOnly: false,
    mode: "Filesystem",
    path,
    fsGroup: 3,
    ...more,
  });
  return { plugin, path, request, asked };
}
const volume = (server: string, mountOptions: string[]): PersistentVolume => ({
  apiVersion: "v1",
  kind: "PersistentVolume",
  metadata: { name: "v" },
  spec: { nfs: { server, path: "/exported" }, mountOptions },
});

test("nfs: asks for one mount for each pod, options sorted, read-only as the pod wants", async (t) => {
  const { plugin, path, request, asked } = await start(t);
  assert.deepEqual(await plugin.setUp(request({})), { path, readOnly: false, ownsFiles: false });
  await plugin.setUp(request({ persistent: volume("fd00::1", ["nfsvers=4", "hard", "hard"]), readOnly: true }));
  assert.deepEqual(asked, [
    `mount -t nfs s:/x ${path}`,
    `mount -t nfs -o hard,nfsvers=4,ro [fd00::1]:/exported ${path}`,
  ]);
  await plugin.tearDown("u");
  assert.equal(existsSync(path), false);
  await plugin.tearDown("never here");
});

test("nfs: a mount that fails is told in upstream's words, and leaves nothing", async (t) => {
  const { plugin, path, request } = await start(t, { end: "exit status 32", output: "mount.nfs: access denied\n" });
  await assert.rejects(plugin.setUp(request({})), {
    message: `mount failed: exit status 32\nMounting command: mount\nMounting arguments: -t nfs s:/x ${path}\nOutput: mount.nfs: access denied\n`,
  });
  assert.equal(existsSync(path), false);
});

const kernel = await readFile("/proc/filesystems", "utf8").catch(() => "");
const whyNot = process.getuid?.() !== 0 ? "needs root" : /\tnfs4?$/m.test(kernel) ? "a kernel with NFS" : undefined;
test("nfs: a machine that can't says so", { skip: whyNot }, async (t) => {
  const { plugin, path, request } = await start(t);
  const nowhere = { name: "v", nfs: { server: "127.0.0.1", path: "/none" } };
  await assert.rejects(
    plugin.setUp(request({ volume: nowhere })),
    /^Error: mount failed: exit status 32\nMounting command: mount\n/,
  );
  assert.equal(existsSync(path), false);
});
