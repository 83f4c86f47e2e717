/** Policies with real nftables: in a network namespace of its own, with pods that are namespaces on a bridge. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import type { NetworkPolicySpec, Pod } from "#api";
import { createNft, realClock, silentLogger } from "#base";
import { insideNamespace, ip, makeBridge, runInNamespace, whyNoNamespaces } from "#testing";
import { createEnforcer } from "./policy-enforcer.ts";
import { addressOf, casePod, casePolicy, cases, expected, namespaceLabels, podKeys } from "./test-cases.ts";
import { startPod, type TalkingPod } from "./test-pod.ts";

const bridge = "br0";
const gateway = "10.244.0.1";
/** Each of these costs a fraction of a second of waiting for packets that don't come. */
const onPackets = [
  "default-deny-ingress",
  "one selector or the other",
  "ports, and policies that add up",
  "a named port",
  "a named port of whom one goes to",
  "a pod whose labels change",
  "both directions at once",
  "a protocol with all its ports",
  "a block with a hole, and the hole in another policy",
  "SCTP is not TCP",
  "blocks and holes that overlap",
  "everybody as a block",
  "policies that are deleted",
];
/** For what must not arrive. What must has much longer. */
const waitMs = 100;

const why = whyNoNamespaces();
if (!insideNamespace)
  test("network policy: real nftables in a namespace", { skip: why ?? false }, () =>
    runInNamespace(import.meta.filename),
  );
else
  test("network policy: packets", async (t) => {
    makeBridge(bridge, `${gateway}/16`);
    ip("-6", "address", "add", "fd00::1/64", "dev", bridge, "nodad");
    execFileSync("sysctl", ["-qw", "net.ipv6.conf.all.forwarding=1"]);
    const pods = new Map<string, TalkingPod>();
    const keys = podKeys.filter((key) => !key.endsWith("c"));
    const sixth = (key: string) => `fd00::${keys.indexOf(key) + 0x10}`;
    await Promise.all(
      keys.map(async (key, at) =>
        pods.set(
          key,
          await startPod({
            name: `pod${at}`,
            bridge,
            addresses: [`${addressOf(key)}/16`, `${sixth(key)}/64`],
            gateway,
          }),
        ),
      ),
    );
    t.after(() => {
      for (const pod of pods.values()) pod.close();
    });
    const node = await startPod({ name: "node" });
    t.after(() => node.close());
    const talk = (from: string, port: string, ...[to, isExpected]: [to: string, isExpected: boolean]) => {
      const [number, protocol = ""] = port.split(" ");
      const pod = from === "node" ? node : pods.get(from);
      assert.ok(pod);
      return pod.connect({ protocol, host: to, port: Number(number), ms: isExpected ? waitMs * 30 : waitMs });
    };
    const check = async (port: string, ...lines: [from: string, to: string, isExpected: boolean][]) => {
      const found = await Promise.all(lines.map(([from, to, isExpected]) => talk(from, port, to, isExpected)));
      for (const [at, [from, to, isExpected]] of lines.entries())
        assert.equal(found[at], isExpected, `${from} > ${to}:${port}`);
    };

    const nft = createNft();
    const refusals: unknown[] = [];
    const apply = (script: string) =>
      nft(script).catch((error: unknown) => {
        refusals.push(error);
        throw error;
      });
    const enforcer = createEnforcer({
      nodeName: "n1",
      families: ["IPv4", "IPv6"],
      bridge,
      apply,
      clock: realClock,
      log: silentLogger,
    });
    t.after(() => enforcer.close());
    const podOf = (key: string, labels = {}): Pod => {
      const pod = casePod(key, labels);
      return { ...pod, status: { ...pod.status, podIPs: [{ ip: addressOf(key) }, { ip: sixth(key) }] } };
    };
    for (const name of ["x", "y", "z", "kube-system"]) enforcer.setNamespace(name, namespaceLabels(name));
    for (const key of keys) enforcer.setPod(podOf(key));
    enforcer.begin();
    await enforcer.settled();
    const set = async (key: string, spec?: NetworkPolicySpec) => {
      if (spec) enforcer.setPolicy(casePolicy(key, spec));
      else enforcer.removePolicy(casePolicy(key, { podSelector: {} }));
      await enforcer.settled();
    };

    for (const name of onPackets)
      await t.test(name, async () => {
        const { steps } = cases.find((each) => each.name === name) ?? { steps: [] };
        assert.ok(steps.length > 0, "a case of this name");
        const made = new Set<string>();
        for (const { policies = {}, labels = {}, looks } of steps) {
          for (const [key, spec] of Object.entries(policies)) {
            await set(key, spec);
            made.add(key);
          }
          for (const [key, more] of Object.entries(labels)) enforcer.setPod(podOf(key, more));
          await enforcer.settled();
          for (const look of looks.filter(({ port }) => !port.endsWith("SCTP")))
            await check(
              look.port,
              ...keys.flatMap((from) =>
                keys.map((to) => [from, addressOf(to), expected(look, from, to)] as [string, string, boolean]),
              ),
            );
        }
        for (const key of made) await set(key);
        for (const key of keys) enforcer.setPod(podOf(key));
      });

    await t.test("IPv6, with what makes it work, and no way around by addresses of the link", async () => {
      await set("x/p", { podSelector: { matchLabels: { pod: "a" } }, ingress: [{ from: [{ podSelector: {} }] }] });
      await check("80 TCP", ["x/b", sixth("x/a"), true], ["y/a", sixth("x/a"), false], ["x/a", sixth("y/a"), true]);
      const own = pods.get("x/a")?.linkAddress();
      await check("80 TCP", ["y/a", `${own}%eth0`, false], ["x/b", `${own}%eth0`, false]);
      await set("x/p");
    });

    await t.test(
      "Service addresses are judged by whom they lead to, and a pod reaches itself through its own",
      async () => {
        const service = "10.96.0.7";
        const rules = `add table ip nat
add chain ip nat pre { type nat hook prerouting priority -100; }
add rule ip nat pre ip daddr ${service} tcp dport 8080 dnat to ${addressOf("x/a")}:80
add chain ip nat post { type nat hook postrouting priority 100; }
add rule ip nat post ip saddr ${addressOf("x/a")} ip daddr ${addressOf("x/a")} masquerade
`;
        await apply(rules);
        ip("route", "add", "10.96.0.0/16", "dev", bridge);
        await set("x/p", {
          podSelector: { matchLabels: { pod: "a" } },
          policyTypes: ["Ingress", "Egress"],
          ingress: [{ from: [{ podSelector: { matchLabels: { pod: "b" } } }], ports: [{ port: 80 }] }],
        });
        await check("8080 TCP", ["x/b", service, true], ["y/a", service, false], ["x/a", service, true]);
        await set("x/p");
        await apply("delete table ip nat\n");
      },
    );

    await t.test("the node reaches its pods; pods reach it when their policies say so", async () => {
      await set("x/deny", { podSelector: {}, policyTypes: ["Ingress", "Egress"] });
      await check("80 TCP", ["node", addressOf("x/a"), true], ["node", sixth("x/a"), true]);
      await check("80 TCP", ["x/a", gateway, false], ["x/a", "fd00::1", false], ["y/a", gateway, true]);
      await set("x/node", {
        podSelector: {},
        policyTypes: ["Egress"],
        egress: [{ to: [{ ipBlock: { cidr: `${gateway}/32` } }] }],
      });
      await check("80 TCP", ["x/a", gateway, true], ["x/a", addressOf("y/a"), false]);
      await set("x/node");
    });

    await t.test("the cluster's DNS is a pod of kube-system to policies", async () => {
      await set("x/dns", {
        podSelector: {},
        policyTypes: ["Egress"],
        egress: [
          {
            to: [
              {
                namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } },
                podSelector: { matchLabels: { "k8s-app": "kube-dns" } },
              },
            ],
            ports: [{ port: "dns", protocol: "UDP" }],
          },
        ],
      });
      await check("81 UDP", ["x/a", gateway, false]);
      enforcer.setSlice({
        metadata: { namespace: "kube-system", name: "dns", labels: { "kubernetes.io/service-name": "kube-dns" } },
        addressType: "IPv4",
        ports: [{ name: "dns", protocol: "UDP", port: 81 }],
        endpoints: [{ addresses: [gateway] }],
      });
      await enforcer.settled();
      await check("81 UDP", ["x/a", gateway, true]);
      await check("80 UDP", ["x/a", gateway, false], ["x/a", addressOf("y/a"), false]);
      await set("x/dns");
      await set("x/deny");
    });

    await t.test("what is established goes on, what is new is judged", async () => {
      const line = await pods.get("y/a")?.open(addressOf("x/a"), 80);
      assert.ok(line);
      await set("x/deny", { podSelector: {}, policyTypes: ["Ingress"] });
      assert.equal(await line.echo(), true, "the connection from before");
      await check("80 TCP", ["y/a", addressOf("x/a"), false], ["x/a", addressOf("y/a"), true]);
      await set("x/deny");
    });

    await t.test("a pod is held as soon as its addresses are known, and its successor is somebody else", async () => {
      await set("x/deny", { podSelector: { matchLabels: { pod: "a" } }, policyTypes: ["Ingress"] });
      const pod = podOf("x/a");
      enforcer.removePod(pod);
      await enforcer.settled();
      await check("80 TCP", ["y/a", addressOf("x/a"), true]);
      await enforcer.podStarts({ ...pod, status: {} }, [addressOf("x/a")]);
      await check("80 TCP", ["y/a", addressOf("x/a"), false]);
      enforcer.setPod({ ...pod, status: { phase: "Pending" } });
      await enforcer.settled();
      await check("80 TCP", ["y/a", addressOf("x/a"), false]);
      const successor = { ...podOf("y/b"), status: { phase: "Running", podIPs: [{ ip: addressOf("x/a") }] } };
      enforcer.setPod(successor);
      await enforcer.settled();
      await check("80 TCP", ["y/a", addressOf("x/a"), true]);
      enforcer.setPod(podOf("y/b"));
      await enforcer.settled();
      await check("80 TCP", ["y/a", addressOf("x/a"), false]);
    });

    await t.test("nft takes whatever the cases say", async () => {
      for (const { steps } of cases) {
        const made = new Set<string>();
        for (const { policies = {} } of steps)
          for (const [key, spec] of Object.entries(policies)) {
            await set(key, spec);
            made.add(key);
          }
        for (const key of made) await set(key);
      }
      const blocks = Array.from({ length: 300 }, (_, at) => ({
        ipBlock: { cidr: `198.51.${at & 255}.${at >> 2}/${24 + (at % 9)}` },
      }));
      const everywhere = ["::/0", "2001:db8::/32", "0.0.0.0/0"].map((cidr) => ({ ipBlock: { cidr } }));
      const ports = Array.from({ length: 20 }, (_, at) => ({ port: 1 + at * 3000, endPort: 2000 + at * 3000 }));
      const long = `x/${"a-very-long-name.".repeat(14)}end`;
      await set(long, {
        podSelector: {},
        ingress: [
          { from: blocks, ports },
          { from: everywhere, ports: [{ port: "a-name-0", protocol: "SCTP" }] },
        ],
      });
      await set(long);
      assert.deepEqual(refusals, []);
    });

    await t.test("somebody removes the table: the next change makes it anew", async () => {
      await set("x/deny", { podSelector: { matchLabels: { pod: "a" } }, policyTypes: ["Ingress"] });
      await apply("delete table inet sampan-policy\n");
      await set("x/deny2", { podSelector: { matchLabels: { pod: "b" } }, policyTypes: ["Ingress"] });
      while (!listed().includes("table inet sampan-policy")) await new Promise((next) => setImmediate(next));
      await enforcer.settled();
      await check("80 TCP", ["y/a", addressOf("x/a"), false], ["y/a", addressOf("x/b"), false]);
    });
  });

const listed = () => execFileSync("nft", ["list", "tables"], { encoding: "utf8" });
