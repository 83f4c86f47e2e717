import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { silentLogger } from "#base";
import packet, { type DecodedPacket } from "dns-packet";
import { createForwarder, frame, parseResolvers } from "./forward.ts";
import { startDnsServer } from "./server.ts";
import type { Zone } from "./zone.ts";

const many = Array.from({ length: 60 }, (_, index) => `10.1.0.${index + 1}`);
const zone: Zone = {
  service: (_namespace, name) => {
    const metadata = { name, namespace: "ns" };
    if (name === "web") return { metadata, spec: { clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7"] } };
    if (name === "many") return { metadata, spec: { clusterIP: "None" } };
    return name === "out" ? { metadata, spec: { type: "ExternalName", externalName: "example.org" } } : undefined;
  },
  endpoints: () => many.map((address) => ({ address, hostname: address, ready: true, ports: [] })),
  serviceByAddress: () => undefined,
  endpointsByAddress: () => [],
  hasNamespace: () => true,
};

type Answered = DecodedPacket & { code: number };
/** The library decodes the code as well, its types don't know. */
const decode = (raw: Buffer): Answered => ({ ...packet.decode(raw), code: (raw[3] ?? 0) & 0xf });
const noError = 0;
const formatError = 1;
const serverFailure = 2;
const nameError = 3;

async function serve(t: TestContext, resolvers: string[] = []) {
  const forwarder = createForwarder(resolvers, { timeoutMs: 500 });
  const options = { address: "127.0.0.1", port: 0, domain: "cluster.local", zone, log: silentLogger };
  const server = await startDnsServer({ ...options, forwarder });
  t.after(() => server.close());
  return server;
}

const query = (name: string, type: "A" = "A") =>
  packet.encode({ type: "query", id: 7, flags: packet.RECURSION_DESIRED, questions: [{ name, type }] });

function overUdp(port: number, message: Buffer): Promise<Answered> {
  const socket = createSocket("udp4");
  return new Promise<Answered>((resolve, reject) => {
    socket.once("message", (answer) => resolve(decode(answer))).once("error", reject);
    socket.send(message, port, "127.0.0.1");
  }).finally(() => socket.close());
}

function overTcp(port: number, message: Buffer): Promise<Answered> {
  const socket = connect(port, "127.0.0.1");
  return new Promise<Answered>((resolve, reject) => {
    const chunks: Buffer[] = [];
    socket.on("error", reject).on("data", (chunk: Buffer) => {
      const all = Buffer.concat([...chunks.splice(0), chunk]);
      chunks.push(all);
      if (all.length >= 2 + all.readUInt16BE(0)) resolve(decode(all.subarray(2)));
    });
    // Byte by byte: frames come in any pieces.
    for (const byte of frame(message)) socket.write(Buffer.from([byte]));
  }).finally(() => socket.destroy());
}

test("dns server: answers with authority, by UDP and TCP", async (t) => {
  const { port } = await serve(t);
  for (const ask of [overUdp, overTcp]) {
    const answer = await ask(port, query("web.ns.svc.cluster.local"));
    assert.equal(answer.code, noError);
    assert.equal(answer.flag_aa, true);
    assert.deepEqual(
      answer.answers?.map((each) => "data" in each && each.data),
      ["10.96.0.7"],
    );
  }
});

test("dns server: a missing name is NXDOMAIN with the zone's SOA", async (t) => {
  const { port } = await serve(t);
  const answer = await overUdp(port, query("none.ns.svc.cluster.local"));
  assert.equal(answer.code, nameError);
  assert.equal(answer.authorities?.[0]?.type, "SOA");
});

test("dns server: what doesn't fit UDP is truncated, TCP has all", async (t) => {
  const { port } = await serve(t);
  const short = await overUdp(port, query("many.ns.svc.cluster.local"));
  assert.equal(short.flag_tc, true);
  assert.ok((short.answers?.length ?? 0) < many.length);
  const whole = await overTcp(port, query("many.ns.svc.cluster.local"));
  assert.equal(whole.answers?.length, many.length);
});

test("dns server: foreign names and targets of CNAMEs are asked upstream", async (t) => {
  const upstream = createSocket("udp4");
  t.after(() => upstream.close());
  upstream.on("message", (message, from) => {
    const { id = 0, questions = [] } = packet.decode(message);
    const answers = [{ name: questions[0]?.name ?? "", type: "A" as const, data: "192.0.2.1" }];
    upstream.send(packet.encode({ type: "response", id, questions, answers }), from.port, from.address);
  });
  await new Promise<void>((ready) => upstream.bind(0, "127.0.0.1", ready));
  const { port } = await serve(t, [`127.0.0.1:${upstream.address().port}`]);
  const foreign = await overUdp(port, query("example.org"));
  assert.deepEqual(
    foreign.answers?.map((each) => "data" in each && each.data),
    ["192.0.2.1"],
  );
  const followed = await overUdp(port, query("out.ns.svc.cluster.local"));
  assert.deepEqual(
    followed.answers?.map((each) => "data" in each && each.data),
    ["example.org", "192.0.2.1"],
  );
});

test("dns server: without a resolver foreign names fail at once, a CNAME stands alone", async (t) => {
  const { port } = await serve(t);
  assert.equal((await overUdp(port, query("example.org"))).code, serverFailure);
  const alone = await overUdp(port, query("out.ns.svc.cluster.local"));
  assert.deepEqual(
    alone.answers?.map((each) => "data" in each && each.data),
    ["example.org"],
  );
});

test("dns server: rubbish is answered FORMERR or not at all, and the server goes on", async (t) => {
  const { port } = await serve(t);
  const rubbish = Buffer.concat([query("web.ns.svc.cluster.local").subarray(0, 14), Buffer.from([0xff, 0xff, 0xff])]);
  assert.equal((await overUdp(port, rubbish)).code, formatError);
  const silent = createSocket("udp4");
  silent.send(Buffer.from([1, 2, 3]), port, "127.0.0.1", () => silent.close());
  assert.equal((await overUdp(port, query("web.ns.svc.cluster.local"))).code, noError);
});

test("dns server: a random packet never stops it", async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const { port } = await serve(t);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  const good = query("web.ns.svc.cluster.local");
  for (let round = 0; round < 300; round++) {
    const message = Buffer.from(good);
    for (let flips = random(6); flips >= 0; flips--) message[random(message.length)] = random(256);
    const cut = message.subarray(0, 1 + random(message.length));
    await new Promise<void>((sent) => socket.send(cut, port, "127.0.0.1", () => sent()));
    // Lets the server read: a full socket buffer would drop the packets that come after.
    await setImmediate();
  }
  assert.equal((await overUdp(port, good)).code, noError);
});

test("resolvers: addresses of a resolv.conf without our own", () => {
  assert.deepEqual(
    parseResolvers("search x\nnameserver 1.2.3.4\n# nameserver 9.9.9.9\nnameserver 10.0.0.1\n", ["10.0.0.1"]),
    ["1.2.3.4"],
  );
});

test("forwarder: a resolver that there is no way to is an error, not a crash", async () => {
  // A broadcast address: the kernel refuses to connect to it, as it refuses an address without a route.
  await assert.rejects(createForwarder(["255.255.255.255"]).ask(query("example.org")), /EACCES|ENETUNREACH/);
});
