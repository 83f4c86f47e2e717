/**
 * Several machines on one segment, for tests: each a network and mount namespace of its own without a route out, with an address
 * `192.0.2.N` on a switch, which is a namespace too. Cables can be pulled, slowed and made to lose packets.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const root = path.resolve(import.meta.dirname, "../..");
const program = path.join(root, "dist/sampan.js");
const runMsMax = 60_000;
const lookMs = 20;

export interface ClusterMachine {
  readonly name: string;
  readonly address: string;
  readonly dataDir: string;
  /** Any program there; rejects when it fails. */
  run(...command: string[]): Promise<string>;
  /** `sampan …` with this machine's data folder, to its end. */
  sampan(...args: string[]): Promise<string>;
  /** `sampan …` with this machine's data folder, until it is told to stop; its output is in `log`. */
  start(...args: string[]): ChildProcess;
  stop(signal: NodeJS.Signals): Promise<void>;
  log(): string;
  /** The cable to the switch. */
  setLink(state: "up" | "down"): Promise<void>;
  /** What `tc` is told of the cable, `netem delay 200ms`; nothing: as usual. */
  shape(...netem: string[]): Promise<void>;
}

export interface ClusterMachines {
  readonly directory: string;
  readonly machines: readonly ClusterMachine[];
  /** Looks until `look` answers something; rejects after `msMax`. */
  until<T>(look: () => Promise<T | undefined>, what: string, msMax?: number): Promise<T>;
  close(): Promise<void>;
}

interface Namespace {
  readonly pid: number;
  readonly keeper: ChildProcess;
}

async function makeNamespace(): Promise<Namespace> {
  const script = "ip link set lo up && echo up && exec sleep infinity";
  const keeper = spawn("unshare", ["--net", "--mount", "--kill-child", "sh", "-c", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(keeper.stdout, "data");
  return { keeper, pid: keeper.pid ?? 0 };
}

const enter = ({ pid }: Namespace) => [`--net=/proc/${pid}/ns/net`, `--mount=/proc/${pid}/ns/mnt`, `--wd=${root}`];
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

async function runIn(namespace: Namespace, command: readonly string[], more: Record<string, string> = {}) {
  const options = { env: { ...env, ...more }, timeout: runMsMax, maxBuffer: 2 ** 26 };
  const { stdout } = await promisify(execFile)("nsenter", [...enter(namespace), ...command], options);
  return stdout;
}

export async function startClusterMachines(names: readonly string[]): Promise<ClusterMachines> {
  const directory = mkdtempSync(path.join(tmpdir(), "sampan-test-"));
  const segment = await makeNamespace();
  const inSegment = (...command: string[]) => runIn(segment, command);
  await inSegment("ip", "link", "add", "switch", "type", "bridge");
  await inSegment("ip", "link", "set", "switch", "up");
  const namespaces: Namespace[] = [segment];
  const machines: (ClusterMachine & { close(): Promise<void> })[] = [];

  async function makeMachine(name: string, index: number): Promise<ClusterMachine & { close(): Promise<void> }> {
    const namespace = await makeNamespace();
    namespaces.push(namespace);
    const address = `192.0.2.${index + 1}`;
    const dataDir = path.join(directory, name);
    const logFile = path.join(directory, `${name}.log`);
    mkdirSync(dataDir);
    writeFileSync(logFile, "");
    const cable = `port${index}`;
    await inSegment("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", String(namespace.pid));
    await inSegment("ip", "link", "set", cable, "master", "switch", "up");
    const kubeconfig = { KUBECONFIG: path.join(dataDir, "admin.kubeconfig") };
    const run = (...command: string[]) => runIn(namespace, command, kubeconfig);
    await run("ip", "address", "add", `${address}/24`, "dev", "eth0");
    await run("ip", "link", "set", "eth0", "up");
    const own = ["--data-dir", dataDir, "--config", "/dev/null"];
    let running: ChildProcess | undefined;
    const machine = {
      ...{ name, address, dataDir, run },
      sampan: (...[verb = "", ...args]: string[]) => run(process.execPath, program, verb, ...args, ...own),
      start(verb = "", ...args: string[]) {
        const output = openSync(logFile, "a");
        running = spawn("nsenter", [...enter(namespace), process.execPath, program, verb, ...args, ...own], {
          env: { ...env, ...kubeconfig },
          stdio: ["ignore", output, output],
        });
        closeSync(output);
        return running;
      },
      async stop(signal: NodeJS.Signals) {
        if (!running || running.exitCode !== null || running.signalCode !== null) return;
        const ended = once(running, "exit");
        running.kill(signal);
        await ended;
      },
      log: () => readFileSync(logFile, "utf8"),
      setLink: async (state: "up" | "down") => void (await inSegment("ip", "link", "set", cable, state)),
      async shape(...netem: string[]) {
        await inSegment("tc", "qdisc", "delete", "dev", cable, "root").catch(() => ""); // there was none
        if (netem.length > 0) await inSegment("tc", "qdisc", "add", "dev", cable, "root", ...netem);
      },
      async close() {
        await machine.stop("SIGKILL");
        await machine.sampan("down", "--purge");
      },
    };
    return machine;
  }

  const cluster: ClusterMachines = {
    directory,
    machines,
    async until(look, what, msMax = runMsMax) {
      const end = Date.now() + msMax;
      for (;;) {
        const seen = await look();
        if (seen !== undefined) return seen;
        if (Date.now() > end) {
          const logs = machines.map((machine) => `--- ${machine.name}\n${machine.log().slice(-1500)}`);
          throw new Error(`not within ${msMax} ms: ${what}\n${logs.join("\n")}`);
        }
        await new Promise((next) => setTimeout(next, lookMs));
      }
    },
    async close() {
      try {
        const closing = await Promise.allSettled(machines.map((machine) => machine.close()));
        for (const each of closing) if (each.status === "rejected") throw each.reason;
      } finally {
        for (const { keeper } of namespaces) keeper.kill("SIGKILL");
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
  try {
    for (const [index, name] of names.entries()) machines.push(await makeMachine(name, index));
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}
