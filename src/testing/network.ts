/**
 * Network namespaces for tests: the test file starts itself again inside a namespace of its own without a route out, and makes
 * "pods" there, each a namespace on a bridge.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";

const insideVariable = "SAMPAN_TEST_NAMESPACE";

/** Why this machine can't run such a test; undefined when it can. */
export function whyNoNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root for network namespaces";
  try {
    execFileSync("unshare", ["--net", "nft", "list", "ruleset"], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return `needs unshare and nft: ${(error as Error).message.split("\n")[0]}`;
  }
}

export const insideNamespace = process.env[insideVariable] === "1";

/** Runs this test file in a new network and mount namespace; rejects with its output when it fails there. */
export async function runInNamespace(file: string): Promise<void> {
  const child = spawn(
    "unshare",
    ["--net", "--mount", "--kill-child", process.execPath, "--test-timeout=60000", "--test-force-exit", file],
    {
      env: { ...process.env, [insideVariable]: "1", NODE_TEST_CONTEXT: undefined },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`the test failed in its namespace:\n${output}`);
}

export const ip = (...args: string[]): string => execFileSync("ip", args, { encoding: "utf8" });

export interface TestPod {
  readonly address: string;
  /** Runs a program in the pod's namespace; its output. */
  run(...command: string[]): string;
  /** The same while this process goes on: what it talks to may be here. */
  runBeside(...command: string[]): Promise<string>;
  close(): void;
}

/** Makes the bridge pods hang on; the namespace's own end has `address` (`10.244.0.1/24`). */
export function makeBridge(name: string, address: string): void {
  ip("link", "set", "lo", "up");
  ip("link", "add", name, "type", "bridge");
  ip("address", "add", address, "dev", name);
  ip("link", "set", name, "up");
  execFileSync("sysctl", ["-qw", "net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1"]);
}

let pods = 0;

const bigBytes = 1 << 20;

/**
 * A namespace with `address` on the bridge, its route through `gateway`, and an HTTP server that answers its own address (`/big`: a
 * megabyte) and repeats UDP packets.
 */
export async function makePod(options: {
  bridge: string;
  address: string;
  gateway: string;
  port?: number;
  /** Of the other family. */
  second?: { address: string; gateway: string };
  mtu?: number;
}): Promise<TestPod> {
  const { bridge, address, gateway, port, mtu = 1500 } = options;
  const program =
    port === undefined
      ? `setInterval(() => {}, 1e6); console.log("ready")`
      : `require("http").createServer((q, r) => r.end(q.url === "/big" ? "x".repeat(${bigBytes}) : ${JSON.stringify(address)} + " from " + q.socket.remoteAddress)).listen(${port}, () => console.log("ready"));
        const u = require("dgram").createSocket("udp6").on("message", (m, r) => u.send(m, r.port, r.address)).on("error", () => {}).bind(${port})`;
  const wait = `read line; exec ${process.execPath} -e '${program}'`;
  const child: ChildProcess = spawn("unshare", ["--net", "--kill-child", "sh", "-c", wait], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  await once(child, "spawn");
  const pid = await namespacePid(child);
  const host = `pod${++pods}`;
  ip(
    "link",
    "add",
    host,
    "mtu",
    String(mtu),
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    String(pid),
    "mtu",
    String(mtu),
  );
  ip("link", "set", host, "master", bridge);
  ip("link", "set", host, "type", "bridge_slave", "hairpin", "on");
  ip("link", "set", host, "up");
  const run = (...command: string[]) =>
    execFileSync("nsenter", [`--net=/proc/${pid}/ns/net`, ...command], { encoding: "utf8", timeout: 10_000 });
  run("ip", "link", "set", "lo", "up");
  run("ip", "address", "add", `${address}/${address.includes(":") ? "64" : "24"}`, "dev", "eth0");
  run("ip", "link", "set", "eth0", "up");
  run("ip", "route", "add", "default", "via", gateway);
  const { second } = options;
  if (second) {
    run("ip", "address", "add", `${second.address}/64`, "dev", "eth0", "nodad");
    run("ip", "route", "add", "default", "via", second.gateway);
  }
  child.stdin?.write("go\n");
  if (child.stdout) await once(child.stdout, "data");
  const runBeside = async (...command: string[]) => {
    const { stdout } = await promisify(execFile)("nsenter", [`--net=/proc/${pid}/ns/net`, ...command]);
    return stdout;
  };
  return { address, run, runBeside, close: () => child.kill("SIGKILL") };
}

/** unshare has made the namespace once its own differs from ours. */
async function namespacePid(child: ChildProcess): Promise<number> {
  const own = execFileSync("readlink", ["/proc/self/ns/net"], { encoding: "utf8" });
  for (;;) {
    if (execFileSync("readlink", [`/proc/${child.pid}/ns/net`], { encoding: "utf8" }) !== own) return child.pid ?? 0;
    await new Promise((next) => setImmediate(next));
  }
}
