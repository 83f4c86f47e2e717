/**
 * A real Ceph on one machine: one monitor, one manager and one disk in a file, from Debian's packages, on loopback of a network namespace,
 * with everything it keeps in one folder. Small enough for a test: the file is sparse, caches are bounded, nothing is copied twice.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const monitorPort = 6789;
const diskBytes = 2 ** 31;
/** Of file systems, whose files can't be used as disks. */
const tmpfs = 0x01021994;
const answerMs = 60_000;

export interface TestCeph {
  /** As a volume's `monitors`. */
  readonly monitor: string;
  readonly directory: string;
  /** The administrator's. */
  readonly keyring: string;
  readonly key: string;
  /** `rbd …` as the administrator, from outside of the cluster's nodes. */
  rbd(...args: string[]): Promise<string>;
  /** `ceph …` as the administrator. */
  ceph(...args: string[]): Promise<string>;
  /** Makes a user who may use the images of `pool`; its key. */
  addUser(name: string, pool: string): Promise<string>;
  close(): Promise<void>;
}

/** Why this machine can't; undefined when it can. `npm run test:ceph` installs what is missing. */
export function whyNoCeph(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  for (const name of ["ceph-mon", "ceph-mgr", "ceph-osd", "ceph", "rbd", "nsenter"]) {
    try {
      execFileSync("sh", ["-c", `command -v ${name}`], { stdio: "pipe" });
    } catch {
      return `needs ${name}; \`npm run test:ceph\` installs it`;
    }
  }
  return undefined;
}

/** `inside`: words before each program (`nsenter --net=…`). Ready for images in `pools`. */
export async function startCeph(inside: readonly string[], pools: readonly string[] = ["rbd"]): Promise<TestCeph> {
  const directory = mkdtempSync(path.join(tmpdir(), "sampan-ceph-"));
  const at = (...parts: string[]) => path.join(directory, ...parts);
  const monitor = `127.0.0.1:${monitorPort}`;
  const keyring = at("keyring");
  const fsid = randomUUID();
  const env = { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LANG: "C", CEPH_CONF: at("ceph.conf") };
  writeFileSync(at("ceph.conf"), configuration({ directory, monitor, keyring, fsid }));
  const daemons: { child: ChildProcess; name: string }[] = [];

  async function run(...command: string[]): Promise<string> {
    const [first = "", ...rest] = [...inside, ...command];
    const { stdout } = await promisify(execFile)(first, rest, { env, cwd: directory, timeout: answerMs });
    return stdout.trim();
  }
  function start(name: string, ...command: string[]): void {
    const [first = "", ...rest] = [...inside, ...command];
    const output = openSync(at(`${name}.out`), "a");
    const child = spawn(first, rest, { env, cwd: directory, stdio: ["ignore", output, output], detached: true });
    closeSync(output);
    daemons.push({ child, name });
  }
  async function close(): Promise<void> {
    // The disk first, as long as somebody hears that it goes.
    for (const { child } of daemons.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(directory, { recursive: true, force: true });
  }

  try {
    const map = at("monmap");
    await run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *");
    const all = ["mon", "osd", "mgr", "mds"].flatMap((part) => ["--cap", part, "allow *"]);
    await run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", ...all);
    await run("monmaptool", "--create", "--addv", "a", `[v1:${monitor}]`, "--fsid", fsid, map);
    await run("ceph-mon", "--mkfs", "-i", "a", "--monmap", map, "--keyring", keyring);
    start("mon", "ceph-mon", "-f", "-i", "a");
    const manager = ["mon", "allow profile mgr", "osd", "allow *", "mds", "allow *"];
    await run("ceph", "auth", "get-or-create", "mgr.a", ...manager, "-o", at("mgr-keyring"));
    start("mgr", "ceph-mgr", "-f", "-i", "a");
    const disk = randomUUID();
    await run("ceph", "osd", "new", disk);
    await run("mkdir", "-p", at("osd"));
    await run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk, "--mkkey", "--no-mon-config");
    await run(
      "ceph",
      "auth",
      "add",
      "osd.0",
      "mon",
      "allow profile osd",
      "mgr",
      "allow profile osd",
      "osd",
      "allow *",
      "-i",
      at("osd", "keyring"),
    );
    start("osd", "ceph-osd", "-f", "-i", "0");
    for (const pool of pools) {
      await run("ceph", "osd", "pool", "create", pool, "8");
      await run("rbd", "pool", "init", pool);
    }
    const key = await run("ceph", "auth", "print-key", "client.admin");
    return {
      monitor,
      directory,
      keyring,
      key,
      rbd: (...args) => run("rbd", ...args),
      ceph: (...args) => run("ceph", ...args),
      addUser: (name, pool) =>
        run(
          "ceph",
          "auth",
          "get-or-create-key",
          `client.${name}`,
          "mon",
          "profile rbd",
          "osd",
          `profile rbd pool=${pool}`,
        ),
      close,
    };
  } catch (error) {
    const said = daemons.map(({ name }) => `${name}: ${readFileSync(at(`${name}.out`), "utf8").slice(-1000)}`);
    await close();
    throw new Error(`Ceph didn't start: ${(error as Error).message}\n${said.join("\n")}`); // execFile's
  }
}

const configuration = ({
  directory,
  monitor,
  keyring,
  fsid,
}: Record<"directory" | "monitor" | "keyring" | "fsid", string>) => `
[global]
fsid = ${fsid}
mon_host = v1:${monitor}
mon_initial_members = a
public_addr = 127.0.0.1
ms_bind_ipv6 = false
keyring = ${keyring}
run_dir = ${directory}
admin_socket =
log_file = ${directory}/$type.$id.log
pid_file =
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_crush_chooseleaf_type = 0
mon_warn_on_pool_no_redundancy = false
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
auth_allow_insecure_global_id_reclaim = false
osd_heartbeat_grace = 60
[mon]
mon_data = ${directory}/mon
mon_cluster_log_file = ${directory}/cluster.log
[mgr]
mgr_data = ${directory}/mgr
keyring = ${directory}/mgr-keyring
mgr_initial_modules =
[osd]
osd_data = ${directory}/osd
keyring = ${directory}/osd/keyring
osd_objectstore = ${statfsSync(directory).type === tmpfs ? "memstore" : "bluestore"}
memstore_device_bytes = ${diskBytes}
bluestore_block_size = ${diskBytes}
bluestore_cache_autotune = false
bluestore_cache_size = ${2 ** 25}
osd_memory_target = ${2 ** 30}
bluestore_fsck_on_mount = false
`;
