/**
 * Port-forward over a WebSocket: SPDY's bytes, unread, in binary messages. The kubelet sees the SPDY connection it knows.
 * Upstream's TunnelingHandler; kubectl speaks it since 1.31.
 */
import { createWebSocketStream } from "ws";
import { splice } from "#base";
import { upgradeHeaders } from "./forwarded-headers.ts";
import { passRefusal, type UpgradePassage } from "./pass-upgrade.ts";
import type { UpgradeRequest } from "./upgrade-request.ts";
import { acceptWebSocket } from "./websocket-server.ts";

const prefix = "SPDY/3.1+";
const suffix = ".k8s.io";

const tunneled = ({ subprotocols }: UpgradeRequest): string[] =>
  subprotocols
    .filter((name) => name.startsWith(prefix) && name.endsWith(suffix))
    .map((name) => name.slice(prefix.length));

export const wantsTunnel = (request: UpgradeRequest): boolean =>
  request.wanted === "websocket" && tunneled(request).length > 0;

export async function tunnel({ request, sink, url, dial }: UpgradePassage): Promise<void> {
  const { signal } = request;
  const answer = await dial({ url, method: "POST", headers: spdyHeaders(request), signal });
  if (answer.type === "answered") return passRefusal(answer, sink);
  const { "x-stream-protocol-version": spoken = "" } = answer.response.headers;
  const protocol = [spoken].flat()[0]?.trim() ?? "";
  const accepted = await acceptWebSocket(request, protocol === "" ? "" : prefix + protocol);
  if (!accepted) return void answer.socket.destroy();
  if (answer.head.length > 0) answer.socket.unshift(answer.head);
  await splice(createWebSocketStream(accepted.webSocket), answer.socket);
}

function spdyHeaders(request: UpgradeRequest): ReturnType<typeof upgradeHeaders> {
  const headers = upgradeHeaders(request);
  for (const name of Object.keys(headers)) if (name.startsWith("sec-websocket-")) delete headers[name];
  return {
    ...headers,
    connection: "Upgrade",
    upgrade: "SPDY/3.1",
    "x-stream-protocol-version": tunneled(request),
  };
}
