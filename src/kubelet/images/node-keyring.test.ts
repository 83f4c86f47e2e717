import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FakeClock } from "#base";
import { lookUp } from "./keyring.ts";
import { createNodeKeyring } from "./node-keyring.ts";

test("node's passwords: config.json of its own folder before the older file, read again after a while, broken ones left out", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "keyring-"));
  const { HOME: home } = process.env;
  // Whoever runs the tests may have passwords, too.
  process.env.HOME = folder;
  t.after(async () => {
    process.env.HOME = home;
    await rm(folder, { recursive: true });
  });
  const clock = new FakeClock();
  const ring = createNodeKeyring(folder, clock);
  const user = async () => lookUp(await ring(), "a.io/x").map(({ username, source }) => [username, source]);
  const write = (name: string, value: unknown) => writeFile(join(folder, name), JSON.stringify(value));
  const entry = (username: string) => ({ "a.io": { username, password: "p" } });
  await write(".dockercfg", entry("older"));
  assert.deepEqual(await user(), [["older", undefined]]);
  await write("config.json", { auths: entry("newer") });
  assert.deepEqual(await user(), [["older", undefined]], "as it was");
  clock.advance(5 * 60_000);
  assert.deepEqual(await user(), [["newer", undefined]]);
  await writeFile(join(folder, "config.json"), "{");
  clock.advance(5 * 60_000);
  assert.deepEqual(await user(), [["older", undefined]]);
});
