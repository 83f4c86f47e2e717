import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { after, before, beforeEach, describe, test } from "node:test";
import { messageOf, pods, startTestbed, type Testbed, textOf } from "./testbed.ts";

let bed: Testbed;
before(async () => {
  bed = await startTestbed();
});
after(() => bed.close());
beforeEach(() => bed.reset());

describe("exec and attach, passed on", () => {
  test("SPDY: byte for byte from the 101 on", async () => {
    const next = bed.nextRuntime("v4.channel.k8s.io");
    const headers = {
      authorization: "Bearer admin",
      connection: "Upgrade",
      upgrade: "SPDY/3.1",
      "x-stream-protocol-version": ["v4.channel.k8s.io", "v3.channel.k8s.io"],
    };
    const request = httpsRequest(bed.options(`${pods}/one/attach?stdin=1&stdout=1`, { method: "POST", headers }));
    request.end();
    const [response, socket] = await once(request, "upgrade");
    assert.equal(response.headers["x-stream-protocol-version"], "v4.channel.k8s.io");
    const runtime = await next;
    assert.equal(bed.kubelet.requests[0]?.url, "/attach/default/one/c?input=1&output=1");
    assert.deepEqual(bed.kubelet.requests[0]?.headersDistinct["x-stream-protocol-version"], [
      "v4.channel.k8s.io, v3.channel.k8s.io",
    ]);
    assert.equal(bed.kubelet.requests[0]?.headers.authorization, undefined);
    socket.write(Buffer.from("8003000600000004" + "00000001", "hex"));
    await runtime.until(() => runtime.frames.length === 1);
    runtime.socket.end("the end");
    assert.equal(await textOf(socket), "the end");
    socket.destroy();
  });

  test("older WebSocket protocols are the runtime's own business", async () => {
    const asked = new Promise<IncomingMessage>((resolve) => {
      bed.kubelet.upgrade = (request, socket) => {
        resolve(request);
        socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
      };
    });
    const socket = bed.open(`${pods}/one/exec?stdout=1&command=ls`, ["v4.channel.k8s.io", "channel.k8s.io"]);
    const [, response] = await once(socket, "unexpected-response");
    assert.equal(response.statusCode, 403);
    assert.equal(await textOf(response), "no");
    const { headers } = await asked;
    assert.equal(headers["sec-websocket-protocol"], "v4.channel.k8s.io,channel.k8s.io");
    assert.equal(headers.upgrade, "websocket");
    assert.ok(headers["sec-websocket-key"]);
  });

  test("refused before anyone is asked", async () => {
    const cases: readonly [string, number, string][] = [
      ["one/exec?stdout=1&command=ls", 400, "Upgrade request required"],
      ["nowhere/exec?stdout=1&command=ls", 400, "pod nowhere does not have a host assigned"],
      ["nowhere/portforward", 400, "pod nowhere does not have a host assigned"],
      ["two/exec?command=ls", 400, "a container name must be specified for pod two, choose one of: [a b]"],
      ["none/attach", 404, 'pods "none" not found'],
    ];
    for (const [path, status, message] of cases) {
      const answer = await bed.ask(`${pods}/${path}`, { method: "POST" });
      assert.deepEqual([answer.status, answer.message], [status, message], path);
    }
    assert.deepEqual(bed.kubelet.requests, []);
  });

  test("a WebSocket is a GET, but starting something needs create", async () => {
    bed.allow(({ verb }) => verb === "get");
    const socket = bed.open(`${pods}/one/exec?stdout=1&command=ls`, ["v5.channel.k8s.io"]);
    const [, response] = await once(socket, "unexpected-response");
    assert.equal(response.statusCode, 403);
    assert.equal(messageOf(await textOf(response)), 'pods "one" is forbidden: no reason');
  });

  test("nobody listens at the node", async () => {
    await bed.kubeletPort(1);
    try {
      const headers = { authorization: "Bearer admin", connection: "Upgrade", upgrade: "SPDY/3.1" };
      const exec = await bed.ask(`${pods}/one/exec?stdout=1&command=ls`, { method: "POST", headers });
      const refused = "dial tcp 127.0.0.1:1: connect: connection refused";
      assert.deepEqual([exec.status, exec.message], [500, `error dialing backend: ${refused}`]);
      const log = await bed.ask(`${pods}/one/log`);
      assert.equal(log.message, `Get "https://127.0.0.1:1/containerLogs/default/one/c": ${refused}`);
    } finally {
      await bed.kubeletPort(bed.kubelet.port);
    }
  });
});

describe("port-forward through a WebSocket", () => {
  const protocol = "SPDY/3.1+portforward.k8s.io";

  /** By hand: the library takes no slash in a subprotocol, browsers and Go do. */
  const handshake = () => {
    const headers = {
      authorization: "Bearer admin",
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": Buffer.alloc(16).toString("base64"),
      "sec-websocket-protocol": protocol,
    };
    const request = httpsRequest(bed.options(`${pods}/one/portforward`, { headers }));
    request.end();
    return request;
  };
  /** A client's message: masked with zeros. */
  const message = (bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from([0x82, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]);

  test("SPDY's bytes in binary messages", async () => {
    const next = bed.nextRuntime("portforward.k8s.io");
    const [response, socket] = await once(handshake(), "upgrade");
    const runtime = await next;
    assert.equal(response.headers["sec-websocket-protocol"], protocol);
    assert.equal(bed.kubelet.requests[0]?.method, "POST");
    assert.equal(bed.kubelet.requests[0]?.headers.upgrade, "SPDY/3.1");
    assert.equal(bed.kubelet.requests[0]?.headers["x-stream-protocol-version"], "portforward.k8s.io");
    assert.equal(bed.kubelet.requests[0]?.headers["sec-websocket-key"], undefined);
    const ping = Buffer.from("8003000600000004" + "00000001", "hex");
    socket.write(message(ping.subarray(0, 5)));
    socket.write(message(ping.subarray(5)));
    await runtime.until(() => runtime.frames.length === 1);
    runtime.socket.end("answer");
    let bytes = Buffer.alloc(0);
    // A binary message, then a goodbye without a reason.
    while (bytes.length < 10) bytes = Buffer.concat([bytes, (await once(socket, "data"))[0]]);
    assert.equal(bytes.toString("latin1"), "\x82\x06answer\x88\x00");
    socket.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
    await once(socket, "close");
  });

  test("a refusal is passed on, no WebSocket is made", async () => {
    bed.kubelet.upgrade = (_request, socket) =>
      void socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone");
    const [response] = await once(handshake(), "response");
    assert.deepEqual([response.statusCode, await textOf(response)], [404, "none"]);
  });
});
