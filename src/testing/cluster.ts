/**
 * The real program in a network and mount namespace of its own, without a route out: what cluster tests and benchmarks start.
 * Everything is ended and removed by `close`, also when a test failed half-way.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const root = path.resolve(import.meta.dirname, "../..");
const program = path.join(root, "dist/sampan.js");
const readyMsMax = 60_000;
const lookMs = 20;
/** Neither evicts pods nor collects images. */
const calmNode = {
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  evictionHard: { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
  imageGCHighThresholdPercent: 100,
  imageGCLowThresholdPercent: 99,
};

export interface TestCluster {
  readonly directory: string;
  readonly dataDir: string;
  /** `up` as it runs now. */
  readonly process: ChildProcess;
  /** Runs `sampan …` with this data folder; rejects when it fails. */
  sampan(...args: string[]): Promise<string>;
  kubectl(...args: string[]): Promise<string>;
  /** Any program in the cluster's namespaces. */
  run(...command: string[]): Promise<string>;
  /** Feeds text to `kubectl … -f -`. */
  kubectlInput(input: string, ...args: string[]): Promise<string>;
  /** Looks until `look` answers something; rejects after `msMax` with what it saw last. */
  until<T>(look: () => Promise<T | undefined>, what: string, msMax?: number): Promise<T>;
  /** Ends `up` with this signal and waits. */
  stop(signal: NodeJS.Signals): Promise<void>;
  /** Starts `up` (again). */
  start(...flags: string[]): Promise<void>;
  log(): string;
  close(): Promise<void>;
}

/** Why this machine can't; undefined when it can. */
export function whyNoCluster(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  for (const name of ["unshare", "nsenter", "containerd", "runc", "nft", "kubectl"]) {
    try {
      execFileSync("sh", ["-c", `PATH=$PATH:/usr/sbin:/sbin command -v ${name}`], { stdio: "pipe" });
    } catch {
      return `needs ${name}`;
    }
  }
  return undefined;
}

export async function startTestCluster(...flags: string[]): Promise<TestCluster> {
  const directory = mkdtempSync(path.join(tmpdir(), "sampan-test-"));
  const dataDir = path.join(directory, "data");
  const logFile = path.join(directory, "up.log");
  const keeper = spawn(
    "unshare",
    ["--net", "--mount", "--kill-child", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  await once(keeper.stdout, "data");
  const namespace = [
    "nsenter",
    `--net=/proc/${keeper.pid}/ns/net`,
    `--mount=/proc/${keeper.pid}/ns/mnt`,
    `--wd=${root}`,
  ];
  const env = {
    ...process.env,
    KUBECONFIG: path.join(dataDir, "admin.kubeconfig"),
    PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
  };
  let up: ChildProcess | undefined;

  const run = async (...command: string[]) => {
    const [first = "", ...rest] = [...namespace, ...command];
    const { stdout } = await promisify(execFile)(first, rest, { env, timeout: readyMsMax, maxBuffer: 2 ** 26 });
    return stdout;
  };
  const cluster: TestCluster = {
    directory,
    dataDir,
    get process() {
      if (!up) throw new Error("the cluster isn't running");
      return up;
    },
    run,
    sampan: (...args) => run(process.execPath, program, ...args, "--data-dir", dataDir),
    kubectl: (...args) => run("kubectl", ...args),
    kubectlInput(input, ...args) {
      const [first = "", ...rest] = [...namespace, "kubectl", ...args, "-f", "-"];
      return new Promise((resolve, reject) => {
        const child = execFile(first, rest, { env, timeout: readyMsMax }, (error, out, complaint) =>
          error ? reject(new Error(complaint || error.message)) : resolve(out),
        );
        child.stdin?.end(input);
      });
    },
    async until(look, what, msMax = readyMsMax) {
      const end = Date.now() + msMax;
      for (;;) {
        const seen = await look();
        if (seen !== undefined) return seen;
        if (Date.now() > end)
          throw new Error(`not within ${msMax} ms: ${what}\n${readFileSync(logFile, "utf8").slice(-2000)}`);
        await new Promise((next) => setTimeout(next, lookMs));
      }
    },
    async stop(signal) {
      if (!up || up.exitCode !== null || up.signalCode !== null) return;
      const ended = once(up, "exit");
      up.kill(signal);
      await ended;
    },
    async start(...more) {
      const before = readSafely(logFile).length;
      const output = openSync(logFile, "a");
      // However full this machine's disk is.
      const kubeletConfig = path.join(directory, "kubelet.json");
      if (!more.includes("--kubelet-config")) writeFileSync(kubeletConfig, JSON.stringify(calmNode));
      // nsenter becomes the program: its pid is the process's own.
      up = spawn(
        namespace[0] ?? "",
        [
          ...namespace.slice(1),
          process.execPath,
          program,
          ...["up", "--data-dir", dataDir],
          ...(more.includes("--kubelet-config") ? [] : ["--kubelet-config", kubeletConfig]),
          ...more,
        ],
        {
          env,
          stdio: ["ignore", output, output],
        },
      );
      closeSync(output);
      const child = up;
      await cluster.until(async () => {
        if (child.exitCode !== null)
          throw new Error(`up ended with code ${child.exitCode}:\n${readSafely(logFile).slice(before)}`);
        return readSafely(logFile).slice(before).includes("ready in") || undefined;
      }, "up is ready");
    },
    log: () => readSafely(logFile),
    async close() {
      await cluster.stop("SIGKILL");
      try {
        await cluster.sampan("down", "--purge");
      } finally {
        // unshare itself waits for its child and ignores anything softer; the child dies with it.
        keeper.kill("SIGKILL");
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
  try {
    await cluster.start(...flags);
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

function readSafely(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return ""; // fs throws errno errors
    throw error;
  }
}
