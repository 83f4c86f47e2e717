import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { type TestContext, test } from "node:test";
import { silentLogger } from "#base";
import { fuzz } from "#testing";
import packet from "dns-packet";
import { createAnswerer } from "../answers.ts";
import { startDnsServer } from "../server.ts";
import { answerWith, dataOf, decode, overUdp, query, type Say, startUpstream } from "../test-upstream.ts";
import { codes, finish, readQuery } from "../wire.ts";
import { parseServer, printServer } from "./exchange.ts";
import { createForwarder, type ForwarderOptions, type ForwardSettings } from "./forwarder.ts";
import { parseResolvers, parseStubs, withConfigMap } from "./resolv-conf.ts";
import { readResponse } from "./response.ts";

const make = (settings: ForwardSettings | string[], options: Partial<ForwarderOptions> = {}) =>
  createForwarder(Array.isArray(settings) ? { servers: settings } : settings, {
    ...{ log: silentLogger, waitMs: 300 },
    ...options,
  });
const asked = (name: string, type = "A") => {
  const read = readQuery(query(name, type), false);
  assert.ok(read && !("code" in read));
  return read;
};
async function ask(forwarder: ReturnType<typeof make>, name: string) {
  const question = asked(name);
  return decode(finish(await forwarder.ask(question), question, { nowMs: performance.now() }));
}
const good = answerWith([{ data: "192.0.2.1" }]);
const silence: Say = () => [];

test("forwarder: an answer that was cut is asked for again by TCP", async (t) => {
  const long = Array.from({ length: 80 }, (_, i) => ({ data: `192.0.2.${i}` }));
  const upstream = await startUpstream(t, (question) =>
    question.udp ? answerWith([], { flags: packet.TRUNCATED_RESPONSE })(question) : answerWith(long)(question),
  );
  const answer = await ask(make([upstream.address]), "example.org");
  assert.deepEqual([answer.answers?.length, answer.flag_tc], [80, false]);
});

test("forwarder: a server without EDNS is asked without", async (t) => {
  const upstream = await startUpstream(t, (question) =>
    packet.decode(question.raw).additionals?.length
      ? answerWith([], { flags: codes.formatError })(question)
      : good(question),
  );
  assert.deepEqual(dataOf((await ask(make([upstream.address]), "example.org")).answers), ["192.0.2.1"]);
});

test("forwarder: packets that answer something else are as if they hadn't come", async (t) => {
  const upstream = await startUpstream(t, (question) => [
    ...good({ ...question, id: question.id ^ 1 }),
    ...answerWith([{ data: "203.0.113.6" }])({ ...question, name: "evil.example" }),
    ...answerWith([{ data: "203.0.113.6" }])({ ...question, type: "AAAA" }),
    question.raw,
    Buffer.from("rubbish"),
    ...good(question),
  ]);
  assert.deepEqual(dataOf((await ask(make([upstream.address]), "example.org")).answers), ["192.0.2.1"]);
});

test("forwarder: ids and ports of questions don't follow each other", async (t) => {
  const seen: number[] = [];
  const upstream = createSocket("udp4");
  t.after(() => upstream.close());
  upstream.on("message", (raw, from) => {
    const { id = 0, questions = [] } = packet.decode(raw);
    if (questions[0]?.type !== "HINFO") seen.push(id, from.port);
    for (const each of good({ id, name: questions[0]?.name ?? "", type: "A", udp: true, raw }))
      upstream.send(each, from.port, from.address);
  });
  await new Promise<void>((ready) => upstream.bind(0, "127.0.0.1", ready));
  const forwarder = make([`127.0.0.1:${upstream.address().port}`]);
  for (let i = 0; i < 20; i++) await ask(forwarder, `${i}.example`);
  assert.ok(new Set(seen).size > 35, String(seen));
});

test("forwarder: who fails is left out, and asked again when it is due", async (t) => {
  const dead = await startUpstream(t, silence);
  const alive = await startUpstream(t, good);
  const forwarder = make([dead.address, alive.address], { waitMs: 30 });
  for (let i = 0; i < 6; i++) assert.equal((await ask(forwarder, `${i}.example`)).code, codes.noError);
  assert.ok(dead.asked.length <= 3, String(dead.asked));
  assert.equal(alive.asked.length, 6);
});

test("forwarder: when all are out, questions fail at once", async () => {
  // Nobody listens there: refused.
  const forwarder = make(["127.0.0.1:1"]);
  for (let i = 0; i < 5; i++)
    await assert.rejects(ask(forwarder, `${i}.example`), /ECONNREFUSED|all resolvers are out/);
  await assert.rejects(ask(forwarder, "late.example"), { code: "unavailable" });
});

test("forwarder: a server that won't is passed over for one that will", async (t) => {
  const unwilling = await startUpstream(t, answerWith([], { flags: codes.refused }));
  const willing = await startUpstream(t, good);
  assert.equal((await ask(make([unwilling.address, willing.address]), "example.org")).code, codes.noError);
  assert.equal((await ask(make([unwilling.address]), "example.org")).code, codes.refused);
});

test("forwarder: many who ask the same cost one question, the next ones none", async (t) => {
  const upstream = await startUpstream(t, good);
  const forwarder = make([upstream.address]);
  await Promise.all(Array.from({ length: 50 }, () => ask(forwarder, "example.org")));
  assert.equal(upstream.asked.length, 1);
  assert.ok(forwarder.cached(asked("EXAMPLE.org")));
  assert.equal(forwarder.cached(asked("example.org", "AAAA")), undefined);
});

test("forwarder: what is kept counts down, and no longer than allowed", async (t) => {
  const upstream = await startUpstream(
    t,
    answerWith([
      { ttl: 20, data: "192.0.2.1" },
      { ttl: 300, data: "192.0.2.2" },
    ]),
  );
  const question = asked("example.org");
  const response = await make([upstream.address]).ask(question);
  assert.equal(response.keepSeconds, 20);
  const later = decode(finish(response, question, { nowMs: response.ttls.bornMs + 15_500 }));
  assert.deepEqual(
    later.answers?.map((each) => "ttl" in each && each.ttl),
    [5, 285],
  );
  const none = make([upstream.address], { limits: { secondsMax: 0 } });
  await none.ask(question);
  assert.equal(none.cache.size, 0);
});

const soa = (ttl: number, minimum: number) => ({
  ...{ name: "example", type: "SOA" as const, ttl },
  data: { mname: "ns.example", rname: "x.example", serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
});
for (const [what, flags, authorities, seconds] of [
  ["the SOA's minimum", codes.nameError, [soa(60, 20)], 20],
  ["the SOA's own time", codes.noError, [soa(10, 20)], 10],
  ["nothing, without an SOA", codes.nameError, [], 0],
  ["nothing, when it failed", codes.serverFailure, [soa(60, 20)], 0],
] as const)
  test(`forwarder: a denial is kept for ${what}`, async (t) => {
    const upstream = await startUpstream(t, answerWith([], { flags, authorities }));
    assert.equal((await make([upstream.address]).ask(asked("none.example"))).keepSeconds, seconds);
  });

test("forwarder: what is kept has bounds in number and bytes", async (t) => {
  const upstream = await startUpstream(t, good);
  for (const limits of [{ entriesMax: 5 }, { bytesMax: 250 }]) {
    const forwarder = make([upstream.address], { limits });
    for (let i = 0; i < 12; i++) await ask(forwarder, `${i}.example`);
    assert.ok(forwarder.cache.size <= 5 && forwarder.cache.size > 2, String(forwarder.cache.size));
    assert.ok(forwarder.cached(asked("11.example")));
  }
});

test("forwarder: more questions than allowed are refused", async (t) => {
  const upstream = await startUpstream(t, silence);
  const forwarder = make([upstream.address], { waitMs: 50 });
  const all = Array.from({ length: 1100 }, (_, i) => ask(forwarder, `${i}.example`).catch(forwarder.codeOf));
  assert.equal((await Promise.all(all)).filter((code) => code === codes.refused).length, 100);
});

test("stub domains: the longest one's servers are asked, also inside of the cluster's domain", async (t) => {
  const [plain, corp, deep, inner] = await Promise.all(
    ["1", "2", "3", "4"].map((last) => startUpstream(t, answerWith([{ data: `192.0.2.${last}` }]))),
  );
  assert.ok(plain && corp && deep && inner);
  const stubs = {
    ...{ "corp.example": [corp.address], "Deep.Corp.Example.": [deep.address] },
    ...{ "consul.cluster.local": [inner.address] },
  };
  const forwarder = make({ servers: [plain.address], stubs }, { domains: ["cluster.local"] });
  for (const [name, last] of [
    ["example.org", "1"],
    ["notcorp.example", "1"],
    ["corp.example", "2"],
    ["a.CORP.example", "2"],
    ["a.deep.corp.example", "3"],
    ["a.consul.cluster.local", "4"],
  ] as const)
    assert.deepEqual(dataOf((await ask(forwarder, name)).answers), [`192.0.2.${last}`], name);
  assert.deepEqual(["a.consul.cluster.local", "consul.cluster.local"].map(forwarder.hasStub), [true, true]);
  assert.deepEqual(["web.ns.svc.cluster.local", "a.corp.example"].map(forwarder.hasStub), [false, false]);
});

test("forwarder: other settings forget what was kept", async (t) => {
  const [first, second] = await Promise.all(
    ["1", "2"].map((last) => startUpstream(t, answerWith([{ data: `192.0.2.${last}` }]))),
  );
  assert.ok(first && second);
  const forwarder = make([first.address]);
  await ask(forwarder, "example.org");
  forwarder.configure({ servers: [first.address] });
  assert.equal(forwarder.cache.size, 1);
  forwarder.configure({ servers: [second.address] });
  assert.equal(forwarder.cache.size, 0);
  assert.deepEqual(dataOf((await ask(forwarder, "example.org")).answers), ["192.0.2.2"]);
});

/** A server of ours that forwards to itself, through `hops` others. */
async function startLoop(t: TestContext) {
  const errors: string[] = [];
  const log = { ...silentLogger, error: (message: string) => void errors.push(message) };
  let forwarded = 0;
  const relay = createSocket("udp4");
  await new Promise<void>((ready) => relay.bind(0, "127.0.0.1", ready));
  const forwarder = make([`127.0.0.1:${relay.address().port}`], { log });
  const zone = {
    ...{
      service: () => undefined,
      endpoints: () => [],
      serviceByAddress: () => undefined,
      endpointsByAddress: () => [],
    },
    ...{ hasNamespace: () => false, serial: () => 1, ownAddresses: [] },
  };
  const live = { zone, onChange: () => () => undefined, hasSynced: () => true };
  const answerer = createAnswerer({ live, domains: ["cluster.local"], forwarder, log });
  const server = await startDnsServer({ addresses: ["127.0.0.1"], port: 0, answerer, log });
  const back = createSocket("udp4");
  relay.on("message", (raw) => {
    forwarded++;
    back.send(raw, server.port, "127.0.0.1");
  });
  t.after(async () => {
    await new Promise<void>((done) => relay.close(done));
    await new Promise<void>((done) => back.close(done));
    await server.close();
  });
  return { port: server.port, errors, forwarded: () => forwarded };
}

test("loops: a question that comes back is answered SERVFAIL after one round, and said once", async (t) => {
  const loop = await startLoop(t);
  for (let i = 0; i < 10; i++)
    assert.equal(decode(await overUdp(loop.port, query(`${i}.example`))).code, codes.serverFailure);
  assert.equal(loop.errors.length, 1);
  assert.match(loop.errors[0] ?? "", /loop/);
  assert.ok(loop.forwarded() <= 4, String(loop.forwarded()));
});

test("loops: our own address is no resolver", async () => {
  const errors: string[] = [];
  const log = { ...silentLogger, error: (message: string) => void errors.push(message) };
  const forwarder = make(["127.0.0.1:5353"], { log, own: [{ host: "127.0.0.1", port: 5353 }] });
  assert.equal(errors.length, 1);
  await assert.rejects(ask(forwarder, "example.org"), { code: "unavailable" });
});

test("responses: whatever comes is read, or refused, and what is read can be given on", async () => {
  const question = asked("www.example.org");
  const end = question.end;
  const sample = (answers: object[]) =>
    answerWith(answers, { additionals: [{ type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options: [] }] })({
      ...{ id: 7, name: "www.example.org", type: "A", udp: true, raw: question.raw },
    })[0] as Buffer; // it says one
  const cname = { type: "CNAME" as const, data: "web.example.org" };
  const forwarder = make([]);
  const head = await answerWith([{ ...cname, ttl: 5 }])({
    id: 0,
    name: "out",
    type: "A",
    udp: true,
    raw: question.raw,
  })[0];
  assert.ok(head);
  await fuzz({
    name: "dns responses",
    samples: [sample([{ data: "192.0.2.1" }]), sample([cname, { name: "web.example.org", data: "192.0.2.1" }])],
    runs: 3000,
    run(input) {
      const response = readResponse(input, { packet: question.raw, end }, 0);
      if (typeof response === "string") return;
      assert.equal(finish(response, question, { nowMs: 5000 }).readUInt16BE(0), 7);
      const joined = forwarder.join({ bytes: head, ends: [21, head.length], turnBytes: 0 }, response);
      assert.ok(joined.bytes.length >= head.length);
    },
  });
});

test("resolvers: addresses of a resolv.conf without our own", () => {
  const text = "search x\nnameserver 1.2.3.4\n# nameserver 9.9.9.9\nnameserver 10.0.0.1\n";
  assert.deepEqual(parseResolvers(text, ["10.0.0.1"]), ["1.2.3.4"]);
});

test("resolvers: how servers are written", () => {
  for (const [text, host, port] of [
    ["10.0.0.1", "10.0.0.1", 53],
    ["10.0.0.1:5353", "10.0.0.1", 5353],
    ["fd00::1", "fd00::1", 53],
    ["[fd00::1]:5353", "fd00::1", 5353],
  ] as const) {
    assert.deepEqual(parseServer(text), { host, port });
    assert.deepEqual(parseServer(printServer({ host, port })), { host, port });
  }
  for (const wrong of ["", "x", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:70000", "fd00::1:x", "[10.0.0.1]:53", "a.b:53"])
    assert.equal(parseServer(wrong), undefined, wrong);
});

test("stub domains: flags and the ConfigMap of kube-dns", () => {
  assert.deepEqual(parseStubs(["corp=10.0.0.1", "corp=10.0.0.2:54"]), { corp: ["10.0.0.1", "10.0.0.2:54"] });
  assert.throws(() => parseStubs(["corp"]), /DOMAIN=IP/);
  const base = { servers: ["10.0.0.9"], stubs: { a: ["10.0.0.1"] } };
  const data = { upstreamNameservers: '["10.0.0.8"]', stubDomains: '{"b": ["10.0.0.2"]}' };
  assert.deepEqual(withConfigMap(base, data, silentLogger), {
    servers: ["10.0.0.8"],
    stubs: { a: ["10.0.0.1"], b: ["10.0.0.2"] },
  });
  const brokens: (Record<string, string> | undefined)[] = [
    undefined,
    { stubDomains: "{" },
    { upstreamNameservers: '{"a": 1}' },
    { stubDomains: '["a"]' },
  ];
  for (const broken of brokens) assert.deepEqual(withConfigMap(base, broken, silentLogger), base);
});
