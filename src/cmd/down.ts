/** `sampan down`: ends what `up` runs and removes what it made: containers, mounts, interfaces, namespaces, rules. The data stays. */
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createLogger, createNft, type FlagSpecs, type LogLevel } from "#base";
import { removeAddresses } from "#ha";
import { removeNode } from "#kubelet";
import { bridgeName, bridgeOwner, ipJson, removeNodeNetwork, runBatch } from "#network";
import { removePolicies } from "#network-policy";
import { removeRules } from "#proxy";
import { defineCommand } from "./command.ts";
import { DamagedPidFile, type Instance, isRunning, readInstance, removeInstance, storeHolder } from "./instance.ts";
import { findProgram } from "./machine.ts";
import { dataLayout, placeFlags } from "./settings.ts";
import { lastNode } from "./last-node.ts";

const flags = {
  config: placeFlags.config,
  "data-dir": placeFlags["data-dir"],
  "log-level": { ...placeFlags["log-level"], default: "warn" },
  node: text("NAME", "Only this node of the data folder; nothing of the cluster's own."),
  purge: { type: "bool", help: "Remove the data folder as well: objects, images, certificates." },
} as const satisfies FlagSpecs;

const stopMsMax = 20_000;
const lookMs = 50;

export const command = defineCommand({
  summary: "Stop and remove everything up made",
  flags,
  async run({ flags: values, out, err }) {
    const log = createLogger({ write: err, level: values["log-level"] as LogLevel }); // one of the flag's choices
    const layout = dataLayout(values["data-dir"]);
    const instance = await lastInstance(layout.pidFile);
    const running = instance && isRunning(instance) ? instance : storeHolder(layout);
    if (running && values.node === undefined) await end(running);
    const failures: string[] = [];
    const attempt = async (what: string, work: () => Promise<unknown>) => {
      try {
        await work();
      } catch (error) {
        failures.push(`${what}: ${(error as Error).message}`);
      }
    };
    const known = await lastNode(layout, instance);
    for (const node of known.filter(({ name }) => values.node === undefined || name === values.node))
      await attempt(`node ${node.name}`, async () => {
        const folder = layout.node(node.name);
        // As `up` and the agents left it: whoever works with a node ends first.
        const agent = await lastInstance(recordFile(layout, node.name));
        if (agent && isRunning(agent) && agent.pid !== process.ppid) await end(agent);
        const machine = await readMachine(folder);
        if (machine && isRunning(machine) && !isInside(machine)) {
          await downInside(machine, {
            name: node.name,
            root: layout.root,
            purge: values.purge,
            log: values["log-level"],
          });
          return removeMachine(folder);
        }
        const config = node.kubelet ?? agent?.kubelet;
        await removeNode({ rootDir: folder, keepImages: !values.purge, ...(config && { config }) }, log);
        if (machine && !isRunning(machine)) await removeMachine(folder);
        if (values.purge || agent === undefined) await removeAgentFiles(folder, values.purge);
      });
    const bridge = instance?.bridge ?? bridgeName;
    await attempt("network", async () => {
      // In this network namespace there may be the cluster of another data folder.
      const owner = findProgram("ip") && (await bridgeOwner(bridge));
      if (owner && owner !== layout.root) return;
      const apply = findProgram("nft") && createNft(findProgram("nft"));
      if (apply) await Promise.all([removeRules(apply), removePolicies(apply)]);
      if (owner)
        await removeAddresses({ change: (lines) => runBatch("ip", lines), show: (...args) => ipJson(...args) });
      if (owner !== undefined) await removeNodeNetwork(bridge);
    });
    await removeInstance(layout.pidFile);
    if (values.purge) await attempt("data", () => removeData(layout.root));
    for (const failure of failures) err(`sampan down: ${failure}\n`);
    out(failures.length === 0 ? `down${values.purge ? ", data removed" : `; data is kept in ${layout.root}`}\n` : "");
    return failures.length === 0 ? 0 : 1;
  },
});

async function removeData(root: string): Promise<void> {
  try {
    await rm(root, { recursive: true, force: true });
  } catch (error) {
    const { code, path: at } = error as NodeJS.ErrnoException; // fs rejects with errno errors
    // A disk of its own is mounted there: all in it is gone, the folder is the mount's.
    if (code !== "EBUSY" || at !== root) throw error;
  }
}

/** A damaged pid file keeps nobody from ending: the process is found by the store's lock. */
async function lastInstance(pidFile: string): Promise<Instance | undefined> {
  try {
    return await readInstance(pidFile);
  } catch (error) {
    if (error instanceof DamagedPidFile) return undefined;
    throw error;
  }
}

/** Asks, waits, and in the end insists. */
async function end(instance: Pick<Instance, "pid" | "startTime">): Promise<void> {
  process.kill(instance.pid, "SIGTERM");
  for (let waited = 0; isRunning(instance) && waited < stopMsMax; waited += lookMs) await sleep(lookMs);
  if (isRunning(instance)) process.kill(instance.pid, "SIGKILL");
  while (isRunning(instance)) await sleep(lookMs);
}
