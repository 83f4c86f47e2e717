import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { StoreError } from "#store";
import { explainFailure } from "./operational-error.ts";

const thrownBy = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  return assert.fail("nothing was thrown");
};

test("failures: a system call's error keeps its words and gets the mend", () => {
  assert.match(explainFailure(thrownBy(() => readFileSync("/"))) ?? "", /^EISDIR: .*: this is a folder where a file/);
  assert.match(
    explainFailure(thrownBy(() => mkdirSync("/etc/hostname/x"))) ?? "",
    /^ENOTDIR: .*'\/etc\/hostname\/x': a part/,
  );
  assert.match(explainFailure(thrownBy(() => readFileSync("/nowhere"))) ?? "", /^ENOENT: .*'\/nowhere'$/);
  assert.match(explainFailure(thrownBy(() => writeFileSync("/dev/full", "x"))) ?? "", /^ENOSPC: .*: the disk is full/);
});

test("failures: a port in use is explained by who has it", async (context) => {
  const [first, second] = [createServer(), createServer()];
  context.after(() => first.close());
  await once(first.listen(0, "127.0.0.1"), "listening");
  const { port } = first.address() as { port: number }; // a TCP server's
  const [error] = await once(second.listen(port, "127.0.0.1"), "error");
  assert.match(explainFailure(error) ?? "", new RegExp(`port ${port} is held by .* \\(pid ${process.pid}\\)`));
});

test("failures: the store's own say what to do about the file", () => {
  const path = "/data/state.db";
  const locked = new StoreError({ code: "locked", path, holder: "process 7" }, "in use by process 7");
  assert.match(explainFailure(locked) ?? "", /^in use by process 7; `sampan down` with the same --data-dir/);
  const full = new StoreError({ code: "no-space", path }, "no space left");
  assert.match(explainFailure(full) ?? "", /^no space left \(df -h \/data\/state.db\)/);
});

test("failures: anything else is a bug and stays one", () => {
  assert.equal(explainFailure(new TypeError("x is not a function")), undefined);
  assert.equal(explainFailure("text"), undefined);
});
