import assert from "node:assert/strict";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { realClock, silentLogger } from "#base";
import { CommandError } from "./command.ts";
import { followConfigFile, readConfigFile } from "./config-file.ts";

async function folder(t: { after(run: () => unknown): void }) {
  const directory = await mkdtemp(path.join(tmpdir(), "config-"));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

test("config file: a mistake names the flag and the file", async (t) => {
  const file = path.join(await folder(t), "x.yaml");
  const parse = (text: string) => {
    if (text !== "good") throw new Error("line 1 is bad");
    return text;
  };
  assert.equal(await readConfigFile("x-config", undefined, parse), undefined);
  await assert.rejects(readConfigFile("x-config", file, parse), /^CommandError: --x-config .*x.yaml: ENOENT/);
  await writeFile(file, "bad");
  await assert.rejects(readConfigFile("x-config", file, parse), (error) => {
    assert.ok(error instanceof CommandError);
    assert.equal(error.message, `--x-config ${file}: line 1 is bad`);
    return true;
  });
  await writeFile(file, "good");
  assert.equal(await readConfigFile("x-config", file, parse), "good");
});

test("config file: a changed text is applied once, also when the file is replaced; a refused one is left", async (t) => {
  const file = path.join(await folder(t), "x.yaml");
  await writeFile(file, "one");
  const stop = new AbortController();
  t.after(() => stop.abort());
  const applied: string[] = [];
  let heard = (): void => undefined;
  const next = () => new Promise<void>((resolve) => (heard = resolve));
  followConfigFile({
    file,
    text: "one",
    clock: realClock,
    log: silentLogger,
    signal: stop.signal,
    apply(text) {
      applied.push(text);
      queueMicrotask(heard);
      if (text === "bad") throw new Error("refused");
    },
  });
  for (const text of ["bad", "two"]) {
    const arrived = next();
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
    await arrived;
  }
  assert.deepEqual(applied, ["bad", "two"]);
});
