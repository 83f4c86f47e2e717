/** What an agent learns from the cluster before it is a node of it: the settings that all nodes share, and its own share of the pods' addresses. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { type Logger, realClock } from "#base";
import { type Client, createInformers, delay } from "#client";
import { bridgeName, type NodeNetwork, prepareNodeNetwork } from "#network";
import { checkedSettings, readClusterSettings } from "./cluster-settings.ts";
import { CommandError } from "./command.ts";
import type { ClusterSettings } from "./node-context.ts";
import type { Parts } from "./parts.ts";

const retryMs = 2000;

interface Learning {
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly parts: Parts;
}

/**
 * As kept in the file, so that pods are taken over while no server answers; else asked for, however long that takes. Undefined when the
 * signal aborted.
 */
export async function settingsOf(
  client: Client,
  file: string,
  learning: Learning,
): Promise<ClusterSettings | undefined> {
  const { log, signal, parts } = learning;
  const kept = await keptSettings(file);
  const asking = askSettings(client, learning).then(async (found) => {
    if (!found || same(found, kept)) return found;
    if (kept) log.warn("the cluster's settings changed: this node has them when its agent is started again");
    await writeFile(`${file}.new`, JSON.stringify(found));
    await rename(`${file}.new`, file);
    return found;
  });
  if (!kept) return Promise.race([asking, parts.failed]);
  parts.add(
    "the cluster's settings",
    asking.then(() => undefined),
  );
  return signal.aborted ? undefined : kept;
}

const same = (one: ClusterSettings, other: ClusterSettings | undefined) =>
  JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other ?? {}).sort());

async function keptSettings(file: string): Promise<ClusterSettings | undefined> {
  const text = await readFile(file, "utf8").catch(() => "null"); // of a first start
  try {
    return checkedSettings(JSON.parse(text) as Record<string, string> | undefined); // ours, checked there
  } catch {
    return undefined; // damaged: asked for again
  }
}

async function askSettings(client: Client, { log, signal }: Learning): Promise<ClusterSettings | undefined> {
  for (let said = ""; !signal.aborted; await delay(realClock, retryMs, signal)) {
    try {
      const found = await readClusterSettings(client);
      if (found) return found;
      throw new CommandError(
        "the cluster has no kube-system/sampan-cluster, as its server isn't Sampan's: run `sampan kubelet` and `sampan proxy` there",
      );
    } catch (error) {
      if (error instanceof CommandError) throw error;
      const { message } = error as Error; // Errors only are thrown
      if (!signal.aborted && message !== said) log.warn("the cluster can't be asked for its settings yet", { error });
      said = message;
    }
  }
  return undefined;
}

export interface ShareOptions {
  readonly nodeName: string;
  readonly nodeIps: readonly string[] | undefined;
  readonly owner: string;
  readonly settings: ClusterSettings;
}

/** Waits until the controllers gave this node its share of the pods' addresses, and makes its network. */
export async function networkOfNode(
  client: Client,
  { nodeName, nodeIps, owner, settings }: ShareOptions,
  signal: AbortSignal,
): Promise<NodeNetwork> {
  const podCidrs = await shareOf(client, nodeName, signal);
  return prepareNodeNetwork({
    ...{ bridge: bridgeName, owner, podCidrs, mode: settings.network ?? "auto" },
    serviceCidrs: settings.serviceCidr.split(","),
    ...(nodeIps && { nodeAddresses: nodeIps }),
  });
}

async function shareOf(client: Client, nodeName: string, signal: AbortSignal): Promise<readonly string[]> {
  const stop = new AbortController();
  const informers = createInformers(client);
  const nodes = informers.of("v1/nodes", { fieldSelector: `metadata.name=${nodeName}` });
  const running = informers.run(AbortSignal.any([signal, stop.signal]));
  try {
    return await new Promise<readonly string[]>((resolve, reject) => {
      const look = () => {
        const { podCIDRs = [] } = nodes.get(nodeName)?.spec ?? {};
        if (podCIDRs.length > 0) resolve(podCIDRs);
      };
      nodes.addHandler({ added: look, updated: look });
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }); // an AbortError
    });
  } finally {
    stop.abort();
    await running;
  }
}
