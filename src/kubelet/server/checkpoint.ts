/** `/checkpoint/{namespace}/{pod}/{container}`: the runtime writes down a running container, if it can. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { CriError } from "../cri/client.ts";
import { containerByName } from "../core/types.ts";
import { HostError } from "../host.ts";
import { printRuntimeError } from "../images/image-manager.ts";
import { type Exchange, sendJson, sendText } from "./exchange.ts";
import type { LogsContext } from "./container-logs.ts";

export async function serveCheckpoint(
  { host, clock, checkpoints }: LogsContext & { readonly checkpoints: string },
  exchange: Exchange,
): Promise<void> {
  const [, namespace = "", name = "", container = ""] = exchange.parts;
  const found = host.findPod(namespace, name);
  if (!found) return sendText(exchange, 404, "pod does not exist");
  if (!containerByName(found.pod, container)) return sendText(exchange, 404, `container ${container} does not exist`);
  const timeout = exchange.query.getAll("timeout").at(-1);
  if (timeout !== undefined && !/^[+-]?\d+$/.test(timeout))
    return sendText(exchange, 404, "cannot parse value of timeout parameter");
  const time = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
  const location = join(checkpoints, `checkpoint-${name}_${namespace}-${container}-${time}.tar`);
  try {
    const { id: containerId } = runningOr(`container ${container} not found`, () =>
      host.runningContainer(found, container),
    );
    await mkdir(checkpoints, { recursive: true, mode: 0o700 });
    const seconds = Number(timeout ?? 0);
    await host.cri.runtime.checkpointContainer({ containerId, location, ...(seconds > 0 && { timeout: seconds }) });
    sendJson(exchange, { items: [location] });
  } catch (error) {
    if (!(error instanceof CriError || error instanceof HostError)) throw error;
    sendText(exchange, 500, `checkpointing of ${namespace}/${name}/${container} failed (${printRuntimeError(error)})`);
  }
}

function runningOr<T>(message: string, find: () => T): T {
  try {
    return find();
  } catch (error) {
    throw error instanceof HostError ? new HostError(error.code, message) : error;
  }
}
