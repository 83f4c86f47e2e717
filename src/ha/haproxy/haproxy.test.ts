import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, get, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import type { Node, Service } from "#api";
import { FakeClock, realClock, silentLogger } from "#base";
import { createBalancer } from "./balancer.ts";
import { printConfig, safeName } from "./config.ts";
import type { Balanced, Server } from "./model.ts";
import { checkConfig, createHaproxy } from "./process.ts";
import { planServices } from "./services.ts";
import { assignSlots, runtimeCommands, shapeOf } from "./slots.ts";

const node = (
  name: string,
  { ready = true, labels = {} }: { ready?: boolean; labels?: Record<string, string> } = {},
): Node => ({
  ...{ apiVersion: "v1", kind: "Node", metadata: { name, labels } },
  status: {
    addresses: [
      { type: "InternalIP", address: `10.0.0.${name.charCodeAt(0)}` },
      { type: "ExternalIP", address: `1.0.0.${name.charCodeAt(0)}` },
    ],
    conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
  },
});

const service = (name: string, spec: Service["spec"] & object = {}, created = "2026-01-01T00:00:00Z"): Service => ({
  ...{ apiVersion: "v1", kind: "Service", metadata: { name, namespace: "default", creationTimestamp: created } },
  spec: { type: "LoadBalancer", ports: [{ port: 80, nodePort: 30080, protocol: "TCP" }], ...spec },
});

const options = {
  binds: ["*"],
  addressType: "InternalIP",
  withNodePorts: false,
  taken: new Map([[6443, "the API servers"]]),
};

test("haproxy: which ports of which Services go where", () => {
  const nodes = [node("b"), node("a"), node("c", { ready: false }), node("d", { labels: { "node.kubernetes.io/exclude-from-external-load-balancers": "" } })]; // biome-ignore format: one row
  const { balanced, problems } = planServices(
    [
      service("young", {}, "2026-02-01T00:00:00Z"),
      service("old", { sessionAffinity: "ClientIP", loadBalancerSourceRanges: ["10.0.0.0/8", "::/0"] }),
      service("local", {
        externalTrafficPolicy: "Local",
        healthCheckNodePort: 31000,
        ports: [{ port: 81, nodePort: 30081 }],
      }),
      service("dns", { ports: [{ port: 53, nodePort: 30053, protocol: "UDP" }] }),
      service("none", { ports: [{ port: 82 }] }),
      service("own", { ports: [{ port: 6443, nodePort: 30444 }] }),
      service("foreign", { loadBalancerClass: "example.com/x", ports: [{ port: 83, nodePort: 30083 }] }),
      service("ours", { loadBalancerClass: "sampan.dev/haproxy", ports: [{ port: 84, nodePort: 30084 }] }),
      service("plain", { type: "NodePort", ports: [{ port: 80, nodePort: 30085 }] }),
    ],
    nodes,
    options,
  );
  const servers = (port: number) => [{ address: "10.0.0.97", port }, { address: "10.0.0.98", port }]; // biome-ignore format: one row
  assert.deepEqual(balanced.map((each) => [each.name, each.port, each.servers]).sort(), [
    ["default.local:81", 81, servers(30081)],
    ["default.old:80", 80, servers(30080)],
    ["default.ours:84", 84, servers(30084)],
  ]);
  const by = new Map(balanced.map((each) => [each.name, each]));
  assert.deepEqual(by.get("default.local:81")?.check, { kind: "http", path: "/healthz", port: 31000 });
  assert.equal(by.get("default.old:80")?.sticky, true);
  assert.deepEqual(by.get("default.old:80")?.sources, ["10.0.0.0/8", "::/0"]);
  assert.deepEqual(problems.map(({ service: { metadata }, why }) => `${metadata?.name}: ${why}`).sort(), [
    "dns: haproxy forwards TCP only, not UDP",
    "none: it has no node port",
    "own: port 6443 is taken by the API servers",
    "young: port 80 is taken by Service default/old",
  ]);
  const all = planServices([service("plain", { type: "NodePort" })], nodes, { ...options, withNodePorts: true, addressType: "ExternalIP" }); // biome-ignore format: one row
  assert.deepEqual([all.balanced[0]?.port, all.balanced[0]?.servers[0]?.address], [30080, "1.0.0.97"]);
});

const balancedOf = (servers: readonly Server[], more: Partial<Balanced> = {}): Balanced => ({
  ...{ name: "web", binds: ["127.0.0.1"], port: 80, servers, check: { kind: "tcp" } },
  ...{ sources: [], sticky: false, endsWithServer: false, ...more },
});
const at = (...numbers: number[]): Server[] => numbers.map((number) => ({ address: `10.0.0.${number}`, port: 1 }));

test("haproxy: servers keep their slots, and a change of them is no reload until slots are short", () => {
  const first = assignSlots(balancedOf(at(1, 2, 3)), undefined);
  assert.deepEqual(first.slots, [...at(1, 2, 3), undefined]);
  const second = assignSlots(balancedOf(at(9, 3, 1)), first);
  assert.deepEqual(second.slots, [...at(1, 9, 3), undefined]);
  assert.equal(shapeOf([first]), shapeOf([second]));
  assert.deepEqual(runtimeCommands([first], [second]), [
    "set server web/s2 addr 10.0.0.9 port 1",
    "set server web/s2 state ready",
  ]);
  const third = assignSlots(balancedOf(at(3)), second);
  assert.deepEqual(runtimeCommands([second], [third]), [
    "set server web/s1 state maint",
    "set server web/s2 state maint",
  ]);
  const many = assignSlots(balancedOf(at(1, 2, 3, 4, 5)), second);
  assert.equal(many.slots.length, 8);
  assert.notEqual(shapeOf([many]), shapeOf([second]));
  const named = assignSlots(balancedOf([{ address: "api.example", port: 1 }]), undefined);
  assert.notEqual(shapeOf([named]), shapeOf([assignSlots(balancedOf(at(1)), undefined)]));
});

test("haproxy: nothing of an object can become a line of the configuration", () => {
  const evil = ["a b", 'x"y', "x\n  bind *:1", "x#", "ümlaut", "a\\b", "$HOME", "a'b", "x\ty", "", "a_b", "a5fb"];
  for (const text of evil) assert.match(`n${safeName(text)}`, /^[A-Za-z0-9_.:-]+$/, JSON.stringify(text));
  assert.equal(new Set(evil.map(safeName)).size, evil.length);
  for (const text of evil.slice(0, 10)) {
    const print =
      (more: Partial<Balanced>, servers = at(1)) =>
      () =>
        printConfig([assignSlots(balancedOf(servers, more), undefined)], {});
    assert.throws(print({ name: text }), `name ${JSON.stringify(text)}`);
    assert.throws(print({ binds: [text] }), `bind ${JSON.stringify(text)}`);
    assert.throws(print({ sources: [text] }), `source ${JSON.stringify(text)}`);
    assert.throws(print({}, [{ address: text, port: 1 }]), `server ${JSON.stringify(text)}`);
    assert.throws(
      print({ check: { kind: "https", path: `/${text || " "}`, ca: "/x" } }),
      `path ${JSON.stringify(text)}`,
    );
    assert.throws(print({ check: { kind: "https", path: "/", ca: text } }), `file ${JSON.stringify(text)}`);
  }
});

function whyNoHaproxy(): string | false {
  try {
    execFileSync("haproxy", ["-v"], { stdio: "pipe" });
    return false;
  } catch {
    return "needs haproxy";
  }
}
const skip = whyNoHaproxy();

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address() as AddressInfo; // of TCP
  await new Promise((done) => server.close(done));
  return port;
}

/** Answers its name; `/long` goes on until `finish`. */
async function backend(name: string) {
  let finish: () => void = () => undefined;
  const server: HttpServer = createServer((request, response) => {
    if (request.url !== "/long") return void response.setHeader("connection", "close").end(name);
    response.write("begin ");
    finish = () => void response.end(`end of ${name}`);
  }).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address() as AddressInfo; // of TCP
  const close = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return { at: { address: "127.0.0.1", port }, finish: () => finish(), close };
}

function fetchText(port: number, url = "/", started?: () => void): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path: url, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
        started?.();
      });
      response.on("error", reject).on("end", () => resolve(text));
    }).on("error", reject);
  });
}

function start(context: TestContext) {
  const directory = mkdtempSync(path.join(tmpdir(), "sampan-haproxy-"));
  const haproxy = createHaproxy({ program: "haproxy", directory, clock: realClock, log: silentLogger });
  context.after(async () => {
    await haproxy.close();
    rmSync(directory, { recursive: true });
  });
  return { directory, haproxy };
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 1000; turn++) {
    if (await what()) return;
    await new Promise((next) => setTimeout(next, 10));
  }
  assert.fail(what.toString());
}

test("haproxy: servers come and go, a reload and its own death cost no connection that need not end", {
  skip,
}, async (context) => {
  const { directory, haproxy } = start(context);
  const [a, b, port, other] = await Promise.all([backend("a"), backend("b"), freePort(), freePort()]);
  context.after(() => Promise.all([a.close(), b.close()]));
  const clock = new FakeClock(0);
  let refused: ReadonlyMap<string, string> = new Map();
  const changed = (_: unknown, now: ReadonlyMap<string, string>) => {
    refused = now;
  };
  const balancer = createBalancer({ haproxy, changed, clock, log: silentLogger });
  const web = (...servers: Server[]) => balancedOf(servers, { port });
  await balancer.want([web(a.at, b.at)]);
  const answers = async (count: number) =>
    new Set(await Promise.all(Array.from({ length: count }, () => fetchText(port))));
  assert.deepEqual([...(await answers(8))].sort(), ["a", "b"]);

  // A long answer through all of it.
  const begun = Promise.withResolvers<void>();
  const long = fetchText(port, "/long", () => begun.resolve());
  await begun.promise;
  const worker = () => /Pid: (\d+)/.exec(execFileSync("sh", ["-c", `printf 'show info\\n' | node -e 'const c=require("net").connect("${haproxy.socket}");process.stdin.pipe(c);c.pipe(process.stdout)'`], { encoding: "utf8" }))?.[1]; // biome-ignore format: one row
  const before = worker();
  await balancer.want([web(b.at)]);
  assert.equal(worker(), before, "no reload");
  assert.deepEqual([...(await answers(8))], ["b"]);
  await balancer.want([web(a.at)]);
  assert.deepEqual([...(await answers(8))], ["a"]);
  clock.advance(1000);
  // Connections all the while.
  let failed = 0;
  let isOver = false;
  const load = (async () => {
    while (!isOver) await answers(4).catch(() => void failed++);
  })();
  await balancer.want([web(a.at), balancedOf([b.at], { name: "other", port: other })]);
  assert.notEqual(worker(), before);
  assert.equal(await fetchText(other), "b");
  isOver = true;
  await load;
  assert.equal(failed, 0);
  a.finish();
  b.finish();
  assert.match(await long, /^begin end of [ab]$/);

  // A port somebody else has, and a configuration that is refused.
  clock.advance(1000);
  const taken = await backend("taken");
  context.after(() => taken.close());
  await balancer.want([web(a.at), balancedOf([b.at], { name: "taken", port: taken.at.port })]);
  assert.match(refused.get("taken") ?? "", /another program has port/);
  assert.deepEqual([...(await answers(2))], ["a"]);
  clock.advance(1000);
  await assert.rejects(balancer.want([balancedOf([a.at], { port, check: { kind: "https", path: "/", ca: "/nowhere" } })]), /haproxy refuses.*nowhere/s); // biome-ignore format: one row
  assert.deepEqual([...(await answers(2))], ["a"]);

  // Killed: started again, with what was told over the runtime API.
  await balancer.want([web(b.at)]);
  process.kill(Number(worker()), "SIGKILL");
  await until(async () => (await answers(1).catch(() => new Set())).has("b"));
  assert.match(readFileSync(path.join(directory, "haproxy.cfg"), "utf8"), /server s1/);
});

test("haproxy: the next one takes over from one that was killed", { skip }, async (context) => {
  const { directory, haproxy } = start(context);
  const [a, b, port] = await Promise.all([backend("a"), backend("b"), freePort()]);
  context.after(() => Promise.all([a.close(), b.close()]));
  await createBalancer({ haproxy, clock: realClock, log: silentLogger }).want([balancedOf([a.at], { port })]);
  const next = createHaproxy({ program: "haproxy", directory, clock: realClock, log: silentLogger });
  context.after(() => next.close());
  await createBalancer({ haproxy: next, clock: realClock, log: silentLogger }).want([balancedOf([b.at], { port })]);
  assert.equal(await fetchText(port), "b");
});

test("haproxy: what isn't there is named", async () => {
  await assert.rejects(checkConfig("/nowhere/haproxy", "/dev/null"), /apt-get install haproxy/);
});
