/** Of every pod, the sizes that `/metrics` tells: logs, and volumes that somebody claimed. */
import type { KubeletHost } from "../host.ts";
import type { PodFigures } from "../metrics/own-metrics.ts";
import { readDisk } from "../node/machine.ts";
import { type PodDiskOptions, readClaimed, readLogs } from "./pod-disk.ts";

export async function readFigures({ host, ...places }: PodDiskOptions & { readonly host: KubeletHost }) {
  const runtimes = host.runtimes();
  const found: PodFigures[] = [];
  for (const pod of host.pods()) {
    const { namespace = "", name = "", uid = "" } = pod.metadata;
    const running = (runtimes.get(uid)?.containers ?? []).filter(({ state }) => state === "running");
    const logs = await Promise.all(
      running.map(async (container) => ({ container: container.name, bytes: (await readLogs(container)).bytes })),
    );
    const claims = await Promise.all(
      (await readClaimed(pod, places)).map(async (volume) => ({ ...(await readDisk(volume.path)), ...volume })),
    );
    found.push({ namespace, pod: name, uid, logs, claims });
  }
  return found;
}
