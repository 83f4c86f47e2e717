import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { test } from "node:test";
import { FakeClock, type Logger, silentLogger } from "#base";
import { createConnections } from "./connections.ts";
import { listenTcp } from "./tcp-portal.ts";

const portOf = (server: Server) => (server.address() as AddressInfo).port; // it listens on TCP
const listening = async (server: Server) => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return portOf(server);
};
/** How a connection ends. */
const end = (port: number) =>
  new Promise<string>((resolve) => {
    let text = "";
    connect(port, "127.0.0.1")
      .setEncoding("utf8")
      .on("data", (more: string) => (text += more))
      .on("end", () => resolve(text))
      .on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
  });

test("user-space portal: an endpoint that doesn't answer is passed over; when none does the client is told, and why is said", async (t) => {
  const server = createServer((socket) => socket.end("here"));
  const good = await listening(server);
  const asked: boolean[] = [];
  const reasons: string[] = [];
  let endpoints: readonly { address: string; port: number; local: boolean }[] = [];
  const portal = await listenTcp({
    ...{ host: "127.0.0.1", port: 0, timeoutsMs: [1_000, 1_000, 1_000], admits: () => true, take: () => true },
    give: () => undefined,
    next: (_, failed) => {
      asked.push(failed);
      return endpoints[asked.length - 1];
    },
    unreachable: (why) => reasons.push(why),
  });
  t.after(() => {
    server.close();
    portal.close();
  });
  const closed = createServer();
  const silent = { address: "127.0.0.1", port: await listening(closed), local: false };
  closed.close();
  await once(closed, "close");
  endpoints = [silent, silent, { address: "127.0.0.1", port: good, local: true }];
  assert.equal(await end(portOf(portal)), "here");
  assert.deepEqual(asked, [false, true, true]);
  assert.deepEqual(reasons, []);
  asked.length = 0;
  endpoints = [silent];
  assert.equal(await end(portOf(portal)), "ECONNRESET");
  assert.equal(reasons.length, 1);
});

test("user-space portal: at the limit of descriptors new connections are refused, with a word now and then", () => {
  const clock = new FakeClock();
  const said: unknown[] = [];
  const log: Logger = { ...silentLogger, warn: (_message, fields) => said.push(fields?.refused) };
  const connections = createConnections(3, { clock, log });
  assert.equal(connections.take(2), true);
  assert.deepEqual([connections.take(2), connections.take(2)], [false, false]);
  assert.deepEqual(said, [1]);
  clock.advance(10_000);
  assert.equal(connections.take(2), false);
  assert.deepEqual(said, [1, 2]);
  connections.give(2);
  assert.equal(connections.take(3), true);
});
