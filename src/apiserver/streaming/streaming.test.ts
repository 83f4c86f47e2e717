import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { after, before, beforeEach, describe, test } from "node:test";
import { WebSocket } from "ws";
import { realClock, silentLogger } from "#base";
import type { Attributes } from "../security.ts";
import { startTestServer, type TestServer } from "../test-server.ts";
import { createStreaming, type Streaming } from "./handlers.ts";
import { createKubeletConnector } from "./kubelet-connector.ts";
import { type FakeKubelet, FakeRuntime, startFakeKubelet } from "./testing.ts";

const pods = "/api/v1/namespaces/default/pods";
let kubelet: FakeKubelet;
let streaming: Streaming;
let api: TestServer;
let port = 0;
let allow: (attributes: Attributes) => boolean;

before(async () => {
  kubelet = await startFakeKubelet();
  const kubelets = createKubeletConnector({ ...kubelet.client, authority: kubelet.authority.certificate });
  streaming = createStreaming({ kubelets, clock: realClock, log: silentLogger });
  api = await startTestServer({
    tls: kubelet.client,
    handlers: streaming.handlers,
    authorizer: { authorize: (attributes) => ({ allowed: allow(attributes), reason: "no reason" }) },
  });
  port = (await api.server.listen({ host: "127.0.0.1", port: 0 })).port;
  allow = () => true;
  await api.call("POST", "/api/v1/nodes", { metadata: { name: "n1" } });
  await report("/api/v1/nodes/n1", {
    addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
    daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } },
  });
  await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
  await createPod("one", ["c"], "n1");
  await createPod("two", ["a", "b"], "n1");
  await createPod("nowhere", ["c"]);
  await createPod("lost", ["c"], "none");
});
after(async () => {
  await api.close();
  streaming.close();
  await kubelet.close();
});
beforeEach(() => {
  allow = () => true;
  kubelet.requests.length = 0;
});

const report = (path: string, status: object) =>
  api.call("PATCH", `${path}/status`, { status }, { contentType: "application/merge-patch+json" });

async function createPod(name: string, containers: readonly string[], nodeName?: string): Promise<void> {
  const spec = { containers: containers.map((each) => ({ name: each, image: "x" })), ...(nodeName && { nodeName }) };
  await api.call("POST", pods, { metadata: { name }, spec });
}

const options = (path: string, more: object = {}) => ({
  host: "127.0.0.1",
  port,
  path,
  agent: false as const,
  rejectUnauthorized: false,
  headers: { authorization: "Bearer admin" },
  ...more,
});

/** An answer, as text and with its Status if it has one. */
async function ask(path: string, more: object = {}) {
  const request = httpsRequest(options(path, more));
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const text = await textOf(response);
  return { status: response.statusCode, headers: response.headers, text, message: messageOf(text) };
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(stream)).toString();
}

function messageOf(text: string): string {
  return text.startsWith("{") ? JSON.parse(text).message : "";
}

describe("logs", () => {
  test("the kubelet's bytes, asked for with its own words", async () => {
    kubelet.answer = (_request, response) => void response.end("line 1\nline 2\n");
    const query =
      "follow=true&previous=1&timestamps=true&tailLines=5&limitBytes=9&sinceTime=2026-01-31T10:00:00Z&stream=All";
    const answer = await ask(`${pods}/one/log?${query}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["content-type"], "text/plain");
    assert.equal(answer.text, "line 1\nline 2\n");
    const url = new URL(kubelet.requests[0]?.url ?? "", "https://n1");
    assert.equal(url.pathname, "/containerLogs/default/one/c");
    assert.deepEqual(Object.fromEntries(url.searchParams), {
      follow: "true",
      previous: "true",
      timestamps: "true",
      tailLines: "5",
      limitBytes: "9",
      sinceTime: "2026-01-31T10:00:00Z",
    });
  });

  test("HTTP/2: the same, as it comes", async () => {
    const more = Promise.withResolvers<void>();
    kubelet.answer = (_request, response) => {
      response.write("first\n");
      void more.promise.then(() => response.end("second\n"));
    };
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    const stream = session.request({ ":path": `${pods}/one/log?follow=true`, authorization: "Bearer admin" });
    const [first] = await once(stream, "data");
    assert.equal(String(first), "first\n");
    more.resolve();
    assert.equal(await textOf(stream), "second\n");
    session.close();
  });

  test("a client that goes ends the kubelet's answer", async () => {
    const gone = Promise.withResolvers<void>();
    kubelet.answer = (_request, response) => {
      response.write("first\n");
      response.once("close", gone.resolve);
    };
    const request = httpsRequest(options(`${pods}/one/log?follow=true`));
    request.on("error", () => undefined);
    request.end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.on("error", () => undefined);
    await once(response, "data");
    request.destroy();
    await gone.promise;
  });

  test("a kubelet that breaks in the middle doesn't look like the end", async () => {
    kubelet.answer = (request, response) => {
      response.write("first\n");
      response.once("drain", () => undefined);
      setImmediate(() => request.socket.destroy());
    };
    await assert.rejects(ask(`${pods}/one/log`), { code: "ECONNRESET" });
  });

  const refusals: readonly [path: string, status: number, message: string][] = [
    ["none/log", 404, 'pods "none" not found'],
    ["two/log", 400, "a container name must be specified for pod two, choose one of: [a b]"],
    ["one/log?container=z", 400, "container z is not valid for pod one"],
    ["lost/log", 404, 'pods "none" not found'],
    [
      "one/log?tailLines=-1&sinceSeconds=0&limitBytes=0",
      422,
      'PodLogOptions "one" is invalid: [tailLines: Invalid value: -1: must be greater than or equal to 0, limitBytes: Invalid value: 0: must be greater than 0, sinceSeconds: Invalid value: 0: must be greater than 0]',
    ],
    [
      "one/log?sinceSeconds=1&sinceTime=2026-01-01T00%3A00%3A00Z",
      422,
      'PodLogOptions "one" is invalid: []: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
    ],
    [
      "one/log?stream=x",
      422,
      'PodLogOptions "one" is invalid: stream: Unsupported value: "x": supported values: "All", "Stderr", "Stdout"',
    ],
    ["one/log?tailLines=x", 400, 'strconv.ParseInt: parsing "x": invalid syntax'],
  ];
  for (const [path, status, message] of refusals) {
    test(`refused: ${path}`, async () => {
      const answer = await ask(`${pods}/${path}`);
      assert.equal(answer.message, message);
      assert.equal(answer.status, status);
    });
  }

  test("a pod that is nowhere yet has an empty log", async () => {
    const answer = await ask(`${pods}/nowhere/log`);
    assert.deepEqual([answer.status, answer.text], [204, ""]);
  });

  test("what the kubelet refuses is told", async () => {
    const cases: readonly [number, string, string][] = [
      [400, "is waiting to start", "is waiting to start"],
      [404, "no such pod", "the server could not find the requested resource"],
      [500, "broken", "Internal error occurred: broken"],
    ];
    for (const [status, text, message] of cases) {
      kubelet.answer = (_request, response) => void response.writeHead(status).end(text);
      const answer = await ask(`${pods}/one/log`);
      assert.deepEqual([answer.status, answer.message], [status, message]);
    }
  });

  test("over a WebSocket: bytes, or base64", async () => {
    kubelet.answer = (_request, response) => void response.end("a log");
    for (const [protocol, expected] of [
      ["binary.k8s.io", ["", "a log"]],
      ["base64.binary.k8s.io", ["", Buffer.from("a log").toString("base64")]],
    ] as const) {
      const socket = open(`${pods}/one/log`, [protocol]);
      const messages: string[] = [];
      socket.on("message", (message) => messages.push(String(message)));
      await once(socket, "close");
      assert.equal(socket.protocol, protocol);
      assert.deepEqual(messages, expected);
    }
  });
});

const open = (path: string, protocols: string[]): WebSocket =>
  new WebSocket(`wss://127.0.0.1:${port}${path}`, protocols, {
    rejectUnauthorized: false,
    headers: { authorization: "Bearer admin" },
  });

/** The runtime that the next upgrade of the kubelet leads to. */
function nextRuntime(protocol?: string): Promise<FakeRuntime> {
  return new Promise((resolve) => {
    kubelet.upgrade = (_request, socket, head) =>
      resolve(new FakeRuntime(socket, { head, ...(protocol && { protocol }) }));
  });
}

/** A client of `v5.channel.k8s.io`: what came on each channel, and the status at the end. */
function command(query: string) {
  const socket = open(`${pods}/one/exec?${query}`, ["v5.channel.k8s.io"]);
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
    const next = nextRuntime();
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
    const [request] = kubelet.requests;
    assert.equal(request?.method, "POST");
    assert.equal(request?.url, "/exec/default/one/c?output=1&error=1&command=ls&command=-l");
    assert.equal(request?.headers["x-stream-protocol-version"], "v4.channel.k8s.io");
    assert.equal(request?.headers.authorization, undefined);
  });

  test("input, its half-close, and the exit code", async () => {
    const next = nextRuntime();
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
    const next = nextRuntime();
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
    const next = nextRuntime();
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
    kubelet.upgrade = (_request, socket) => {
      const text = 'container not found ("c")';
      socket.end(`HTTP/1.1 500 Internal Server Error\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
    };
    const { status } = await command("stdout=1&command=ls").done;
    assert.equal(status.message, 'Internal error occurred: unable to upgrade connection: container not found ("c")');
    assert.equal(status.code, 500);
  });

  test("another protocol than asked for is no agreement", async () => {
    void nextRuntime("channel.k8s.io");
    const { status } = await command("stdout=1&command=ls").done;
    assert.match(status.message, /the kubelet speaks channel.k8s.io, expected v4.channel.k8s.io/);
  });

  test("a kubelet that breaks in the middle is no success", async () => {
    const next = nextRuntime();
    const client = command("stdout=1&command=ls");
    const runtime = await next;
    await runtime.until(() => runtime.streams.size === 2);
    runtime.socket.destroy();
    const { status } = await client.done;
    assert.equal(status.status, "Failure");
  });

  test("a client that goes ends the kubelet's connection", async () => {
    const next = nextRuntime();
    const client = command("stdin=1&stdout=1&command=cat");
    const runtime = await next;
    await runtime.until(() => runtime.streams.size === 3);
    await new Promise(setImmediate);
    client.socket.terminate();
    await runtime.until(() => runtime.socket.readableEnded || runtime.socket.destroyed);
  });
});

describe("exec and attach, passed on", () => {
  test("SPDY: byte for byte from the 101 on", async () => {
    const next = nextRuntime("v4.channel.k8s.io");
    const headers = {
      authorization: "Bearer admin",
      connection: "Upgrade",
      upgrade: "SPDY/3.1",
      "x-stream-protocol-version": ["v4.channel.k8s.io", "v3.channel.k8s.io"],
    };
    const request = httpsRequest(options(`${pods}/one/attach?stdin=1&stdout=1`, { method: "POST", headers }));
    request.end();
    const [response, socket] = await once(request, "upgrade");
    assert.equal(response.headers["x-stream-protocol-version"], "v4.channel.k8s.io");
    const runtime = await next;
    assert.equal(kubelet.requests[0]?.url, "/attach/default/one/c?input=1&output=1");
    assert.deepEqual(kubelet.requests[0]?.headersDistinct["x-stream-protocol-version"], [
      "v4.channel.k8s.io, v3.channel.k8s.io",
    ]);
    assert.equal(kubelet.requests[0]?.headers.authorization, undefined);
    socket.write(Buffer.from("8003000600000004" + "00000001", "hex"));
    await runtime.until(() => runtime.frames.length === 1);
    runtime.socket.end("the end");
    assert.equal(await textOf(socket), "the end");
    socket.destroy();
  });

  test("older WebSocket protocols are the runtime's own business", async () => {
    const asked = new Promise<IncomingMessage>((resolve) => {
      kubelet.upgrade = (request, socket) => {
        resolve(request);
        socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
      };
    });
    const socket = open(`${pods}/one/exec?stdout=1&command=ls`, ["v4.channel.k8s.io", "channel.k8s.io"]);
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
      const answer = await ask(`${pods}/${path}`, { method: "POST" });
      assert.deepEqual([answer.status, answer.message], [status, message], path);
    }
    assert.deepEqual(kubelet.requests, []);
  });

  test("a WebSocket is a GET, but starting something needs create", async () => {
    allow = ({ verb }) => verb === "get";
    const socket = open(`${pods}/one/exec?stdout=1&command=ls`, ["v5.channel.k8s.io"]);
    const [, response] = await once(socket, "unexpected-response");
    assert.equal(response.statusCode, 403);
    assert.equal(messageOf(await textOf(response)), 'pods "one" is forbidden: no reason');
  });

  test("nobody listens at the node", async () => {
    await report("/api/v1/nodes/n1", { daemonEndpoints: { kubeletEndpoint: { Port: 1 } } });
    try {
      const headers = { authorization: "Bearer admin", connection: "Upgrade", upgrade: "SPDY/3.1" };
      const exec = await ask(`${pods}/one/exec?stdout=1&command=ls`, { method: "POST", headers });
      const refused = "dial tcp 127.0.0.1:1: connect: connection refused";
      assert.deepEqual([exec.status, exec.message], [500, `error dialing backend: ${refused}`]);
      const log = await ask(`${pods}/one/log`);
      assert.equal(log.message, `Get "https://127.0.0.1:1/containerLogs/default/one/c": ${refused}`);
    } finally {
      await report("/api/v1/nodes/n1", { daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } } });
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
    const request = httpsRequest(options(`${pods}/one/portforward`, { headers }));
    request.end();
    return request;
  };
  /** A client's message: masked with zeros. */
  const message = (bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from([0x82, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]);

  test("SPDY's bytes in binary messages", async () => {
    const next = nextRuntime("portforward.k8s.io");
    const [response, socket] = await once(handshake(), "upgrade");
    const runtime = await next;
    assert.equal(response.headers["sec-websocket-protocol"], protocol);
    assert.equal(kubelet.requests[0]?.method, "POST");
    assert.equal(kubelet.requests[0]?.headers.upgrade, "SPDY/3.1");
    assert.equal(kubelet.requests[0]?.headers["x-stream-protocol-version"], "portforward.k8s.io");
    assert.equal(kubelet.requests[0]?.headers["sec-websocket-key"], undefined);
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
    kubelet.upgrade = (_request, socket) => void socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone");
    const [response] = await once(handshake(), "response");
    assert.deepEqual([response.statusCode, await textOf(response)], [404, "none"]);
  });
});

describe("proxy", () => {
  test("to a kubelet: with our certificate, its paths and its answers", async () => {
    kubelet.answer = (request, response) => void response.end(`${request.method} ${request.url}`);
    assert.equal((await ask("/api/v1/nodes/n1/proxy/stats/summary?only=1")).text, "GET /stats/summary?only=1");
    assert.equal((await ask(`/api/v1/nodes/n1:${kubelet.port}/proxy/`)).text, "GET /");
    const bare = await ask("/api/v1/nodes/n1/proxy?x=1");
    assert.deepEqual([bare.status, bare.headers.location], [301, "/api/v1/nodes/n1/proxy/?x=1"]);
    assert.equal((await ask("/api/v1/nodes/n1:1/proxy/")).message, "address not allowed");
  });

  test("bodies go through as they come, in both directions", async () => {
    kubelet.answer = (request, response) => void request.pipe(response);
    const body = Buffer.alloc(5 * 1024 * 1024, "y");
    const request = httpsRequest(options("/api/v1/nodes/n1/proxy/run", { method: "POST" }));
    request.end(body);
    const [response] = await once(request, "response");
    assert.equal((await textOf(response)).length, body.length);
    assert.equal(kubelet.requests[0]?.headers["x-forwarded-uri"], "/api/v1/nodes/n1/proxy/run");
  });

  test("an upgrade goes through", async () => {
    kubelet.upgrade = (request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
      socket.end(request.url);
    };
    const headers = { authorization: "Bearer admin", connection: "Upgrade", upgrade: "echo" };
    const request = httpsRequest(options("/api/v1/nodes/n1/proxy/a?b=c", { headers }));
    request.end();
    const [, socket, head] = await once(request, "upgrade");
    assert.equal(head.toString() + (await textOf(socket)), "/a?b=c");
    socket.destroy();
  });

  test("refused: what has no address, what isn't there, what isn't a name", async () => {
    const cases: readonly [string, number, string][] = [
      [`${pods}/nowhere/proxy/`, 400, "address not allowed"],
      [`${pods}/none/proxy/`, 404, 'pods "none" not found'],
      [`${pods}/ftp:one:21/proxy/`, 400, 'invalid pod request "ftp:one:21"'],
      ["/api/v1/namespaces/default/services/none/proxy/", 404, 'services "none" not found'],
      ["/api/v1/nodes/none/proxy/", 404, 'nodes "none" not found'],
    ];
    for (const [path, status, message] of cases) {
      const answer = await ask(path);
      assert.deepEqual([answer.status, answer.message], [status, message], path);
    }
  });
});
