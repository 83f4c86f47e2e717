import assert from "node:assert/strict";
import { test } from "node:test";
import type { Namespace, NetworkPolicy, NetworkPolicySpec, Pod } from "#api";
import { createRandom } from "#testing";
import {
  addressOf,
  casePod,
  casePolicy,
  cases,
  expected,
  namespaceLabels,
  namespaces,
  podKeys,
} from "../test-cases.ts";
import { createTestNft } from "../test-nft.ts";
import { isAllowed, type World } from "../test-oracle.ts";
import { podFacts } from "./pod-facts.ts";
import { createPolicyTable, type PolicyTable } from "./policy-table.ts";

const options = { families: ["IPv4"], bridge: "br0" } as const;
const addPod = (table: PolicyTable, pod: Pod) => {
  const facts = podFacts(pod, "n1");
  if (facts) table.setPod(facts);
  else table.removePod(`${pod.metadata.namespace}/${pod.metadata.name}`);
};

for (const { name, steps } of cases)
  test(`network policy: ${name}`, () => {
    const table = createPolicyTable(options);
    const nft = createTestNft();
    const world = {
      policies: new Map<string, NetworkPolicy>(),
      namespaces: new Map<string, Namespace>(),
      pods: new Map(podKeys.map((key) => [key, casePod(key)])),
    };
    for (const each of namespaces)
      world.namespaces.set(each, { metadata: { name: each, labels: namespaceLabels(each) } });
    for (const { metadata } of world.namespaces.values())
      table.setNamespace(metadata.name ?? "", metadata.labels ?? {});
    for (const pod of world.pods.values()) addPod(table, pod);
    for (const { policies = {}, labels = {}, looks } of steps) {
      for (const [key, spec] of Object.entries(policies)) {
        if (!spec) {
          table.removePolicy(key);
          world.policies.delete(key);
          continue;
        }
        table.setPolicy(casePolicy(key, spec));
        world.policies.set(key, casePolicy(key, spec));
      }
      for (const [key, more] of Object.entries(labels))
        if (key.includes("/")) {
          world.pods.set(key, casePod(key, more));
          addPod(table, casePod(key, more));
        } else {
          world.namespaces.set(key, { metadata: { name: key, labels: { ...namespaceLabels(key), ...more } } });
          table.setNamespace(key, { ...namespaceLabels(key), ...more });
        }
      nft.apply(table.take());
      const now = {
        policies: [...world.policies.values()],
        namespaces: [...world.namespaces.values()],
        pods: [...world.pods.values()],
      };
      for (const look of looks)
        for (const from of podKeys)
          for (const to of podKeys) {
            const [port, protocol = ""] = look.port.split(" ");
            const packet = {
              hook: "forward" as const,
              from: addressOf(from),
              to: addressOf(to),
              protocol: protocol.toLowerCase(),
              port: Number(port),
            };
            const what = `${from} > ${to}:${look.port}`;
            assert.equal(nft.judge(packet), expected(look, from, to), what);
            assert.equal(isAllowed(now, packet, "n1"), expected(look, from, to), `${what}, by the oracle`);
          }
    }
  });

test("network policy: whatever happens in whatever order, packets fare as the definition says, and the table is as if made anew", () => {
  const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const runs = Number(process.env.FUZZ_RUNS ?? 20);
  for (let run = 0; run < runs; run++) {
    try {
      randomLife(seed + run);
    } catch (error) {
      throw new Error(`FUZZ_SEED=${seed + run} FUZZ_RUNS=1`, { cause: error });
    }
  }
});

function randomLife(seed: number): void {
  const { below, pick } = createRandom(seed);
  const maybe = <T>(value: () => T): T | undefined => (below(2) ? value() : undefined);
  const some = <T>(most: number, value: () => T): T[] => Array.from({ length: below(most + 1) }, value);
  const spaces = ["n0", "n1", "n2"];
  const addresses = Array.from({ length: 8 }, (_, at) => [`10.244.${at % 3}.${at + 2}`, `fd00::${at + 2}`]);
  const labels = () => Object.fromEntries(some(2, () => [pick(["a", "b"]), pick(["1", "2"])]));
  const selector = () =>
    pick([
      () => ({}),
      () => ({ matchLabels: labels() }),
      () => ({ matchExpressions: [{ key: pick(["a", "b"]), operator: pick(["Exists", "DoesNotExist"]) }] }),
      () => ({
        matchExpressions: [{ key: pick(["a", "b"]), operator: pick(["In", "NotIn"]), values: [pick(["1", "2"])] }],
      }),
    ])();
  const block = () => {
    const bits = 22 + below(11);
    const except = some(2, () => `10.244.${below(3)}.${below(8)}/${bits + below(33 - bits)}`);
    return pick([
      { cidr: `10.244.${below(3)}.${below(8)}/${bits}`, except },
      { cidr: pick(["0.0.0.0/0", "::/0", "fd00::/126", "fd00::4/127"]) },
    ]);
  };
  const peer = () =>
    pick([
      () => ({ ipBlock: block() }),
      () => ({ podSelector: selector() }),
      () => ({ namespaceSelector: selector() }),
      () => ({ namespaceSelector: selector(), podSelector: selector() }),
    ])();
  const ports = () =>
    some(3, () => {
      const port = pick([80, 81, "web", "web6", undefined]);
      const protocol = pick(["TCP", "UDP", "SCTP"]);
      return typeof port === "number" && below(2)
        ? { protocol, port, endPort: port + below(2) }
        : { protocol, ...(port !== undefined && { port }) };
    });
  const spec = (): NetworkPolicySpec => {
    const policyTypes = maybe(() => pick([["Ingress"], ["Egress"], ["Ingress", "Egress"]]));
    return {
      podSelector: selector(),
      ...(policyTypes && { policyTypes }),
      ingress: some(2, () => ({ from: some(2, peer), ports: ports() })),
      egress: some(2, () => ({ to: some(2, peer), ports: ports() })),
    };
  };
  const pod = (namespace: string, name: string, [v4 = "", v6 = ""]: readonly string[]): Pod => ({
    metadata: { namespace, name, uid: name, labels: labels() },
    spec: {
      nodeName: pick(["n1", "n1", "n2"]),
      hostNetwork: below(12) === 0,
      containers: [
        {
          name: "c",
          ports: some(2, () => ({
            name: pick(["web", "web6"]),
            containerPort: pick([80, 81]),
            protocol: pick(["TCP", "UDP"]),
          })),
        },
      ],
    },
    status: {
      phase: pick(["Running", "Running", "Running", "Failed"]),
      podIPs: pick([[v4], [v4, v6], [v6]]).map((ip) => ({ ip })),
    },
  });

  const dual = { families: ["IPv4", "IPv6"], bridge: "br0" } as const;
  const table = createPolicyTable(dual);
  const nft = createTestNft();
  const state = {
    policies: new Map<string, NetworkPolicy>(),
    namespaces: new Map<string, Namespace>(),
    pods: new Map<string, Pod>(),
  };
  const change = () => {
    const namespace = pick(spaces);
    const what = below(10);
    if (what === 0) {
      if (below(4) === 0) {
        state.namespaces.delete(namespace);
        table.removeNamespace(namespace);
        return;
      }
      const own = labels();
      state.namespaces.set(namespace, { metadata: { name: namespace, labels: own } });
      table.setNamespace(namespace, own);
    } else if (what < 5) {
      const key = `${namespace}/p${below(4)}`;
      if (below(3) === 0) {
        state.policies.delete(key);
        table.removePolicy(key);
      } else {
        const policy = casePolicy(key, spec());
        state.policies.set(key, policy);
        table.setPolicy(policy);
      }
    } else {
      // Each address has one pod at most; it may pass from one to the next within a transaction.
      const own = pick(addresses);
      const at = addresses.indexOf(own);
      for (const [key, each] of state.pods) {
        if (each.metadata.name !== `pod${at}`) continue;
        state.pods.delete(key);
        table.removePod(key);
      }
      if (below(4) === 0) return;
      const made = pod(namespace, `pod${at}`, own);
      state.pods.set(`${namespace}/pod${at}`, made);
      addPod(table, made);
    }
  };
  for (const each of spaces) {
    state.namespaces.set(each, { metadata: { name: each, labels: {} } });
    table.setNamespace(each, {});
  }
  for (let round = 0; round < 25; round++) {
    for (let count = below(6); count >= 0; count--) change();
    if (below(15) === 0) table.forget();
    nft.apply(table.take());
    assert.equal(table.take(), "", "nothing is said twice");
    const world: World = {
      policies: [...state.policies.values()],
      namespaces: [...state.namespaces.values()],
      pods: [...state.pods.values()],
    };
    for (let count = 0; count < 60; count++) {
      const family = below(2);
      const any = () => (below(8) === 0 ? ["192.0.2.1", "2001:db8::1"][family] : pick(addresses)[family]) ?? "";
      const packet = {
        hook: "forward" as const,
        from: any(),
        to: any(),
        protocol: pick(["tcp", "udp", "sctp"]),
        port: pick([80, 81, 82]),
      };
      const context = JSON.stringify({ packet, world });
      assert.equal(nft.judge(packet), isAllowed(world, packet, "n1"), context);
      assert.ok(nft.judge({ ...packet, established: true }), "what is established goes on");
    }
  }
  const content = nft.content();
  table.forget();
  nft.apply(table.take());
  assert.deepEqual(nft.content(), content, "the same table");
}

test("network policy: of 1,000 policies and 1,000 pods a change touches what it is about", () => {
  const table = createPolicyTable(options);
  const nft = createTestNft();
  for (let at = 0; at < 50; at++) table.setNamespace(`n${at}`, { team: `t${at % 5}` });
  const pod = (at: number, labels: Record<string, string> = {}) =>
    casePod(`n${at % 50}/p${at}`, { app: `a${at % 100}`, ...labels }, `10.244.${at >> 8}.${at & 255}`);
  const policy = (at: number, port: number) =>
    casePolicy(`n${at % 50}/p${at}`, {
      podSelector: { matchLabels: { app: `a${at % 100}` } },
      policyTypes: ["Ingress"],
      ingress: [
        {
          from: [
            { podSelector: { matchLabels: { app: `a${(at + 50) % 100}`, track: `t${at % 7}` } } },
            { namespaceSelector: { matchLabels: { team: "t1" } } },
          ],
          ports: [{ port }],
        },
      ],
    });
  for (let at = 0; at < 1000; at++) addPod(table, pod(at));
  for (let at = 0; at < 1000; at++) table.setPolicy(policy(at, 80));
  const count = () => nft.apply(table.take());
  const whole = count();
  assert.ok(whole < 8000, `${whole} lines for all`);
  const changes: [what: string, lines: number, change: () => void][] = [
    ["nothing that policies look at", 0, () => addPod(table, pod(3))],
    ["a label no policy asks for", 0, () => addPod(table, pod(3, { other: "label" }))],
    ["a label of a peer: one element", 1, () => addPod(table, pod(3, { track: "t1" }))],
    ["its rules: emptied, and the two filled in", 3, () => table.setPolicy(policy(7, 81))],
    ["a pod that is gone: its elements", 2, () => table.removePod("n4/p4")],
    ["a pod that appears: its elements", 2, () => addPod(table, pod(4))],
    ["the label of a namespace: its pods in one set", 1, () => table.setNamespace("n7", { team: "t1" })],
    ["a policy that is gone: its pods have a chain with nine others", 17, () => table.removePolicy("n8/p8")],
  ];
  for (const [what, lines, change] of changes) {
    change();
    assert.equal(count(), lines, what);
  }
});
