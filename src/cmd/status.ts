/** `sampan status`: what runs with this data folder, as the API sees it. */
import { readFile, stat } from "node:fs/promises";
import type { FlagSpecs } from "#base";
import { printStatus } from "#cli";
import { createClient, createHttpsTransport, kubeconfigTarget, readKubeconfig } from "#client";
import { defineCommand } from "./command.ts";
import { isRunning, readInstance } from "./instance.ts";
import { dataLayout, placeFlags } from "./settings.ts";

const flags = { config: placeFlags.config, "data-dir": placeFlags["data-dir"] } as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Show what runs",
  flags,
  async run({ flags: values, out }) {
    const layout = dataLayout(values["data-dir"]);
    const instance = await readInstance(layout.pidFile);
    if (!instance || !isRunning(instance)) {
      out(`no sampan runs with ${layout.root}\n`);
      return 1;
    }
    const target = await kubeconfigTarget(await readKubeconfig([layout.kubeconfig]));
    const transport = createHttpsTransport({ ...target.transport, userAgent: "sampan" });
    try {
      const client = createClient(transport);
      const [nodes, pods] = await Promise.all([client.resource("v1/nodes").list(), client.resource("v1/pods").list()]);
      const memory = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${instance.pid}/status`, "utf8"))?.[1];
      out(
        printStatus({
          pid: instance.pid,
          server: `https://127.0.0.1:${instance.port}`,
          kubeconfig: layout.kubeconfig,
          memoryBytes: Number(memory ?? 0) * 1024,
          databaseBytes: (await sizeOf(layout.database)) + (await sizeOf(`${layout.database}-wal`)),
          nodes: nodes.items,
          pods: pods.items,
        }),
      );
    } finally {
      transport.close();
    }
    return 0;
  },
});

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0; // fs rejects with errno errors
    throw error;
  }
}
