/** What policies mean, as truth tables over nine pods in three namespaces: the cases of upstream's end-to-end suite `netpol`. */
import type { NetworkPolicy, NetworkPolicySpec, Pod } from "#api";

export interface Step {
  /** `namespace/name` to its specification; undefined deletes. Later steps add to earlier ones. */
  readonly policies?: Readonly<Record<string, NetworkPolicySpec | undefined>>;
  /** More labels: of a pod (`x/a`) or of a namespace (`y`). */
  readonly labels?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly looks: readonly Look[];
}

export interface Look {
  /** `80 TCP`. */
  readonly port: string;
  /** All is allowed but what these say, the last one counts: `y/* > x/a no`. A pod always reaches itself. */
  readonly expect: readonly string[];
}

export interface Case {
  readonly name: string;
  readonly steps: readonly Step[];
}

export const namespaces = ["x", "y", "z"] as const;
export const podNames = ["a", "b", "c"] as const;
export const podKeys = namespaces.flatMap((namespace) => podNames.map((name) => `${namespace}/${name}`));
export const namespaceLabels = (name: string) => ({ "kubernetes.io/metadata.name": name, ns: name });
export const addressOf = (key: string) =>
  `10.244.${key.startsWith("x") ? 0 : key.startsWith("y") ? 1 : 2}.${"abc".indexOf(key[2] ?? "") + 2}`;

/** As upstream's: servers on 80 and 81, each with a name. */
export function casePod(key: string, labels: Readonly<Record<string, string>> = {}, address = addressOf(key)): Pod {
  const [namespace = "", name = ""] = key.split("/");
  const ports = [80, 81].flatMap((containerPort) =>
    ["TCP", "UDP", "SCTP"].map((protocol) => ({
      name: `serve-${containerPort}-${protocol.toLowerCase()}`,
      containerPort,
      protocol,
    })),
  );
  return {
    metadata: { namespace, name, uid: `uid-${key}`, labels: { pod: name, ...labels } },
    spec: { nodeName: "n1", containers: [{ name: "c", ports }] },
    status: { phase: "Running", podIP: address, podIPs: [{ ip: address }] },
  };
}

export function casePolicy(key: string, spec: NetworkPolicySpec): NetworkPolicy {
  const [namespace = "", name = ""] = key.split("/");
  return { metadata: { namespace, name }, spec };
}

/** What a case expects, by its own words. */
export function expected({ expect }: Look, from: string, to: string): boolean {
  if (from === to) return true;
  let allowed = true;
  const fits = (pattern: string, key: string) =>
    pattern === "*" || pattern === key || (pattern.endsWith("/*") && key.startsWith(pattern.slice(0, 2)));
  for (const line of expect) {
    const [sender = "", , receiver = "", verdict] = line.split(" ");
    if (fits(sender, from) && fits(receiver, to)) allowed = verdict === "yes";
  }
  return allowed;
}

const all = {};
const pod = (...names: string[]) =>
  names.length === 1
    ? { matchLabels: { pod: names[0] ?? "" } }
    : { matchExpressions: [{ key: "pod", operator: "In", values: names }] };
const inNamespace = (name: string) => ({ matchLabels: { ns: name } });
const notIn = (name: string, key = "ns") => ({ matchExpressions: [{ key, operator: "NotIn", values: [name] }] });
type Rule = NonNullable<NetworkPolicySpec["ingress"]>[number];
const ingress = (podSelector: NetworkPolicySpec["podSelector"], ...rules: Rule[]): NetworkPolicySpec => ({
  podSelector,
  policyTypes: ["Ingress"],
  ingress: rules,
});
const egress = (
  podSelector: NetworkPolicySpec["podSelector"],
  ...rules: NonNullable<NetworkPolicySpec["egress"]>
): NetworkPolicySpec => ({ podSelector, policyTypes: ["Egress"], egress: rules });
const tcp = (...expect: string[]): Look => ({ port: "80 TCP", expect });
const tcp81 = (...expect: string[]): Look => ({ port: "81 TCP", expect });
const one = (name: string, policies: Step["policies"] & object, ...looks: Look[]): Case => ({
  name,
  steps: [{ policies, looks }],
});
const deny = ingress(all);
const b = addressOf("x/b");

export const cases: readonly Case[] = [
  one("default-deny-ingress", { "x/deny": deny }, tcp("* > x/* no")),
  one(
    "default-deny-all",
    { "x/deny": { podSelector: all, policyTypes: ["Ingress", "Egress"] } },
    tcp("* > x/* no", "x/* > * no"),
  ),
  one(
    "from pods of the own namespace",
    { "x/p": ingress(pod("a"), { from: [{ podSelector: pod("b") }] }) },
    tcp("* > x/a no", "x/b > x/a yes"),
  ),
  one(
    "ingress for a target beside default deny",
    { "x/deny": deny, "x/allow": ingress(pod("a"), { from: [{ podSelector: all, namespaceSelector: all }] }) },
    tcp("* > x/* no", "* > x/a yes"),
  ),
  one("from all namespaces", { "x/p": ingress(pod("a"), { from: [{ namespaceSelector: all }] }) }, tcp()),
  one(
    "from another namespace only",
    { "x/p": ingress(pod("a"), { from: [{ namespaceSelector: inNamespace("y") }] }) },
    tcp("x/* > x/a no", "z/* > x/a no"),
  ),
  one(
    "pods by expressions",
    {
      "x/p": ingress(pod("a"), {
        from: [{ podSelector: { matchExpressions: [{ key: "pod", operator: "In", values: ["b"] }] } }],
      }),
    },
    tcp("* > x/a no", "x/b > x/a yes"),
  ),
  one(
    "namespaces by expressions",
    {
      "x/p": ingress(pod("a"), {
        from: [{ namespaceSelector: { matchExpressions: [{ key: "ns", operator: "In", values: ["y"] }] } }],
      }),
    },
    tcp("x/* > x/a no", "z/* > x/a no"),
  ),
  one(
    "one selector or the other",
    { "x/p": ingress(pod("a"), { from: [{ namespaceSelector: notIn("x") }, { podSelector: pod("b") }] }) },
    tcp("x/c > x/a no"),
  ),
  one(
    "both selectors",
    { "x/p": ingress(pod("a"), { from: [{ namespaceSelector: notIn("x"), podSelector: pod("b") }] }) },
    tcp("* > x/a no", "y/b > x/a yes", "z/b > x/a yes"),
  ),
  one(
    "several pods in several namespaces",
    { "x/p": ingress(pod("a"), { from: [{ namespaceSelector: notIn("x"), podSelector: pod("b", "c") }] }) },
    tcp("x/* > x/a no", "y/a > x/a no", "z/a > x/a no"),
  ),
  one(
    "any of several selectors",
    { "x/p": ingress(pod("a"), { from: [{ podSelector: pod("b") }, { podSelector: pod("c") }] }) },
    tcp("* > x/a no", "x/b > x/a yes", "x/c > x/a yes"),
  ),
  one(
    "one pod of another namespace",
    { "x/p": ingress(pod("a"), { from: [{ namespaceSelector: inNamespace("y"), podSelector: pod("a") }] }) },
    tcp("* > x/a no", "y/a > x/a yes"),
  ),
  {
    name: "ports, and policies that add up",
    steps: [
      {
        policies: {
          "x/81": ingress(pod("a"), {
            from: [{ namespaceSelector: inNamespace("y") }],
            ports: [{ port: 81, protocol: "TCP" }],
          }),
        },
        looks: [tcp81("x/* > x/a no", "z/* > x/a no"), tcp("* > x/a no")],
      },
      {
        policies: {
          "x/80": ingress(pod("a"), { from: [{ namespaceSelector: inNamespace("y") }], ports: [{ port: 80 }] }),
        },
        looks: [tcp81("x/* > x/a no", "z/* > x/a no"), tcp("x/* > x/a no", "z/* > x/a no")],
      },
    ],
  },
  one("allow all", { "x/p": ingress(all, {}) }, tcp(), tcp81()),
  one("a named port", { "x/p": ingress(all, { ports: [{ port: "serve-81-tcp" }] }) }, tcp81(), tcp("* > x/* no")),
  one(
    "a named port for a namespace",
    {
      "x/p": ingress(pod("a"), {
        from: [{ namespaceSelector: inNamespace("y") }],
        ports: [{ port: "serve-80-tcp", protocol: "TCP" }],
      }),
    },
    tcp("x/* > x/a no", "z/* > x/a no"),
    tcp81("* > x/a no"),
  ),
  one(
    "a named port of whom one goes to",
    { "x/p": egress(all, { ports: [{ port: "serve-80-tcp" }] }) },
    tcp(),
    tcp81("x/* > * no"),
  ),
  {
    name: "a policy that changes",
    steps: [
      { policies: { "x/p": ingress(all, {}) }, looks: [tcp81()] },
      { policies: { "x/p": ingress(all) }, looks: [tcp81("* > x/* no")] },
    ],
  },
  {
    name: "a namespace whose labels change",
    steps: [
      {
        policies: { "x/p": ingress(pod("a"), { from: [{ namespaceSelector: { matchLabels: { ns2: "updated" } } }] }) },
        looks: [tcp("* > x/a no")],
      },
      { labels: { y: { ns2: "updated" } }, looks: [tcp("* > x/a no", "y/* > x/a yes")] },
    ],
  },
  {
    name: "a pod whose labels change",
    steps: [
      {
        policies: {
          "x/p": ingress(pod("a"), { from: [{ podSelector: { matchLabels: { pod: "b", pod2: "updated" } } }] }),
        },
        looks: [tcp("* > x/a no")],
      },
      { labels: { "x/b": { pod2: "updated" } }, looks: [tcp("* > x/a no", "x/b > x/a yes")] },
    ],
  },
  one(
    "from the own namespace only",
    { "x/p": ingress(all, { from: [{ podSelector: all }] }) },
    tcp("y/* > x/* no", "z/* > x/* no"),
  ),
  {
    name: "a pod that becomes selected",
    steps: [
      { policies: { "x/p": ingress({ matchLabels: { target: "isolated" } }) }, looks: [tcp()] },
      { labels: { "x/a": { target: "isolated" } }, looks: [tcp("* > x/a no")] },
    ],
  },
  one("egress of a pod", { "x/p": egress(pod("a")) }, tcp("x/a > * no")),
  one("egress of a namespace", { "x/p": egress(all) }, tcp("x/* > * no")),
  one(
    "both directions at once",
    {
      "x/p": {
        podSelector: pod("a"),
        policyTypes: ["Egress", "Ingress"],
        ingress: [{ from: [{ podSelector: pod("b") }] }],
        egress: [{ ports: [{ port: 80 }] }],
      },
    },
    tcp("* > x/a no", "x/b > x/a yes"),
    tcp81("* > x/a no", "x/a > * no", "x/b > x/a yes"),
  ),
  one(
    "egress denied that the far end would take",
    {
      "x/out": egress(pod("a"), { to: [{ namespaceSelector: inNamespace("y"), podSelector: pod("a") }] }),
      "y/a": ingress(pod("a"), { from: [{ namespaceSelector: inNamespace("x"), podSelector: pod("a") }] }),
      "y/b": ingress(pod("b"), { from: [{ namespaceSelector: inNamespace("x"), podSelector: pod("a") }] }),
    },
    tcp("x/a > * no", "* > y/a no", "x/a > y/a yes", "* > y/b no"),
  ),
  one(
    "egress to a pod of another namespace",
    { "x/p": egress(pod("a"), { to: [{ namespaceSelector: inNamespace("y"), podSelector: pod("a") }] }) },
    tcp("x/a > * no", "x/a > y/a yes"),
  ),
  one("a protocol with all its ports", { "x/p": ingress(pod("a"), { ports: [{ protocol: "TCP" }] }) }, tcp(), {
    port: "80 UDP",
    expect: ["* > x/a no"],
  }),
  {
    name: "allow all beside a narrow one",
    steps: [
      { policies: { "x/80": ingress(all, { ports: [{ port: 80 }] }) }, looks: [tcp81("* > x/* no")] },
      { policies: { "x/all": ingress(all, {}) }, looks: [tcp81()] },
      {
        policies: { "x/80": undefined, "x/all": undefined, "x/out": egress(all, { ports: [{ port: 80 }] }) },
        looks: [tcp81("x/* > * no")],
      },
      { policies: { "x/all": egress(all, {}) }, looks: [tcp81()] },
    ],
  },
  {
    name: "policies that are deleted",
    steps: [
      {
        policies: { "x/deny": { podSelector: all, policyTypes: ["Ingress", "Egress"] } },
        looks: [tcp("x/* > * no", "* > x/* no")],
      },
      { policies: { "x/deny": undefined }, looks: [tcp()] },
    ],
  },
  one(
    "egress to a block",
    { "x/p": egress(pod("a"), { to: [{ ipBlock: { cidr: `${addressOf("y/b")}/32` } }] }) },
    tcp("x/a > * no", "x/a > y/b yes"),
  ),
  {
    name: "a block with a hole, and the hole in another policy",
    steps: [
      {
        policies: { "x/p": egress(pod("a"), { to: [{ ipBlock: { cidr: "10.244.0.0/24", except: [`${b}/32`] } }] }) },
        looks: [tcp("x/a > * no", "x/a > x/c yes")],
      },
      {
        policies: { "x/p2": egress(pod("a"), { to: [{ ipBlock: { cidr: `${b}/32` } }] }) },
        looks: [tcp("x/a > * no", "x/a > x/b yes", "x/a > x/c yes")],
      },
    ],
  },
  {
    name: "each direction on its own",
    steps: [
      { policies: { "x/out": egress(pod("a"), {}) }, looks: [tcp()] },
      { policies: { "x/in": ingress(pod("a")) }, looks: [tcp("* > x/a no")] },
    ],
  },
  one(
    "SCTP is not TCP",
    { "x/deny": deny, "x/p": ingress(pod("a"), { ports: [{ port: 81, protocol: "SCTP" }] }) },
    tcp81("* > x/* no"),
    {
      port: "81 SCTP",
      expect: ["* > x/* no", "* > x/a yes"],
    },
  ),
  one(
    "a policy about SCTP isolates",
    { "x/p": ingress(pod("a"), { ports: [{ port: 80, protocol: "SCTP" }] }) },
    tcp81("* > x/a no"),
  ),
  one("UDP is not TCP", { "x/p": ingress(pod("a"), { ports: [{ port: 81, protocol: "UDP" }] }) }, tcp81("* > x/a no"), {
    port: "81 UDP",
    expect: [],
  }),
  one(
    "namespaces by the label every one has",
    {
      "x/p": ingress(pod("a"), {
        from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "y" } } }],
      }),
    },
    tcp("x/* > x/a no", "z/* > x/a no"),
  ),
  one(
    "namespaces but one, by the label every one has",
    { "x/p": egress(pod("a"), { to: [{ namespaceSelector: notIn("y", "kubernetes.io/metadata.name") }] }) },
    tcp("x/a > y/* no"),
  ),
  one("a range of ports", { "x/p": ingress(all, { ports: [{ port: 79, endPort: 80 }] }) }, tcp(), tcp81("* > x/* no")),
  one("a port name nobody has", { "x/p": ingress(all, { ports: [{ port: "nobody" }] }) }, tcp("* > x/* no")),
  one(
    "a selector that means nobody",
    { "x/p": ingress(all, { from: [{ podSelector: { matchLabels: { no: "body" } } }] }) },
    tcp("* > x/* no"),
  ),
  one(
    "a block of the other family",
    { "x/p": ingress(all, { from: [{ ipBlock: { cidr: "2001:db8::/32" } }] }) },
    tcp("* > x/* no"),
  ),
  one(
    "a hole as large as its block",
    { "x/p": ingress(all, { from: [{ ipBlock: { cidr: "10.244.1.0/24", except: ["10.244.1.0/24"] } }] }) },
    tcp("* > x/* no"),
  ),
  one("everybody as a block", { "x/p": ingress(all, { from: [{ ipBlock: { cidr: "0.0.0.0/0" } }] }) }, tcp()),
  one(
    "blocks and holes that overlap",
    {
      "x/p": ingress(all, {
        from: [
          { ipBlock: { cidr: "10.244.0.0/23", except: ["10.244.1.0/25", "10.244.1.2/31", "10.244.0.0/24"] } },
          { ipBlock: { cidr: "10.244.2.0/24" } },
          { ipBlock: { cidr: "10.244.2.0/25" } },
        ],
      }),
    },
    tcp("x/* > x/* no", "y/* > x/* no"),
  ),
  one(
    "what a client leaves out",
    { "x/p": { podSelector: pod("a"), egress: [{ ports: [{ port: 80 }] }] } },
    tcp("* > x/a no"),
    tcp81("* > x/a no", "x/a > * no"),
  ),
];
