import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
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
    await writeCniConfig(options);
    assert.deepEqual(await readdir(options.confDir), ["10-sampan.conflist"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
