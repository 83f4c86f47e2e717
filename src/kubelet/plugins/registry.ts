/**
 * Plugins of the node register by a socket in `plugins_registry`: whoever appears there is asked what it is, given to the handler of its kind,
 * and told how that went; when the socket goes or is made anew, the handler is told. Follows upstream's plugin manager.
 */
import { type FSWatcher, watch } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { backoffMs, type Clock, type Logger } from "#base";
import { connectPlugin } from "./plugin-protocol.ts";

export interface PluginInfo {
  readonly type: string;
  readonly name: string;
  readonly endpoint: string;
  readonly supportedVersions: readonly string[];
}

export interface PluginHandler {
  /** Why such a plugin can't be used. */
  validate(plugin: PluginInfo): string | undefined | Promise<string | undefined>;
  /** Rejects with what the plugin is told. */
  register(plugin: PluginInfo): Promise<void>;
  deregister(plugin: PluginInfo): void;
}

export interface PluginRegistryOptions {
  readonly folder: string;
  /** By type: `DRAPlugin`, `CSIPlugin`, `DevicePlugin`. */
  readonly handlers: Readonly<Record<string, PluginHandler>>;
  readonly clock: Clock;
  readonly log: Logger;
}

const service = "pluginregistration.Registration";
const infoMs = 5_000;
const notifyMs = 5_000;
const retry = { initialMs: 500, maxMs: 120_000 };
/** Sockets that are looked at; protects from a folder that somebody fills. */
const socketsMax = 1_000;

interface Known {
  /** Tells a socket from one that was made anew under its name. */
  readonly identity: string;
  plugin?: PluginInfo;
  failures: number;
  cancelRetry?: () => void;
}

export async function runPluginRegistry(options: PluginRegistryOptions, signal: AbortSignal): Promise<void> {
  const { folder, handlers, clock, log } = options;
  const known = new Map<string, Known>();
  const underWay = new Set<Promise<void>>();
  await mkdir(folder, { recursive: true, mode: 0o750 });
  let running: Promise<void> | undefined;
  let again = false;

  function look(): void {
    if (running) {
      again = true;
      return;
    }
    running = scan()
      .catch((error: unknown) => log.warn("the folder of plugins could not be read", { folder, error }))
      .finally(() => {
        running = undefined;
        if (again && !signal.aborted) {
          again = false;
          look();
        }
      });
  }

  async function scan(): Promise<void> {
    const entries = await readdir(folder, { withFileTypes: true });
    const found = new Map<string, string>();
    for (const entry of entries.slice(0, socketsMax)) {
      if (!entry.isSocket() || entry.name.startsWith(".")) continue;
      const path = join(folder, entry.name);
      const { ino, ctimeMs } = await stat(path).catch(() => ({ ino: -1, ctimeMs: 0 }));
      if (ino >= 0) found.set(path, `${ino}/${ctimeMs}`);
    }
    for (const [path, each] of known) {
      if (found.get(path) === each.identity) continue;
      known.delete(path);
      each.cancelRetry?.();
      if (each.plugin) {
        log.info("plugin gone", { plugin: each.plugin.name, socket: path });
        handlers[each.plugin.type]?.deregister(each.plugin);
      }
    }
    for (const [path, identity] of found) {
      if (known.has(path)) continue;
      const fresh: Known = { identity, failures: 0 };
      known.set(path, fresh);
      // Not waited for: one that hangs holds nobody else up.
      const trying = tryToRegister(path, fresh).finally(() => underWay.delete(trying));
      underWay.add(trying);
    }
  }

  async function tryToRegister(path: string, entry: Known): Promise<void> {
    try {
      const plugin = await register(path);
      if (known.get(path) !== entry || signal.aborted) handlers[plugin.type]?.deregister(plugin);
      else {
        entry.plugin = plugin;
        log.info("plugin registered", { plugin: plugin.name, type: plugin.type, socket: path });
      }
    } catch (error) {
      if (known.get(path) !== entry || signal.aborted) return;
      log.debug("plugin not registered", { socket: path, error });
      entry.failures++;
      entry.cancelRetry = clock.after(backoffMs(entry.failures, retry), () => void tryToRegister(path, entry));
    }
  }

  async function register(path: string): Promise<PluginInfo> {
    const connection = await connectPlugin(path);
    const notify = (error: string) =>
      connection.call(service, "NotifyRegistrationStatus", { pluginRegistered: error === "", error }, notifyMs);
    try {
      const info = await connection.call<PluginInfo>(service, "GetInfo", {}, infoMs);
      const plugin = { ...info, endpoint: info.endpoint || path };
      const handler = handlers[plugin.type];
      const complaint = handler
        ? prefixed("plugin validation failed with err: ", await handler.validate(plugin))
        : `no handler registered for plugin type: ${plugin.type} at socket ${path}`;
      if (!handler || complaint) {
        await notify(`RegisterPlugin error -- ${complaint}`);
        throw new Error(complaint);
      }
      try {
        await handler.register(plugin);
      } catch (error) {
        await notify(`RegisterPlugin error -- plugin registration failed with err: ${(error as Error).message}`); // handlers throw errors
        throw error;
      }
      try {
        await notify("");
      } catch (error) {
        handler.deregister(plugin);
        throw error;
      }
      return plugin;
    } finally {
      connection.close();
    }
  }

  const watcher: FSWatcher = watch(folder, look);
  watcher.on("error", (error) => log.warn("the folder of plugins can't be watched", { folder, error }));
  look();
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
  watcher.close();
  for (const { cancelRetry } of known.values()) cancelRetry?.();
  await running;
  await Promise.all(underWay);
}

const prefixed = (prefix: string, text: string | undefined) => (text === undefined ? undefined : prefix + text);
