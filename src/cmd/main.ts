/** The executable: picks the subcommand. */
import { setFlagsFromString } from "node:v8";
import type { Command } from "./command.ts";
import { exitWith, runCommand } from "./run-command.ts";

/** Loaded on demand: `sampan down` needs none of the API server. */
const verbs: Record<string, { summary: string; load: () => Promise<{ command: unknown }> }> = {
  up: { summary: "Run a cluster on this machine", load: () => loadSmall(() => import("./up.ts")) },
  down: { summary: "Stop and remove everything up made", load: () => import("./down.ts") },
  status: { summary: "Show what runs", load: () => import("./status.ts") },
  check: { summary: "Say what this machine lacks, and the command that mends it", load: () => import("./check.ts") },
  image: { summary: "Load, pack and list images", load: () => import("./image.ts") },
  kubeconfig: { summary: "Print the admin kubeconfig", load: () => import("./kubeconfig.ts") },
  convert: { summary: "Convert manifests between versions and media types", load: () => import("./convert.ts") },
  apiserver: { summary: "Run the API server alone", load: () => import("./apiserver.ts") },
  server: {
    summary: "Run API server, controllers and scheduler, without a node",
    load: () => import("./server.ts"),
  },
  agent: { summary: "Make this machine a node of a cluster", load: () => loadSmall(() => import("./agent.ts")) },
  token: { summary: "Make, list and delete tokens that machines join with", load: () => import("./token.ts") },
  scheduler: { summary: "Run the scheduler alone", load: () => import("./scheduler.ts") },
  controllers: { summary: "Run the controllers alone", load: () => import("./controllers.ts") },
  kubelet: { summary: "Run a kubelet alone", load: () => import("./kubelet.ts") },
  proxy: { summary: "Run the service proxy alone", load: () => import("./proxy.ts") },
  lb: { summary: "Run a haproxy in front of API servers and node ports", load: () => import("./lb.ts") },
  ingress: { summary: "Serve Ingresses alone", load: () => import("./ingress.ts") },
  dns: { summary: "Run the cluster's DNS alone", load: () => import("./dns.ts") },
};

/**
 * A cluster on one's own machine idles most of the time: V8 may not widen its young generation, which it would do while starting, and
 * hardly ever takes back: 13 MB less when idle. Writes under full load then cost more processor time (docs/benchmarks.md), which servers
 * for many (`apiserver`) had better not pay.
 */
function loadSmall<T>(load: () => T): T {
  setFlagsFromString("--semi-space-growth-factor=1");
  return load();
}

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
  return runCommand(name, command, rest);
}

function usage(): string {
  const lines = Object.entries(verbs).map(([name, { summary }]) => `  ${name.padEnd(12)} ${summary}`);
  return `Sampan: Kubernetes in one light process\n\nUsage: sampan COMMAND [flags]   (sampan COMMAND --help lists the flags)\n\n${lines.join("\n")}\n`;
}

if (import.meta.main || process.env.SAMPAN_BUNDLED) await exitWith(main(process.argv.slice(2)));
