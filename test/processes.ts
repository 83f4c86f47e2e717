/** Parts of a cluster as processes of their own, for tests: each ends with its test. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";

const program = path.resolve(import.meta.dirname, "../dist/sampan.js");

export interface PartProcess {
  readonly child: ChildProcess;
  /** What it has printed so far. */
  output(): string;
  /** Resolves when it has printed this; rejects when it ended before. */
  printed(pattern: RegExp): Promise<void>;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

export function startPart(t: TestContext, args: readonly string[]): PartProcess {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const waiting = new Set<() => void>();
  const look = () => {
    for (const each of waiting) each();
  };
  const ended = once(child, "exit").then(([code, signal]: (number | string | null)[]) => {
    look();
    return code ?? signal ?? "";
  });
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      look();
    });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await ended;
  });
  const printed = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const check = () => {
        const isPrinted = pattern.test(output);
        if (!isPrinted && child.exitCode === null && child.signalCode === null) return;
        waiting.delete(check);
        if (isPrinted) resolve();
        else reject(new Error(`${args.join(" ")} ended without ${pattern}:\n${output}`));
      };
      waiting.add(check);
      check();
    });
  return { child, ended, printed, output: () => output };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Removed with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "sampan-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}
