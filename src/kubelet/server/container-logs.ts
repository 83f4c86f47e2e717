/** `/containerLogs/{namespace}/{pod}/{container}`. */
import { once } from "node:events";
import type { Clock, Logger } from "#base";
import type { KubeletConfiguration } from "../config/configuration.ts";
import { containerByName } from "../core/types.ts";
import { type ContainerLog, HostError, type HostedPod, type KubeletHost } from "../host.ts";
import { type Exchange, sendText } from "./exchange.ts";
import { type LogOptions, LogOptionsError, readLogOptions } from "./logs/options.ts";
import { type OpenLog, openLog } from "./logs/read.ts";

export interface LogsContext {
  readonly config: Pick<KubeletConfiguration, "featureGates">;
  readonly host: KubeletHost;
  readonly clock: Clock;
  readonly log: Logger;
}

export async function serveContainerLogs(context: LogsContext, exchange: Exchange): Promise<void> {
  const [, namespace = "", name = "", container = ""] = exchange.parts;
  const { host, clock } = context;
  let options: LogOptions;
  try {
    options = readLogOptions(exchange.query, clock.now());
  } catch (error) {
    if (!(error instanceof LogOptionsError)) throw error;
    return sendText(exchange, error.code, error.message);
  }
  const found = host.findPod(namespace, name);
  if (!found) return sendText(exchange, 404, `pod ${JSON.stringify(name)} does not exist`);
  if (!containerByName(found.pod, container)) {
    return sendText(exchange, 404, `container ${JSON.stringify(container)} not found in pod ${JSON.stringify(name)}`);
  }
  // Alpha upstream and off; here the API server offers it.
  if (options.stream !== "All" && context.config.featureGates.PodLogsQuerySplitStreams === false) {
    const why = `unable to return the given log stream: ${JSON.stringify(options.stream)}. Please enable PodLogsQuerySplitStreams feature gate in kubelet`;
    return sendText(exchange, 400, why);
  }
  const log = await open(context, exchange, { found, container, options });
  if (!log) return;
  const { response } = exchange;
  response.writeHead(200);
  // A reader that follows waits for the head, however long the container is silent.
  response.flushHeaders();
  await log.read();
  response.end();
}

interface Wanted {
  readonly found: HostedPod;
  readonly container: string;
  readonly options: LogOptions;
}

/** Undefined: the client has its answer. */
async function open(
  { host, clock }: LogsContext,
  exchange: Exchange,
  { found, container, options }: Wanted,
): Promise<OpenLog | undefined> {
  let place: ContainerLog;
  try {
    place = host.containerLog(found, container, { previous: options.previous });
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    // From here on upstream's answers have no type.
    exchange.response.writeHead(error.code).end(error.message);
    return undefined;
  }
  const { response, signal } = exchange;
  const { namespace = "", name = "", uid = "" } = found.pod.metadata;
  try {
    return await openLog({
      path: place.path,
      options,
      clock,
      signal,
      isRunning() {
        const { runtime } = host.findPod(namespace, name, uid) ?? {};
        return runtime?.containers.find(({ id }) => id === place.containerId)?.state === "running";
      },
      onContainer: (listener) => host.onLook(found, listener),
      write(bytes) {
        if (response.write(bytes) || signal.aborted) return undefined;
        return once(response, "drain", { signal }).then(nothing, nothing);
      },
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException; // from the file system
    const why = code === "ENOENT" ? `lstat ${place.path}: no such file or directory` : message;
    // Upstream has begun its answer by now.
    response.end(`failed to try resolving symlinks in path ${JSON.stringify(place.path)}: ${why}`);
    return undefined;
  }
}

/** A client that went is seen by the signal. */
const nothing = (): void => undefined;
