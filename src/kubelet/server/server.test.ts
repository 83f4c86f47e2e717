import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Pod, SubjectAccessReview, TokenReview } from "#api";
import { openPki, type Pki } from "#apiserver";
import { FakeClock, silentLogger } from "#base";
import { createClient } from "#client";
import type { ApiRequest } from "#machinery";
import { CriError } from "../cri/client.ts";
import { HostError, type HostedPod, type KubeletHost } from "../host.ts";
import { defaultConfiguration } from "../config/configuration.ts";
import { createNodeAuth } from "./auth.ts";
import { createKubeletServer, type KubeletServer } from "./server.ts";

const folder = mkdtempSync(join(tmpdir(), "sampan-kubelet-server-"));
const clock = new FakeClock();
const config = defaultConfiguration();
const asked: ApiRequest[] = [];
let may: (review: SubjectAccessReview) => boolean;
let pki: Pki;
let server: KubeletServer;
let port = 0;
let runtime: Server;
/** What the runtime was asked by CRI. */
const criCalls: [string, object][] = [];
let refuseCri: Error | undefined;

const pod: Pod = {
  metadata: { namespace: "default", name: "p", uid: "u1" },
  spec: { containers: [{ name: "c" }, { name: "t", tty: true }] },
};
const logPath = join(folder, "0.log");
const hosted: HostedPod = {
  pod,
  status: {},
  runtime: {
    uid: "u1",
    namespace: "default",
    name: "p",
    sandboxes: [],
    containers: [
      { id: "id-c", name: "c", imageRef: "sha256:1", state: "running" },
      { id: "id-x", name: "x", imageRef: "sha256:2", state: "exited" },
    ] as unknown as HostedPod["runtime"]["containers"], // what the server looks at
  },
};

function cri(method: string) {
  return async (request: object) => {
    criCalls.push([method, request]);
    if (refuseCri) throw refuseCri;
    return { url: `http://127.0.0.1:${(runtime.address() as AddressInfo).port}/${method}/token?x=1` };
  };
}

const host = {
  nodeName: "n1",
  cri: {
    runtime: {
      exec: cri("exec"),
      attach: cri("attach"),
      portForward: cri("portForward"),
      async execSync(request: { cmd: string[] }) {
        const ok = request.cmd[0] === "id";
        return {
          stdout: Buffer.from(ok ? "root\n" : ""),
          stderr: Buffer.from(ok ? "" : "what?"),
          exitCode: ok ? 0 : 2,
        };
      },
    },
  },
  pods: () => [pod],
  findPod: (namespace: string, name: string, uid = "") =>
    namespace === "default" && name === "p" && (uid === "" || uid === "u1") ? hosted : undefined,
  runningContainer(_pod: HostedPod, container: string) {
    if (container !== "c" && container !== "t") throw new HostError(404, `container not found ("${container}")`);
    return { id: `id-${container}`, tty: container === "t" };
  },
  containerLog(_pod: HostedPod, _container: string, { previous }: { previous: boolean }) {
    if (previous) throw new HostError(400, 'previous terminated container "c" in pod "p" not found');
    return { containerId: "id-c", path: logPath, running: true };
  },
  sandbox: () => "sandbox",
  onLook: () => () => undefined,
  runtimes: () => new Map([["u1", hosted.runtime]]),
} as unknown as KubeletHost; // what the server looks at

before(async () => {
  pki = await openPki({ directory: join(folder, "pki"), now: Date.now(), serverNames: [], serverAddresses: [] });
  const serving = await pki.leaf("kubelet", {
    commonName: "system:node:n1",
    usages: ["server"],
    ipAddresses: ["127.0.0.1"],
    validDays: 1,
  });
  const client = createClient({
    async request(request) {
      asked.push(request);
      const body = structuredClone(request.body) as TokenReview & SubjectAccessReview;
      if (body.kind === "SubjectAccessReview") return { ...body, status: { allowed: may(body) } };
      const known = body.spec.token === "good";
      return { ...body, status: known ? { authenticated: true, user: { username: "alice", groups: ["g"] } } : {} };
    },
    watch: () => Promise.reject(new Error("nobody watches")),
    close: () => undefined,
  });
  runtime = createServer((request, response) => void response.writeHead(410, { "x-said": "1" }).end(request.url));
  runtime.listen(0, "127.0.0.1");
  await once(runtime, "listening");
  mkdirSync(join(folder, "var/sub"), { recursive: true });
  writeFileSync(join(folder, "var/a&b.log"), "a log\n");
  writeFileSync(join(folder, "secret"), "secret");
  symlinkSync("../secret", join(folder, "var/link"));
  writeFileSync(logPath, "2026-01-31T10:00:00Z stdout F one\n2026-01-31T10:00:01Z stderr F two\n");
  server = createKubeletServer(
    {
      tls: { ...serving, clientCa: pki.authority.certificate },
      address: "127.0.0.1",
      port: 0,
      systemLogs: join(folder, "var"),
      config,
    },
    {
      host,
      auth: createNodeAuth({ client, nodeName: "n1", config, clock }),
      checkpoints: join(folder, "checkpoints"),
      shownConfiguration: () => ({ kind: "KubeletConfiguration" }),
      clock,
      log: silentLogger,
      routes: new Map([
        ["stats", { methods: ["GET"], parts: [2, 2], serve: ({ response }) => void response.end("stats") }],
      ]),
    },
  );
  port = (await server.listen()).port;
});
after(async () => {
  await server.close();
  runtime.close();
  runtime.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  asked.length = 0;
  criCalls.length = 0;
  may = () => true;
  refuseCri = undefined;
});

interface Ask {
  readonly method?: string;
  readonly token?: string;
  readonly certificate?: boolean;
  readonly headers?: Record<string, string>;
}

function start(path: string, { method = "GET", token, certificate = true, headers = {} }: Ask = {}) {
  const { certificate: cert, key } = pki.kubeletClient;
  const request = httpsRequest({
    host: "127.0.0.1",
    port,
    path,
    method,
    agent: false,
    ca: pki.authority.certificate,
    ...(certificate && token === undefined && { cert, key }),
    headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
  });
  request.end();
  return request;
}

async function ask(path: string, options?: Ask) {
  const [response] = (await once(start(path, options), "response")) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, text: await textOf(response) };
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(stream)).toString();
}

describe("kubelet server: who may", () => {
  test("nobody without saying who they are", async () => {
    const answer = await ask("/pods", { certificate: false });
    assert.deepEqual([answer.status, answer.text], [401, "Unauthorized"]);
    assert.equal((await ask("/nothing", { certificate: false })).status, 404, "as upstream");
    assert.equal((await ask("/pods", { token: "bad" })).status, 401);
  });

  test("system:masters by certificate, and nobody is asked about them", async () => {
    assert.equal((await ask("/healthz")).text, "ok");
    assert.deepEqual(asked, []);
  });

  test("a token that the API server knows, for what it allows; answers are kept for a while", async () => {
    may = ({ spec }) => spec.resourceAttributes?.subresource === "proxy";
    clock.advance(3_600_000);
    for (let time = 0; time < 2; time++) assert.equal((await ask("/pods", { token: "good" })).status, 200);
    const reviews = asked.map(({ body }) => {
      const { kind, spec } = body as SubjectAccessReview;
      return [kind, spec.user, spec.resourceAttributes?.subresource];
    });
    assert.deepEqual(reviews, [
      ["TokenReview", undefined, undefined],
      ["SubjectAccessReview", "alice", "pods"],
      ["SubjectAccessReview", "alice", "proxy"],
    ]);
    clock.advance(130_000);
    await ask("/pods", { token: "good" });
    // The token, and the refusal: what was allowed is remembered longer.
    assert.equal(asked.length, 5);
  });

  test("not what it forbids", async () => {
    clock.advance(3_600_000);
    may = () => false;
    const answer = await ask("/run/default/p/c", { token: "good", method: "POST" });
    assert.equal(answer.status, 403);
    assert.equal(answer.text, "Forbidden (user=alice, verb=create, resource=nodes, subresource(s)=[proxy])\n");
    const stats = await ask("/stats/summary", { token: "good" });
    assert.match(stats.text, /verb=get, resource=nodes, subresource\(s\)=\[stats\]/);
  });
});

describe("kubelet server: paths", () => {
  const cases: readonly [string, string, number, RegExp][] = [
    ["GET", "/healthz", 200, /^ok$/],
    ["GET", "/healthz/syncloop", 200, /^ok$/],
    ["GET", "/healthz?verbose", 200, /\[\+\]ping ok\n/],
    ["GET", "/healthz/none", 404, /not found/],
    ["GET", "/", 404, /^404 page not found\n$/],
    ["GET", "/nothing", 404, /^404 page not found\n$/],
    ["POST", "/healthz", 200, /^ok$/],
    ["GET", "/healthz/", 404, /^404 page not found\n$/],
    [
      "GET",
      "/healthz?verbose&exclude=ping",
      200,
      /^\[\+\]ping excluded: ok\n\[\+\]log ok\n\[\+\]syncloop ok\n\[\+\]device-plugin ok\nhealthz check passed\n$/,
    ],
    ["GET", "/runningpods", 307, /^<a href="\/runningpods\/">Temporary Redirect<\/a>\.\n\n$/],
    ["GET", "/configz", 200, /^\{"kubeletconfig":\{"kind":"KubeletConfiguration"\}\}$/],
    ["GET", "/configz/x", 404, /^404 page not found\n$/],
    ["GET", "/checkpoint/default/p/c", 405, /^405: Method Not Allowed$/],
    ["POST", "/checkpoint/default/none/c", 404, /^pod does not exist$/],
    ["POST", "/checkpoint/default/p/z", 404, /^container z does not exist$/],
    ["POST", "/checkpoint/default/p/c?timeout=x", 404, /^cannot parse value of timeout parameter$/],
    ["POST", "/run/default/p/other/c?cmd=id", 500, /^container not found \("c"\)$/],
    ["GET", "/stats/summary", 200, /^stats$/],
    ["GET", "/exec/default/p", 404, /^404: Page Not Found$/],
    ["PUT", "/pods", 405, /^405: Method Not Allowed$/],
    ["GET", "/%zz", 400, /^400 Bad Request$/],
    ["GET", "/pods", 200, /^\{"kind":"PodList","apiVersion":"v1","metadata":\{\},"items":\[\{.*"uid":"u1"/],
    ["GET", "/runningpods/", 200, /"containers":\[\{"name":"c","image":"sha256:1","resources":\{\}\}\]/],
    ["POST", "/run/default/p/c?cmd=id+-u", 200, /^root\n$/],
    ["POST", "/run/default/p/u1/c?cmd=nosuch+x", 500, /^command 'nosuch x' exited with 2: what\?$/],
    ["POST", "/run/default/none/c?cmd=id", 404, /^pod does not exist$/],
    ["POST", "/run/default/p/z?cmd=id", 500, /^container not found \("z"\)$/],
    ["GET", "/logs/", 200, /<a href="a&b.log">a&#38;b.log<\/a>\n<a href="link">link<\/a>\n<a href="sub\/">/],
    ["GET", "/logs/a%26b.log", 200, /^a log\n$/],
    ["GET", "/logs/none", 404, /not found/],
    ["GET", "/logs/link", 404, /not found/],
    ["GET", "/logs/%2e%2e/secret", 404, /not found/],
    ["GET", "/logs/..%2fsecret", 404, /not found/],
    ["GET", "/logs/sub", 301, /^$/],
  ];
  for (const [method, path, status, text] of cases) {
    test(`${method} ${path}`, async () => {
      const answer = await ask(path, { method });
      assert.match(answer.text, text);
      assert.equal(answer.status, status);
    });
  }
});

describe("kubelet server: logs", () => {
  const cases: readonly [string, number, string][] = [
    ["p/c", 200, "one\ntwo\n"],
    ["p/c?tailLines=1&timestamps=true", 200, "2026-01-31T10:00:01.000000000Z two\n"],
    ["p/c?stream=Stdout", 200, "one\n"],
    ["p/c?tailLines=x", 400, '{"message": "Unable to decode query."}'],
    ["p/c?limitBytes=0", 422, '{"message": "Invalid request."}'],
    ["none/c", 404, 'pod "none" does not exist'],
    ["p/z", 404, 'container "z" not found in pod "p"'],
    ["p/c?previous=true", 400, 'previous terminated container "c" in pod "p" not found'],
  ];
  for (const [path, status, text] of cases) {
    test(path, async () => {
      const answer = await ask(`/containerLogs/default/${path}`);
      assert.deepEqual([answer.status, answer.text], [status, text]);
      // Upstream tells no type once it has looked for the log.
      const isEarly = status !== 200 && !text.startsWith("previous");
      assert.equal(answer.headers["content-type"], isEarly ? "text/plain; charset=utf-8" : undefined);
    });
  }

  test("a client that follows and goes away is forgotten", async () => {
    const request = start("/containerLogs/default/p/c?follow=true");
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.on("error", () => undefined);
    await once(response, "data");
    request.destroy();
    await once(request, "close");
  });
});

const spdy = { connection: "Upgrade", upgrade: "SPDY/3.1", authorization: "Basic secret" };
const webSocket = { connection: "Upgrade", upgrade: "websocket" };

describe("kubelet server: streams", () => {
  test("exec: the runtime is asked, then both connections are one", async () => {
    const upgraded = once(runtime, "upgrade");
    const path = "/exec/default/p/u1/c?input=1&output=1&error=1&command=ls&command=-l+x";
    const request = start(path, { method: "POST", headers: spdy });
    const [message, theirs] = (await upgraded) as [IncomingMessage, Duplex];
    assert.deepEqual(criCalls, [
      ["exec", { containerId: "id-c", cmd: ["ls", "-l x"], stdin: true, stdout: true, stderr: true, tty: false }],
    ]);
    assert.equal(message.url, "/exec/token?x=1");
    assert.equal(message.method, "POST");
    assert.equal(message.headers.authorization, undefined);
    assert.equal(message.headers["x-forwarded-for"], "127.0.0.1");
    theirs.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nhello");
    const [response, socket, head] = await once(request, "upgrade");
    assert.equal(response.headers.upgrade, "SPDY/3.1");
    socket.write("abc");
    const [heard] = await once(theirs, "data");
    assert.equal(String(heard), "abc");
    theirs.end(" and goodbye");
    assert.equal(String(head) + (await textOf(socket)), "hello and goodbye");
    socket.destroy();
  });

  test("what the runtime refuses is said to the client", async () => {
    runtime.once("upgrade", (_request, socket: Duplex) => {
      socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone");
    });
    const answer = await ask("/exec/default/p/c?output=1&command=ls", { headers: spdy });
    assert.deepEqual([answer.status, answer.text], [404, "none"]);
  });

  test("a terminal has no standard error; attach gets the terminal that the container has", async () => {
    refuseCri = new CriError("Exec", "UNKNOWN", "no");
    await ask("/exec/default/p/c?output=1&error=1&tty=1&command=sh", { headers: spdy });
    await ask("/attach/default/p/t?output=1&error=1", { headers: spdy });
    await ask("/attach/default/p/c?output=1&error=1", { headers: spdy });
    const streams = { stdin: false, stdout: true };
    assert.deepEqual(criCalls, [
      ["exec", { containerId: "id-c", cmd: ["sh"], ...streams, stderr: false, tty: true }],
      ["attach", { containerId: "id-t", ...streams, stderr: false, tty: true }],
      ["attach", { containerId: "id-c", ...streams, stderr: true, tty: false }],
    ]);
  });

  test("exec: a command may be long", async () => {
    refuseCri = new CriError("Exec", "UNKNOWN", "no");
    const long = "a".repeat(20_000);
    await ask(`/exec/default/p/c?output=1&command=echo&command=${long}`, { headers: spdy });
    const [[, asked] = []] = criCalls;
    assert.deepEqual((asked as { cmd: string[] }).cmd, ["echo", long]);
  });

  test("port-forward: ports in the query for WebSockets, none for SPDY", async () => {
    refuseCri = new CriError("PortForward", "UNKNOWN", "no");
    await ask("/portForward/default/p", { headers: spdy });
    await ask("/portForward/default/p/u1?port=80,81&port=82", { headers: webSocket });
    assert.deepEqual(criCalls, [
      ["portForward", { podSandboxId: "sandbox", port: [] }],
      ["portForward", { podSandboxId: "sandbox", port: [80, 81, 82] }],
    ]);
  });

  const refusals: readonly [path: string, headers: Record<string, string>, status: number, text: string][] = [
    ["/exec/default/p/c?command=ls", spdy, 400, "you must specify at least 1 of stdin, stdout, stderr"],
    ["/exec/default/none/c?output=1", spdy, 404, "pod does not exist"],
    ["/exec/default/p/z?output=1", spdy, 500, 'container not found ("z")'],
    ["/exec/default/p/u2/c?output=1", spdy, 500, 'container not found ("c")'],
    ["/exec/default/p/c?output=1&command=ls", {}, 500, "Upgrade request required\n"],
    ["/portForward/default/none", spdy, 404, "pod does not exist"],
    ["/portForward/default/p/u2", spdy, 404, "pod not found"],
    ["/portForward/default/p", webSocket, 400, 'query parameter "port" is required'],
    ["/portForward/default/p?port=", webSocket, 400, 'query parameter "port" cannot be empty'],
    ["/portForward/default/p?port=0", webSocket, 400, 'port "0" must be > 0'],
    [
      "/portForward/default/p?port=x",
      webSocket,
      400,
      'unable to parse "x" as a port: strconv.ParseUint: parsing "x": invalid syntax',
    ],
    [
      "/portForward/default/p?port=70000",
      webSocket,
      400,
      'unable to parse "70000" as a port: strconv.ParseUint: parsing "70000": value out of range',
    ],
  ];
  for (const [path, headers, status, text] of refusals) {
    test(`refused: ${path}`, async () => {
      const answer = await ask(path, { headers });
      assert.deepEqual([answer.status, answer.text], [status, text]);
    });
  }

  test("refused by CRI: the code of its error counts", async () => {
    const cases = [
      ["NOT_FOUND", 404, "rpc error: code = NotFound desc = why"],
      ["RESOURCE_EXHAUSTED", 429, "rpc error: code = ResourceExhausted desc = why"],
      ["FAILED_PRECONDITION", 500, "rpc error: code = FailedPrecondition desc = why"],
    ] as const;
    for (const [code, status, text] of cases) {
      refuseCri = new CriError("Exec", code, "why");
      const answer = await ask("/exec/default/p/c?output=1", { headers: spdy });
      assert.deepEqual([answer.status, answer.text], [status, text]);
      assert.equal(answer.headers["retry-after"], status === 429 ? "60" : undefined);
    }
  });
});
