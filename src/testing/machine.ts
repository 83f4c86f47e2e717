/** Machines for tests of the pod network: each is a process in a network namespace of its own, cabled to bridges of the test's namespace. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { MachineOrder } from "./machine-process.ts";
import { ip } from "./network.ts";

export interface TestMachine {
  readonly name: string;
  readonly pid: number;
  tell<T = unknown>(order: MachineOrder): Promise<T>;
  /** A cable from its `eth0` to a bridge here; the end here has the machine's name. */
  plug(bridge: string, options: { addresses: readonly string[]; gateways?: readonly string[]; mtu?: number }): void;
  /** Runs a program in its namespace; its output. */
  run(...command: string[]): string;
  /** What it said so far. */
  said(): string;
  close(): Promise<void>;
}

export async function startMachine(name: string): Promise<TestMachine> {
  const program = join(import.meta.dirname, "machine-process.ts");
  const child = spawn("unshare", ["--net", process.execPath, program], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  child.on("message", (message: { id: number; answer?: unknown; error?: string }) => {
    const { id, answer, error } = message;
    if (error === undefined) waiting.get(id)?.resolve(answer);
    else waiting.get(id)?.reject(new Error(`${name}: ${error}`));
    waiting.delete(id);
  });
  const closed = once(child, "exit");
  const [first] = await Promise.race([once(child, "message"), closed.then(() => Promise.reject(new Error(said)))]);
  if (first !== "ready" || child.pid === undefined) throw new Error(`${name} did not start: ${said}`);
  // unshare becomes the program.
  const { pid } = child;
  const run = (...command: string[]) =>
    execFileSync("nsenter", [`--net=/proc/${pid}/ns/net`, ...command], { encoding: "utf8", timeout: 10_000 });
  let orders = 0;
  return {
    name,
    pid,
    run,
    said: () => said,
    tell<T>(order: MachineOrder) {
      const id = ++orders;
      const answer = Promise.withResolvers<unknown>();
      waiting.set(id, answer);
      child.send({ id, order });
      return answer.promise as Promise<T>; // the caller knows what it asked for
    },
    plug(bridge, { addresses, gateways = [], mtu = 1500 }) {
      const size = ["mtu", String(mtu)];
      ip("link", "add", name, ...size, "type", "veth", "peer", "name", "eth0", ...size, "netns", String(pid));
      ip("link", "set", name, "master", bridge, "up");
      run("ip", "link", "set", "eth0", "up");
      const nodad = (address: string) => (address.includes(":") ? ["nodad"] : []);
      for (const address of addresses) run("ip", "address", "add", address, "dev", "eth0", ...nodad(address));
      for (const gateway of gateways) run("ip", "route", "add", "default", "via", gateway);
    },
    async close() {
      child.disconnect();
      await closed;
    },
  };
}
