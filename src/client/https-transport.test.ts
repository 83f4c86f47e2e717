import assert from "node:assert/strict";
import { once } from "node:events";
import http2, { type Http2SecureServer, type ServerHttp2Stream } from "node:http2";
import https from "node:https";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { type Clock, FakeClock } from "#base";
import { isStatusError, statusError, type WatchEvent } from "#machinery";
import { createHttpsTransport } from "./https-transport.ts";

const certificate = { cert: "", key: "" };
before(async () => {
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=test",
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "ip", value: "127.0.0.1" }])],
  });
  certificate.cert = made.toString("pem");
  const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  certificate.key = `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`;
});

const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

type Handler = (
  request: { method: string; path: string; body: string; headers: http2.IncomingHttpHeaders },
  stream: ServerHttp2Stream,
) => void;

const json = (stream: ServerHttp2Stream, code: number, body: unknown, headers = {}) => {
  stream.respond({ ":status": code, "content-type": "application/json", ...headers });
  stream.end(JSON.stringify(body));
};

async function listen(server: Server | Http2SecureServer | https.Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port; // it listens on a port, not on a pipe
}

async function serve(handle: Handler, settings: http2.Settings = {}) {
  const server = http2.createSecureServer({ ...certificate, settings });
  const sessions: http2.ServerHttp2Session[] = [];
  server.on("session", (session) => sessions.push(session));
  server.on("stream", (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    let body = "";
    stream.on("error", () => undefined);
    stream.setEncoding("utf8");
    stream.on("data", (chunk) => (body += chunk));
    stream.on("end", () => {
      handle({ method: headers[":method"] ?? "", path: headers[":path"] ?? "", body, headers }, stream);
    });
  });
  const port = await listen(server);
  closers.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port, sessions };
}

function transportTo(port: number, options: Partial<Parameters<typeof createHttpsTransport>[0]> = {}) {
  const transport = createHttpsTransport({
    server: `https://127.0.0.1:${port}`,
    ca: certificate.cert,
    token: "t",
    ...options,
  });
  closers.push(() => transport.close());
  return transport;
}

test("https transport: requests share one HTTP/2 connection; query, body and token arrive", async () => {
  const { port, sessions } = await serve(({ method, path, body, headers }, stream) =>
    json(stream, 200, {
      method,
      path,
      body: body && JSON.parse(body),
      auth: headers.authorization,
      type: headers["content-type"],
    }),
  );
  const transport = transportTo(port, { impersonate: { user: "u", groups: ["a,b", "c"] } });
  const [got, made] = await Promise.all([
    transport.request({
      method: "GET",
      path: "/api/v1/pods",
      query: { limit: 1, watch: undefined, labelSelector: "a=b c" },
    }),
    transport.request({ method: "PATCH", path: "/x", body: { a: 1 }, contentType: "application/merge-patch+json" }),
  ]);
  assert.deepEqual(got, {
    method: "GET",
    path: "/api/v1/pods?limit=1&labelSelector=a%3Db+c",
    body: "",
    auth: "Bearer t",
  });
  assert.deepEqual(made, {
    method: "PATCH",
    path: "/x",
    body: { a: 1 },
    auth: "Bearer t",
    type: "application/merge-patch+json",
  });
  assert.equal(sessions.length, 1);
});

test("https transport: failures are StatusErrors, whoever answered", async () => {
  const { port } = await serve(({ path }, stream) => {
    if (path === "/status") return json(stream, 404, statusError.notFound({ group: "", resource: "pods" }, "a").status);
    stream.respond({ ":status": 502, "content-type": "text/html" });
    stream.end("<h1>Bad gateway</h1>");
  });
  const transport = transportTo(port);
  await assert.rejects(transport.request({ method: "GET", path: "/status" }), (error) => {
    assert.ok(isStatusError(error, "NotFound"));
    assert.equal(error.message, 'pods "a" not found');
    return true;
  });
  await assert.rejects(
    transport.watch({ method: "GET", path: "/proxy" }, () => undefined),
    (error) => {
      assert.ok(isStatusError(error, "InternalError"));
      assert.equal(error.code, 502);
      assert.match(error.message, /Bad gateway/);
      return true;
    },
  );
});

test("https transport: watch events arrive one by one however they are cut, until the server ends", async () => {
  const stream = Promise.withResolvers<ServerHttp2Stream>();
  const { port } = await serve((_, opened) => {
    stream.resolve(opened);
    opened.respond({ ":status": 200, "content-type": "application/json" });
    opened.write('{"type":"ADDED","object":{"name":"ä');
  });
  const events: WatchEvent[] = [];
  let onEvent: () => void = () => undefined;
  const seen = (count: number) =>
    new Promise<void>((resolve) => {
      onEvent = () => events.length >= count && resolve();
      onEvent();
    });
  const ended = transportTo(port).watch({ method: "GET", path: "/w", query: { watch: true } }, (event) => {
    events.push(event);
    onEvent();
  });
  const server = await stream.promise;
  server.write('"}}\n{"type":"MODIFIED","object":1}\n{"type":"DEL');
  await seen(2);
  server.end('ETED","object":2}');
  await ended;
  assert.deepEqual(events, [
    { type: "ADDED", object: { name: "ä" } },
    { type: "MODIFIED", object: 1 },
    { type: "DELETED", object: 2 },
  ]);
});

test("https transport: a cut-off watch rejects, an aborted one resolves, an aborted request gives the reason back", async () => {
  const { port, sessions } = await serve((_, stream) => {
    stream.respond({ ":status": 200, "content-type": "application/json" });
    stream.write('{"type":"ADDED","object":1}\n');
  });
  const transport = transportTo(port);
  await assert.rejects(
    transport.watch({ method: "GET", path: "/w" }, () => sessions[0]?.destroy()),
    { name: "ConnectionError" },
  );
  const stop = new AbortController();
  await transport.watch({ method: "GET", path: "/w", signal: stop.signal }, () => stop.abort());
  assert.equal(sessions.length, 2, "connected again");
  const cancel = new AbortController();
  const request = transport.request({ method: "GET", path: "/slow", signal: cancel.signal });
  setImmediate(() => cancel.abort(new Error("enough")));
  await assert.rejects(request, /enough/);
});

test("https transport: waits as told by Retry-After and sends again", async () => {
  let answers = 0;
  const waits: number[] = [];
  const clock: Clock = {
    now: Date.now,
    after(delayMs, run) {
      if (delayMs !== 7_000) return () => undefined;
      waits.push(delayMs);
      const soon = setImmediate(run);
      return () => clearImmediate(soon);
    },
  };
  const { port } = await serve((_, stream) => {
    if (answers++ > 1) json(stream, 200, { fine: true });
    else json(stream, 429, statusError.tooManyRequests("slow down", 1).status, { "retry-after": "7" });
  });
  const transport = transportTo(port, { clock });
  assert.deepEqual(await transport.request({ method: "POST", path: "/x", body: {} }), { fine: true });
  assert.deepEqual(waits, [7_000, 7_000]);
});

test("https transport: opens another connection when the server's streams are used up", async () => {
  const { port, sessions } = await serve(
    ({ path }, stream) => {
      if (path === "/x") return json(stream, 200, 1);
      stream.respond({ ":status": 200, "content-type": "application/json" });
      stream.write('{"type":"BOOKMARK","object":1}\n');
    },
    { maxConcurrentStreams: 2 },
  );
  const transport = transportTo(port);
  const stop = new AbortController();
  const watches: Promise<void>[] = [];
  for (let i = 0; i < 2; i++) {
    await new Promise<void>((resolve) => {
      watches.push(transport.watch({ method: "GET", path: "/w", signal: stop.signal }, () => resolve()));
    });
  }
  assert.equal(await transport.request({ method: "GET", path: "/x" }), 1);
  assert.equal(sessions.length, 2);
  stop.abort();
  await Promise.all(watches);
});

test("https transport: a connection that no longer answers is replaced", async () => {
  const clock = new FakeClock();
  const { port } = await serve(({ path }, stream) => {
    if (path === "/x") return json(stream, 200, 1);
    stream.respond({ ":status": 200, "content-type": "application/json" });
    stream.write('{"type":"BOOKMARK","object":1}\n');
  });
  // A relay that can lose its packets: nobody gets a reset, as after a power failure.
  const sockets: Socket[] = [];
  const relay = createServer((socket) => {
    const upstream = connect(port, "127.0.0.1");
    sockets.push(socket, upstream);
    socket.pipe(upstream).pipe(socket);
    for (const each of [socket, upstream]) each.on("error", () => each.destroy());
  });
  const relayPort = await listen(relay);
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    relay.close();
  });
  const transport = transportTo(relayPort, { clock });
  await new Promise<void>((resolve, reject) => {
    const watch = transport.watch({ method: "GET", path: "/w" }, () => {
      const [socket, upstream] = sockets;
      socket?.unpipe();
      socket?.resume();
      upstream?.unpipe();
      upstream?.resume();
      clock.advance(30_000);
      clock.advance(30_000);
      clock.advance(15_000);
    });
    watch.then(
      () => reject(new Error("the watch should have failed")),
      () => resolve(),
    );
  });
  assert.equal(await transport.request({ method: "GET", path: "/x" }), 1);
  assert.equal(sockets.length, 4);
});

test("https transport: speaks HTTP/1.1 to a server without HTTP/2", async () => {
  const server = https.createServer(certificate, (request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.url !== "/w") return response.end(JSON.stringify({ version: request.httpVersion }));
    response.write('{"type":"ADDED","object":1}\n');
  });
  const port = await listen(server);
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const transport = transportTo(port);
  assert.deepEqual(await transport.request({ method: "GET", path: "/x" }), { version: "1.1" });
  const stop = new AbortController();
  await transport.watch({ method: "GET", path: "/w", signal: stop.signal }, () => stop.abort());
});

test("https transport: an untrusted certificate and a closed transport are refused", async () => {
  const { port } = await serve((_, stream) => json(stream, 200, 1));
  await assert.rejects(transportTo(port, { ca: undefined }).request({ method: "GET", path: "/" }), {
    code: "DEPTH_ZERO_SELF_SIGNED_CERT",
  });
  assert.equal(await transportTo(port, { ca: undefined, insecure: true }).request({ method: "GET", path: "/" }), 1);
  const transport = transportTo(port);
  transport.close();
  transport.close();
  await assert.rejects(transport.request({ method: "GET", path: "/" }), { code: "ECLOSED" });
});
