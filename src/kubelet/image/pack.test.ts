import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { normalName, packImage } from "./pack.ts";
import { writeTar } from "./tar.ts";

/** Names and bodies of a tar archive. */
function readTar(bytes: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (let at = 0; bytes[at]; ) {
    const text = (from: number, length: number) =>
      bytes.toString("utf8", at + from, at + from + length).replace(/\0.*$/s, "");
    const size = Number.parseInt(text(124, 12), 8);
    const name = text(345, 155) ? `${text(345, 155)}/${text(0, 100)}` : text(0, 100);
    files.set(name, bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

test("names: normalized as container runtimes do", () => {
  const cases: [string, string][] = [
    ["busybox", "docker.io/library/busybox:latest"],
    ["demo/busybox:1", "docker.io/demo/busybox:1"],
    ["sampan.local/pause:1", "sampan.local/pause:1"],
    ["localhost/a/b", "localhost/a/b:latest"],
    ["registry:5000/a", "registry:5000/a:latest"],
  ];
  for (const [name, full] of cases) assert.equal(normalName(name), full);
});

test("tar: long paths survive, too long ones are refused", () => {
  const path = `${"a".repeat(80)}/${"b".repeat(90)}`;
  assert.deepEqual(
    [...readTar(writeTar([{ path, type: "file", mode: 0o644, body: Buffer.from("x") }])).keys()],
    [path],
  );
  assert.throws(() => writeTar([{ path: "c".repeat(200), type: "file", mode: 0o644 }]), /too long/);
});

test("image: the same input makes the same bytes; index, manifest and blobs agree", async () => {
  const folder = await mkdtemp(join(tmpdir(), "pack-"));
  try {
    await writeFile(join(folder, "run"), "#!/bin/sh\n", { mode: 0o755 });
    const options = {
      name: "demo/one:1",
      files: [{ host: join(folder, "run"), path: "/bin/run" }],
      entrypoint: ["/bin/run"],
      user: "1000",
    };
    const image = await packImage(options);
    assert.deepEqual(image, await packImage(options));
    const files = readTar(image);
    const json = (path: string) => JSON.parse(String(files.get(path)));
    const manifestPath = `blobs/sha256/${json("index.json").manifests[0].digest.slice(7)}`;
    const manifest = json(manifestPath);
    const config = json(`blobs/sha256/${manifest.config.digest.slice(7)}`);
    assert.equal(json("index.json").manifests[0].annotations["io.containerd.image.name"], "docker.io/demo/one:1");
    assert.deepEqual(config.config.Entrypoint, ["/bin/run"]);
    assert.equal(config.config.User, "1000");
    const layer = readTar(files.get(json("manifest.json")[0].Layers[0]) ?? Buffer.alloc(0));
    assert.deepEqual([...layer.keys()], ["bin/", "bin/run", "tmp/"]);
    assert.equal(config.rootfs.diff_ids[0], manifest.layers[0].digest);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("image: a folder brings all that is in it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "pack-"));
  try {
    await mkdir(join(folder, "a/b"), { recursive: true });
    for (const name of ["main.js", "a/b/part.js"]) await writeFile(join(folder, name), name);
    const files = readTar(await packImage({ name: "demo/two:1", files: [{ host: folder, path: "/app" }], cmd: ["x"] }));
    const [{ Layers }] = JSON.parse(String(files.get("manifest.json")));
    const layer = readTar(files.get(Layers[0]) ?? Buffer.alloc(0));
    assert.deepEqual([...layer.keys()], ["app/", "app/a/", "app/a/b/", "app/a/b/part.js", "app/main.js", "tmp/"]);
    assert.equal(String(layer.get("app/a/b/part.js")), "a/b/part.js");
  } finally {
    await rm(folder, { recursive: true });
  }
});
