import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connectCri, CriError } from "./client.ts";

const missing = (): string | undefined => {
  if (process.getuid?.() !== 0) return "needs root to run containerd";
  return spawnSync("containerd", ["--version"]).status === 0 ? undefined : "needs containerd on the PATH";
};

/** A containerd of its own, with state only in a temporary folder. */
async function startContainerd(context: TestContext): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "sampan-cri-"));
  const socket = join(folder, "containerd.sock");
  writeFileSync(
    join(folder, "config.toml"),
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "${socket}"
[ttrpc]
address = "${folder}/ttrpc.sock"
[plugins."io.containerd.grpc.v1.cri"]
restrict_oom_score_adj = true
disable_tcp_service = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
`,
  );
  const process_ = spawn("containerd", ["--config", join(folder, "config.toml")], { stdio: "ignore" });
  context.after(async () => {
    await stop(process_);
    rmSync(folder, { recursive: true, force: true });
  });
  return socket;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await exited;
}

test("cri client: talks to a real containerd", { skip: missing() }, async (context) => {
  const client = await connectCri(await startContainerd(context));
  context.after(() => client.close());
  await client.whenReady(30_000);

  const version = await client.runtime.version({ version: "0.1.0" });
  assert.equal(version.runtimeName, "containerd");
  assert.equal(version.runtimeApiVersion, "v1");

  assert.deepEqual(await client.runtime.listPodSandbox({}), { items: [] });
  assert.deepEqual(await client.runtime.listContainers({ filter: { state: { state: "CONTAINER_RUNNING" } } }), {
    containers: [],
  });
  const { status } = await client.runtime.status({ verbose: true });
  assert.deepEqual(
    status?.conditions.map(({ type, status: ok }) => ({ type, ok: type === "RuntimeReady" ? ok : undefined })),
    [
      { type: "RuntimeReady", ok: true },
      { type: "NetworkReady", ok: undefined },
    ],
  );
  assert.equal((await client.image.imageStatus({ image: { image: "none.example/none" } })).image, undefined);

  await assert.rejects(
    client.runtime.containerStatus({ containerId: "none" }),
    (error) => error instanceof CriError && error.code === "NOT_FOUND" && /none/.test(error.details),
  );
  // A streaming method that this containerd may be too old for: an answer or a refusal, never silence.
  const stopped = new AbortController();
  const events = client.runtime.getContainerEvents({}, { signal: stopped.signal })[Symbol.asyncIterator]();
  const first = events.next();
  if (/^1\.[0-6]\./.test(version.runtimeVersion)) {
    await assert.rejects(first, (error) => error instanceof CriError && error.code === "UNIMPLEMENTED");
  } else {
    stopped.abort();
    await assert.rejects(first, (error) => error === stopped.signal.reason);
  }
});

test("cri client: says that nobody listens", async (context) => {
  const client = await connectCri(`unix://${join(tmpdir(), "sampan-cri-none.sock")}`);
  context.after(() => client.close());
  await assert.rejects(
    client.runtime.version({}),
    (error) => error instanceof CriError && error.code === "UNAVAILABLE",
  );
  await assert.rejects(client.runtime.version({}, { signal: AbortSignal.abort(new Error("enough")) }), /enough/);
});
