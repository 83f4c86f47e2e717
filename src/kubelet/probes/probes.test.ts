import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { FakeClock } from "#base";
import { podOf, runtimeOf } from "../core/testing.ts";
import type { CriClient } from "../cri/client.ts";
import { probeHttp } from "./http.ts";
import { createProber } from "./prober.ts";
import { resolvePort } from "./run-probe.ts";
import { probeTcp } from "./tcp.ts";

async function serve(
  t: TestContext,
  answer: (path: string, headers: Record<string, unknown>) => { status: number; location?: string },
) {
  const server = createServer((request, response) => {
    const { status, location } = answer(request.url ?? "", request.headers);
    response.writeHead(status, location ? { location } : {}).end("body");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port; // a TCP server
}

test("HTTP: statuses, redirects, headers, refused connections", async (t) => {
  const seen: Record<string, unknown>[] = [];
  const port = await serve(t, (path, headers) => {
    seen.push(headers);
    if (path === "/moved") return { status: 302, location: "/ok" };
    if (path === "/away") return { status: 301, location: "http://example.com/" };
    return { status: path === "/ok?q=1" || path === "/ok" ? 200 : 404 };
  });
  const of = (path: string, headers: { name: string; value: string }[] = []) =>
    probeHttp({ scheme: "HTTP", host: "127.0.0.1", port, path, headers, timeoutMs: 5000 });
  assert.equal((await of("/ok?q=1", [{ name: "user-agent", value: "me" }])).result, "success");
  assert.equal(seen.at(-1)?.["user-agent"], "me");
  assert.equal((await of("/moved")).result, "success");
  assert.match(String(seen.at(-1)?.["user-agent"]), /^kube-probe\//);
  assert.equal((await of("/away")).result, "warning");
  assert.deepEqual(await of("/x"), { result: "failure", output: "HTTP probe failed with statuscode: 404" });
  const refused = await probeHttp({
    scheme: "HTTP",
    host: "127.0.0.1",
    port: 1,
    path: "/x",
    headers: [],
    timeoutMs: 5000,
  });
  assert.deepEqual(refused, {
    result: "failure",
    output: 'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
  });
});

test("HTTP: a failure names the port, default or not, and tells an end from a refusal", async (t) => {
  const server = createTcpServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo; // a TCP server
  const ask = async (scheme: string, host: string, number: number) =>
    (await probeHttp({ scheme, host, port: number, path: "/x", headers: [], timeoutMs: 5000 })) as { output: string };
  assert.equal(
    (await ask("HTTPS", "127.77.77.77", 443)).output,
    'Get "https://127.77.77.77:443/x": dial tcp 127.77.77.77:443: connect: connection refused',
  );
  assert.match((await ask("HTTP", "127.0.0.1", port)).output, /^Get "http:\/\/127\.0\.0\.1:\d+\/x": EOF$/);
});

test("TCP: open or refused", async (t) => {
  const server = createTcpServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo; // a TCP server
  assert.equal((await probeTcp({ host: "127.0.0.1", port, timeoutMs: 5000 })).result, "success");
  assert.deepEqual(await probeTcp({ host: "127.0.0.1", port: 1, timeoutMs: 5000 }), {
    result: "failure",
    output: "dial tcp 127.0.0.1:1: connect: connection refused",
  });
});

test("ports: numbers, numbers as text, names", () => {
  const container = { name: "a", ports: [{ name: "web", containerPort: 8080 }] };
  assert.deepEqual(
    [80, "81", "web"].map((port) => resolvePort(port, container)),
    [80, 81, 8080],
  );
  assert.throws(() => resolvePort("none", container), { message: 'strconv.Atoi: parsing "none": invalid syntax' });
  assert.throws(() => resolvePort(0, container), { message: "invalid port number: 0" });
});

test("prober: startup first, then the others at once; stops with the container", async () => {
  const commands: string[] = [];
  const exits = new Map([["startup", 1]]);
  const cri = {
    runtime: {
      async execSync({ cmd }: { cmd: string[] }) {
        commands.push(cmd[0] ?? "");
        return { exitCode: exits.get(cmd[0] ?? "") ?? 0, stdout: new Uint8Array(), stderr: Buffer.from("no") };
      },
    },
  } as unknown as CriClient; // what exec probes call
  const clock = new FakeClock();
  const events: string[] = [];
  const pod = podOf({ containers: ["a"] });
  const probe = (command: string) => ({ exec: { command: [command] }, periodSeconds: 1 });
  Object.assign(pod.spec!.containers[0]!, {
    // it has one
    startupProbe: probe("startup"),
    livenessProbe: probe("liveness"),
    readinessProbe: probe("readiness"),
  });
  const runtime = runtimeOf(pod, { containers: { a: { startedAt: clock.now() } } });
  const update = () => prober.update(pod, runtime, { podIP: "10.0.0.1", stopping: false });
  const prober = createProber({
    cri,
    clock,
    onTurn: update,
    event: (_pod, _container, { message }) => events.push(message),
  });
  const tick = async (ms: number) => {
    clock.advance(ms);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  update();
  await tick(0);
  assert.deepEqual([commands, events], [["startup"], ["Startup probe failed: no"]]);
  assert.equal(prober.results.of("startup", "a-0"), undefined);
  exits.set("startup", 0);
  await tick(1000);
  assert.equal(prober.results.of("startup", "a-0"), true);
  await tick(0);
  assert.deepEqual(commands.slice(2).sort(), ["liveness", "readiness"]);
  assert.equal(prober.results.of("readiness", "a-0"), true);
  prober.forget("uid-1");
  const before = commands.length;
  await tick(10_000);
  assert.equal(commands.length, before);
  assert.equal(prober.results.of("readiness", "a-0"), undefined);
});

test("prober: a container of an earlier node has started and is ready as it was, until a probe says otherwise", async () => {
  let exitCode = 0;
  const execSync = async () => ({ exitCode, stdout: new Uint8Array(), stderr: new Uint8Array() });
  const cri = { runtime: { execSync } } as unknown as CriClient; // what exec probes call
  const clock = new FakeClock();
  const startedAt = clock.now() - 1000;
  const probe = { exec: { command: ["x"] }, periodSeconds: 1, failureThreshold: 1 };
  const pod = podOf({ containers: ["a", "b"] });
  for (const container of pod.spec!.containers)
    Object.assign(container, { startupProbe: probe, readinessProbe: probe });
  pod.status = {
    conditions: [{ type: "Ready", status: "True" }],
    containerStatuses: [
      { name: "a", containerID: "containerd://a-0", started: true } as never, // what is looked at
    ],
  };
  const runtime = runtimeOf(pod, { containers: { a: { startedAt }, b: { startedAt: clock.now() } } });
  const prober = createProber({ cri, clock, onTurn: () => undefined, event: () => undefined });
  prober.update(pod, runtime, { podIP: "", stopping: false });
  const of = (id: string) => (["startup", "readiness"] as const).map((type) => prober.results.of(type, id));
  assert.deepEqual(
    [of("a-0"), of("b-0")],
    [
      [true, true],
      [undefined, undefined],
    ],
  );
  exitCode = 1;
  for (let seconds = 0; seconds < 2; seconds++) {
    clock.advance(1000);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(of("a-0"), [true, false]);
});

test("gRPC: a service that nobody serves is tried as long as there is time", async () => {
  const { probeGrpc } = await import("./grpc.ts");
  assert.deepEqual(await probeGrpc({ host: "127.0.0.1", port: 1, service: "", timeoutMs: 100 }), {
    result: "failure",
    output: 'timeout: failed to connect service "127.0.0.1:1" within 100ms: context deadline exceeded',
  });
});
