/** `sampan down`: ends what `up` or `agent` runs and removes what it made: containers, mounts, interfaces, namespaces, rules. The data stays. */
import { rm } from "node:fs/promises";
import { createLogger, createNft, type FlagSpecs, type LogLevel } from "#base";
import { removeAddresses } from "#ha";
import { bridgeName, bridgeOwner, ipJson, removeNodeNetwork, runBatch } from "#network";
import { removePolicies } from "#network-policy";
import { defineCommand } from "./command.ts";
import { downNode, end, lastInstance } from "./down-node.ts";
import { text } from "./flag-spec.ts";
import { isRunning, removeInstance, storeHolder } from "./instance.ts";
import { removeLan } from "./lan.ts";
import { lastNode } from "./last-node.ts";
import { findProgram } from "./machine.ts";
import { removeProxy } from "./proxy-servers.ts";
import { dataLayout, placeFlags } from "./settings.ts";

const flags = {
  config: placeFlags.config,
  "data-dir": placeFlags["data-dir"],
  "log-level": { ...placeFlags["log-level"], default: "warn" },
  node: text("NAME", "Only this node of the data folder, and nothing of the cluster's own."),
  purge: { type: "bool", help: "Remove the data folder as well: objects, images, certificates." },
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Stop and remove everything up or agent made",
  flags,
  async run({ flags: values, out, err }) {
    const log = createLogger({ write: err, level: values["log-level"] as LogLevel }); // one of the flag's choices
    const layout = dataLayout(values["data-dir"]);
    const { node: only, purge } = values;
    const instance = await lastInstance(layout.pidFile);
    const running = instance && isRunning(instance) ? instance : storeHolder(layout);
    if (running && only === undefined) await end(running);
    const failures: string[] = [];
    const attempt = async (what: string, work: () => Promise<unknown>) => {
      try {
        await work();
      } catch (error) {
        failures.push(`${what}: ${(error as Error).message}`);
      }
    };
    const nodes = (await lastNode(layout, instance)).filter(({ name }) => only === undefined || name === only);
    const options = { layout, purge, logLevel: values["log-level"], log };
    await Promise.all(nodes.map((node) => attempt(`node ${node.name}`, () => downNode(node, options))));
    if (only === undefined) {
      const bridge = instance?.bridge ?? bridgeName;
      await attempt("network", async () => {
        // In this network namespace there may be the cluster of another data folder.
        const owner = findProgram("ip") && (await bridgeOwner(bridge));
        if (owner && owner !== layout.root) return;
        const apply = findProgram("nft") && createNft(findProgram("nft"));
        await Promise.all([removeProxy(), apply && removePolicies(apply)]);
        if (findProgram("ip"))
          await removeAddresses({ change: (lines) => runBatch("ip", lines), show: (...args) => ipJson(...args) });
        // Without a bridge of ours there may still be routes.
        if (findProgram("ip")) await removeNodeNetwork(bridge);
      });
      await attempt("network of nodes", () => removeLan(layout.root));
      await removeInstance(layout.pidFile);
      if (purge) await attempt("data", () => removeData(layout.root));
    }
    for (const failure of failures) err(`sampan down: ${failure}\n`);
    out(failures.length === 0 ? `down${purge ? ", data removed" : `; data is kept in ${layout.root}`}\n` : "");
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
