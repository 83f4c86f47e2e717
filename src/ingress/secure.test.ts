/** TLS, HTTP/2 and other protocols through the proxy: certificates by server name, gRPC with its trailers, WebSocket over both versions. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import http2, { type ClientHttp2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import https from "node:https";
import net, { type AddressInfo, type Server } from "node:net";
import { after, before, suite, test } from "node:test";
import tls from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { WebSocket, WebSocketServer } from "ws";
import { selfSignedPair } from "#apiserver";
import { createFakeInformers, FakeTransport } from "#testing";
import { startTrial, type Trial, trialIngress, trialService, trialSlice } from "./trial.ts";

const informers = createFakeInformers();
const transport = new FakeTransport();
let trial: Trial;
const closers: (() => unknown)[] = [];
const makePair = async (name: string) => {
  const { certificate: cert, key } = await selfSignedPair(name, Date.now());
  return { cert, key };
};
type Pair = Awaited<ReturnType<typeof makePair>>;
before(async () => {
  trial = await startTrial({ informers, transport, ownPair: await makePair("own.example") });
});
after(async () => {
  for (const close of closers) await close();
  await trial.close();
});

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => server.close());
  return (server.address() as AddressInfo).port;
}
let names = 0;
function expose(port: number, options: { appProtocol?: string; ingress?: object } = {}): string {
  const name = `s${++names}`;
  const host = `${name}.example`;
  trial.set(trialIngress(host, name, options.ingress));
  informers.set("v1/services", trialService(name, options));
  for (const slice of trialSlice(name, [port])) informers.set("discovery.k8s.io/v1/endpointslices", slice);
  return host;
}
async function read(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}
const nextTurn = () => new Promise((next) => setImmediate(next));

suite("certificates", () => {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const secretPath = (name: string) => `/api/v1/namespaces/ns/secrets/${name}`;
  const put = (name: string, { cert, key }: Pair) => {
    const secret = {
      metadata: { name, namespace: "ns", uid: name },
      data: { "tls.crt": base64(cert), "tls.key": base64(key) },
    };
    if (transport.objects.has(secretPath(name))) transport.put(secretPath(name), secret);
    else transport.create("/api/v1/namespaces/ns/secrets", secret);
  };
  const withTls = (name: string, tlsEntries: readonly object[]) =>
    trial.set(trialIngress(`${name}.unused`, name, { spec: { tls: [...tlsEntries], rules: [] } }));
  /** Whose certificate is shown. */
  async function shown(servername?: string): Promise<string> {
    const socket = tls.connect({
      port: trial.https,
      host: "127.0.0.1",
      rejectUnauthorized: false,
      ...(servername && { servername }),
    });
    await once(socket, "secureConnect");
    const subject = socket.getPeerX509Certificate()?.subject ?? "";
    socket.destroy();
    return subject.replace("CN=", "");
  }

  test("by server name: exact before wildcard before any, and our own where there is none", async () => {
    for (const name of ["exact", "wildcard"]) put(name, await makePair(`${name}.example`));
    withTls("tls", [
      { hosts: ["a.foo.example"], secretName: "exact" },
      { hosts: ["*.foo.example"], secretName: "wildcard" },
      { hosts: ["late.example"], secretName: "missing" },
    ]);
    await trial.certificates.synced();
    const cases: [name: string | undefined, wanted: string][] = [
      ["a.foo.example", "exact.example"],
      ["A.FOO.example", "exact.example"],
      ["b.foo.example", "wildcard.example"],
      ["c.b.foo.example", "own.example"],
      ["late.example", "own.example"],
      ["unknown.example", "own.example"],
      [undefined, "own.example"],
    ];
    for (const [name, wanted] of cases) assert.equal(await shown(name), wanted, String(name));
  });

  test("only the secrets that Ingresses name are read, one by one", () => {
    const read = transport.requests
      .filter(({ path }) => path.endsWith("/secrets"))
      .map(({ query }) => query?.fieldSelector);
    assert.deepEqual(
      [...new Set(read)].sort(),
      ["exact", "missing", "wildcard"].map((name) => `metadata.name=${name}`),
    );
  });

  test("a changed secret counts from the next connection on; one that is no good any more changes nothing", async () => {
    put("exact", await makePair("second.example"));
    assert.equal(await shown("a.foo.example"), "second.example");
    put("exact", { cert: "nonsense", key: "nonsense" });
    assert.equal(await shown("a.foo.example"), "second.example");
    assert.match(trial.problems.join("\n"), /^ns\/exact: /);
    put("exact", await makePair("third.example"));
    assert.equal(await shown("a.foo.example"), "third.example");
    transport.remove(secretPath("exact"));
    assert.equal(await shown("a.foo.example"), "wildcard.example", "without it the wildcard's is left");
    put("missing", await makePair("late.example"));
    assert.equal(await shown("late.example"), "late.example");
  });

  test("an entry without hosts is for all, also for clients that name no server", async () => {
    put("any", await makePair("any.example"));
    withTls("any", [{ secretName: "any" }]);
    await trial.certificates.synced();
    assert.equal(await shown("unknown.example"), "any.example");
    assert.equal(await shown("a.foo.example"), "wildcard.example");
    // The servers' own context is changed a moment later.
    while ((await shown()) !== "any.example") await nextTurn();
    trial.certificates.delete("ns/any.unused");
    assert.equal(await shown("unknown.example"), "own.example");
    while ((await shown()) !== "own.example") await nextTurn();
  });

  test("HTTPS: a request arrives, and its backend learns that it was encrypted", async () => {
    const port = await portOf(http.createServer((request, response) => response.end(JSON.stringify(request.headers))));
    const host = expose(port);
    const ca = await makePair(host);
    const name = `${host}-tls`;
    put(name, ca);
    trial.set(
      trialIngress(host, host.replace(".example", ""), {
        metadata: { namespace: "ns", name: "again" },
        spec: {
          tls: [{ hosts: [host], secretName: name }],
          rules: [
            {
              host,
              http: {
                paths: [
                  {
                    path: "/",
                    pathType: "Prefix",
                    backend: { service: { name: host.replace(".example", ""), port: { number: 80 } } },
                  },
                ],
              },
            },
          ],
        },
      }),
    );
    await trial.certificates.synced();
    const request = https.get({ port: trial.https, servername: host, headers: { host }, rejectUnauthorized: false });
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const { subjectAltName } = new X509Certificate((response.socket as tls.TLSSocket).getPeerCertificate(true).raw);
    assert.match(subjectAltName ?? "", new RegExp(`DNS:${host}`));
    const seen = JSON.parse(await read(response));
    assert.deepEqual([seen["x-forwarded-proto"], seen["x-forwarded-port"]], ["https", String(trial.https)]);
  });
});

suite("HTTP/2", () => {
  function connect(): ClientHttp2Session {
    const session = http2.connect(`https://127.0.0.1:${trial.https}`, { rejectUnauthorized: false });
    closers.push(() => session.destroy());
    return session;
  }
  async function ask(
    session: ClientHttp2Session,
    host: string,
    headers: http2.OutgoingHttpHeaders = {},
    body?: string,
  ) {
    const stream = session.request({ ":authority": host, ":path": "/", ...headers });
    let trailers: IncomingHttpHeaders = {};
    let flags = 0;
    stream.on("trailers", (given) => (trailers = given));
    stream.end(body);
    const [head, given] = (await once(stream, "response")) as [IncomingHttpHeaders, number];
    flags = given;
    return { status: head[":status"], head, text: await read(stream), trailers, isAll: (flags & 1) === 1 };
  }
  /** A gRPC-like backend: answers what it got, with trailers; `/none` with nothing but a head. */
  const answer = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on("error", () => undefined);
    if (headers[":path"] === "/none")
      return stream.respond({ ":status": 200, "grpc-status": "5" }, { endStream: true });
    if (headers[":path"] === "/reset") return stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    stream.respond(
      { ":status": 200, "x-te": headers.te ?? "", "x-host": headers[":authority"] },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () =>
      stream.sendTrailers({ "grpc-status": "0", "x-for": String(headers["x-forwarded-for"]) }),
    );
    stream.pipe(stream);
  };
  function plainGrpc(): http2.Http2Server {
    const server = http2.createServer();
    server.on("stream", answer);
    const sessions = new Set<http2.ServerHttp2Session>();
    server.on("session", (session) => sessions.add(session));
    closers.push(() => {
      for (const session of sessions) session.destroy();
    });
    return server;
  }

  test("clients: many requests on one connection, to backends of HTTP/1.1", async () => {
    const server = http.createServer(async (request, response) => {
      response.setHeader("x-cookie", request.headers.cookie ?? "");
      response.write(`${request.url} ${await read(request)}`);
      response.addTrailers({ "x-t": "1" });
      response.end();
    });
    const host = expose(await portOf(server));
    closers.push(() => server.closeAllConnections());
    const session = connect();
    const paths = Array.from({ length: 20 }, (_, i) => `/${i}`);
    const answers = await Promise.all(
      paths.map((path) => ask(session, host, { ":path": path, ":method": "POST", cookie: ["a=1", "b=2"] }, "body")),
    );
    assert.deepEqual(
      answers.map(({ text }) => text),
      paths.map((path) => `${path} body`),
    );
    assert.equal(answers[0]?.head["x-cookie"], "a=1; b=2");
    assert.equal(answers[0]?.trailers["x-t"], "1");
    assert.equal((await ask(session, "unknown.example")).status, 404);
    assert.equal((await ask(session, host, { ":method": "HEAD" })).isAll, true);
  });

  test("clients: what is malformed or forbidden gets an answer, or the end of its stream", async () => {
    const host = expose(await portOf(http.createServer((_request, response) => response.end("here"))));
    const session = connect();
    const cases: [headers: http2.OutgoingHttpHeaders, status: number][] = [
      [{ ":authority": "a..b" }, 400],
      [{ ":path": "*", ":method": "OPTIONS" }, 400],
      [{ "x-large": "x".repeat(10_000) }, 200],
    ];
    for (const [headers, status] of cases)
      assert.equal((await ask(session, host, headers)).status, status, JSON.stringify(headers).slice(0, 99));
    await assert.rejects(ask(session, host, { ":authority": "a b" }), /PROTOCOL_ERROR/);
    const tooLarge = Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`x-${i}`, "x".repeat(15_000)]));
    await assert.rejects(ask(session, host, tooLarge));
    const tunnel = session.closed ? connect() : session;
    const connecting = tunnel.request({ ":method": "CONNECT", ":authority": host });
    const [head] = (await once(connecting, "response")) as [IncomingHttpHeaders];
    assert.equal(head[":status"], 405);
  });

  test("gRPC: trailers, heads that are all, resets and headers arrive, in clear and by TLS", async () => {
    const secure = http2.createSecureServer(await makePair("backend.example"));
    secure.on("stream", answer);
    const cases: [appProtocol: string, port: number][] = [
      ["kubernetes.io/h2c", await portOf(plainGrpc())],
      ["grpc", await portOf(plainGrpc())],
      ["grpcs", await portOf(secure)],
    ];
    const session = connect();
    for (const [appProtocol, port] of cases) {
      const host = expose(port, { appProtocol });
      const grpc = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
      const { status, head, text, trailers } = await ask(session, host, grpc, "message");
      assert.deepEqual([status, head["x-te"], head["x-host"], text], [200, "trailers", host, "message"], appProtocol);
      assert.deepEqual([trailers["grpc-status"], trailers["x-for"]], ["0", "127.0.0.1"]);
      const none = await ask(session, host, { ...grpc, ":path": "/none" });
      assert.deepEqual([none.head["grpc-status"], none.isAll], ["5", true], "a head that ends the stream");
      assert.equal((await ask(session, host, { ...grpc, ":path": "/reset" })).status, 502);
    }
    session.close();
  });

  test("gRPC: a real client and a real server, answers and failures", async () => {
    const bytes = { serialize: (text: string) => Buffer.from(text), deserialize: String };
    const says = {
      path: "/t.Test/Say",
      requestStream: false,
      responseStream: true,
      ...{ requestSerialize: bytes.serialize, requestDeserialize: bytes.deserialize },
      ...{ responseSerialize: bytes.serialize, responseDeserialize: bytes.deserialize },
    };
    const server = new grpc.Server();
    server.addService(
      { say: says },
      {
        say(call: grpc.ServerWritableStream<string, string>) {
          if (call.request === "missing") {
            call.emit("error", { code: grpc.status.NOT_FOUND, details: "no such" });
            return;
          }
          for (const word of call.request.split(" ")) call.write(word);
          call.end();
        },
      },
    );
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const credentials = grpc.ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", credentials, (error, port) => (error ? reject(error) : resolve(port)));
    closers.push(() => server.forceShutdown());
    const host = expose(await promise, { appProtocol: "grpc" });
    const Client = grpc.makeGenericClientConstructor({ say: says }, "t.Test");
    const channel = grpc.credentials.createSsl(null, null, null, {
      checkServerIdentity: () => undefined,
      rejectUnauthorized: false,
    });
    const client = new Client(`127.0.0.1:${trial.https}`, channel, {
      "grpc.default_authority": host,
      "grpc.ssl_target_name_override": host,
    });
    closers.push(() => client.close());
    const ask = async (text: string) => {
      const words: string[] = [];
      // Made of the definition above.
      const call = (client as unknown as { say(text: string): grpc.ClientReadableStream<string> }).say(text);
      for await (const word of call) words.push(word);
      return words;
    };
    assert.deepEqual(await ask("one two three"), ["one", "two", "three"]);
    await assert.rejects(ask("missing"), { code: grpc.status.NOT_FOUND, details: "no such" });
  });

  test("gRPC: streams in both directions stay open", async () => {
    const host = expose(await portOf(plainGrpc()), { appProtocol: "kubernetes.io/h2c" });
    const session = connect();
    const stream = session.request({ ":authority": host, ":path": "/", ":method": "POST" });
    stream.write("one");
    await once(stream, "response");
    assert.equal(String((await once(stream, "data"))[0]), "one");
    stream.write("two");
    assert.equal(String((await once(stream, "data"))[0]), "two");
    stream.close(http2.constants.NGHTTP2_CANCEL);
  });

  test("backends of HTTP/2 for clients of HTTP/1.1", async () => {
    const host = expose(await portOf(plainGrpc()), { appProtocol: "kubernetes.io/h2c" });
    const request = http.request({ port: trial.http, method: "POST", headers: { host } });
    request.end("text");
    const [response] = (await once(request, "response")) as [IncomingMessage];
    assert.equal(await read(response), "text");
    assert.equal(response.trailers["grpc-status"], "0");
    const dead = expose(1, { appProtocol: "kubernetes.io/h2c" });
    const refused = http.get({ port: trial.http, headers: { host: dead } });
    const [answered] = (await once(refused, "response")) as [IncomingMessage];
    assert.equal(answered.statusCode, 502);
    answered.resume();
  });

  test("backends with TLS: by the port's appProtocol", async () => {
    const server = https.createServer(await makePair("backend.example"), (_request, response) =>
      response.end("secret"),
    );
    const host = expose(await portOf(server), { appProtocol: "https" });
    closers.push(() => server.closeAllConnections());
    const request = http.get({ port: trial.http, headers: { host } });
    const [response] = (await once(request, "response")) as [IncomingMessage];
    assert.equal(await read(response), "secret");
  });

  test("WebSocket: one stream among others", async () => {
    const server = http.createServer();
    new WebSocketServer({ server }).on("connection", (socket) =>
      socket.on("message", (data) => socket.send(`echo ${data}`)),
    );
    const host = expose(await portOf(server));
    closers.push(() => server.closeAllConnections());
    const session = connect();
    await once(session, "remoteSettings");
    const headers = {
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": "https",
      ":path": "/",
      ":authority": host,
    };
    const stream = session.request({ ...headers, "sec-websocket-version": "13" });
    const [head] = (await once(stream, "response")) as [IncomingHttpHeaders];
    assert.equal(head[":status"], 200);
    stream.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])); // "hi" in a masked text frame
    const [frame] = (await once(stream, "data")) as [Buffer];
    assert.equal(frame.subarray(2).toString(), "echo hi");
    stream.close();
  });
});

suite("upgrades", () => {
  const echo = () => {
    const server = http.createServer((_request, response) => response.end("plain"));
    const sockets = new WebSocketServer({ server, handleProtocols: (protocols) => [...protocols][0] ?? false });
    sockets.on("connection", (socket, request) => {
      socket.on("message", (data) => socket.send(`${request.headers["x-forwarded-proto"]} ${request.url} ${data}`));
      socket.on("close", (code) => closed.push(code));
    });
    closers.push(() => server.closeAllConnections());
    return server;
  };
  const closed: number[] = [];

  test("WebSocket: messages, subprotocols and ends pass, in clear and by TLS, past endpoints that are dead", async () => {
    const port = await portOf(echo());
    const host = expose(port);
    const name = host.replace(".example", "");
    for (const slice of trialSlice(name, [port, 1])) informers.set("discovery.k8s.io/v1/endpointslices", slice);
    for (const [scheme, at] of [
      ["ws", trial.http],
      ["ws", trial.http],
      ["wss", trial.https],
    ] as const) {
      const socket = new WebSocket(`${scheme}://127.0.0.1:${at}/chat?x`, ["first", "second"], {
        headers: { host },
        rejectUnauthorized: false,
      });
      await once(socket, "open");
      assert.equal(socket.protocol, "first");
      socket.send("hello");
      const [data] = await once(socket, "message");
      assert.equal(String(data), `${scheme === "ws" ? "http" : "https"} /chat?x hello`);
      socket.close(4321);
      await once(socket, "close");
    }
    while (closed.length < 3) await nextTurn();
    assert.deepEqual(closed, [4321, 4321, 4321]);
  });

  test("any protocol: what both sides say early isn't lost, and the end of one is the end of both", async () => {
    const server = http.createServer();
    server.on("upgrade", (_request, socket, head) => {
      socket.write("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nwelcome ");
      socket.on("data", (data) => socket.end(String(data).toUpperCase()));
      if (head.length > 0) socket.end(String(head).toUpperCase());
    });
    const host = expose(await portOf(server));
    const socket = net.connect(trial.http, "127.0.0.1");
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nearly`);
    const text = await read(socket);
    assert.match(text, /^HTTP\/1\.1 101 .*welcome EARLY$/s);
  });

  test("a backend that wants no upgrade, no rule, no endpoint: an answer, and the end of the connection", async () => {
    const refusing = await portOf(http.createServer((_request, response) => response.writeHead(426).end("no")));
    const cases: [host: string, pattern: RegExp][] = [
      [expose(refusing), /^HTTP\/1\.1 426 [\s\S]*no/],
      ["unknown.example", /^HTTP\/1\.1 404 [\s\S]*no Ingress/],
      [expose(1), /^HTTP\/1\.1 502 /],
    ];
    for (const [host, pattern] of cases) {
      const socket = net.connect(trial.http, "127.0.0.1");
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
      assert.match(await read(socket), pattern);
    }
  });

  test("an offer of HTTP/2 in clear is no reason to answer otherwise", async () => {
    const host = expose(await portOf(echo()));
    const headers = { host, connection: "Upgrade, HTTP2-Settings", upgrade: "h2c", "http2-settings": "AAMAAABk" };
    const request = http.get({ port: trial.http, headers });
    const [response] = (await once(request, "response")) as [IncomingMessage];
    assert.equal(await read(response), "plain");
  });
});
