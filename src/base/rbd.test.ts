import assert from "node:assert/strict";
import { test } from "node:test";
import { accessProblem, cephKeyOf, ProgramError, runProgram } from "./rbd.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");

test("programs: a key goes in by standard input and never comes out", async () => {
  const key = "c2VjcmV0Cg==";
  assert.equal(await runProgram("cat", [], { input: key }), key);
  const show = 'cat >&2; echo "2026-01-01T00:00:00 log"; exit 3';
  await assert.rejects(runProgram("sh", ["-c", show], { input: key, hide: key }), (error) => {
    assert.ok(error instanceof ProgramError);
    const { exitCode, status, output } = error;
    assert.deepEqual(
      { exitCode, status, output },
      { exitCode: 3, status: "exit status 3", output: "<masked>2026-01-01T00:00:00 log" },
    );
    return true;
  });
});

test("programs: nothing of our environment goes along", async () => {
  process.env.https_proxy = "http://proxy";
  try {
    assert.doesNotMatch(await runProgram("env", []), /proxy/);
  } finally {
    delete process.env.https_proxy;
  }
});

test("programs: one that isn't there, and one that doesn't end", async () => {
  await assert.rejects(runProgram("no-such-program", []), /executable file not found in \$PATH/);
  await assert.rejects(runProgram("sleep", ["60"], { msMax: 1 }), /no answer within 0.001 s/);
});

test("ceph: the key of a secret", () => {
  assert.equal(cephKeyOf({ other: base64("a"), key: base64("b\n") }), "b");
  assert.equal(cephKeyOf({ one: base64("a"), two: base64("c") }), "c");
  assert.equal(cephKeyOf(undefined), undefined);
  const access = { monitors: ["m"], user: "u" };
  const image = { pool: "p", image: "i" };
  assert.equal(accessProblem({ ...access, key: "AQ==" }, image), undefined);
  assert.equal(accessProblem({ ...access, key: "not a key" }, image), "the key isn't one of Ceph's");
});
