import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { writeCniConfig } from "./cni.ts";

test("CNI configuration: complete, replaced as a whole", async () => {
  const folder = await mkdtemp(join(tmpdir(), "cni-"));
  try {
    const options = {
      confDir: join(folder, "conf"),
      dataDir: join(folder, "data"),
      podCidrs: ["10.244.1.0/24"],
      bridge: "sampan1",
    };
    const path = await writeCniConfig(options);
    const config = JSON.parse(await readFile(path, "utf8"));
    assert.deepEqual(
      config.plugins.map(({ type }: { type: string }) => type),
      ["bridge"],
    );
    assert.deepEqual(config.plugins[0].ipam.ranges, [[{ subnet: "10.244.1.0/24" }]]);
    assert.equal(config.plugins[0].mtu, undefined);
    const { ino } = await stat(path);
    await writeCniConfig(options);
    assert.equal((await stat(path)).ino, ino, "left alone when nothing changed");
    const dual = { ...options, podCidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"], mtu: 1450 };
    await writeCniConfig(dual);
    assert.notEqual((await stat(path)).ino, ino, "nobody ever reads half of it");
    const [{ mtu, ipam }] = JSON.parse(await readFile(path, "utf8")).plugins;
    assert.deepEqual([mtu, ipam.ranges], [1450, [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]]]);
    assert.deepEqual(await readdir(options.confDir), ["10-sampan.conflist"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
