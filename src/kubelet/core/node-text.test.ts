import assert from "node:assert/strict";
import { test } from "node:test";
import { dnsConfig, parseResolvConf, searchProblem } from "./dns-config.ts";
import { fieldValue, resourceValue } from "./downward.ts";
import { containerEnv, expandCommand } from "./env.ts";
import { readEnvFile } from "./env-file.ts";
import { expand } from "./expansion.ts";
import { hostsFile, podNames } from "./hosts-file.ts";
import { parseImageReference, withDefaultTag } from "./image-reference.ts";
import { serviceEnv, servicesFor } from "./service-env.ts";
import { dotted, forbiddenSysctl } from "./sysctl.ts";
import { podOf } from "./testing.ts";
import { checkNonRoot } from "./users.ts";

const context = { podIPs: ["10.0.0.2"], hostIPs: ["192.168.0.1"], allocatable: { cpu: "2", memory: "1Gi" } };
const sources = {
  configMap: (name: string) => (name === "cfg" ? { alpha: "one", "beta.txt": "two" } : undefined),
  secret: (name: string) => (name === "sec" ? { pass: "p w" } : undefined),
  file: ({ key, path }: { key: string; path: string }) => ({
    value: readEnvFile("# first\n  A='x # y' # z\nB='1\n2'\nC= 'no'\n", key),
    path: `/v/${path}`,
  }),
};

test("expansion: names in round brackets, doubled dollars, unknown names stay", () => {
  const of = (text: string) =>
    expand(text, (name) =>
      new Map([
        ["A", "a"],
        ["B", "b"],
      ]).get(name),
    );
  const cases = [
    ["$(A)", "a"],
    ["$$(A)", "$(A)"],
    ["$(NONE)", "$(NONE)"],
    ["$A", "$A"],
    ["$(A)$(B)$", "ab$"],
    ["$$$(A)", "$a"],
    ["$(A", "$(A"],
  ];
  for (const [text, expanded] of cases) assert.equal(of(text!), expanded!, text!); // pairs
});

test("env: order, expansion, sources and what is missing", () => {
  const pod = podOf({ containers: ["a"] });
  const make = (env: object[], envFrom: object[] = []) =>
    containerEnv(pod, { name: "a", env, envFrom } as never, { ...context, services: new Map([["S", "s"]]), sources }); // short specs
  const variables = make([
    { name: "A", value: "a" },
    { name: "B", value: "b-$(A)-$(S)" },
    { name: "C", value: "$(D)" },
    { name: "D", valueFrom: { configMapKeyRef: { name: "cfg", key: "alpha" } } },
    { name: "E", valueFrom: { secretKeyRef: { name: "none", key: "x", optional: true } } },
  ]);
  assert.deepEqual(Object.fromEntries(variables), { A: "a", B: "b-a-s", C: "$(D)", D: "one", S: "s" });
  assert.deepEqual(
    [...make([], [{ prefix: "P_", configMapRef: { name: "cfg" } }]).keys()],
    ["P_alpha", "P_beta.txt", "S"],
  );
  const missing = (source: object) => () => make([{ name: "X", valueFrom: source }]);
  assert.throws(missing({ configMapKeyRef: { name: "nope", key: "k" } }), { message: 'configmap "nope" not found' });
  assert.throws(missing({ configMapKeyRef: { name: "cfg", key: "zeta" } }), {
    message: "couldn't find key zeta in ConfigMap ns/cfg",
  });
  assert.throws(missing({ secretKeyRef: { name: "sec", key: "zeta" } }), {
    message: "couldn't find key zeta in Secret ns/sec",
  });
  const { command, args } = expandCommand({ name: "a", command: ["x", "$(A)"], args: ["$(B)"] }, variables);
  assert.deepEqual([command, args], [["x", "a"], ["b-a-s"]]);
});

test("env: keys of files in volumes", () => {
  const pod = podOf({ containers: ["a"] });
  const of = (key: string, optional?: boolean) => {
    const fileKeyRef = { volumeName: "v", path: "f", key, optional };
    const container = { name: "a", env: [{ name: "X", valueFrom: { fileKeyRef } }] };
    return containerEnv(pod, container as never, { ...context, services: new Map(), sources }).get("X"); // a short spec
  };
  assert.deepEqual([of("A"), of("B"), of("Z", true)], ["x # y", "1\n2", undefined]);
  for (const key of ["C", "Z"])
    assert.throws(() => of(key), { message: `environment variable key "${key}" not found in file "/v/f"` });
  const bad: [string, string][] = [
    ["A", "at line 1: missing '='"],
    ["\n='x'", "at line 2: empty variable name"],
    ["A ='x'", "at line 1: whitespace before '=' is not allowed"],
    ['A="x"', "at line 1: value must be enclosed in single quotes"],
    ["A='x' y", "at line 1: unexpected content after closing quote"],
    ["\nA='x\ny\n", "starting at line 2: unclosed single quote"],
  ];
  for (const [text, why] of bad)
    assert.throws(() => readEnvFile(text, "K"), { message: `invalid environment variable format ${why}` }, text);
});

test("services: variables and links", () => {
  const service = (namespace: string, name: string, ports: object[], clusterIP = "10.96.77.1") =>
    ({ metadata: { namespace, name }, spec: { clusterIP, ports } }) as never; // short specs
  const all = [
    service("ns", "redis-master", [
      { name: "db", port: 6379 },
      { name: "aux-port", port: 81, protocol: "UDP" },
    ]),
    service("ns", "headless", [{ port: 1 }], "None"),
    service("other", "far", [{ port: 1 }]),
    service("default", "kubernetes", [{ name: "https", port: 443 }], "10.96.0.1"),
  ];
  const env = Object.fromEntries(serviceEnv(servicesFor(podOf({ containers: ["a"] }), all)));
  assert.equal(env.REDIS_MASTER_PORT, "tcp://10.96.77.1:6379");
  assert.equal(env.REDIS_MASTER_PORT_81_UDP_PROTO, "udp");
  assert.equal(env.REDIS_MASTER_SERVICE_PORT_AUX_PORT, "81");
  assert.equal(Object.keys(env).filter((name) => /^REDIS/.test(name)).length, 13);
  assert.equal(env.KUBERNETES_SERVICE_HOST, "10.96.0.1");
  const off = servicesFor(podOf({ containers: ["a"], spec: { enableServiceLinks: false } }), all);
  assert.deepEqual(
    off.map(({ metadata }) => metadata.name),
    ["kubernetes"],
  );
});

test("downward API: fields, maps, subscripts, resources", () => {
  const pod = podOf({ containers: ["a"], spec: { nodeName: "n" } });
  pod.metadata.labels = { z: "q.uote", a: 'x"y' };
  pod.spec!.containers[0]!.resources = { limits: { cpu: "1500m", memory: "32Mi" }, requests: { cpu: "50m" } };
  const fields: [string, string][] = [
    ["metadata.name", "pod"],
    ["metadata.labels", 'a="x\\"y"\nz="q.uote"'],
    ["metadata.labels['z']", "q.uote"],
    ["metadata.annotations['none']", ""],
    ["status.podIP", "10.0.0.2"],
    ["status.hostIP", "192.168.0.1"],
    ["spec.nodeName", "n"],
  ];
  for (const [path, value] of fields) assert.equal(fieldValue(pod, path, context), value, path);
  assert.throws(() => fieldValue(pod, "spec.x", context), { message: "unsupported fieldPath: spec.x" });
  const container = pod.spec!.containers[0];
  const of = (resource: string, divisor?: string) =>
    resourceValue(pod, { resource, ...(divisor ? { divisor } : {}) }, { container, allocatable: context.allocatable });
  assert.deepEqual(
    [
      of("limits.cpu"),
      of("limits.cpu", "1m"),
      of("requests.cpu", "1m"),
      of("limits.memory", "1Mi"),
      of("requests.memory"),
    ],
    ["2", "1500", "50", "32", "0"],
  );
});

test("hosts file: own names, subdomain, aliases, host network", () => {
  const pod = podOf({
    containers: ["a"],
    spec: { hostname: "hh", subdomain: "ss", hostAliases: [{ ip: "10.1.2.3", hostnames: ["foo.local", "bar.local"] }] },
  });
  const { hostname, fqdn } = podNames(pod, "cluster.local");
  const text = hostsFile(pod, { podIPs: ["10.0.0.2"], hostname, fqdn, hostFile: undefined });
  assert.deepEqual(text.split("\n").slice(-6), [
    "fe00::2\tip6-allrouters",
    "10.0.0.2\thh.ss.ns.svc.cluster.local\thh",
    "",
    "# Entries added by HostAliases.",
    "10.1.2.3\tfoo.local\tbar.local",
    "",
  ]);
  const host = hostsFile(podOf({ containers: ["a"] }), {
    podIPs: [],
    hostname: "p",
    fqdn: "",
    hostFile: "127.0.0.1 localhost\n",
  });
  assert.equal(host, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n");
});

test("resolv.conf: by policy, merged with the pod's own, within limits", () => {
  const host = parseResolvConf("nameserver 127.0.0.53\nnameserver 9.9.9.9 # x\nsearch example.com .\noptions edns0\n");
  assert.deepEqual(host, { servers: ["9.9.9.9"], searches: ["example.com"], options: ["edns0"] });
  const of = (spec: object) =>
    dnsConfig(podOf({ containers: ["a"], spec }), { clusterDns: ["10.96.0.10"], clusterDomain: "cluster.local", host });
  assert.deepEqual(of({}).config, {
    servers: ["10.96.0.10"],
    searches: ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com"],
    options: ["ndots:5"],
  });
  assert.deepEqual(of({ hostNetwork: true }).config, host);
  assert.deepEqual(of({ hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" }).config.servers, ["10.96.0.10"]);
  const own = {
    nameservers: ["1.1.1.1"],
    searches: ["a.b"],
    options: [{ name: "ndots", value: "2" }, { name: "edns0" }],
  };
  assert.deepEqual(of({ dnsPolicy: "None", dnsConfig: own }).config, {
    servers: ["1.1.1.1"],
    searches: ["a.b"],
    options: ["ndots:2", "edns0"],
  });
  assert.equal(
    of({ dnsConfig: { nameservers: ["1.1.1.1", "1.1.1.2", "1.1.1.3"] } }).warnings[0]?.reason,
    "DNSConfigForming",
  );
});

test("resolv.conf: limits of search domains, no file at all, and no address of the cluster's DNS", () => {
  const of = (searches: string[], { servers = ["10.96.0.10"], spec = {}, none = false } = {}) =>
    dnsConfig(podOf({ containers: ["a"], spec }), {
      ...{ clusterDns: servers, clusterDomain: "d", nodeIps: ["192.168.0.1", "fd00::1"] },
      host: none ? undefined : { servers: ["9.9.9.9"], searches, options: [] },
    });
  const names = (count: number, length = 4) => Array.from({ length: count }, (_, i) => `${i}`.padStart(length, "x"));
  // Three of the cluster come first.
  assert.equal(of(names(29)).warnings.length, 0);
  const cut = of(names(30));
  assert.equal(cut.config.searches.length, 32);
  assert.match(cut.warnings[0]?.message ?? "", /^Search Line limits were exceeded, .* is: ns\.svc\.d svc\.d d xxx0 /);
  // One that is too long goes by itself, a line that is too long loses its end.
  assert.deepEqual(of([...names(1, 254), "b"]).config.searches, ["ns.svc.d", "svc.d", "d", "b"]);
  const long = of(names(20, 200)).config.searches;
  assert.deepEqual([long.length, long.join(" ").length <= 2048], [13, true]);
  assert.deepEqual(of(["ns.svc.d", "a"]).config.searches, ["ns.svc.d", "svc.d", "d", "a"]);
  const nobody = of([], { none: true, spec: { dnsPolicy: "Default" } }).config;
  assert.deepEqual(nobody, { servers: ["127.0.0.1", "::1"], searches: ["."], options: [] });
  const missing = of(["a"], { servers: [] });
  assert.deepEqual(missing.config.servers, ["9.9.9.9"]);
  assert.match(missing.warnings[0]?.message ?? "", /^pod: "[^"]+"\. kubelet does not have ClusterDNS IP configured/);
  assert.match(missing.nodeWarnings[0]?.message ?? "", /^kubelet does not have ClusterDNS IP configured/);
  const problem = (searches: string[]) =>
    searchProblem({ servers: [], searches, options: [] }, { file: "/f", clusterDomain: "d" });
  assert.equal(problem(names(29)), undefined);
  assert.equal(problem(names(30)), "Resolv.conf file '/f' contains search line consisting of more than 29 domains!");
  assert.match(
    problem(names(1, 254)) ?? "",
    /^Resolv.conf file "\/f" contains a search path which length is more than allowed 253/,
  );
  assert.match(problem(names(20, 200)) ?? "", /search line which length is more than allowed 2048 chars!$/);
});

test("images: default tag, and what is wrong with a name", () => {
  assert.equal(withDefaultTag("busybox"), "busybox:latest");
  assert.equal(withDefaultTag("localhost:5000/a/b"), "localhost:5000/a/b:latest");
  assert.equal(withDefaultTag("demo/busybox:1"), "demo/busybox:1");
  const digest = `sha256:${"a".repeat(64)}`;
  assert.equal(parseImageReference(`a@${digest}`).digest, digest);
  for (const [image, why] of [
    ["Demo/UPPER:1", "repository name must be lowercase"],
    ["a:b:c", "invalid reference format"],
    ["", "invalid reference format"],
    ["a/-b", "invalid reference format"],
  ])
    assert.throws(() => withDefaultTag(image!), new RegExp(why!), image); // pairs
});

test("sysctls: safe ones, allowed ones, separators, shared namespaces", () => {
  const pod = (name: string, spec: object = {}) =>
    podOf({ containers: ["a"], spec: { securityContext: { sysctls: [{ name, value: "1" }] }, ...spec } });
  assert.equal(forbiddenSysctl(pod("kernel.msgmax"), []), '"kernel.msgmax" not allowlisted');
  assert.equal(forbiddenSysctl(pod("kernel.msgmax"), ["kernel.msg*"]), undefined);
  assert.equal(forbiddenSysctl(pod("net/ipv4/tcp_syncookies"), []), undefined);
  assert.equal(
    forbiddenSysctl(pod("net.ipv4.tcp_syncookies", { hostNetwork: true }), []),
    '"net.ipv4.tcp_syncookies" not allowed with host Net enabled',
  );
  assert.equal(
    forbiddenSysctl(pod("kernel/msgmax", { hostIPC: true }), ["kernel/msg*"]),
    '"kernel.msgmax" not allowed with host IPC enabled',
  );
  assert.equal(dotted("net/ipv4/conf/eth0.1/x"), "net.ipv4.conf.eth0/1.x");
});

test("non-root: refused for root, unverifiable names and explicit zero", () => {
  const check = (securityContext: object, image: { uid: number | undefined; name: string }) => () =>
    checkNonRoot(podOf({ containers: ["a"] }), { name: "a", securityContext }, image);
  assert.throws(check({ runAsNonRoot: true }, { uid: 0, name: "" }), {
    message: 'container has runAsNonRoot and image will run as root (pod: "pod_ns(uid-1)", container: a)',
  });
  assert.throws(check({ runAsNonRoot: true }, { uid: undefined, name: "web" }), /non-numeric user \(web\)/);
  assert.throws(check({ runAsNonRoot: true, runAsUser: 0 }, { uid: 5, name: "" }), /breaks non-root policy/);
  assert.doesNotThrow(check({ runAsNonRoot: true, runAsUser: 7 }, { uid: 0, name: "" }));
  assert.doesNotThrow(check({}, { uid: 0, name: "" }));
});
