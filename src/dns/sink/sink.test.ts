import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { EndpointSlice, Service } from "#api";
import { realClock, silentLogger } from "#base";
import { createFakeInformers } from "#testing";
import { createEtcd, writesMax } from "./etcd.ts";
import { runSink } from "./sink.ts";
import { hashOf, isOurValue, pointerName, skyRecords, skyValue } from "./skydns.ts";

const place = { domains: ["cluster.local"], prefix: "/skydns" };

const service = (name: string, spec: Service["spec"] & object, namespace = "default"): Service => ({
  ...{ apiVersion: "v1", kind: "Service", metadata: { name, namespace }, spec },
});

const slice = (name: string, endpoints: NonNullable<EndpointSlice["endpoints"]>): EndpointSlice => ({
  ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4", endpoints },
  metadata: { name: `${name}-x`, namespace: "default", labels: { "kubernetes.io/service-name": name } },
  ports: [{ name: "sql", port: 3306, protocol: "TCP" }],
});

const short = (given: Service, slices: EndpointSlice[] = [], domains = place.domains) => {
  const { records, pointers } = skyRecords(given, slices, { ...place, domains });
  return Object.fromEntries(
    [...records, ...pointers].map(([key, value]) => {
      const { host, port } = JSON.parse(value) as { host: string; port?: number };
      return [key, port === undefined ? host : `${host} ${port}`];
    }),
  );
};

test("etcd sink: values, hashes and reverse names are those of kube2sky", () => {
  assert.equal(skyValue("10.0.0.1"), '{"host":"10.0.0.1","priority":10,"weight":10,"ttl":30}');
  assert.equal(skyValue("a.b.", 80), '{"host":"a.b.","port":80,"priority":10,"weight":10,"ttl":30}');
  // FNV's own examples.
  assert.equal(hashOf(""), "811c9dc5");
  assert.equal(hashOf("a"), "e40c292c");
  assert.equal(hashOf("foobar"), "bf9cf968");
  assert.equal(pointerName("10.96.0.7"), "7.0.96.10.in-addr.arpa");
  assert.equal(pointerName("fd00::a1"), `1.a.${"0.".repeat(26)}0.0.d.f.ip6.arpa`);
  for (const value of [skyValue("x"), skyValue("x", 1)]) assert.ok(isOurValue(value));
  for (const value of ["", "x", "{}", '{"host":"1.2.3.4"}', `${skyValue("x")} `]) assert.ok(!isOurValue(value), value);
});

test("etcd sink: what is written of a Service", () => {
  const ip = hashOf(skyValue("10.96.0.7"));
  const srv = hashOf(skyValue("web.default.svc.cluster.local.", 80));
  const ports = [{ name: "http", port: 80, protocol: "TCP" }, { port: 81 }];
  assert.deepEqual(short(service("web", { clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7"], ports })), {
    [`/skydns/local/cluster/svc/default/web/${ip}`]: "10.96.0.7",
    "/skydns/local/cluster/default/web": "10.96.0.7",
    [`/skydns/local/cluster/svc/default/web/_tcp/_http/${srv}`]: "web.default.svc.cluster.local. 80",
    "/skydns/arpa/in-addr/10/96/0/7": "web.default.svc.cluster.local.",
  });
  const two = short(service("web", { clusterIPs: ["10.96.0.7", "fd00::7"] }));
  assert.equal(two[`/skydns/local/cluster/default/web/${hashOf(skyValue("fd00::7"))}`], "fd00::7");
  assert.equal(two["/skydns/local/cluster/default/web"], undefined);

  const endpoints = [
    { addresses: ["10.244.0.5"], hostname: "db-0", conditions: { ready: true } },
    { addresses: ["10.244.0.6"], conditions: { ready: true } },
    { addresses: ["10.244.0.7"], conditions: { ready: false } },
  ];
  const headless = service("db", { clusterIP: "None", clusterIPs: ["None"] });
  const hash = hashOf(skyValue("10.244.0.6"));
  const found = short(headless, [slice("db", endpoints)]);
  assert.deepEqual(Object.keys(found).length, 8);
  assert.equal(found["/skydns/local/cluster/svc/default/db/db-0"], "10.244.0.5");
  assert.equal(found["/skydns/local/cluster/default/db/db-0"], "10.244.0.5");
  assert.equal(found[`/skydns/local/cluster/svc/default/db/${hash}`], "10.244.0.6");
  assert.equal(found["/skydns/arpa/in-addr/10/244/0/6"], `${hash}.db.default.svc.cluster.local.`);
  assert.ok(Object.values(found).includes("db-0.db.default.svc.cluster.local. 3306"));
  assert.ok(!Object.values(found).includes("10.244.0.7"));
  const all = short(service("db", { clusterIP: "None", publishNotReadyAddresses: true }), [slice("db", endpoints)]);
  assert.ok(Object.values(all).includes("10.244.0.7"));
  assert.deepEqual(short(service("out", { type: "ExternalName", externalName: "example.com" }), [], ["tenx.domain"]), {
    "/skydns/domain/tenx/svc/default/out": "example.com",
    "/skydns/domain/tenx/default/out": "example.com",
  });
  // Its old names would be present ones of Services in a namespace "web".
  assert.ok(
    !Object.keys(short(service("web", { clusterIPs: ["10.96.0.7"] }, "svc"))).includes("/skydns/local/cluster/svc/web"),
  );
});

function whyNoEtcd(): string | false {
  try {
    execFileSync("etcd", ["--version"], { stdio: "pipe" });
    return false;
  } catch {
    return "needs etcd";
  }
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer().listen(0, "127.0.0.1"), createServer().listen(0, "127.0.0.1")];
  await Promise.all(servers.map((server) => new Promise((done) => server.once("listening", done))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port); // of TCP
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return [ports[0] ?? 0, ports[1] ?? 0];
}

test("etcd sink: a real etcd has what the Services are, also after it was away", {
  skip: whyNoEtcd(),
}, async (context) => {
  const directory = mkdtempSync(path.join(tmpdir(), "sampan-etcd-"));
  const [port, peer] = await freePorts();
  const url = `http://127.0.0.1:${port}`;
  const start = (data: string) => {
    const at = ["--data-dir", path.join(directory, data), "--listen-client-urls", url, "--advertise-client-urls", url];
    const peers = [
      "--listen-peer-urls",
      `http://127.0.0.1:${peer}`,
      "--initial-advertise-peer-urls",
      `http://127.0.0.1:${peer}`,
    ];
    const token = [
      "--initial-cluster",
      `default=http://127.0.0.1:${peer}`,
      "--initial-cluster-token",
      data,
      "--log-level",
      "error",
    ];
    return spawn("etcd", [...at, ...peers, ...token], { stdio: "ignore" });
  };
  let process = start("one");
  const end = async () => {
    const ended = new Promise((done) => process.once("exit", done));
    process.kill("SIGKILL");
    await ended;
  };
  context.after(async () => {
    await end();
    rmSync(directory, { recursive: true });
  });
  const etcd = createEtcd({ endpoints: ["http://127.0.0.1:1", url] });
  context.after(() => etcd.close());
  const all = async () => {
    const found = new Map<string, string>();
    await etcd.range("/", (key, value) => void found.set(key, value));
    return found;
  };
  async function until(what: (found: Map<string, string>) => boolean): Promise<Map<string, string>> {
    for (let turn = 0; turn < 1500; turn++) {
      const found = await all().catch(() => undefined);
      if (found && what(found)) return found;
      await new Promise((next) => setTimeout(next, 10));
    }
    assert.fail(what.toString());
  }
  await until(() => true);
  const foreign = "/skydns/local/cluster/dns/ns/a";
  await etcd.write([
    [foreign, '{"host":"10.0.0.2"}'],
    ["/skydns/local/cluster/svc/default/gone/1", skyValue("10.96.0.99")],
    ["/skydns/arpa/in-addr/10/96/0/99", skyValue("gone.default.svc.cluster.local.")],
    ["/skydns/arpa/in-addr/10/96/0/98", skyValue("other.default.svc.example.")],
  ]);
  const informers = createFakeInformers();
  for (let at = 0; at < 2 * writesMax; at++)
    informers.set(
      "v1/services",
      service(`web${at}`, { clusterIPs: [`10.96.${1 + Math.floor(at / 250)}.${at % 250}`] }),
    );
  const run = () => {
    const stop = new AbortController();
    const done = runSink({ informers, etcd, ...place, clock: realClock, log: silentLogger }, stop.signal);
    return async () => {
      stop.abort();
      await done;
    };
  };
  let stop = run();
  const first = await until((found) => found.size === 2 * writesMax * 3 + 2);
  assert.ok(first.has(foreign) && first.has("/skydns/arpa/in-addr/10/96/0/98"));
  assert.ok(![...first.keys()].some((key) => key.includes("gone") || key.endsWith("/99/0")));

  // Changes while it is away, and others while nobody writes.
  await end();
  informers.set("v1/services", service("web0", { clusterIPs: ["10.96.9.9"] }));
  informers.remove("v1/services", service("web1", {}));
  informers.set("v1/services", service("db", { clusterIP: "None" }));
  informers.set("discovery.k8s.io/v1/endpointslices", slice("db", [{ addresses: ["10.244.0.5"], hostname: "db-0" }]));
  process = start("one");
  await until(
    (found) =>
      found.get("/skydns/local/cluster/default/web0") === skyValue("10.96.9.9") &&
      !found.has("/skydns/local/cluster/default/web1") &&
      !found.has("/skydns/arpa/in-addr/10/96/1/0") &&
      found.get("/skydns/local/cluster/svc/default/db/db-0") === skyValue("10.244.0.5"),
  );
  await stop();
  informers.remove("v1/services", service("db", {}));
  stop = run();
  await until((found) => ![...found.keys()].some((key) => key.includes("/db/")));

  // Another one, which is empty.
  await end();
  process = start("two");
  informers.set("v1/services", service("late", { clusterIPs: ["10.96.9.10"] }));
  await until((found) => found.has("/skydns/local/cluster/default/late") && found.size === 2 * writesMax * 3);
  await stop();
});
