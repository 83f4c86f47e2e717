/** What a configuration switches on and off, and who is let in. */
import assert from "node:assert/strict";
import { request as httpRequest, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { type Clock, FakeClock, silentLogger } from "#base";
import type { Client } from "#client";
import { defaultConfiguration, type KubeletConfiguration } from "../config/configuration.ts";
import type { KubeletHost } from "../host.ts";
import { accessOf, createNodeAuth } from "./auth.ts";
import { type KubeletRoute, routeTable } from "./routes.ts";
import { serveExchange } from "./serve.ts";
import { createHealthServer, createReadOnlyServer } from "./server.ts";
import { cipherNames, tlsVersion } from "./tls.ts";

const host = { pods: () => [], runtimes: () => new Map(), findPod: () => undefined } as unknown as KubeletHost; // what these paths ask
const dependencies = (clock: Clock = new FakeClock()) => ({
  host,
  clock,
  log: silentLogger,
  checkpoints: "/nowhere",
  shownConfiguration: () => ({}),
  routes: new Map<string, KubeletRoute>([
    ["stats", { methods: ["GET"], parts: [2, 2], serve: (): void => undefined }],
    ["metrics", { methods: ["GET"], parts: [1, 2], serve: (): void => undefined }],
  ]),
});

/** Where a path ends up: status and text, as the table alone says. */
async function answer(path: string, change: Partial<KubeletConfiguration>, method = "GET"): Promise<string> {
  const config = { ...defaultConfiguration(), ...change };
  const table = routeTable({ ...dependencies(), config, systemLogs: undefined });
  const said: (number | string)[] = [];
  const response = {
    writeHead: (status: number) => void said.push(status),
    end: (body: string) => void said.push(body.trimEnd()),
  };
  const parts = path.split("/").filter(Boolean);
  const exchange = { path, parts, request: { method, url: path }, response, query: new URLSearchParams() };
  await serveExchange(exchange as unknown as Parameters<typeof serveExchange>[0], {
    table,
    auth: undefined,
    log: silentLogger,
  }); // what is looked at
  return said.join(" ");
}

for (const [what, change, path, expected] of [
  ["debugging handlers", { enableDebuggingHandlers: false }, "/exec/a/b/c", "405 Debug endpoints are disabled."],
  [
    "debugging handlers",
    { enableDebuggingHandlers: false },
    "/containerLogs/a/b/c",
    "405 Debug endpoints are disabled.",
  ],
  ["debugging handlers", { enableDebuggingHandlers: false }, "/debug/pprof/heap", "405 Debug endpoints are disabled."],
  ["debugging handlers", { enableDebuggingHandlers: false }, "/logs/", "405 Debug endpoints are disabled."],
  ["debugging handlers", { enableDebuggingHandlers: false }, "/configz", "404 404 page not found"],
  ["debugging handlers", { enableDebuggingHandlers: false }, "/healthz", "200 ok"],
  ["system logs", { enableSystemLogHandler: false }, "/logs/", "405 logs endpoint is disabled."],
  ["profiles", { enableProfilingHandler: false }, "/debug/pprof/", "405 profiling endpoint is disabled."],
  ["the log level", { enableDebugFlagsHandler: false }, "/debug/flags/v", "405 flags endpoint is disabled."],
  ["nothing", {}, "/debug/flags", "404 404 page not found"],
  ["nothing", {}, "/metrics/none", "404 404 page not found"],
] as const)
  test(`kubelet server: ${path} without ${what}`, async () => assert.equal(await answer(path, change), expected));

test("kubelet server: which subresources stand for a path", () => {
  const access = (path: string) => accessOf("GET", path.split("/").filter(Boolean)).subresources.join(" ");
  for (const [path, subresources] of [
    ["/pods", "pods proxy"],
    ["/runningpods/", "pods proxy"],
    ["/healthz/ping", "healthz proxy"],
    ["/configz", "configz proxy"],
    ["/flagz", "configz"],
    ["/statusz", "statusz"],
    ["/checkpoint/a/b/c", "checkpoint"],
    ["/logs/a", "log"],
    ["/stats/summary", "stats"],
    ["/metrics/cadvisor", "metrics"],
    ["/exec/a/b/c", "proxy"],
    ["/debug/pprof/", "proxy"],
  ] as const)
    assert.equal(access(path), subresources, path);
  assert.equal(accessOf("HEAD", []).verb, "");
});

const noClient = { resource: () => assert.fail("the API server isn't asked") } as unknown as Client; // nobody asks
function authWith(change: (config: KubeletConfiguration) => void, client = noClient) {
  const config = defaultConfiguration();
  change(config);
  return createNodeAuth({ client, nodeName: "n", config, clock: new FakeClock() });
}
const requestWith = (headers: Record<string, string>) =>
  ({ headers, socket: { authorized: false } }) as unknown as IncomingMessage; // what authentication looks at

test("kubelet server: without a word who asks, anonymous if that is allowed; a wrong token is nobody", async () => {
  const open = authWith((config) => {
    config.authentication.anonymous.enabled = true;
    config.authorization.mode = "AlwaysAllow";
  });
  const user = await open.authenticate(requestWith({}));
  assert.deepEqual(user, { name: "system:anonymous", uid: "", groups: ["system:unauthenticated"], extra: {} });
  assert.equal(await open.authorize(user ?? assert.fail(), { verb: "get", subresource: "proxy" }), true);
  const shut = authWith((config) => {
    config.authentication.webhook.enabled = false;
  });
  assert.equal(await shut.authenticate(requestWith({})), undefined);
  assert.equal(await shut.authenticate(requestWith({ authorization: "Bearer x" })), undefined);
  const both = authWith((config) => {
    config.authentication.anonymous.enabled = true;
    config.authentication.webhook.enabled = false;
  });
  assert.equal(await both.authenticate(requestWith({ authorization: "Bearer x" })), undefined);
});

test("kubelet server: a WebSocket brings its token among the protocols", async () => {
  const tokens: string[] = [];
  const client = {
    resource: () => ({
      create: async ({ spec }: { spec: { token: string } }) => {
        tokens.push(spec.token);
        return { status: { authenticated: true, user: { username: "u" } } };
      },
    }),
  } as unknown as Client; // token reviews
  const auth = authWith(() => undefined, client);
  const protocol = `base64url.bearer.authorization.k8s.io.${Buffer.from("t0k").toString("base64url")}`;
  const user = await auth.authenticate(requestWith({ "sec-websocket-protocol": `v4.channel.k8s.io, ${protocol}` }));
  assert.deepEqual([user?.name, tokens], ["u", ["t0k"]]);
});

async function get(t: TestContext, server: { listen(): Promise<AddressInfo>; close(): Promise<void> }) {
  t.after(() => server.close());
  const { port } = await server.listen();
  return async (path: string) => {
    const response = await new Promise<IncomingMessage>((resolve, reject) =>
      httpRequest({ port, path, agent: false }, resolve).on("error", reject).end(),
    );
    return `${response.statusCode} ${(await text(response)).trim()}`;
  };
}

test("read-only server: pods without a question, nothing that changes anything", async (t) => {
  const config = defaultConfiguration();
  const ask = await get(t, createReadOnlyServer({ address: "127.0.0.1", port: 0 }, { ...dependencies(), config }));
  assert.equal(await ask("/healthz"), "200 ok");
  assert.match(await ask("/pods"), /^200 \{"kind":"PodList"/);
  assert.equal(await ask("/exec/a/b/c"), "405 Debug endpoints are disabled.");
  assert.equal(await ask("/configz"), "404 404 page not found");
});

test("health server: whether the node is well, and nothing else", async (t) => {
  const ask = await get(t, createHealthServer({ address: "127.0.0.1", port: 0 }, silentLogger));
  assert.equal(await ask("/healthz"), "200 ok");
  assert.equal(await ask("/healthz/ping"), "200 ok");
  assert.equal(await ask("/pods"), "404 404 page not found");
});

test("TLS settings: Go's names", () => {
  assert.deepEqual(["", "VersionTLS12", "VersionTLS13"].map(tlsVersion), ["TLSv1.2", "TLSv1.2", "TLSv1.3"]);
  const names = cipherNames([
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
  ]);
  assert.match(names, /:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:AES256-SHA$/);
});
