/** "Pods" that serve TCP and UDP on 80 and 81 and connect when they are asked to: namespaces on a bridge, or the node itself. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

interface Connection {
  readonly protocol: string;
  readonly host: string;
  readonly port: number;
  /** How long to wait for an answer. */
  readonly ms: number;
}

export interface TalkingPod {
  /** Whether an answer came. */
  connect(connection: Connection): Promise<boolean>;
  /** A connection that stays. */
  open(host: string, port: number): Promise<{ echo(): Promise<boolean> }>;
  /** What the kernel gave its interface: `fe80::…`. */
  linkAddress(): string;
  close(): void;
}

/** Runs in the pod; written as text, since it is what node is started with. */
const program = `
const net = require("net"), dgram = require("dgram");
const out = (id, ok) => process.stdout.write(JSON.stringify({ id, ok }) + "\\n");
const lines = new Map();
const work = {
  connect({ id, protocol, host, port, ms }) {
    const [address, zone] = host.split("%");
    const end = (ok) => { clearTimeout(timer); socket.removeAllListeners(); socket.on("error", () => {}); socket.destroy ? socket.destroy() : socket.close(); out(id, ok); };
    const timer = setTimeout(() => end(false), ms);
    const socket = protocol === "TCP" ? net.connect({ host, port }) : dgram.createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.on("error", () => end(false));
    if (protocol === "TCP") socket.on("connect", () => end(true));
    else { socket.on("message", () => end(true)); socket.send("hello", port, host); }
  },
  open({ id, host, port }) { const socket = net.connect({ host, port }); lines.set(id, socket); socket.on("connect", () => out(id, true)); },
  echo({ id, line }) { lines.get(line).once("data", () => out(id, true)); lines.get(line).write("hello"); },
};
const start = () => {
  const ready = [80, 81].flatMap((port) => [
    new Promise((done) => net.createServer((socket) => { socket.on("error", () => {}); socket.pipe(socket); }).listen(port, "::", done)),
    new Promise((done) => { const udp = dgram.createSocket("udp6"); udp.on("message", (data, from) => udp.send(data, from.port, from.address)); udp.bind(port, "::", done); }),
  ]);
  Promise.all(ready).then(() => out("ready", true));
};
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "start") return start();
  const order = JSON.parse(line);
  work[order.what](order);
});
out("up", true);
`;

export async function startPod(options: {
  readonly name: string;
  /** Missing: it is the node. */
  readonly bridge?: string;
  readonly addresses?: readonly string[];
  readonly gateway?: string;
}): Promise<TalkingPod> {
  const { name, bridge, addresses = [], gateway } = options;
  const own = bridge ? ["unshare", "--net", "--kill-child"] : ["env"];
  const child = spawn(own[0] ?? "", [...own.slice(1), process.execPath, "-e", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const waiting = new Map<string, (ok: boolean) => void>();
  const answer = (id: string) => new Promise<boolean>((done) => waiting.set(id, done));
  const up = answer("up");
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { id, ok } = JSON.parse(line) as { id: string; ok: boolean }; // what the program above writes
    waiting.get(id)?.(ok);
    waiting.delete(id);
  });
  await once(child, "spawn");
  await up;
  const inside = (...command: string[]) =>
    execFileSync("nsenter", [`--net=/proc/${child.pid}/ns/net`, ...command], { encoding: "utf8" });
  if (bridge) {
    const run = (text: string) => execFileSync("ip", text.split(" "));
    run(`link add ${name} type veth peer name eth0 netns ${child.pid}`);
    run(`link set ${name} master ${bridge}`);
    run(`link set ${name} type bridge_slave hairpin on`);
    run(`link set ${name} up`);
    inside("ip", "link", "set", "lo", "up");
    for (const address of addresses)
      inside("ip", "address", "add", address, "dev", "eth0", ...(address.includes(":") ? ["nodad"] : []));
    inside("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0");
    inside("ip", "link", "set", "eth0", "up");
    if (gateway) inside("ip", "route", "add", "default", "via", gateway);
  }
  const ready = answer("ready");
  child.stdin.write("start\n");
  await ready;
  let orders = 0;
  const order = (what: string, rest: object) => {
    const id = `${++orders}`;
    const done = answer(id);
    child.stdin.write(`${JSON.stringify({ id, what, ...rest })}\n`);
    return { id, done };
  };
  return {
    connect: (connection) => order("connect", connection).done,
    async open(host, port) {
      const { id, done } = order("open", { host, port });
      await done;
      return { echo: () => order("echo", { line: id }).done };
    },
    linkAddress: () => /inet6 (fe80::\S+)\//.exec(inside("ip", "-6", "address", "show", "dev", "eth0"))?.[1] ?? "",
    close: () => child.kill("SIGKILL"),
  };
}
