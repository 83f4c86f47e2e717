/** A log over a WebSocket: upstream's readers, with the bytes in binary messages or as base64 in texts. */
import type { IncomingMessage } from "node:http";
import { drained } from "../http/http1.ts";
import type { UpgradeRequest } from "./upgrade-request.ts";
import { acceptWebSocket } from "./websocket-server.ts";

const protocols = ["binary.k8s.io", "base64.binary.k8s.io"];

export async function sendOverWebSocket(request: UpgradeRequest, source: IncomingMessage): Promise<void> {
  const protocol = request.subprotocols.find((name) => protocols.includes(name)) ?? "";
  const accepted = await acceptWebSocket(request, protocol);
  if (!accepted) return void source.destroy();
  const { webSocket, socket } = accepted;
  webSocket.on("close", () => source.destroy());
  webSocket.on("error", () => source.destroy());
  // Tells the client that it is connected, however long the log is silent.
  webSocket.send(Buffer.alloc(0));
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      webSocket.send(protocol.startsWith("base64") ? chunk.toString("base64") : chunk);
      if (socket.writableNeedDrain) await drained(socket);
    }
  } catch (error) {
    if (!source.destroyed) throw error;
  }
  webSocket.close();
}
