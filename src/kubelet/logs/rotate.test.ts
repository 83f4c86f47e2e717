import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { rotateLog } from "./rotate.ts";

test("logs: renamed above the limit, older ones compressed, oldest deleted, put back when the runtime won't", async () => {
  const folder = await mkdtemp(join(tmpdir(), "logs-"));
  const path = join(folder, "0.log");
  try {
    const write = (text: string) => writeFile(path, text);
    const rotate = (minute: number, reopen: () => Promise<void> = () => write("")) =>
      rotateLog(path, { bytesMax: 4, filesMax: 3, now: Date.UTC(2026, 0, 1, 0, minute), reopen });
    await write("abc");
    assert.equal(await rotate(0), false);
    for (const [minute, text] of ["one!", "two!", "three"].entries()) {
      await write(text);
      assert.equal(await rotate(minute), true);
    }
    assert.deepEqual((await readdir(folder)).sort(), ["0.log", "0.log.20260101-000100.gz", "0.log.20260101-000200"]);
    assert.equal(gunzipSync(await readFile(`${path}.20260101-000100.gz`)).toString(), "two!");
    await write("four!");
    await assert.rejects(
      rotate(3, () => Promise.reject(new Error("no"))),
      /no/,
    );
    assert.equal(await readFile(path, "utf8"), "four!");
    assert.equal(
      await rotateLog(join(folder, "none"), { bytesMax: 1, filesMax: 2, now: 0, reopen: async () => undefined }),
      false,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
