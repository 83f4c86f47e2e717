/** The executable: picks the subcommand, reads flags, environment and file, turns errors into messages and exit codes. */
import { readFile } from "node:fs/promises";
import { describeFlags, FlagError, type FlagSpecs, parseFlags } from "#base";
import { type Command, CommandError } from "./command.ts";

/** Loaded on demand: `sampan down` needs none of the API server. */
const verbs: Record<string, { summary: string; load: () => Promise<{ command: unknown }> }> = {
  up: { summary: "Run a cluster on this machine", load: () => import("./up.ts") },
  down: { summary: "Stop and remove everything up made", load: () => import("./down.ts") },
  status: { summary: "Show what runs", load: () => import("./status.ts") },
  check: { summary: "Say what this machine lacks, and the command that mends it", load: () => import("./check.ts") },
  image: { summary: "Load, pack and list images", load: () => import("./image.ts") },
  kubeconfig: { summary: "Print the admin kubeconfig", load: () => import("./kubeconfig.ts") },
  apiserver: { summary: "Run the API server alone", load: () => import("./apiserver.ts") },
};

/** Kept for `up`, which has it among its own flags as well. */
const configFlag = "config";
const defaultConfigFile = "/etc/sampan/config.yaml";

export async function main(args: readonly string[]): Promise<number> {
  const [name = "help", ...rest] = args;
  if (["help", "--help", "-h"].includes(name)) {
    process.stdout.write(usage());
    return 0;
  }
  if (name === "--version" || name === "version") {
    process.stdout.write(`sampan ${process.env.SAMPAN_VERSION ?? "0.1.0"}\n`);
    return 0;
  }
  const verb = verbs[name];
  if (!verb) {
    process.stderr.write(`sampan: unknown command ${JSON.stringify(name)}\n\n${usage()}`);
    return 2;
  }
  const command = (await verb.load()).command as Command; // each module's command has flags of its own
  if (rest.includes("--help") || rest.includes("-h")) {
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
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    const parsed = parseFlags(command.flags, {
      args: rest,
      env: process.env,
      ...(await configFile(command.flags, rest)),
    });
    return await command.run({
      flags: parsed.values,
      positionals: parsed.positionals,
      args: rest,
      out: (text) => process.stdout.write(text),
      err: (text) => process.stderr.write(text),
      signal: stop.signal,
    });
  } catch (error) {
    if (error instanceof FlagError || error instanceof CommandError) {
      process.stderr.write(`sampan ${name}: ${error.message}\n`);
      return error instanceof FlagError ? 2 : 1;
    }
    throw error;
  }
}

function usage(): string {
  const lines = Object.entries(verbs).map(([name, { summary }]) => `  ${name.padEnd(12)} ${summary}`);
  return `Sampan: Kubernetes in one light process\n\nUsage: sampan COMMAND [flags]   (sampan COMMAND --help lists the flags)\n\n${lines.join("\n")}\n`;
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
    if (!asked && (error as NodeJS.ErrnoException).code === "ENOENT") return {}; // fs throws errno errors only
    throw new CommandError(`cannot read the configuration file ${path}: ${(error as Error).message}`);
  }
  const { parse } = await import("yaml");
  let content: unknown;
  try {
    content = parse(text);
  } catch (error) {
    throw new FlagError(`${path}: ${(error as Error).message}`);
  }
  if (content === null) return {};
  if (typeof content !== "object" || Array.isArray(content))
    throw new FlagError(`${path}: want a map of flags, have something else`);
  return { file: { path, values: content as Record<string, unknown> } };
}

if (import.meta.main || process.env.SAMPAN_BUNDLED) {
  const code = await main(process.argv.slice(2));
  // What was printed must be out before the process ends; nothing else is waited for.
  await new Promise<void>((done) => process.stdout.write("", () => process.stderr.write("", () => done())));
  process.exit(code);
}
