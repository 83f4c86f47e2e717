/** A connection that changes its protocol, passed on to whoever speaks it: byte for byte from the 101 on. */
import type { OutgoingHttpHeaders } from "node:http";
import { printHead, splice, type UpgradeAnswer } from "#base";
import type { ResponseSink } from "../http/exchange.ts";
import { plainError } from "../registry/errors.ts";
import { answeredHeaders, upgradeHeaders } from "./forwarded-headers.ts";
import type { UpgradeRequest } from "./upgrade-request.ts";

/** Asks the server behind; rejects with a StatusError. */
export type UpgradeDialer = (question: {
  readonly url: URL;
  readonly method: string;
  readonly headers: OutgoingHttpHeaders;
  readonly signal: AbortSignal;
}) => Promise<UpgradeAnswer>;

export interface UpgradePassage {
  readonly request: UpgradeRequest;
  readonly sink: ResponseSink;
  readonly url: URL;
  readonly dial: UpgradeDialer;
}

export async function passUpgrade({ request, sink, url, dial }: UpgradePassage): Promise<void> {
  const { method, signal } = request;
  const answer = await dial({ url, method, headers: upgradeHeaders(request), signal });
  if (answer.type === "answered") return passRefusal(answer, sink);
  const { socket, head } = request.takeOver();
  socket.write(printHead(answer.response));
  if (answer.head.length > 0) answer.socket.unshift(answer.head);
  if (head.length > 0) socket.unshift(head);
  await splice(socket, answer.socket);
}

/** What the server behind says instead of changing the protocol is said to the client. */
export async function passRefusal(
  { response }: Extract<UpgradeAnswer, { type: "answered" }>,
  sink: ResponseSink,
): Promise<void> {
  const status = response.statusCode ?? 0;
  if (status < 400) {
    response.destroy();
    throw plainError(`invalid upgrade response: status code ${status}`);
  }
  sink.head(status, answeredHeaders(response.headers));
  for await (const chunk of response) if (!sink.write(chunk)) await sink.drained();
  sink.end();
}
