/** Runs one command: reads flags, environment and configuration file, turns errors into messages and exit codes. */
import { writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { describeFlags, FlagError, type FlagSpecs, parseFlags } from "#base";
import { type Command, CommandError } from "./command.ts";
import { kubeletFileFlags } from "./kubelet-file-flags.ts";
import { proxyFileFlags } from "./proxy-file-flags.ts";
import { schedulerFileFlags } from "./scheduler-file-flags.ts";
import { placeFlags } from "./settings.ts";

const configFlag = "config";
const aliveMs = 3_600_000;
const defaultConfigFile = "/etc/sampan/config.yaml";

/** The exit code: 2 for bad usage, 1 for a failure with a message. Anything else is a bug: its stack is printed. */
export async function runCommand(name: string, command: Command, args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(
      `${command.summary}\n\nUsage: sampan ${name} ${command.usage ?? "[flags]"}\n\n${describeFlags(command.flags)}\n`,
    );
    return 0;
  }
  const stop = new AbortController();
  let asked = 0;
  const onSignal = () => {
    if (++asked > 1) process.exit(130);
    stop.abort();
  };
  // Timers of ours don't keep the process alive, but a command that waits for one must go on.
  const alive = setInterval(() => undefined, aliveMs);
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    const parsed = parseFlags(command.flags, {
      args,
      env: process.env,
      ...(await configFile(command.flags, args)),
    });
    if (!command.usage && parsed.positionals.length > 0)
      throw new FlagError(`want flags only, have ${JSON.stringify(parsed.positionals.join(" "))}`);
    return await command.run({
      flags: parsed.values,
      positionals: parsed.positionals,
      args,
      out: (text) => process.stdout.write(text),
      err: (text) => process.stderr.write(text),
      signal: stop.signal,
    });
  } catch (error) {
    if (error instanceof FlagError || error instanceof CommandError) {
      process.stderr.write(`sampan ${name}: ${error.message}\n`);
      return error instanceof FlagError ? 2 : 1;
    }
    // Loaded now only: it knows the errors of parts that other commands don't load.
    const { explainFailure } = await import("./operational-error.ts");
    const explained = explainFailure(error);
    process.stderr.write(`sampan ${name}: ${explained ?? bug(error)}\n`);
    return 1;
  } finally {
    clearInterval(alive);
  }
}

/** The file that `--config` names, or the default one when it is there. Only for commands that take a configuration. */
async function configFile(specs: FlagSpecs, args: readonly string[]) {
  if (!(configFlag in specs)) return {};
  const { values } = parseFlags(specs, { args, env: process.env });
  const asked = values[configFlag];
  const path = typeof asked === "string" && asked !== "" ? asked : defaultConfigFile;
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException; // fs throws errno errors only
    if (!asked && code === "ENOENT") return {};
    // What a kubelet of long ago was told by this flag; only one alone has its other flags.
    if (code === "EISDIR" && "manifest-url" in specs) return { file: { path, values: { "pod-manifest-path": path } } };
    throw new CommandError(`cannot read the configuration file ${path}: ${(error as Error).message}`);
  }
  const { parse } = await import("yaml");
  let content: unknown;
  try {
    content = parse(text);
  } catch (error) {
    // Its first line says what and where; a drawing of the place follows.
    throw new FlagError(`${path} is no YAML: ${(error as Error).message.split("\n")[0]?.replace(/:$/, "")}`);
  }
  if (content === null) return {};
  if (typeof content !== "object" || Array.isArray(content))
    throw new FlagError(`${path}: want a map of flags, have something else`);
  const other =
    ("scheduler-config" in specs && schedulerFileFlags(path, content)) ||
    ("kubelet-config" in specs && kubeletFileFlags(path, content)) ||
    ("proxy-config" in specs && proxyFileFlags(path, content));
  if (other) {
    const known = Object.entries(other).filter(([flag]) => flag in specs);
    return { file: { path, values: Object.fromEntries(known) } };
  }
  // One file serves all commands: what other commands know is theirs.
  const own = Object.entries(content).filter(([key]) => key in specs || !(key in placeFlags));
  return { file: { path, values: Object.fromEntries(own) as Record<string, unknown> } };
}

/** Without what Node.js prints before an uncaught error: the line of the source, which in the bundle is 100 kB long. */
function bug(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `this is a bug of Sampan's own, please report it\n${stack}`;
}

/** Ends the process with the code, after everything printed is out; nothing else is waited for. */
export async function exitWith(running: Promise<number>): Promise<never> {
  process.on("uncaughtException", (error) => {
    writeSync(process.stderr.fd, `sampan: ${bug(error)}\n`);
    process.exit(1);
  });
  const code = await running;
  await new Promise<void>((done) => process.stdout.write("", () => process.stderr.write("", () => done())));
  process.exit(code);
}
