/**
 * A haproxy in master-worker mode: started, given a new configuration without losing a connection, started again when it dies.
 *
 * It outlives us when we are killed; the next one takes its listening sockets over, and lets it end with its connections. What it says goes to
 * a file, because a pipe would end with us.
 */
import { execFile, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import path from "node:path";
import { backoffMs, type Clock, type Logger } from "#base";

export class HaproxyError extends Error {
  override name = "HaproxyError";
}

export interface HaproxyOptions {
  readonly program: string;
  /** For the configuration, sockets and what it says; nobody else may write there. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Haproxy {
  readonly socket: string;
  /** Rejects with what haproxy says against it; then the one before goes on. */
  load(config: string): Promise<void>;
  /** The same without a reload, by commands of the runtime API; rejects when one is refused. */
  adjust(config: string, commands: readonly string[]): Promise<void>;
  /** One of a run before this works here, with listening sockets that `load` takes over. */
  isThere(): Promise<boolean>;
  /** Ends it, and with it all connections. */
  close(): Promise<void>;
}

/** A machine that is busy takes seconds to start a process. */
const startMsMax = 10_000;
const lookMs = 20;
const answerMsMax = 2_000;
const restart = { initialMs: 100, maxMs: 10_000 };
/** Lived for so long: what ended it is something new. */
const steadyMs = 30_000;
const complaintCharactersMax = 2_000;

export function createHaproxy({ program, directory, clock, log }: HaproxyOptions): Haproxy {
  const at = (name: string) => path.join(directory, name);
  const [config, fresh, socket, master, output] = [
    ...[at("haproxy.cfg"), at("haproxy.cfg.new"), at("runtime.sock"), at("master.sock"), at("haproxy.log")],
  ] as [string, string, string, string, string]; // five are given
  let child: { readonly pid: number; readonly ended: Promise<void> } | undefined;
  let isClosed = false;
  let failures = 0;

  async function start(): Promise<void> {
    const before = await workerPid(socket);
    const old = before === undefined ? undefined : masterOf(before);
    const from = sizeOf(output);
    const out = openSync(output, "a", 0o600);
    const takeOver = old === undefined ? [] : ["-x", socket, "-sf", String(old)];
    const running = spawn(program, ["-W", "-S", `${master},mode,600`, "-f", config, ...takeOver], {
      stdio: ["ignore", out, out],
      detached: true,
    });
    closeSync(out);
    let end: string | undefined;
    const ended = new Promise<void>((done) => {
      const finish = (how: string) => {
        end ??= how;
        done();
      };
      running.on("error", (error) => finish(explain(error)));
      running.on("exit", (code, signal) => finish(`it ended with ${signal ?? `code ${code}`}`));
    });
    child = { pid: running.pid ?? 0, ended };
    const startedAt = clock.now();
    void ended.then(() => {
      child = undefined;
      if (isClosed) return;
      failures = clock.now() - startedAt > steadyMs ? 1 : failures + 1;
      log.error("haproxy has ended and is started again", { how: end, said: tail(from) });
      clock.after(backoffMs(failures, restart), () => {
        if (isClosed || child) return;
        start().catch((error: unknown) => log.error("haproxy can't be started", { error: String(error) }));
      });
    });
    await until(
      async () => {
        if (end !== undefined) throw new HaproxyError(`haproxy doesn't start: ${end}; it said: ${tail(from)}`);
        const now = await workerPid(socket);
        return now !== undefined && now !== before;
      },
      () => `haproxy doesn't answer on ${socket}; it said: ${tail(from)}`,
    );
  }

  async function reload(): Promise<void> {
    const before = await workerPid(socket);
    const from = sizeOf(output);
    if (!child) return start();
    process.kill(child.pid, "SIGUSR2");
    await until(
      async () => {
        const now = await workerPid(socket);
        return now !== undefined && now !== before;
      },
      () => `haproxy goes on with the configuration before; it said: ${tail(from)}`,
    );
  }

  const tail = (from: number) =>
    readFileSync(output).subarray(from).toString().trim().slice(-complaintCharactersMax) || "nothing";

  return {
    socket,
    async load(text) {
      writeFileSync(fresh, text, { mode: 0o600 });
      await checkConfig(program, fresh);
      writeFileSync(config, text, { mode: 0o600 });
      await (child ? reload() : start());
    },
    isThere: async () => (await workerPid(socket)) !== undefined,
    async adjust(text, lines) {
      // For when it dies.
      writeFileSync(config, text, { mode: 0o600 });
      for (let first = 0; first < lines.length; first += linesMax) {
        const answer = await ask(socket, lines.slice(first, first + linesMax).join(";"));
        const complaint = answer.split("\n").find((line) => line !== "" && !/changed|updated|no need/i.test(line));
        if (complaint !== undefined) throw new HaproxyError(`haproxy's runtime API: ${complaint}`);
      }
    },
    async close() {
      isClosed = true;
      if (!child) return;
      process.kill(child.pid, "SIGTERM");
      await child.ended;
    },
  };
}

/** haproxy takes 16 KiB at once. */
const linesMax = 100;

/** Rejects with what is wrong with it. */
export function checkConfig(program: string, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(program, ["-c", "-f", file], (error, out, complaint) => {
      if (!error) resolve();
      else if (typeof error.code === "string") reject(new HaproxyError(explain(error)));
      else
        reject(
          new HaproxyError(
            `haproxy refuses the configuration: ${(complaint || out).trim().slice(0, complaintCharactersMax)}`,
          ),
        );
    });
  });
}

const explain = (error: Error & { readonly code?: unknown }): string =>
  error.code === "ENOENT"
    ? "there is no haproxy on this machine; `apt-get install haproxy` installs it, --haproxy FILE names another one"
    : error.message;

/** One line of commands, one answer. */
function ask(socket: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const connection = createConnection(socket);
    let answer = "";
    connection.setTimeout(answerMsMax, () => connection.destroy(new HaproxyError("haproxy's runtime API is silent")));
    connection.setEncoding("utf8").on("data", (text: string) => (answer += text));
    connection.on("error", reject);
    connection.on("close", () => resolve(answer));
    connection.end(`${line}\n`);
  });
}

/** Of who answers on the socket; undefined: nobody. */
async function workerPid(socket: string): Promise<number | undefined> {
  try {
    const found = /^Pid: (\d+)$/m.exec(await ask(socket, "show info"));
    return found ? Number(found[1]) : undefined;
  } catch {
    return undefined; // not there, not yet, or about to go: the same to who asks
  }
}

/** The parent, when it is a haproxy as well; else that process itself. */
function masterOf(worker: number): number {
  const parent = Number(/^\d+ \(.*\) \S (\d+)/.exec(readFileSync(`/proc/${worker}/stat`, "utf8"))?.[1] ?? 0);
  return parent > 1 && readFileSync(`/proc/${parent}/comm`, "utf8").trim() === "haproxy" ? parent : worker;
}

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;

async function until(look: () => Promise<boolean>, what: () => string): Promise<void> {
  const end = performance.now() + startMsMax;
  while (!(await look())) {
    if (performance.now() > end) throw new HaproxyError(what());
    await new Promise((next) => setTimeout(next, lookMs));
  }
}
