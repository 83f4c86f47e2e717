/** WebSockets of today's kubectl toward a runtime that speaks SPDY, for a server that isn't ours: the node's, whose clients may skip us. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, type Logger, requestUpgrade } from "#base";
import { Http1Sink } from "../http/http1.ts";
import { type CommandStreams, runRemoteCommand } from "./remote-command.ts";
import { tunnel } from "./tunnel.ts";
import { type TakenConnection, UpgradeRequest } from "./upgrade-request.ts";

export interface TranslatedStream {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly connection: Pick<TakenConnection, "socket" | "head">;
  /** Where the runtime waits. */
  readonly url: URL;
  /** Of a command; undefined: ports are forwarded. */
  readonly streams: CommandStreams | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The runtime is on the same machine. */
const timeoutMs = 30_000;

export async function translateStream(stream: TranslatedStream): Promise<void> {
  const { message, response, connection, url, streams, clock, log } = stream;
  const request = new UpgradeRequest({ message, ...connection }, response);
  const dial = (question: Parameters<Parameters<typeof tunnel>[0]["dial"]>[0]) =>
    requestUpgrade({ ...question, timeoutMs });
  if (streams) await runRemoteCommand({ request, url, streams, dial, clock, log });
  else await tunnel({ request, sink: new Http1Sink(message, response), url, dial });
}
