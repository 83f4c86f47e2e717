import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, beforeEach, describe, test } from "node:test";
import { pods, startTestbed, type Testbed } from "./testbed.ts";

let bed: Testbed;
before(async () => {
  bed = await startTestbed();
});
after(() => bed.close());
beforeEach(() => bed.reset());

/** A client of `v5.channel.k8s.io`: what came on each channel, and the status at the end. */
function command(query: string) {
  const socket = bed.open(`${pods}/one/exec?${query}`, ["v5.channel.k8s.io"]);
  const channels: Record<number, string> = {};
  socket.on("message", (message: Buffer) => {
    const number = message[0] ?? -1;
    channels[number] = (channels[number] ?? "") + message.subarray(1).toString();
  });
  const done = once(socket, "close").then(([code]) => ({
    code,
    status: channels[3] ? JSON.parse(channels[3]) : undefined,
  }));
  const send = (number: number, text: string) => socket.send(Buffer.concat([Buffer.from([number]), Buffer.from(text)]));
  return { socket, channels, done, send };
}

describe("exec over a WebSocket, translated", () => {
  test("outputs and success", async () => {
    const next = bed.nextRuntime();
    const client = command("stdout=1&stderr=true&command=ls&command=-l");
    const runtime = await next;
    await runtime.until(() => runtime.streams.size === 3);
    runtime.say("stdout", "out");
    runtime.say("stderr", "err");
    runtime.finish({ metadata: {}, status: "Success" });
    assert.deepEqual(await client.done, { code: 1000, status: { metadata: {}, status: "Success" } });
    assert.equal(client.socket.protocol, "v5.channel.k8s.io");
    assert.deepEqual([client.channels[1], client.channels[2]], ["out", "err"]);
    assert.deepEqual([...runtime.streams.keys()], ["error", "stdout", "stderr"]);
    const [request] = bed.kubelet.requests;
    assert.equal(request?.method, "POST");
    assert.equal(request?.url, "/exec/default/one/c?output=1&error=1&command=ls&command=-l");
    assert.equal(request?.headers["x-stream-protocol-version"], "v4.channel.k8s.io");
    assert.equal(request?.headers.authorization, undefined);
  });

  test("input, its half-close, and the exit code", async () => {
    const next = bed.nextRuntime();
    const client = command("stdin=1&stdout=1&command=cat");
    await once(client.socket, "open");
    client.send(0, "typed ");
    client.send(0, "early");
    client.send(7, "no such channel");
    client.socket.send(Buffer.from([255, 0]));
    const runtime = await next;
    await runtime.until(() => runtime.ended.has("stdin"));
    assert.equal(runtime.received.get("stdin"), "typed early");
    runtime.finish({
      status: "Failure",
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: "42" }] },
    });
    const { status } = await client.done;
    assert.deepEqual(status.details.causes, [{ reason: "ExitCode", message: "42" }]);
    assert.equal(status.reason, "NonZeroExitCode");
  });

  test("a terminal has a size and no standard error of its own", async () => {
    const next = bed.nextRuntime();
    const client = command("stdin=1&stdout=1&stderr=1&tty=1&command=sh");
    await once(client.socket, "open");
    client.send(4, '{"Width":80,"Height":24}');
    const runtime = await next;
    await runtime.until(() => runtime.received.has("resize"));
    assert.deepEqual([...runtime.streams.keys()], ["error", "stdin", "stdout", "resize"]);
    assert.equal(runtime.received.get("resize"), '{"Width":80,"Height":24}');
    runtime.finish({ status: "Success" });
    await client.done;
  });

  test("a slow client slows the command, and loses nothing", async () => {
    const next = bed.nextRuntime();
    const client = command("stdout=1&command=yes");
    const runtime = await next;
    await runtime.until(() => runtime.streams.size === 2);
    client.socket.pause();
    const chunk = Buffer.alloc(256 * 1024, "x");
    let sent = 0;
    // Until nobody takes any more: then it is the client that holds it up.
    while (runtime.say("stdout", chunk)) sent += chunk.length;
    sent += chunk.length;
    client.socket.resume();
    await once(runtime.socket, "drain");
    runtime.finish({ status: "Success" });
    await client.done;
    assert.equal(client.channels[1]?.length, sent);
  });

  test("what the kubelet refuses is told on the error channel", async () => {
    bed.kubelet.upgrade = (_request, socket) => {
      const text = 'container not found ("c")';
      socket.end(`HTTP/1.1 500 Internal Server Error\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
    };
    const { status } = await command("stdout=1&command=ls").done;
    assert.equal(status.message, 'Internal error occurred: unable to upgrade connection: container not found ("c")');
    assert.equal(status.code, 500);
  });

  test("another protocol than asked for is no agreement", async () => {
    void bed.nextRuntime("channel.k8s.io");
    const { status } = await command("stdout=1&command=ls").done;
    assert.match(status.message, /the kubelet speaks channel.k8s.io, expected v4.channel.k8s.io/);
  });

  test("a kubelet that breaks in the middle is no success", async () => {
    const next = bed.nextRuntime();
    const client = command("stdout=1&command=ls");
    const runtime = await next;
    await runtime.until(() => runtime.streams.size === 2);
    runtime.socket.destroy();
    const { status } = await client.done;
    assert.equal(status.status, "Failure");
  });

  test("a client that goes ends the kubelet's connection", async () => {
    const next = bed.nextRuntime();
    const client = command("stdin=1&stdout=1&command=cat");
    const runtime = await next;
    await runtime.until(() => runtime.streams.size === 3);
    await new Promise(setImmediate);
    client.socket.terminate();
    await runtime.until(() => runtime.socket.readableEnded || runtime.socket.destroyed);
  });
});
