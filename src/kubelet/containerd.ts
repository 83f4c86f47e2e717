/**
 * The private containerd of a node: started when no runtime is given, with a root, state, socket and configuration of its own.
 *
 * It outlives this process on purpose: a node that is killed and started again finds its containers running. Whether the one that is
 * there may be used is decided by its configuration: the same text is adopted, another one is restarted (the containers' shims live on).
 */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { access, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Logger } from "#base";
import { connectCri } from "./cri/client.ts";
import { mountsUnder, unmount } from "./volumes/mount-table.ts";

export interface ContainerdOptions {
  /** Everything of this containerd is below. */
  readonly directory: string;
  /** CNI configuration and plugins. */
  readonly cniConfDir: string;
  readonly cniBinDir: string;
  readonly sandboxImage: string;
  readonly log: Logger;
  /** Found on the PATH when missing. */
  readonly program?: string;
}

export interface Containerd {
  readonly endpoint: string;
  /** Whether it was running already. */
  readonly adopted: boolean;
  /** Ends it; containers go on unless they were stopped before. */
  stop(): Promise<void>;
}

const startMsMax = 20_000;
const stopMsMax = 10_000;
/** Another process's coming and going has no event for us; these waits keep this process alive, unlike those of a Clock. */
const pollMs = 20;

export function containerdLayout(directory: string) {
  return {
    socket: join(directory, "containerd.sock"),
    config: join(directory, "config.toml"),
    pidFile: join(directory, "containerd.pid"),
    log: join(directory, "containerd.log"),
    root: join(directory, "root"),
    state: join(directory, "state"),
    registry: join(directory, "registry"),
  };
}

export async function startContainerd(options: ContainerdOptions): Promise<Containerd> {
  const { directory, log } = options;
  const at = containerdLayout(directory);
  await mkdir(at.registry, { recursive: true, mode: 0o711 });
  const text = await containerdConfig(options);
  const stop = () => stopContainerd(directory);
  const running = await runningPid(directory);
  if (running !== undefined) {
    const same = (await readFile(at.config, "utf8").catch(() => "")) === text;
    if (same && (await answers(at.socket))) {
      log.info("containerd is running already", { pid: running });
      return { endpoint: at.socket, adopted: true, stop };
    }
    log.info("containerd is started again", {
      pid: running,
      why: same ? "it doesn't answer" : "its configuration changed",
    });
    await stop();
  }
  await writeFile(at.config, text);
  const output = openSync(at.log, "a", 0o640);
  // A session of its own, so that no signal to this process's group ends it.
  const child = spawn(options.program ?? "containerd", ["--config", at.config], {
    detached: true,
    stdio: ["ignore", output, output],
    env: { ...process.env, TMPDIR: process.env.TMPDIR ?? "/tmp" },
  });
  closeSync(output);
  const ended = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(`could not be run: ${error.message}`));
    child.on("exit", (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`));
  });
  child.unref();
  if (child.pid !== undefined) await writeFile(at.pidFile, String(child.pid));
  const failed = await Promise.race([ended, whenUp(at.socket)]);
  if (failed !== undefined) {
    const lines = (await readFile(at.log, "utf8").catch(() => "")).trim().split("\n").slice(-5).join("\n");
    throw new Error(`containerd ${failed}; its log ${at.log} ends with:\n${lines}`);
  }
  return { endpoint: at.socket, adopted: false, stop };
}

/** Undefined when it answers. */
async function whenUp(socket: string): Promise<string | undefined> {
  const end = Date.now() + startMsMax;
  while (Date.now() < end) {
    if ((await exists(socket)) && (await answers(socket))) return undefined;
    await setTimeout(pollMs);
  }
  return `did not answer on ${socket} within ${startMsMax / 1000} s`;
}

async function answers(socket: string): Promise<boolean> {
  const cri = await connectCri(socket, { timeoutMs: 2000 });
  try {
    await cri.runtime.version({});
    return true;
  } catch {
    // Not (yet): the caller asks again or starts one.
    return false;
  } finally {
    cri.close();
  }
}

/** The process that the pid file names, if it is a containerd with our configuration. */
export async function runningPid(directory: string): Promise<number | undefined> {
  const at = containerdLayout(directory);
  const pid = Number(await readFile(at.pidFile, "utf8").catch(() => ""));
  if (!pid) return undefined;
  const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return command.split("\0").includes(at.config) ? pid : undefined;
}

/** Idempotent. */
export async function stopContainerd(directory: string): Promise<void> {
  const at = containerdLayout(directory);
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const pid = await runningPid(directory);
    if (pid === undefined) break;
    process.kill(pid, signal);
    const end = Date.now() + stopMsMax;
    while (Date.now() < end && (await runningPid(directory)) !== undefined) await setTimeout(pollMs);
  }
  await rm(at.pidFile, { force: true });
}

/** After all pods are gone: mounts and files that containerd leaves. Images go too unless `keepImages`. */
export async function removeContainerdFiles(directory: string, { keepImages }: { keepImages: boolean }): Promise<void> {
  const at = containerdLayout(directory);
  for (const point of await mountsUnder(directory)) await unmount(point, { lazy: true });
  // Without a configuration nothing is running, nor has to be asked next time.
  for (const path of keepImages ? [at.state, at.config, at.socket] : [directory])
    await rm(path, { recursive: true, force: true });
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Plugins that this node has no use for: each costs start time, some complain on machines that lack what they need. */
const disabled = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.nri.v1.nri",
];

async function containerdConfig({
  directory,
  cniConfDir,
  cniBinDir,
  sandboxImage,
}: ContainerdOptions): Promise<string> {
  const at = containerdLayout(directory);
  const [overlay, mayLowerOomScore] = await Promise.all([hasOverlay(), hasSysResource()]);
  const text = (value: string) => JSON.stringify(value);
  return `version = 2
root = ${text(at.root)}
state = ${text(at.state)}
disabled_plugins = ${JSON.stringify(disabled)}
[grpc]
  address = ${text(at.socket)}
[debug]
  level = "warn"
[plugins."io.containerd.gc.v1.scheduler"]
  startup_delay = "5s"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = ${text(sandboxImage)}
  restrict_oom_score_adj = ${!mayLowerOomScore}
  netns_mounts_under_state_dir = true
  max_concurrent_downloads = 6
  enable_unprivileged_ports = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = ${text(cniBinDir)}
    conf_dir = ${text(cniConfDir)}
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = ${text(at.registry)}
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = ${text(overlay ? "overlayfs" : "native")}
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`;
}

const hasOverlay = async (): Promise<boolean> => /\boverlay\b/.test(await readFile("/proc/filesystems", "utf8"));

/** Without CAP_SYS_RESOURCE no OOM score can be lowered, and runc fails with an error that says nothing of it. */
async function hasSysResource(): Promise<boolean> {
  const status = await readFile("/proc/self/status", "utf8");
  const bits = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return ((bits >> 24n) & 1n) === 1n;
}
