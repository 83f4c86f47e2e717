/** The programs that a benchmark starts, and ends again. */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

const startMsMax = 60_000;

export class Children {
  readonly #children: ChildProcess[] = [];

  /** A Node.js program, with its own options first, that has said on its output that it is ready. */
  async start(ready: RegExp, args: readonly string[], { channel = false } = {}): Promise<ChildProcess> {
    const stdio: StdioOptions = ["ignore", "pipe", "inherit", ...(channel ? (["ipc"] as const) : [])];
    const child = this.run(process.execPath, args, stdio);
    let said = "";
    await new Promise<void>((done, refuse) => {
      const timer = setTimeout(() => refuse(new Error(`not ready within ${startMsMax} ms: ${args}`)), startMsMax);
      child.on("exit", (code) => refuse(new Error(`${args} ended with code ${code}: ${said}`)));
      child.stdout?.on("data", (text: Buffer) => {
        said += text;
        if (!ready.test(said)) return;
        clearTimeout(timer);
        done();
      });
    });
    return child;
  }

  run(program: string, args: readonly string[], stdio: StdioOptions): ChildProcess {
    const child = spawn(program, args, { stdio });
    this.#children.push(child);
    return child;
  }

  async end(child: ChildProcess): Promise<void> {
    child.removeAllListeners("exit");
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }

  /** The last one first: it may need those before it in order to end. */
  async endAll(): Promise<void> {
    for (const child of this.#children.toReversed()) await this.end(child);
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}
