import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { realClock, silentLogger } from "#base";
import { connectPlugin, servePlugin } from "./plugin-protocol.ts";
import { type PluginInfo, runPluginRegistry } from "./registry.ts";

interface Status {
  readonly pluginRegistered: boolean;
  readonly error: string;
}

test("plugins: are registered by kind, told what is wrong, and deregistered when their socket goes", async () => {
  const root = await mkdtemp(join(tmpdir(), "plugins-"));
  const folder = join(root, "registry");
  await mkdir(folder);
  const said: string[] = [];
  const waiters = new Set<() => void>();
  const note = (text: string) => {
    said.push(text);
    for (const each of [...waiters]) each();
  };
  /** What is waited for comes from a plugin or a handler, so it can't be waited for in vain unless something is broken. */
  const until = (text: string) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (!said.includes(text)) return;
        waiters.delete(check);
        resolve();
      };
      waiters.add(check);
      check();
    });
  const handler = {
    validate: ({ supportedVersions }: PluginInfo) => (supportedVersions.includes("v1") ? undefined : "only v1"),
    async register({ name, endpoint }: PluginInfo) {
      note(`register ${name} ${endpoint.replace(folder, "")}`);
    },
    deregister: ({ name }: PluginInfo) => note(`deregister ${name}`),
  };
  const stopper = new AbortController();
  const options = { folder, handlers: { DRAPlugin: handler }, clock: realClock, log: silentLogger };
  const running = runPluginRegistry(options, stopper.signal);
  const plugin = (name: string, info: { type?: string; supportedVersions?: string[] } = {}) =>
    servePlugin(join(folder, `${name}.sock`), {
      "pluginregistration.Registration": {
        GetInfo: async () => ({ type: "DRAPlugin", name, supportedVersions: ["v1"], ...info }),
        NotifyRegistrationStatus: async ({ pluginRegistered, error }: Status) => {
          note(pluginRegistered ? `${name} registered` : error);
          return {};
        },
      },
    });
  const stops = [
    await plugin("good"),
    await plugin("old", { supportedVersions: ["v0"] }),
    await plugin("odd", { type: "Other" }),
  ];
  await until("good registered");
  assert.ok(said.includes("register good /good.sock"));
  await until("RegisterPlugin error -- plugin validation failed with err: only v1");
  await until(
    `RegisterPlugin error -- no handler registered for plugin type: Other at socket ${join(folder, "odd.sock")}`,
  );
  await rm(join(folder, "good.sock"), { force: true });
  await until("deregister good");
  stopper.abort();
  await running;
  for (const stop of stops) await stop();
  await rm(root, { recursive: true });
});

test("plugins: a socket whose path is longer than an address may be is reached", async () => {
  const root = await mkdtemp(join(tmpdir(), "plugins-"));
  const folder = join(root, "x".repeat(120));
  await mkdir(folder);
  // It can't be bound under that name either: made elsewhere, and moved.
  const stop = await servePlugin(join(root, "s"), {
    "pluginregistration.Registration": { GetInfo: async () => ({ type: "T", name: "far" }) },
  });
  await rename(join(root, "s"), join(folder, "s"));
  const connection = await connectPlugin(join(folder, "s"));
  assert.equal(
    (await connection.call<PluginInfo>("pluginregistration.Registration", "GetInfo", {}, 10_000)).name,
    "far",
  );
  connection.close();
  await stop();
  await rm(root, { recursive: true });
});
