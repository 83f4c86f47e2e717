import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { splice } from "./splice.ts";

/** The two ends of a real connection. */
async function pair(context: TestContext): Promise<{ near: Socket; far: Socket }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(address && typeof address === "object");
  const far = connect(address.port, "127.0.0.1");
  const [near] = (await once(server, "connection")) as [Socket];
  server.close();
  for (const socket of [near, far]) socket.on("error", () => undefined);
  context.after(() => {
    near.destroy();
    far.destroy();
  });
  return { near, far };
}

async function spliced(context: TestContext) {
  const [left, right] = await Promise.all([pair(context), pair(context)]);
  return { client: left.far, backend: right.far, ours: [left.near, right.near], done: splice(left.near, right.near) };
}

async function readAll(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) text += chunk;
  return text;
}

describe("splice", () => {
  test("bytes go both ways, also more than sockets hold", async (context) => {
    const { client, backend, done } = await spliced(context);
    const much = Buffer.alloc(8 * 1024 * 1024, "x");
    let received = 0;
    backend.on("data", (chunk: Buffer) => {
      received += chunk.length;
      if (received === much.length) backend.end("thanks");
    });
    client.write(much);
    assert.equal(await readAll(client), "thanks");
    assert.equal(received, much.length);
    await done;
  });

  test("what was written before the end arrives", async (context) => {
    const { client, backend, done } = await spliced(context);
    backend.end("the last words");
    assert.equal(await readAll(client), "the last words");
    await done;
  });

  test("a client that goes takes the backend with it", async (context) => {
    const { client, backend, done } = await spliced(context);
    client.end("bye");
    assert.equal(await readAll(backend), "bye");
    await done;
  });

  test("a connection that breaks ends the other", async (context) => {
    const { client, backend, ours, done } = await spliced(context);
    backend.resetAndDestroy();
    assert.equal(await readAll(client), "");
    await done;
    assert.ok(ours.every((socket) => socket.destroyed));
  });

  test("one that was closed already ends the other at once", async (context) => {
    const [left, right] = await Promise.all([pair(context), pair(context)]);
    left.near.destroy();
    await once(left.near, "close");
    const done = splice(left.near, right.near);
    assert.equal(await readAll(right.far), "");
    await done;
  });
});
