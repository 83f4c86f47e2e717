import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { FakeClock, silentLogger } from "#base";
import type { PodRuntime } from "../core/types.ts";
import { rotateLog, rotateLogs } from "./rotate.ts";

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
    // What earlier rotations left half done goes, and a log that somebody removed is opened again.
    for (const left of ["20260101-000000.tmp", "20260101-000100"]) await writeFile(`${path}.${left}`, "");
    assert.equal(await rotate(4), true);
    assert.deepEqual((await readdir(folder)).sort(), ["0.log", "0.log.20260101-000200.gz", "0.log.20260101-000400"]);
    await rm(path);
    assert.equal(await rotate(5), false);
    assert.equal(await readFile(path, "utf8"), "");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("logs: those of running containers are looked at again and again, a few at a time", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "logs-"));
  t.after(() => rm(folder, { recursive: true }));
  const names = ["a", "b", "c", "ended"];
  for (const name of names) await writeFile(join(folder, `${name}.log`), "too long");
  const containers = names.map((name) => ({
    id: name,
    logPath: join(folder, `${name}.log`),
    state: name === "ended" ? "exited" : "running",
  }));
  const clock = new FakeClock();
  const stop = new AbortController();
  const reopened: string[] = [];
  const all = Promise.withResolvers<void>();
  const done = rotateLogs(
    {
      config: {
        containerLogMaxSize: "4",
        containerLogMaxFiles: 2,
        containerLogMaxWorkers: 2,
        containerLogMonitorInterval: 10_000,
      },
      runtimes: () => [{ containers } as unknown as PodRuntime], // what rotation looks at
      async reopen(id) {
        await writeFile(join(folder, `${id}.log`), "");
        if (reopened.push(id) === 3) all.resolve();
      },
      clock,
      log: silentLogger,
    },
    stop.signal,
  );
  clock.advance(10_000);
  await all.promise;
  stop.abort();
  clock.advance(10_000);
  await done;
  assert.deepEqual(reopened.sort(), ["a", "b", "c"]);
  assert.equal(await readFile(join(folder, "ended.log"), "utf8"), "too long");
});
