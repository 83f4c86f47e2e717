/** What a node finds out and starts before it speaks to the API server, so that it may happen while that one starts. */
import { access, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "#base";
import { cniFile } from "./network/cni.ts";
import { defaultRouteAddress } from "./network/node-address.ts";
import { createCgroups } from "./node/cgroups.ts";
import { type MachineFacts, readMachine } from "./node/machine.ts";
import { cgroupRootOf, configurationOf, type KubeletOptions, resolvConfPaths } from "./options.ts";
import { type NodeRuntime, nodeFolders, setUpPodNetwork, setUpRuntime } from "./runtime-setup.ts";

export interface PreparedNode {
  readonly machine: MachineFacts;
  readonly cgroups: Awaited<ReturnType<typeof createCgroups>>;
  readonly resolvConf: string;
  readonly addresses: readonly string[];
  readonly runtime: NodeRuntime;
  /** Whether CNI configuration is the node's own matter. */
  readonly managesNetwork: boolean;
}

export async function prepareNode(options: KubeletOptions, log: Logger): Promise<PreparedNode> {
  const config = configurationOf(options);
  const folders = nodeFolders(options);
  await mkdir(folders.kubelet, { recursive: true, mode: 0o711 });
  await mkdir(folders.logs, { recursive: true, mode: 0o755 });
  const [machine, cgroups, resolvConf] = await Promise.all([
    readMachine(),
    createCgroups({ root: cgroupRootOf(options), log, config }),
    firstPresent(resolvConfPaths(config.resolvConf)),
  ]);
  const managesNetwork = options.managesNetwork ?? config.containerRuntimeEndpoint === "";
  if (managesNetwork && options.podCidrs?.length) await setUpPodNetwork(options, options.podCidrs);
  // Of a time when it did: it isn't told by any more who connects pods here.
  if (!managesNetwork) await rm(join(folders.cniConf, cniFile), { force: true });
  const [runtime, addresses] = await Promise.all([setUpRuntime(options, log), nodeAddresses(options)]);
  return { machine, cgroups, resolvConf, addresses, runtime, managesNetwork };
}

/** Given, or of the default route. */
async function nodeAddresses(options: KubeletOptions): Promise<readonly string[]> {
  if (options.nodeIPs?.length) return options.nodeIPs;
  const address = await defaultRouteAddress();
  if (address) return [address];
  throw new Error("this node has no address: no interface has a default route; give it one, or name it with --node-ip");
}

async function firstPresent(paths: readonly string[]): Promise<string> {
  for (const path of paths)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  return paths.at(-1) ?? "";
}
