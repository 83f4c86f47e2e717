/**
 * Network policies on one node, with real nftables in a network namespace of its own: what all of them cost at a start, and what one
 * change costs after that. Half of a cluster's pods are here, the others are peers only.
 *
 *     node bench/policies.ts [--policies 1000] [--pods 1000]
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import type { NetworkPolicySpec, Pod } from "#api";
import { createNft } from "#base";
import { podFacts } from "../src/network-policy/core/pod-facts.ts";
import { createPolicyTable } from "../src/network-policy/core/policy-table.ts";

const inside = "SAMPAN_BENCH_INSIDE";
const { values } = parseArgs({
  options: { policies: { type: "string", default: "1000" }, pods: { type: "string", default: "1000" } },
});
const [policies, pods] = [Number(values.policies), Number(values.pods)];
const namespaces = 50;
const rounds = 15;

if (process.env[inside]) await measure();
else {
  const [node, ...rest] = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  execFileSync("unshare", ["--net", node, ...rest], { env: { ...process.env, [inside]: "1" }, stdio: "inherit" });
}

function podAt(at: number, labels: Record<string, string> = {}): Pod {
  return {
    metadata: {
      namespace: `n${at % namespaces}`,
      name: `p${at}`,
      uid: `${at}`,
      labels: { app: `a${at % 100}`, track: `t${at % 7}`, ...labels },
    },
    spec: {
      nodeName: at % 2 ? "here" : "there",
      containers: [{ name: "c", ports: [{ name: "http", containerPort: 8080 }] }],
    },
    status: { phase: "Running", podIPs: [{ ip: `10.244.${at >> 8}.${at & 255}` }] },
  };
}

/** Pods of an application let in their neighbours, a team, and a block; and reach DNS and their peers. */
function policyAt(at: number, port = 8080) {
  const peers = [
    { podSelector: { matchLabels: { app: `a${(at + 50) % 100}`, track: `t${at % 7}` } } },
    { namespaceSelector: { matchLabels: { team: `t${at % 5}` } } },
  ];
  const spec: NetworkPolicySpec = {
    podSelector: { matchLabels: { app: `a${at % 100}` } },
    policyTypes: ["Ingress", "Egress"],
    ingress: [
      {
        from: [...peers, { ipBlock: { cidr: "192.0.2.0/24", except: [`192.0.2.${at & 255}/32`] } }],
        ports: [{ port }, { port: "http" }],
      },
    ],
    egress: [{ to: peers, ports: [{ port }] }, { ports: [{ port: 53, protocol: "UDP" }] }],
  };
  return { metadata: { namespace: `n${at % namespaces}`, name: `p${at}` }, spec };
}

async function measure(): Promise<void> {
  const nft = createNft();
  const table = createPolicyTable({ families: ["IPv4"], bridge: "br0" });
  const addPod = (pod: Pod) => {
    const facts = podFacts(pod, "here");
    if (facts) table.setPod(facts);
  };
  const commit = async () => {
    const begin = performance.now();
    const script = table.take();
    const taken = performance.now();
    if (script !== "") await nft(script);
    return {
      lines: script === "" ? 0 : script.trimEnd().split("\n").length,
      takeMs: taken - begin,
      totalMs: performance.now() - begin,
    };
  };
  const before = process.memoryUsage().rss;
  for (let at = 0; at < namespaces; at++) table.setNamespace(`n${at}`, { team: `t${at % 5}` });
  for (let at = 0; at < pods; at++) addPod(podAt(at));
  for (let at = 0; at < policies; at++) table.setPolicy(policyAt(at));
  const all = await commit();
  const mebibytes = Math.round((process.memoryUsage().rss - before) / 2 ** 20);
  console.log(
    `${policies} policies, ${pods} pods, half of them here: ${all.lines} lines, ${all.totalMs.toFixed(0)} ms (${all.takeMs.toFixed(0)} ms ours), ${mebibytes} MiB`,
  );

  const changes: Readonly<Record<string, (round: number) => void>> = {
    "a peer's label": (round) => addPod(podAt(2, round % 2 ? {} : { track: "t6" })),
    "a pod is gone or back": (round) => (round % 2 ? addPod(podAt(3)) : table.removePod("n3/p3")),
    "a policy's port": (round) => table.setPolicy(policyAt(1, 9000 + round)),
    "a policy is gone or back": (round) => (round % 2 ? table.setPolicy(policyAt(1)) : table.removePolicy("n1/p1")),
    "a namespace's label": (round) => table.setNamespace("n1", { team: `t${round % 2}` }),
  };
  for (const [what, change] of Object.entries(changes)) {
    const seen: Awaited<ReturnType<typeof commit>>[] = [];
    for (let round = 0; round < rounds; round++) {
      change(round);
      seen.push(await commit());
    }
    const middle = (of: (each: (typeof seen)[number]) => number) =>
      seen.map(of).sort((a, b) => a - b)[rounds >> 1] ?? 0;
    console.log(
      `${what}: ${middle(({ lines }) => lines)} lines, ${middle(({ totalMs }) => totalMs).toFixed(1)} ms (${middle(({ takeMs }) => takeMs).toFixed(2)} ms ours)`,
    );
  }
}
