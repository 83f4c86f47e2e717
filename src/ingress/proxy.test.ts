/** Requests through the proxy over loopback: real clients, real backends. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type IncomingMessage, type RequestListener } from "node:http";
import net, { type AddressInfo, type Socket } from "node:net";
import { after, before, beforeEach, suite, test } from "node:test";
import { selfSignedPair } from "#apiserver";
import { createFakeInformers, FakeTransport } from "#testing";
import { startTrial, type Trial, trialIngress, trialService, trialSlice } from "./trial.ts";

const informers = createFakeInformers();
let trial: Trial;
const closers: (() => unknown)[] = [];
before(async () => {
  const { certificate: cert, key } = await selfSignedPair("own.example", Date.now());
  const isTrusted = () => trusts;
  trial = await startTrial({ informers, transport: new FakeTransport(), ownPair: { cert, key }, isTrusted });
});
after(async () => {
  for (const close of closers) await close();
  await trial.close();
});
let trusts = false;
beforeEach(() => {
  trusts = false;
});

/** A backend; its port. */
async function backend(listener: RequestListener): Promise<http.Server & { port: number }> {
  const server = http.createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

let names = 0;
/** A Service of its own for each test, at a host of its own. */
function expose(
  ports: Parameters<typeof trialSlice>[1],
  options: { port?: object; spec?: object; ingress?: object } = {},
) {
  const name = `s${++names}`;
  const host = `${name}.example`;
  trial.set(trialIngress(host, name, options.ingress));
  informers.set("v1/services", trialService(name, options.port, options.spec));
  const slices = trialSlice(name, ports);
  for (const slice of slices) informers.set("discovery.k8s.io/v1/endpointslices", slice);
  return { name, host, slices };
}

const agent = new http.Agent({ keepAlive: true });
closers.push(() => agent.destroy());
async function ask(host: string, options: http.RequestOptions = {}, body?: string) {
  const request = http.request({
    port: trial.http,
    agent,
    path: "/",
    ...options,
    headers: { host, ...options.headers },
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const text = await read(response);
  return { status: response.statusCode, headers: response.headers, trailers: response.trailers, text };
}
async function read(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}
/** What one connection answers to these bytes, up to its end. */
async function raw(bytes: string): Promise<string> {
  const socket = net.connect(trial.http, "127.0.0.1");
  socket.write(bytes);
  return read(socket);
}

suite("what a backend gets", () => {
  test("request: method, path, query, headers and body arrive as they were sent, and so does the answer", async () => {
    const server = await backend(async (request, response) => {
      const body = await read(request);
      response.writeHead(201, "Made", ["X-Many", "1", "X-Many", "2", "X-Case", "é"]);
      response.end(JSON.stringify({ url: request.url, method: request.method, raw: request.rawHeaders, body }));
    });
    const { host } = expose([server.port]);
    const answer = await ask(
      host,
      { method: "PATCH", path: "/a//b/../c?x=%2f&y", headers: { "X-Own": ["1", "2"] } },
      "text",
    );
    assert.equal(answer.status, 201);
    assert.equal(answer.headers["x-many"], "1, 2");
    const seen = JSON.parse(answer.text);
    assert.deepEqual([seen.url, seen.method, seen.body], ["/a//b/../c?x=%2f&y", "PATCH", "text"]);
    assert.deepEqual(seen.raw.slice(0, 2), ["Host", host]);
    assert.equal(seen.raw.filter((text: string) => text === "X-Own").length, 2);
    assert.equal(seen.raw.filter((text: string) => /^(transfer-encoding|content-length)$/i.test(text)).length, 1);
  });

  test("headers: the client's address is added to what proxies said, the rest is ours", async () => {
    const server = await backend((request, response) => response.end(JSON.stringify(request.headers)));
    const { host } = expose([server.port]);
    const headers = { "x-forwarded-for": "9.9.9.9", "x-forwarded-proto": "https", "x-real-ip": "9.9.9.9" };
    const plain = JSON.parse((await ask(host, { headers })).text);
    assert.equal(plain["x-forwarded-for"], "9.9.9.9, 127.0.0.1");
    assert.equal(plain["x-forwarded-proto"], "http");
    assert.equal(plain["x-real-ip"], "127.0.0.1");
    assert.equal(plain["x-forwarded-host"], host);
    assert.equal(plain["x-forwarded-port"], String(trial.http));
    trusts = true;
    const trusted = JSON.parse((await ask(host, { headers })).text);
    assert.equal(trusted["x-forwarded-for"], "9.9.9.9, 127.0.0.1");
    assert.deepEqual([trusted["x-forwarded-proto"], trusted["x-real-ip"]], ["https", "9.9.9.9"]);
  });

  test("headers: what concerns one connection stays there, whatever the client calls so", async () => {
    const server = await backend((request, response) => {
      response.setHeader("Connection", "X-Hop");
      response.setHeader("X-Hop", "1");
      response.end(JSON.stringify(request.headers));
    });
    const { host } = expose([server.port]);
    const connection = "keep-alive, X-Secret, Host, X-Forwarded-For, x-real-ip";
    const hop = { connection, "x-secret": "1", "keep-alive": "9", te: "trailers, deflate", "proxy-connection": "x" };
    const answer = await ask(host, { headers: hop });
    const seen = JSON.parse(answer.text);
    assert.deepEqual(
      [seen["x-secret"], seen["keep-alive"], seen["proxy-connection"]],
      [undefined, undefined, undefined],
    );
    assert.deepEqual([seen.host, seen.te, seen["x-forwarded-for"]], [host, "trailers", "127.0.0.1"]);
    assert.equal(answer.headers["x-hop"], undefined);
  });

  test("request: a target with a host of its own goes there", async () => {
    const server = await backend((request, response) => response.end(`${request.headers.host} ${request.url}`));
    const { host } = expose([server.port]);
    assert.equal((await ask("other.example", { path: `http://${host}/x?y` })).text, `${host} /x?y`);
    assert.equal((await ask("other.example", { path: `http://${host}` })).text, `${host} /`);
  });

  test("100 Continue: the backend says whether it wants the body", async () => {
    const server = await backend((_request, response) => response.writeHead(200).end("never"));
    server.on("checkContinue", async (request, response) => {
      if (request.url === "/no") return response.writeHead(417).end("no");
      response.writeContinue();
      response.end(await read(request));
    });
    const { host } = expose([server.port]);
    const headers = { host, expect: "100-continue", "content-length": 4 };
    const request = http.request({ port: trial.http, path: "/yes", method: "PUT", headers });
    request.flushHeaders();
    await once(request, "continue");
    request.end("body");
    const [response] = (await once(request, "response")) as [IncomingMessage];
    assert.equal(await read(response), "body");
    const refused = http.request({ port: trial.http, path: "/no", method: "PUT", headers });
    refused.flushHeaders();
    const [no] = (await once(refused, "response")) as [IncomingMessage];
    assert.equal(no.statusCode, 417);
    refused.destroy();
  });
});

suite("streaming", () => {
  test("answer: events of a server arrive when they are sent, the head before the first", async () => {
    const answers: http.ServerResponse[] = [];
    const server = await backend((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
      answers.push(response);
    });
    const { host } = expose([server.port]);
    const request = http.get({ port: trial.http, headers: { host } });
    const [response] = (await once(request, "response")) as [IncomingMessage];
    answers[0]?.write("data: 1\n\n");
    assert.equal(String((await once(response, "data"))[0]), "data: 1\n\n");
    answers[0]?.end("data: 2\n\n");
    assert.equal(await read(response), "data: 2\n\n");
  });

  test("both ways at once: a backend answers while it is still being asked, and trailers follow", async () => {
    const server = await backend((request, response) => {
      response.writeHead(200, { trailer: "x-sum" });
      let bytes = 0;
      request.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        response.write(chunk);
      });
      request.on("end", () => {
        response.addTrailers({ "x-sum": String(bytes), "x-asked": String(request.trailers["x-ask"]) });
        response.end();
      });
    });
    const { host } = expose([server.port]);
    const headers = { host, "transfer-encoding": "chunked" };
    const request = http.request({ port: trial.http, method: "POST", headers });
    request.write("one");
    const [response] = (await once(request, "response")) as [IncomingMessage];
    assert.equal(String((await once(response, "data"))[0]), "one");
    request.write("two");
    assert.equal(String((await once(response, "data"))[0]), "two");
    request.addTrailers({ "x-ask": "yes" });
    request.end();
    await read(response);
    assert.deepEqual({ ...response.trailers }, { "x-sum": "6", "x-asked": "yes" });
  });

  test("back-pressure: who doesn't read holds the sender up, not our memory", async () => {
    let written = 0;
    const server = await backend((_request, response) => {
      const chunk = Buffer.alloc(64 * 1024);
      const more = () => {
        while (written < 256 * 1024 * 1024 && response.write(chunk)) written += chunk.length;
      };
      response.on("drain", more);
      more();
    });
    const { host } = expose([server.port]);
    const request = http.get({ port: trial.http, headers: { host } });
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.pause();
    let before = -1;
    while (before !== written) {
      before = written;
      for (let i = 0; i < 200; i++) await new Promise((next) => setImmediate(next));
    }
    assert.ok(written < 64 * 1024 * 1024, `${written} bytes are under way`);
    request.destroy();
  });

  test("client: who leaves ends the request at the backend", async () => {
    const server = await backend(() => undefined);
    const gone = new Promise<void>((done) =>
      server.on("request", (request: IncomingMessage) => {
        asked.resolve();
        request.socket.once("close", () => done());
      }),
    );
    const asked = Promise.withResolvers<void>();
    const { host } = expose([server.port]);
    const request = http.get({ port: trial.http, headers: { host } });
    request.on("error", () => undefined);
    await asked.promise;
    request.destroy();
    await gone;
  });

  test("backend: an answer that breaks off is no whole one", async () => {
    const server = await backend((_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    });
    const { host } = expose([server.port]);
    await assert.rejects(ask(host), /aborted/);
  });
});

suite("endpoints", () => {
  const named =
    (name: string): RequestListener =>
    (_request, response) =>
      response.end(name);

  test("all are used, one after the other", async () => {
    const servers = await Promise.all(["a", "b", "c"].map((name) => backend(named(name))));
    const { host } = expose(servers.map(({ port }) => port));
    const answers: string[] = [];
    for (let i = 0; i < 9; i++) answers.push((await ask(host)).text);
    for (const name of ["a", "b", "c"]) assert.equal(answers.filter((each) => each === name).length, 3, answers.join());
  });

  test("ready ones only; those that end when there is no other", async () => {
    const [ready, ending, neither] = await Promise.all(
      ["ready", "ending", "neither"].map((name) => backend(named(name))),
    );
    const gone = { ready: false, serving: false, terminating: true };
    const serving = { ready: false, serving: true, terminating: true };
    const { host, slices } = expose([ready?.port ?? 0, [ending?.port ?? 0, serving], [neither?.port ?? 0, gone]]);
    for (let i = 0; i < 3; i++) assert.equal((await ask(host)).text, "ready");
    if (slices[0]) informers.remove("discovery.k8s.io/v1/endpointslices", slices[0]);
    for (let i = 0; i < 3; i++) assert.equal((await ask(host)).text, "ending");
    if (slices[1]) informers.remove("discovery.k8s.io/v1/endpointslices", slices[1]);
    const { status, text } = await ask(host);
    assert.deepEqual([status, /has no ready endpoints/.test(text)], [503, true]);
  });

  test("affinity: a client keeps its endpoint as long as there is such", async () => {
    const servers = await Promise.all(["a", "b", "c"].map((name) => backend(named(name))));
    const { host, slices } = expose(
      servers.map(({ port }) => port),
      { spec: { sessionAffinity: "ClientIP" } },
    );
    const { text: first } = await ask(host);
    for (let i = 0; i < 5; i++) assert.equal((await ask(host)).text, first);
    const slice = slices["abc".indexOf(first)];
    if (slice) informers.remove("discovery.k8s.io/v1/endpointslices", slice);
    const { text: second } = await ask(host);
    assert.notEqual(second, first);
    for (let i = 0; i < 5; i++) assert.equal((await ask(host)).text, second);
  });

  test("retries: whom nobody listens for is passed over, also with a body", async () => {
    const dead = await backend(named("dead"));
    dead.close();
    await once(dead, "close");
    const live = await backend(async (request, response) => response.end(`live ${await read(request)}`));
    for (const method of ["GET", "POST"]) {
      const { host } = expose([dead.port, live.port]);
      for (let i = 0; i < 4; i++) {
        const { text } = await ask(host, { method }, method === "POST" ? "body" : undefined);
        assert.equal(text, method === "POST" ? "live body" : "live ");
      }
    }
    const { host } = expose([dead.port]);
    const { status, text } = await ask(host);
    assert.deepEqual([status, /ECONNREFUSED/.test(text)], [502, true]);
  });

  test("retries: a connection that breaks without an answer is tried elsewhere if the request may be repeated", async () => {
    let broken = 0;
    const breaking = await backend((request) => {
      broken++;
      request.socket.destroy();
    });
    const live = await backend(named("live"));
    const { host } = expose([breaking.port, live.port]);
    for (let i = 0; i < 4; i++) assert.equal((await ask(host)).text, "live");
    assert.ok(broken > 0);
    const statuses = [];
    for (let i = 0; i < 2; i++) statuses.push((await ask(host, { method: "POST" }, "x")).status);
    assert.deepEqual(statuses.sort(), [200, 502], "what may have been done isn't done again");
  });

  test("connections: kept from one request to the next, and let go with their endpoint", async () => {
    const sockets = new Set<Socket>();
    const server = await backend((request, response) => {
      sockets.add(request.socket);
      response.end();
    });
    const { host, slices } = expose([server.port]);
    for (let i = 0; i < 5; i++) await ask(host);
    assert.equal(sockets.size, 1);
    const [socket] = sockets;
    const closed = socket && once(socket, "close");
    if (slices[0]) informers.remove("discovery.k8s.io/v1/endpointslices", slices[0]);
    await closed;
  });

  test("backends that can't be: what the client is told", async () => {
    const cases: [ingress: object, pattern: RegExp][] = [
      [{ spec: { rules: [], defaultBackend: { resource: { kind: "Bucket", name: "b" } } } }, /no Services/],
      [
        { spec: { rules: [], defaultBackend: { service: { name: "missing", port: { number: 1 } } } } },
        /no Service "missing"/,
      ],
    ];
    for (const [ingress, pattern] of cases) {
      trial.set(trialIngress("", "x", ingress));
      const { status, text } = await ask("unknown.example");
      assert.deepEqual([status, pattern.test(text)], [503, true], text);
    }
    trial.set(trialIngress("", "x", { spec: { rules: [{ host: "nobody.example" }] } }));
    const { status, text } = await ask("unknown.example");
    assert.deepEqual([status, text], [404, "no Ingress has a rule for this host and path\n"]);
    const { host } = expose([], { port: { name: "other" } });
    assert.match((await ask(host)).text, /has no port "web"/);
  });

  test("ExternalName: asked under its name, but never at this machine's own addresses", async () => {
    const server = await backend(named("inside"));
    const external = (externalName: string) =>
      expose([], { port: { port: server.port }, spec: { type: "ExternalName", externalName } }).host;
    for (const name of ["localhost", "127.0.0.1", "169.254.169.254"]) {
      const { status, text } = await ask(external(name));
      assert.ok(status === 502 || status === 503, `${name}: ${status} ${text}`);
      assert.match(text, /no address/);
    }
  });
});

suite("redirects", () => {
  test("HTTP to HTTPS: only where the annotation says so", async () => {
    const server = await backend((_request, response) => response.end("here"));
    const metadata = { namespace: "ns", name: "redirected", annotations: { "sampan.dev/ssl-redirect": "true" } };
    const { host } = expose([server.port], { ingress: { metadata } });
    const { status, headers } = await ask(host, { method: "POST", path: "/x?y=1" });
    assert.deepEqual([status, headers.location], [308, `https://${host}:${trial.https}/x?y=1`]);
    assert.equal((await ask(expose([server.port]).host)).text, "here");
  });
});

suite("bad input", () => {
  const head = (host: string, ...lines: string[]) =>
    [`POST / HTTP/1.1`, `Host: ${host}`, ...lines, "", ""].join("\r\n");

  test("smuggling: requests with two lengths, two hosts or an odd coding reach nobody", async () => {
    let asked = 0;
    const server = await backend((_request, response) => {
      asked++;
      response.end();
    });
    const { host } = expose([server.port]);
    const bad = [
      `${head(host, "Content-Length: 5", "Transfer-Encoding: chunked")}0\r\n\r\nGET /admin HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      `${head(host, "Content-Length: 5", "Content-Length: 6")}abcdef`,
      `${head(host, "Transfer-Encoding: chunked, identity")}0\r\n\r\n`,
      `${head(host, "Transfer-Encoding: xchunked")}0\r\n\r\n`,
      `${head(host, "Content-Length: +5")}abcde`,
      `${head(host, "Transfer-Encoding : chunked")}0\r\n\r\n`,
      `${head(host, `Host: other`, "Content-Length: 0")}`,
      `POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n`,
      `${head("a b", "Content-Length: 0", "Connection: close")}`,
      `${head(host, "X: a\u0000b")}`,
      `POST /x y HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      `GARBAGE\r\n\r\n`,
    ];
    for (const bytes of bad) assert.match(await raw(bytes), /^HTTP\/1\.1 400 /, JSON.stringify(bytes));
    assert.equal(asked, 0);
  });

  test("limits: a head that is too large is refused", async () => {
    assert.match(await raw(`GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(40_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
  });

  test("slowness: who takes too long for a head is let go, on both ports", async () => {
    const { certificate: cert, key } = await selfSignedPair("own.example", Date.now());
    const slow = await startTrial({ informers, transport: new FakeTransport(), ownPair: { cert, key }, headMs: 40 });
    try {
      const socket = net.connect(slow.http, "127.0.0.1");
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nX: ");
      assert.match(await read(socket), /^HTTP\/1\.1 408 /);
      await once(net.connect(slow.https, "127.0.0.1").resume(), "close");
    } finally {
      await slow.close();
    }
  });

  test("slowness: who stops sending or reading is let go, a quiet backend is not", async () => {
    const { certificate: cert, key } = await selfSignedPair("own.example", Date.now());
    const slow = await startTrial({ informers, transport: new FakeTransport(), ownPair: { cert, key }, stalledMs: 30 });
    try {
      const quiet = Promise.withResolvers<http.ServerResponse>();
      const given = Promise.withResolvers<void>();
      const server = await backend((request, response) => {
        if (request.url === "/quiet") return quiet.resolve(response.writeHead(200));
        if (request.url !== "/endless") return void request.resume();
        response.once("close", given.resolve);
        response.end(Buffer.alloc(64 * 1024 * 1024));
      });
      const { host, name } = expose([server.port]);
      slow.set(trialIngress(host, name));
      const patient = http.get({ port: slow.http, path: "/quiet", headers: { host } });
      (await quiet.promise).flushHeaders();
      const [response] = (await once(patient, "response")) as [IncomingMessage];
      const sender = net.connect(slow.http, "127.0.0.1");
      sender.write(`PUT / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 9\r\n\r\nhalf`);
      assert.equal(await read(sender), "");
      const reader = http.get({ port: slow.http, path: "/endless", headers: { host } });
      const [endless] = (await once(reader, "response")) as [IncomingMessage];
      endless.pause();
      await given.promise;
      reader.destroy();
      (await quiet.promise).end("after all");
      assert.equal(await read(response), "after all");
    } finally {
      await slow.close();
    }
  });

  test("CONNECT: this is no forward proxy", async () => {
    assert.equal(await raw("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"), "");
  });
});
