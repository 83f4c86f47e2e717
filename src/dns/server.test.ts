import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { type TestContext, test } from "node:test";
import type { Service } from "#api";
import { silentLogger } from "#base";
import { fuzz } from "#testing";
import packet from "dns-packet";
import { type Answerer, createAnswerer } from "./answers.ts";
import { createForwarder } from "./forward/forwarder.ts";
import { startDnsServer } from "./server.ts";
import { answerWith, dataOf, decode, overTcp, overUdp, query, startUpstream } from "./test-upstream.ts";
import { codes } from "./wire.ts";
import { dashed, type Zone } from "./zone.ts";

const many = Array.from({ length: 100 }, (_, index) => `10.1.0.${index + 1}`);
const web: Service = {
  metadata: { name: "web", namespace: "ns" },
  spec: { clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7"] },
};
const services = new Map<string, Service>([
  ["web", web],
  ["many", { metadata: { name: "many", namespace: "ns" }, spec: { clusterIP: "None" } }],
  ["out", { metadata: { name: "out", namespace: "ns" }, spec: { type: "ExternalName", externalName: "example.org" } }],
]);
const ports = [{ name: "http", port: 80, protocol: "TCP" }];
const zone: Zone = {
  service: (_namespace, name) => services.get(name),
  endpoints: () => many.map((address) => ({ address, hostname: dashed(address), ports })),
  ...{ serviceByAddress: () => undefined, endpointsByAddress: () => [], hasNamespace: () => true },
  ...{ serial: () => 7, ownAddresses: ["127.0.0.1"] },
};
const d = "ns.svc.cluster.local";

function answererOf(t: TestContext, { servers = [] as string[], hasSynced = true } = {}) {
  const listeners = new Set<(owner: string) => void>();
  const live = {
    ...{ zone, hasSynced: () => hasSynced },
    onChange: (listener: (owner: string) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const forwarder = createForwarder({ servers }, { log: silentLogger, waitMs: 500 });
  const answerer = createAnswerer({ live, domains: ["cluster.local"], forwarder, log: silentLogger });
  t.after(() => answerer.close());
  return { answerer, changed: (owner: string) => listeners.forEach((listener) => void listener(owner)) };
}

async function serve(t: TestContext, servers: string[] = []) {
  const { answerer } = answererOf(t, { servers });
  const server = await startDnsServer({ addresses: ["127.0.0.1"], port: 0, answerer, log: silentLogger });
  t.after(() => server.close());
  return server.port;
}

const now = (answerer: Answerer, message: Buffer, udp = true): Buffer => {
  const answer = answerer.answer(message, udp);
  assert.ok(Buffer.isBuffer(answer));
  return answer;
};

test("dns server: answers with authority, by UDP and TCP", async (t) => {
  const port = await serve(t);
  const asked = query(`web.${d}`);
  for (const raw of [await overUdp(port, asked), ...(await overTcp(port, [asked]))]) {
    const answer = decode(raw);
    assert.equal(answer.code, codes.noError);
    assert.deepEqual([answer.flag_aa, answer.flag_ra, answer.flag_rd, answer.flag_tc], [true, true, true, false]);
    assert.deepEqual(dataOf(answer.answers), ["10.96.0.7"]);
  }
});

test("dns server: several addresses, of both families", async (t) => {
  const { answerer } = answererOf(t);
  const log = silentLogger;
  const server = await startDnsServer({ addresses: ["127.0.0.1", "::1"], port: 0, answerer, log });
  t.after(() => server.close());
  const socket = createSocket("udp6");
  t.after(() => socket.close());
  const answer = new Promise<Buffer>((resolve) => socket.once("message", resolve));
  socket.send(query(`web.${d}`), server.port, "::1");
  assert.deepEqual(dataOf(decode(await answer).answers), ["10.96.0.7"]);
});

test("answers: the question's case comes back, known or not", (t) => {
  const { answerer } = answererOf(t);
  for (const name of [`web.${d}`, `WeB.${d}`, `NONE.${d}`, `nOnE.${d}`]) {
    const answer = decode(now(answerer, query(name)));
    assert.equal(answer.questions?.[0]?.name, name);
    for (const { name: owner } of answer.answers ?? []) assert.equal(owner, name);
  }
});

test("answers: what isn't there carries the zone's SOA", (t) => {
  const { answerer } = answererOf(t);
  for (const [name, type, code] of [
    [`none.${d}`, "A", codes.nameError],
    [`web.${d}`, "MX", codes.noError],
  ] as const) {
    const answer = decode(now(answerer, query(name, type)));
    assert.equal(answer.code, code);
    assert.equal(answer.authorities?.[0]?.name, "cluster.local");
    const [{ minimum, mname }] = dataOf(answer.authorities) as [{ minimum: number; mname: string }]; // an SOA's
    assert.deepEqual([minimum, mname], [5, "ns.dns.cluster.local"]);
  }
});

test("answers: a changed Service is told of at once, short or long", (t) => {
  const { answerer, changed } = answererOf(t);
  const all = [...many];
  t.after(() => {
    services.set("web", web);
    many.splice(0, many.length, ...all);
  });
  const count = (name: string) => decode(now(answerer, query(`${name}.${d}`), false)).answers?.length;
  assert.deepEqual([count("web"), count("many")], [1, 100]);
  many.pop();
  services.delete("web");
  changed("ns/web");
  // Long answers are kept until their Service changes.
  assert.deepEqual([count("web"), count("many")], [0, 100]);
  changed("ns/many");
  assert.equal(count("many"), 99);
});

test("answers: before everything was listed, nothing is said not to exist", (t) => {
  const { answerer } = answererOf(t, { hasSynced: false });
  assert.equal(decode(now(answerer, query(`none.${d}`))).code, codes.serverFailure);
  assert.equal(decode(now(answerer, query(`web.${d}`))).code, codes.noError);
});

test("answers: addresses take turns", (t) => {
  const { answerer } = answererOf(t);
  const asked = query(`many.${d}`);
  const orders = Array.from({ length: many.length }, () => dataOf(decode(now(answerer, asked, false)).answers));
  assert.equal(new Set(orders.map(([first]) => first)).size, many.length);
  for (const order of orders) assert.deepEqual(new Set(order), new Set(many));
});

const edns = (more: object = {}) => ({
  additionals: [
    {
      ...{ type: "OPT" as const, name: ".", udpPayloadSize: 4096, extendedRcode: 0, ednsVersion: 0, flags: 0 },
      ...{ flag_do: false, options: [], ...more },
    },
  ],
});

test("answers: what doesn't fit UDP is cut and says so, TCP has all", (t) => {
  const { answerer } = answererOf(t);
  for (const [more, bytesMax] of [
    [{}, 512],
    [edns(), 1232],
    [edns({ udpPayloadSize: 700 }), 700],
    [edns({ udpPayloadSize: 1 }), 512],
  ] as const)
    for (const type of ["A", "SRV"]) {
      const asked = query(`many.${d}`, type, more);
      const raw = now(answerer, asked);
      const answer = decode(raw);
      assert.ok(raw.length <= bytesMax && raw.length > bytesMax - 100, `${raw.length} of ${bytesMax}`);
      assert.equal(answer.flag_tc, true);
      assert.equal(
        answer.additionals?.filter(({ type: each }) => each === "OPT").length,
        "additionals" in more ? 1 : 0,
      );
      const whole = decode(now(answerer, asked, false));
      assert.equal(whole.flag_tc, false);
      assert.equal(whole.answers?.length, many.length);
    }
});

test("answers: what only helps is left out without a word", (t) => {
  const { answerer, changed } = answererOf(t);
  const all = many.splice(12);
  t.after(() => {
    many.push(...all);
    changed("ns/many");
  });
  const answer = decode(now(answerer, query(`many.${d}`, "SRV", edns())));
  assert.deepEqual([answer.answers?.length, answer.flag_tc], [12, false]);
});

test("answers: EDNS comes back, with DO, and later versions are refused", (t) => {
  const { answerer } = answererOf(t);
  const optOf = (more: object) => packet.decode(now(answerer, query(`web.${d}`, "A", edns(more)))).additionals?.[0];
  const plain = optOf({});
  assert.ok(plain?.type === "OPT" && plain.udpPayloadSize === 1232 && !plain.flag_do);
  const signed = optOf({ flags: 0x8000 });
  assert.ok(signed?.type === "OPT" && signed.flag_do);
  const later = optOf({ ednsVersion: 1 });
  assert.ok(later?.type === "OPT" && later.extendedRcode === codes.badVersion >> 4 && later.ednsVersion === 0);
});

for (const [what, message, code] of [
  ["another opcode", query(`web.${d}`, "A", { flags: 2 << 11 }), codes.notImplemented],
  [
    "two questions",
    query("", "A", {
      questions: [
        { name: "a", type: "A" },
        { name: "b", type: "A" },
      ],
    }),
    codes.formatError,
  ],
  ["no question", query("", "A", { questions: [] }), codes.formatError],
  ["another class", query("", "A", { questions: [{ name: `web.${d}`, type: "A", class: "CH" }] }), codes.refused],
  ["a transfer", query("cluster.local", "AXFR"), codes.refused],
  ["half a question", query(`web.${d}`).subarray(0, 20), codes.formatError],
  ["a pointer to itself", Buffer.from("000701000001000000000000c00c00010001", "hex"), codes.formatError],
  ["a label of 64 bytes", Buffer.concat([query("").subarray(0, 12), Buffer.alloc(90, 64)]), codes.formatError],
] as const)
  test(`answers: ${what} is refused, in no more bytes than it has`, (t) => {
    const { answerer } = answererOf(t);
    const answer = now(answerer, message);
    assert.equal(answer[3]! & 0xf, code); // a header
    assert.ok(answer.length <= message.length);
  });

test("answers: to answers, and to what is no header, nothing is said", (t) => {
  const { answerer } = answererOf(t);
  for (const message of [Buffer.alloc(0), Buffer.alloc(11), query(`web.${d}`, "A", { type: "response" })])
    assert.equal(answerer.answer(message, true), undefined);
});

test("answers: ANY is no larger than a denial", (t) => {
  const { answerer } = answererOf(t);
  assert.ok(now(answerer, query(`many.${d}`, "ANY", edns())).length < 150);
});

test("answers: whatever comes, what goes is a sound answer or nothing", async (t) => {
  const { answerer } = answererOf(t);
  await fuzz({
    name: "dns questions",
    samples: [query(`web.${d}`), query(`many.${d}`, "SRV", edns()), query("7.0.96.10.in-addr.arpa", "PTR"), query("x")],
    runs: 3000,
    async run(input, random) {
      const answer = await answerer.answer(input, random.below(2) === 0);
      if (!answer) return;
      const { id, type } = packet.decode(answer);
      assert.deepEqual([id, type], [input.readUInt16BE(0), "response"]);
      const code = answer[3]! & 0xf; // a header
      // Cut-off questions get a header; others are given back with OPT.
      if (code === codes.formatError) assert.ok(answer.length <= Math.max(input.length, 12));
      assert.ok(answer.length <= 65535);
    },
  });
});

test("dns server: questions on one connection are answered as they get ready", async (t) => {
  const upstream = await startUpstream(t, answerWith([{ data: "192.0.2.1" }]));
  const port = await serve(t, [upstream.address]);
  const asked = [
    query("slow.example", "A", { id: 1 }),
    query(`web.${d}`, "A", { id: 2 }),
    query(`none.${d}`, "A", { id: 3 }),
  ];
  const ids = (await overTcp(port, asked)).map((raw) => raw.readUInt16BE(0));
  assert.deepEqual(ids, [2, 3, 1]);
});

test("dns server: foreign names and targets of CNAMEs are asked upstream, once", async (t) => {
  const upstream = await startUpstream(t, answerWith([{ data: "192.0.2.1" }]));
  const port = await serve(t, [upstream.address]);
  for (let round = 0; round < 2; round++) {
    const foreign = decode(await overUdp(port, query("Example.Org")));
    assert.deepEqual(dataOf(foreign.answers), ["192.0.2.1"]);
    assert.deepEqual([foreign.questions?.[0]?.name, foreign.flag_aa], ["Example.Org", false]);
  }
  const followed = decode(await overUdp(port, query(`out.${d}`)));
  assert.deepEqual(dataOf(followed.answers), ["example.org", "192.0.2.1"]);
  assert.deepEqual(
    followed.answers?.map(({ name }) => name),
    [`out.${d}`, "example.org"],
  );
});

test("dns server: a target that isn't there is told with its CNAME", async (t) => {
  const soa = { mname: "ns.example", rname: "x.example", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 20 };
  const authorities = [{ name: "example.org", type: "SOA", ttl: 60, data: soa }];
  const upstream = await startUpstream(t, answerWith([], { flags: codes.nameError, authorities }));
  const port = await serve(t, [upstream.address]);
  const answer = decode(await overUdp(port, query(`out.${d}`)));
  assert.equal(answer.code, codes.nameError);
  assert.deepEqual(dataOf(answer.answers), ["example.org"]);
  assert.equal(answer.authorities?.[0]?.name, "example.org");
});

test("dns server: without a resolver foreign names fail at once, a CNAME says as much as is known", async (t) => {
  const port = await serve(t);
  assert.equal(decode(await overUdp(port, query("example.org"))).code, codes.serverFailure);
  const alone = decode(await overUdp(port, query(`out.${d}`)));
  assert.deepEqual([alone.code, ...dataOf(alone.answers)], [codes.serverFailure, "example.org"]);
  const only = decode(await overUdp(port, query(`out.${d}`, "CNAME")));
  assert.deepEqual([only.code, ...dataOf(only.answers)], [codes.noError, "example.org"]);
});
