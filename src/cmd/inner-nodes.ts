/**
 * The nodes of `up --nodes N` beside the first: an agent each, a process of its own in namespaces of its own, which joins like that of any
 * other machine. One that ends is started again; what it says stands in the log behind its name.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { backoffMs, type Logger, realClock } from "#base";
import { type Client, delay } from "#client";
import { type KubeletConfiguration, printConfiguration } from "#kubelet";
import { isStatusError } from "#machinery";
import { addressIn } from "#network";
import { checkRange } from "./addresses.ts";
import { makeToken, tokenSecret } from "./bootstrap-token.ts";
import { CommandError } from "./command.ts";
import { credentialFiles } from "./credentials.ts";
import { keyHash } from "./discovery.ts";
import { isUsable } from "./kubelet-client.ts";
import { prepareLan } from "./lan.ts";
import { type DownOptions, downNode } from "./down-node.ts";
import type { KnownNode } from "./last-node.ts";
import { enter, keepMachine } from "./machine-namespaces.ts";
import type { Parts } from "./parts.ts";
import type { dataLayout } from "./settings.ts";

interface Values {
  readonly "node-ip"?: string | undefined;
  readonly nodes: number;
  readonly "bind-address": string;
  readonly "cluster-cidr": string;
  readonly "service-cidr": string;
  readonly "container-runtime-endpoint": string | undefined;
  readonly "node-labels": readonly string[];
  readonly "enable-cadvisor-json-endpoints": boolean;
  readonly "log-level": string;
  readonly "proxy-mode": string;
}

export interface InnerNodesOptions {
  readonly values: Values;
  readonly layout: ReturnType<typeof dataLayout>;
  /** The first one's. */
  readonly nodeName: string;
  readonly cidr: string;
  /** `https://IP:PORT`, as the nodes reach it. */
  readonly server: string;
  /** PEM. */
  readonly authority: string;
  /** As the first node's. */
  readonly config: KubeletConfiguration;
  /** May make tokens. */
  readonly admin: Client;
  readonly err: (text: string) => void;
  readonly log: Logger;
}

/** Number 1 is `up` itself. */
export const innerNames = (first: string, count: number): string[] =>
  Array.from({ length: count - 1 }, (_, i) => `${first}-${i + 2}`);

const retry = { initialMs: 500, maxMs: 30_000 };
/** One that worked this long has not failed again and again. */
const calmMs = 60_000;
const endMsMax = 15_000;
const tokenMs = 10 * 60_000;

/** Their network. Throws CommandError about what can't be with several nodes. */
export async function prepareInnerNodes(
  values: Values & { readonly cidr: string; readonly owner: string },
): Promise<void> {
  const { nodes, cidr, owner } = values;
  if (values["container-runtime-endpoint"])
    throw new CommandError(
      "--nodes: several nodes can't share one --container-runtime-endpoint; each has a containerd of its own",
    );
  if (/^(127\.|::1$)/.test(values["bind-address"]))
    throw new CommandError(
      `--bind-address ${values["bind-address"]}: the other nodes can't reach the API server there`,
    );
  checkRange("node-cidr", cidr, { min: 16, max: 29 });
  const room = 2 ** (32 - Number(cidr.split("/")[1])) - 2;
  if (nodes > room) throw new CommandError(`--node-cidr ${cidr} has room for ${room} nodes, not ${nodes}`);
  await prepareLan({ cidr, owner, others: [values["cluster-cidr"], values["service-cidr"]].join(",").split(",") });
}

/** Resolves when all have said that they serve pods, or have ended with the signal. */
export async function startInnerNodes(options: InnerNodesOptions, parts: Parts, signal: AbortSignal): Promise<void> {
  const token = tokenSource(options.admin);
  const ready = innerNames(options.nodeName, options.values.nodes).map(
    (name, i) =>
      new Promise<void>((onReady) =>
        parts.add(`node ${name}`, keepNode({ ...options, name, index: i + 2, token, onReady }, signal).then(onReady)),
      ),
  );
  await Promise.all(ready);
}

/** For nodes that have no certificate yet; one for all of them. */
function tokenSource(admin: Client): () => Promise<string> {
  let known: { text: Promise<string>; until: number } | undefined;
  const create = async (expiresAt: number) => {
    const token = makeToken();
    const description = "For the nodes of this machine.";
    await admin.resource("v1/secrets", "kube-system").create(tokenSecret(token, { expiresAt, description }));
    return `${token.id}.${token.secret}`;
  };
  return () => {
    const now = realClock.now();
    if (!known || known.until < now + tokenMs / 2) {
      known = { text: create(now + tokenMs), until: now + tokenMs };
      known.text.catch(() => (known = undefined));
    }
    return known.text;
  };
}

interface NodeOptions extends InnerNodesOptions {
  readonly name: string;
  readonly index: number;
  readonly token: () => Promise<string>;
  readonly onReady: () => void;
}

async function keepNode(options: NodeOptions, signal: AbortSignal): Promise<void> {
  const { name, index, cidr, layout, log } = options;
  const folder = layout.node(name);
  const configFile = await writeConfig(folder, options);
  for (let failures = 0; !signal.aborted; ) {
    const startedAt = realClock.now();
    try {
      const machine = await keepMachine({
        folder,
        index,
        cidr,
        firstAddress: options.values["node-ip"]?.split(",")[0],
      });
      const isKnown = await hasCredentials(folder, options.authority);
      const token = isKnown ? undefined : await options.token();
      const child = start(options, { inside: enter(machine), configFile, token });
      child.on("message", options.onReady);
      const how = await endOf(child, signal);
      if (signal.aborted) return;
      log.error("a node's agent ended; it is started again", { node: name, how });
    } catch (error) {
      if (signal.aborted) return;
      log.error("a node can't be started; tried again", { node: name, error });
    }
    failures = realClock.now() - startedAt > calmMs ? 1 : failures + 1;
    await delay(realClock, backoffMs(failures, retry), signal);
  }
}

/** In force, and of this cluster. */
async function hasCredentials(folder: string, authority: string): Promise<boolean> {
  const files = credentialFiles(folder);
  const known = await readFile(files.authority, "utf8").catch(() => ""); // not yet
  return known !== "" && keyHash(known) === keyHash(authority) && (await isUsable(files.kubeconfig, realClock));
}

/** Nodes of an earlier `up` with more of them: they stop, and the cluster forgets them. */
export async function removeOtherNodes(
  nodes: readonly KnownNode[],
  { admin, ...down }: Omit<DownOptions, "purge"> & { readonly admin: Client },
): Promise<void> {
  for (const node of nodes) {
    down.log.info("a node of an earlier start is removed", { node: node.name });
    try {
      await downNode(node, { ...down, purge: false });
      await admin.resource("v1/nodes").delete(node.name);
    } catch (error) {
      if (!isStatusError(error, "NotFound"))
        down.log.error("a node of an earlier start can't be removed", { node: node.name, error });
    }
  }
}

/** What the first node is told, without what only one node of a machine can have. */
async function writeConfig(folder: string, { config, name }: NodeOptions): Promise<string> {
  const file = path.join(folder, "kubelet.json");
  const { podLogsDir: _logs, staticPodPath: _path, staticPodURL: _url, ...rest } = config;
  const own = {
    ...rest,
    ...{ podLogsDir: "", staticPodPath: "", staticPodURL: "" },
    ...(config.cgroupRoot && { cgroupRoot: path.join(config.cgroupRoot, name) }),
  };
  await mkdir(folder, { recursive: true, mode: 0o711 });
  await writeFile(`${file}.new`, JSON.stringify(printConfiguration(own)));
  await rename(`${file}.new`, file);
  return file;
}

interface Start {
  readonly inside: readonly string[];
  readonly configFile: string;
  readonly token: string | undefined;
}

function start(options: NodeOptions, { inside, configFile, token }: Start): ChildProcess {
  const { name, layout, server, authority, index, cidr, values, err } = options;
  const program = process.argv[1] ?? "";
  const given = Object.entries(process.env).filter(([key]) => !key.startsWith("SAMPAN_") || key === "SAMPAN_VERSION");
  const child = spawn(
    "nsenter",
    [
      ...inside,
      `--wd=${process.cwd()}`,
      ...[process.execPath, ...process.execArgv, program, "agent"],
      // What stands there is about this machine's own node.
      ...["--config", "/dev/null", "--data-dir", layout.root, "--node-name", name],
      ...["--server", server, "--ca-cert-hash", keyHash(authority), "--node-ip", addressIn(cidr, index)],
      ...["--kubelet-config", configFile, "--log-level", values["log-level"]],
      ...["--proxy-mode", values["proxy-mode"]],
      ...values["node-labels"].flatMap((label) => ["--node-labels", label]),
      ...(values["enable-cadvisor-json-endpoints"] ? ["--enable-cadvisor-json-endpoints"] : []),
    ],
    // Not among the arguments, which everybody may read. Over the last one the agent learns that this process ended, however it did.
    {
      env: { ...Object.fromEntries(given), ...(token && { SAMPAN_TOKEN: token }) },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    },
  );
  for (const stream of [child.stdout, child.stderr])
    if (stream) createInterface({ input: stream }).on("line", (line) => err(`[${name}] ${line}\n`));
  return child;
}

/** Asks it to end with the signal, and insists later. Answers how it ended. */
async function endOf(child: ChildProcess, signal: AbortSignal): Promise<string> {
  const end = () => {
    child.kill("SIGTERM");
    const insist = setTimeout(() => child.kill("SIGKILL"), endMsMax);
    child.once("exit", () => clearTimeout(insist));
  };
  if (signal.aborted) end();
  signal.addEventListener("abort", end, { once: true });
  try {
    const [code, name] = (await once(child, "exit")) as [number | null, string | null];
    return name ?? `exit code ${code}`;
  } finally {
    signal.removeEventListener("abort", end);
  }
}
