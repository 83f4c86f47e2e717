/** Random changes, one transaction each, leave in the kernel what a table made from scratch has. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import type { EndpointSlice, Pod, Service } from "#api";
import { createNft } from "#base";
import { insideNamespace, runInNamespace, whyNoNamespaces } from "#testing";
import { contextOf } from "../core/context.ts";
import { fragmentOf } from "../core/fragment.ts";
import { hostPorts } from "../core/host-port.ts";
import { servicePorts } from "../core/service-port.ts";
import { proxySettings } from "../settings.ts";
import { type Change, createCommitter } from "./committer.ts";

const rounds = 6;
const stepsPerRound = 25;
const place = { nodeName: "n1", zone: "a" };
const facts = { ...place, addresses: ["192.0.2.1", "fd00::1"], podCidrs: [], serviceCidrs: ["10.96.0.0/16"] };
const detectLocal = { ...proxySettings().detectLocal, clusterCidrs: ["10.244.0.0/16"] };
const settings = proxySettings({ detectLocal });
const contexts = { IPv4: contextOf("IPv4", settings, facts), IPv6: contextOf("IPv6", settings, facts) };

/** xorshift: the same numbers for the same seed. */
function createRandom(seed: number) {
  let state = seed | 1;
  const below = (limit: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
  const one = <T>(...from: T[]): T => from[below(from.length)] as T; // never empty
  return { below, one, some: <T>(...from: T[]) => from.filter(() => below(2) === 0) };
}

type Random = ReturnType<typeof createRandom>;

function randomService({ below, one, some }: Random, index: number): Service {
  const vips = one([`10.96.0.${index}`], [`10.96.0.${index}`, `fd00:96::${index}`], [`fd00:96::${index}`]);
  const type = one("ClusterIP", "NodePort", "LoadBalancer");
  const ports = some("tcp", "udp", "sctp").map((name, at) => ({
    ...{ name, port: 80 + at, protocol: name.toUpperCase() },
    // Two services may come to share one, and external addresses too.
    ...(type !== "ClusterIP" && { nodePort: 30_000 + below(12) }),
  }));
  const affinity = one(0, 0, 60, 3600);
  return {
    metadata: { name: `s${index}`, namespace: "ns", creationTimestamp: `2026-01-0${1 + below(3)}T00:00:00Z` },
    spec: {
      ...{ type, ports, clusterIP: vips[0] ?? "", clusterIPs: vips },
      externalIPs: some("198.51.100.1", "198.51.100.2", "2001:db8::1"),
      internalTrafficPolicy: one("Cluster", "Cluster", "Local"),
      externalTrafficPolicy: one("Cluster", "Local"),
      loadBalancerSourceRanges: some("192.0.2.0/24", "192.0.0.0/16", "2001:db8::/64"),
      ...(affinity > 0 && {
        sessionAffinity: "ClientIP",
        sessionAffinityConfig: { clientIP: { timeoutSeconds: affinity } },
      }),
    },
    status: { loadBalancer: { ingress: some({ ip: "203.0.113.1" }, { ip: "203.0.113.2" }, { ip: "2001:db8::2" }) } },
  };
}

function randomSlice({ below, one, some }: Random, index: number, addressType: "IPv4" | "IPv6"): EndpointSlice {
  const address = (at: number) => (addressType === "IPv4" ? `10.244.0.${at}` : `fd00:244::${at}`);
  return {
    metadata: { name: `s${index}-${addressType}`, namespace: "ns" },
    addressType,
    ports: some("tcp", "udp", "sctp", "tcp").map((name) => ({ name, port: 8080, protocol: name.toUpperCase() })),
    endpoints: some(1, 2, 3, 4).map((at) => ({
      addresses: [address(at)],
      nodeName: one("n1", "n2"),
      conditions: { ready: below(4) > 0, serving: below(4) > 0, terminating: below(3) === 0 },
      hints: { forZones: some("a", "b").map((name) => ({ name })) },
    })),
  };
}

const randomPod = ({ one, some, below }: Random, index: number): Pod => ({
  metadata: { name: `p${index}`, namespace: "ns" },
  spec: {
    containers: [
      {
        name: "c",
        ports: some("TCP", "UDP").map((protocol) => ({
          ...{ protocol, containerPort: 8080, hostPort: 9000 + below(2), hostIP: one("", "127.0.0.1", "198.51.100.1") },
        })),
      },
    ],
  },
  status: { podIP: `10.244.0.${index}`, podIPs: [{ ip: `10.244.0.${index}` }, { ip: `fd00:244::${index}` }] },
});

function randomChange(random: Random): Change {
  const index = 1 + random.below(6);
  const isGone = random.below(4) === 0;
  if (random.below(5) === 0) {
    const ports = isGone ? [] : hostPorts(randomPod(random, index));
    return changeOf(`pod:ns/p${index}`, "2026-01-02T00:00:00Z", ports);
  }
  const service = randomService(random, index);
  const slices = [randomSlice(random, index, "IPv4"), randomSlice(random, index, "IPv6")];
  const ports = isGone ? [] : servicePorts(service, slices, place);
  return changeOf(`ns/s${index}`, String(service.metadata.creationTimestamp), ports);
}
const changeOf = (name: string, rank: string, ports: Parameters<typeof fragmentOf>[0]): Change => ({
  owner: { name, rank },
  fragments: { IPv4: fragmentOf(ports, contexts.IPv4), IPv6: fragmentOf(ports, contexts.IPv6) },
});

interface Listed {
  chain?: { family: string; name: string };
  rule?: { family: string; chain: string; expr: unknown };
  set?: { family: string; name: string; elem?: unknown[] };
  map?: { family: string; name: string; elem?: unknown[] };
}

/** Both tables as text to compare: names, rules in their order, elements in any. */
function listed(): Map<string, string> {
  const { nftables } = JSON.parse(execFileSync("nft", ["-j", "list", "ruleset"], { encoding: "utf8" })) as {
    nftables: Listed[];
  };
  const all = new Map<string, string>();
  for (const { chain, rule, set, map } of nftables) {
    if (chain) all.set(`chain ${chain.family} ${chain.name}`, "");
    if (rule) {
      const key = `chain ${rule.family} ${rule.chain}`;
      all.set(key, `${all.get(key)}${JSON.stringify(rule.expr)}\n`);
    }
    const named = set ?? map;
    if (named) {
      const { elem = [], ...rest } = named;
      const elements = elem.map((each) => JSON.stringify(each)).sort();
      all.set(`set ${named.family} ${named.name}`, JSON.stringify([{ ...rest, handle: 0 }, elements]));
    }
  }
  return all;
}

const isUnusedShape = (name: string) => /^chain ip6? (tcp|udp|sctp)-(port-)?(spread|masquerade|local)-\d/.test(name);

if (!insideNamespace)
  test("random: in a namespace", { skip: whyNoNamespaces() ?? false }, () => runInNamespace(import.meta.filename));
else
  test(`random: ${rounds} rounds of ${stepsPerRound} transactions each`, async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
    const random = createRandom(seed);
    for (let round = 0; round < rounds; round++) {
      const committer = createCommitter(createNft());
      const last = new Map<string, Change>();
      for (let step = 0; step < stepsPerRound; step++) {
        const changes = new Map(
          Array.from({ length: 1 + random.below(3) }, () => randomChange(random)).map((each) => [
            each.owner.name,
            each,
          ]),
        );
        for (const [name, each] of changes) last.set(name, each);
        const { refused, error } = await committer.commit([...changes.values()], contexts);
        assert.deepEqual([refused, error], [[], undefined], `seed ${seed}`);
        if (random.below(5) === 0) await committer.clean();
      }
      await createNft("nft", ["-c"])(committer.probe(contexts));
      await committer.clean();
      const grown = listed();
      const hadIpv6 = [...grown.keys()].some((name) => name.startsWith("chain ip6"));
      const scratch = createCommitter(createNft());
      await scratch.commit(random.below(2) === 0 ? [...last.values()] : [...last.values()].reverse(), contexts);
      const fresh = listed();
      // Chains of numbers of endpoints stay; and a second family's table, once there is one.
      for (const name of grown.keys()) if (isUnusedShape(name) && !fresh.has(name)) grown.delete(name);
      if (hadIpv6 || fresh.size > 0)
        assert.deepEqual([...grown].sort(), [...fresh].sort(), `seed ${seed}, round ${round}`);
      execFileSync("nft", ["flush", "ruleset"]);
    }
  });
