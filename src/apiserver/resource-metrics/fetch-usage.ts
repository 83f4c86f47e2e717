/** Asks a node's kubelet what has been used there. */
import type { Node, NodeUsage } from "#api";
import type { Logger } from "#base";
import type { StoredObject } from "../cache/stored-object.ts";
import type { KubeletConnector } from "../streaming/kubelet-connector.ts";
import { parseResourceMetrics } from "./scrape.ts";

/** Others wait for the slowest. */
const timeoutMs = 5_000;
/** Of 250 pods it is a tenth; keeps a mad node from filling memory. */
const bytesMax = 4 * 2 ** 20;

export async function fetchUsage(
  object: StoredObject,
  { kubelets, now, log }: { kubelets: KubeletConnector; now: () => number; log: Logger },
): Promise<NodeUsage | undefined> {
  try {
    const url = new URL("/metrics/resource", kubelets.locate(object.glance() as Node)); // of the kind
    const response = await kubelets.get({ url, signal: AbortSignal.timeout(timeoutMs) });
    const pieces: Buffer[] = [];
    let size = 0;
    for await (const piece of response as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > bytesMax) throw new Error(`${url}: more than ${bytesMax} bytes`);
      pieces.push(piece);
    }
    const body = Buffer.concat(pieces).toString("utf8");
    if (response.statusCode !== 200) throw new Error(`${url}: status ${response.statusCode}: ${body.slice(0, 200)}`);
    return parseResourceMetrics(body, now());
  } catch (error) {
    // Others are told all the same.
    log.debug("a node doesn't tell its usage", { node: object.name, error });
    return undefined;
  }
}
