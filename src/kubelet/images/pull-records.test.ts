import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { FakeClock, silentLogger } from "#base";
import type { TrackedCredential } from "./keyring.ts";
import { createPullRecords, type PullRecordOptions, verification } from "./pull-records.ts";

async function recordsIn(t: TestContext, more: Partial<PullRecordOptions> = {}) {
  const folder = more.folder ?? (await mkdtemp(join(tmpdir(), "pull-records-")));
  if (!more.folder) t.after(() => rm(folder, { recursive: true }));
  const clock = new FakeClock();
  const make = () =>
    createPullRecords({
      folder,
      policy: "NeverVerifyPreloadedImages",
      allowlist: [],
      images: async () => [],
      clock,
      log: silentLogger,
      ...more,
    });
  return { folder, clock, make, records: make() };
}

const ofSecret = (name: string, hash: string, uid = name): TrackedCredential => ({
  username: "u",
  password: "p",
  hash,
  source: { secret: { uid, namespace: "n", name } },
});
const ofAccount = (name: string): TrackedCredential => ({
  username: "u",
  password: "p",
  hash: "h",
  source: { serviceAccount: { uid: name, namespace: "n", name } },
});
const nobody = async () => [];
const having =
  (...credentials: TrackedCredential[]) =>
  async () =>
    credentials;

test("pull records: an image that this node never pulled is everybody's, by default", async (t) => {
  const { records } = await recordsIn(t);
  assert.equal(await records.mustPull("a.io/x:1", "id", () => assert.fail("nobody is asked")), false);
});

test("pull records: who pulled with a password shares with those who have it", async (t) => {
  const { records, make, folder } = await recordsIn(t);
  await records.begin("a.io/x:1");
  assert.equal(await records.mustPull("a.io/x:1", "id", nobody), true, "while it is pulled");
  await records.pulled("a.io/x:1", "id", ofSecret("one", "h1"));
  for (const [who, credentials, must] of [
    ["nobody's", nobody, true],
    ["the same Secret", having(ofSecret("one", "h1")), false],
    ["another Secret with the same password", having(ofSecret("two", "h1")), false],
    ["another password", having(ofSecret("three", "h3")), true],
    ["the same Secret with a new password", having(ofSecret("one", "h9")), false],
    ["what was learnt then", having(ofSecret("four", "h9")), false],
    ["a service account", having(ofAccount("sa")), true],
  ] as const)
    assert.equal(await records.mustPull("a.io/x:2", "id", credentials), must, who);
  assert.equal(await records.mustPull("b.io/x:1", "id", having(ofSecret("one", "h9"))), true, "under another name");

  const again = make();
  assert.equal(await again.mustPull("a.io/x:1", "id", nobody), true, "after a restart");
  const [file = ""] = await readdir(join(folder, "pulled"));
  assert.match(file, /^sha256-[0-9a-f]{64}$/);
  const { kind, apiVersion, imageRef, credentialMapping } = JSON.parse(
    await readFile(join(folder, "pulled", file), "utf8"),
  );
  assert.deepEqual([kind, apiVersion, imageRef], ["ImagePulledRecord", "kubelet.config.k8s.io/v1beta1", "id"]);
  assert.deepEqual(Object.keys(credentialMapping), ["a.io/x"]);
  assert.deepEqual(await readdir(join(folder, "pulling")), []);
});

test("pull records: what needed no password is everybody's, whoever came before", async (t) => {
  const { records } = await recordsIn(t);
  for (const credential of [ofSecret("one", "h1"), ofAccount("sa"), undefined]) {
    await records.begin("a.io/x");
    await records.pulled("a.io/x", "id", credential);
  }
  assert.equal(await records.mustPull("a.io/x", "id", nobody), false);
  assert.equal(await records.mustPull("a.io/x@sha256:" + "0".repeat(64), "id", nobody), false);
});

test("pull records: service accounts are told apart", async (t) => {
  const { records } = await recordsIn(t);
  await records.begin("a.io/x");
  await records.pulled("a.io/x", "id", ofAccount("sa"));
  assert.equal(await records.mustPull("a.io/x", "id", having(ofAccount("sa"))), false);
  assert.equal(await records.mustPull("a.io/x", "id", having(ofAccount("other"))), true);
});

test("pull records: of a pull that the node didn't survive everybody has to show a password", async (t) => {
  const { folder, records, make } = await recordsIn(t, {
    images: async () => [{ id: "id", repoTags: ["a.io/x:1"], repoDigests: [] }],
  });
  await records.begin("a.io/x:1");
  await records.begin("a.io/y:1");
  const again = make();
  assert.equal(await again.mustPull("a.io/x:1", "id", nobody), true);
  assert.equal((await readdir(join(folder, "pulled"))).length, 1);
  assert.equal((await readdir(join(folder, "pulling"))).length, 1, "y isn't here yet");
  await again.failed("a.io/y:1");
  assert.deepEqual(await readdir(join(folder, "pulling")), []);
});

test("pull records: of images that are gone are removed, unless they are younger than the look; broken files are left out", async (t) => {
  const { folder, records, clock, make } = await recordsIn(t);
  for (const id of ["one", "two"]) {
    await records.begin(`a.io/${id}`);
    await records.pulled(`a.io/${id}`, id, undefined);
  }
  await records.prune([], clock.now());
  assert.equal((await readdir(join(folder, "pulled"))).length, 2);
  clock.advance(10_000);
  await records.prune(["two"], clock.now());
  assert.equal((await readdir(join(folder, "pulled"))).length, 1);
  await writeFile(join(folder, "pulled", `sha256-${"0".repeat(64)}`), "{");
  assert.equal(await make().mustPull("a.io/two", "two", nobody), false);
});

test("verification policies: which images need a password", () => {
  const list = (...patterns: string[]) => verification("NeverVerifyAllowlistedImages", patterns);
  for (const [needs, image, pulled, must] of [
    [verification("NeverVerify", []), "a.io/x", true, false],
    [verification("AlwaysVerify", []), "a.io/x", false, true],
    [verification("NeverVerifyPreloadedImages", []), "a.io/x", true, true],
    [list("a.io/x"), "a.io/x:1", true, false],
    [list("a.io/x"), "a.io/xy", false, true],
    [list("a.io/x/*"), "a.io/x/y:1", true, false],
    [list("a.io/x/*"), "a.io/x:1", true, true],
    [list("a.io/*", "x"), "x:1", false, false],
    [list("docker.io/library/x"), "x:1", false, true],
  ] as const)
    assert.equal(needs(image, pulled), must, image);
  for (const [pattern, message] of [
    ["a.io/*/x", "not a valid wildcard pattern, only patterns ending with '/*' are allowed: a.io/*/x"],
    ["a.io/x*", "not a valid wildcard pattern, only patterns ending with '/*' are allowed: a.io/x*"],
    ["/*", "at least registry hostname is required"],
    ["", "the supplied pattern is too short: "],
    ["a.io/x ", "leading/trailing spaces are not allowed: a.io/x "],
    ["a.io/x:1", "neither tag nor digest is accepted in an image reference: a.io/x:1"],
    ["a.io/x/", "failed to parse as an image name: invalid reference format"],
  ] as const)
    assert.throws(() => list(pattern), { message });
});
