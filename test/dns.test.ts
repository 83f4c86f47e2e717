/**
 * Names as pods see them: Debian's dig and C library in real containers, under a domain of the user's, with other resolvers behind. The talk's
 * `mysql-service.tenxcloud.tenx.domain` beside the names with `svc`.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const programs = ["/bin/busybox", "/usr/bin/dig", "/usr/bin/getent"];
const missing = programs.find((program) => !existsSync(program));
const why = whyNoCluster() ?? (missing ? `needs ${missing}` : undefined);
const root = path.resolve(import.meta.dirname, "..");
const image = "demo/dig:1";
const namespace = "tenxcloud";
const domain = "tenx.domain";
const svc = `${namespace}.svc.${domain}`;

/** Two other servers: of the world, and of a company. Each answers every name below its own. */
const resolvers = `
import { createSocket } from "node:dgram";
for (const [port, name, last] of [[5391, "example.org", 1], [5392, "corp.example", 2]]) {
  const socket = createSocket("udp4");
  socket.on("message", (asked, from) => {
    let at = 12; const labels = [];
    while (asked[at] !== 0) { labels.push(asked.toString("latin1", at + 1, at + 1 + asked[at])); at += asked[at] + 1; }
    const question = asked.subarray(12, at + 5);
    const isOurs = labels.join(".").toLowerCase().endsWith(name) && asked[at + 2] === 1;
    const head = Buffer.from(asked.subarray(0, 12));
    head.writeUInt16BE(isOurs ? 0x8180 : 0x8183, 2); head.writeUInt16BE(isOurs ? 1 : 0, 6); head.writeUInt16BE(0, 10);
    const answer = isOurs ? Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last]) : Buffer.alloc(0);
    socket.send(Buffer.concat([head, question, answer]), from.port, from.address);
  });
  socket.bind(port, "127.0.0.1", () => process.stdout.write("listening\\n"));
}
`;

const meta = (name: string, more: object = {}) => ({ metadata: { name, namespace, ...more } });
const service = (name: string, spec: object) => ({ apiVersion: "v1", kind: "Service", ...meta(name), spec });
const pod = (name: string, spec: object = {}, labels: Record<string, string> = { app: name }) => ({
  ...{ apiVersion: "v1", kind: "Pod", ...meta(name, { labels }) },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [{ name: "c", image, imagePullPolicy: "IfNotPresent", command: ["/bin/sh", "-c", "sleep 3600"] }],
    ...spec,
  },
});
const many = Array.from({ length: 120 }, (_, index) => `10.99.0.${index + 1}`);
const objects = [
  service("mysql-service", { selector: { app: "client" }, ports: [{ name: "mysqlport", port: 3306 }] }),
  service("db", { clusterIP: "None", selector: { app: "db" }, ports: [{ name: "redis", port: 6379 }] }),
  service("outside", { type: "ExternalName", externalName: "www.example.org" }),
  service("many", { clusterIP: "None" }),
  {
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4", ports: [] },
    ...meta("many-1", { labels: { "kubernetes.io/service-name": "many" } }),
    endpoints: many.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  },
  pod("client"),
  pod("db-0", { hostname: "db-0", subdomain: "db" }, { app: "db" }),
  pod("db-1", { hostname: "db-1", subdomain: "db" }, { app: "db" }),
  pod("plain", { dnsPolicy: "Default" }),
  pod("own", {
    dnsPolicy: "None",
    dnsConfig: { nameservers: ["192.0.2.53"], searches: ["a.example"], options: [{ name: "ndots", value: "2" }] },
  }),
  pod("on-host", { dnsPolicy: "ClusterFirstWithHostNet", hostNetwork: true }),
  {
    ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "kube-dns", namespace: "kube-system" } },
    data: {
      upstreamNameservers: '["127.0.0.1:5391"]',
      stubDomains: '{"corp.example": ["127.0.0.1:5392"]}',
    },
  },
];

suite("names in real containers", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  let others: ChildProcess;
  const shell = async (line: string, name = "client") =>
    (await cluster.kubectl("exec", "-n", namespace, name, "--", "sh", "-c", line)).trim();
  /** One run for all questions: what `dig +short` prints for each, sorted. */
  const dig = async (...questions: string[]) => {
    const said = await shell(questions.map((each) => `dig +short +time=2 ${each}; echo ==`).join("; "));
    return said.split(/^==$/m).map((text) => text.split("\n").filter(Boolean).sort());
  };
  const value = (kind: string, jsonPath: string) =>
    cluster.kubectl(...["get", kind, "-n", namespace, "-o", `jsonpath={${jsonPath}}`]);

  before(async () => {
    cluster = await startTestCluster("--cluster-domain", domain);
    const script = path.join(cluster.directory, "resolvers.mjs");
    writeFileSync(script, resolvers);
    const inside = [`--net=/proc/${cluster.process.pid}/ns/net`, process.execPath, script];
    others = spawn("nsenter", inside, { stdio: ["ignore", "pipe", "inherit"] });
    await once(others.stdout ?? others, "data");
    const files = [...programs, "/bin/busybox"].map((host, at) => `${host}:${at < programs.length ? host : "/bin/sh"}`);
    await cluster.sampan("image", "pack", image, ...files.flatMap((file) => ["--file", file]));
    await cluster.kubectl("create", "namespace", namespace);
    await cluster.kubectlInput(JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }), "create");
    await cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=40s");
  });
  after(async () => {
    others?.kill();
    await cluster?.close();
  });

  // conformance: [sig-network] DNS should provide DNS for services
  test("Services by all their names, ports and addresses", async () => {
    const address = await value("service/mysql-service", ".spec.clusterIP");
    assert.deepEqual(
      await dig(
        `mysql-service.${namespace}.${domain}`,
        `mysql-service.${svc}`,
        `MySQL-Service.${svc} +tcp`,
        `_mysqlport._tcp.mysql-service.${namespace}.${domain} SRV`,
        `_mysqlport._tcp.mysql-service.${svc} SRV`,
        `-x ${address}`,
        `mysql-service.${svc} AAAA`,
        `dns-version.${domain} TXT`,
      ),
      [
        ...[[address], [address], [address]],
        [`0 100 3306 mysql-service.${namespace}.${domain}.`],
        [`0 100 3306 mysql-service.${svc}.`],
        ...[[`mysql-service.${svc}.`], [], ['"1.1.0"'], []],
      ],
    );
  });

  // conformance: [sig-network] DNS should provide DNS for pods for Hostname
  // conformance: [sig-network] DNS should provide DNS for pods for Subdomain
  test("pods of a headless Service by their host names", async () => {
    const [first = "", second = ""] = await Promise.all(
      ["pod/db-0", "pod/db-1"].map((each) => value(each, ".status.podIP")),
    );
    assert.deepEqual(
      await dig(
        `db.${svc}`,
        `db-0.db.${svc}`,
        `_redis._tcp.db.${svc} SRV`,
        `-x ${first}`,
        `${second.replaceAll(".", "-")}.${namespace}.pod.${domain}`,
        `none.db.${svc}`,
      ),
      [
        ...[[first, second].sort(), [first], [`0 50 6379 db-0.db.${svc}.`, `0 50 6379 db-1.db.${svc}.`]],
        ...[[`db-0.db.${svc}.`], [second], [], []],
      ],
    );
    assert.equal(await shell("hostname -f", "db-0"), `db-0.db.${svc}`);
  });

  // conformance: [sig-network] DNS should resolve DNS of partial qualified names for services
  test("the C library finds short names by search domains, and others' with many dots", async () => {
    const address = await value("service/mysql-service", ".spec.clusterIP");
    const found = await shell(
      [
        "mysql-service",
        `mysql-service.${namespace}`,
        `mysql-service.${namespace}.svc`,
        "www.example.org",
        "a.b.corp.example",
      ]
        .map((name) => `getent ahostsv4 ${name} | head -1 | cut -d' ' -f1`)
        .join("; "),
    );
    assert.deepEqual(found.split("\n"), [address, address, address, "192.0.2.1", "192.0.2.2"]);
  });

  // conformance: [sig-network] DNS should provide DNS for ExternalName services
  test("names of others: the world's resolver, a company's, a CNAME out of the cluster and its change", async () => {
    assert.deepEqual(await dig("www.example.org", "x.corp.example", `outside.${svc}`, `outside.${svc} CNAME`), [
      ...[["192.0.2.1"], ["192.0.2.2"], ["192.0.2.1", "www.example.org."], ["www.example.org."], []],
    ]);
    const change = { spec: { type: "ClusterIP", externalName: null, ports: [{ name: "http", port: 80 }] } };
    await cluster.kubectl(...["patch", "service", "-n", namespace, "outside", "-p", JSON.stringify(change)]);
    const [[address] = []] = await dig(`outside.${svc}`);
    assert.equal(address, await value("service/outside", ".spec.clusterIP"));
  });

  test("what doesn't fit a packet is cut, and had by TCP", async () => {
    const said = await shell(
      [`+ignore +noedns many.${svc}`, `+ignore many.${svc}`, `many.${svc}`]
        .map((question) => `dig +time=2 ${question} | grep -E 'flags:|SERVER|EDNS' | tr '\\n' ' '; echo`)
        .join("; "),
    );
    const [plain = "", edns = "", whole = ""] = said.split("\n");
    assert.match(plain, /flags: qr aa tc rd ra;.* ANSWER: (2\d|30),.*\(UDP\)/);
    assert.match(edns, /flags: qr aa tc rd ra;.* ANSWER: 7\d,.*udp: 1232.*\(UDP\)/);
    assert.match(whole, /flags: qr aa rd ra;.* ANSWER: 120,.*\(TCP\)/);
  });

  test("what isn't there is denied with the zone's SOA, what isn't understood is refused", async () => {
    const said = await shell(
      [
        `none.${svc}`,
        `mysql-service.${svc} MX`,
        `-c CH version.bind TXT`,
        `${domain} AXFR +tcp`,
        `mysql-service.${svc} ANY`,
      ]
        .map((question) => `dig +time=2 ${question} | grep -E 'status|SOA|failed' | tr '\\n' ' '; echo`)
        .join("; "),
    );
    const [missing = "", empty = "", chaos = "", transfer = "", any = ""] = said.split("\n");
    assert.match(
      missing,
      /NXDOMAIN.*tenx\.domain\.\s+5\s+IN\s+SOA\s+ns\.dns\.tenx\.domain\. hostmaster\.tenx\.domain\. \d+ 7200 1800 86400 5/,
    );
    assert.match(empty, /NOERROR.*SOA/);
    assert.match(chaos, /REFUSED/);
    assert.match(transfer, /Transfer failed/);
    assert.match(any, /NOERROR.*SOA/);
  });

  // conformance: [sig-network] DNS should support configurable pod DNS nameservers
  test("resolv.conf by each policy", async () => {
    const conf = async (name: string) => (await shell("cat /etc/resolv.conf", name)).split("\n").sort();
    const dns = await cluster.kubectl(
      ...["get", "service/kube-dns", "-n", "kube-system", "-o", "jsonpath={.spec.clusterIP}"],
    );
    const searches = `search ${svc} svc.${domain} ${domain}`;
    for (const name of ["client", "on-host"]) {
      const [nameserver, options, search = ""] = await conf(name);
      assert.deepEqual([nameserver, options], [`nameserver ${dns}`, "options ndots:5"]);
      assert.ok(search.startsWith(searches), search);
    }
    assert.deepEqual(await conf("own"), ["nameserver 192.0.2.53", "options ndots:2", "search a.example"]);
    assert.ok(!(await conf("plain")).includes(`nameserver ${dns}`));
  });

  test("pods behind kube-dns: they answer, the nodes' servers stand back, and come back", async () => {
    const dist = path.join(root, "dist");
    const files = [
      `${process.execPath}:/usr/bin/node`,
      `${dist}:/app/dist`,
      `${path.join(root, "package.json")}:/app/package.json`,
    ];
    await cluster.sampan("image", "pack", "sampan/dns:1", ...files.flatMap((file) => ["--file", file]));
    const manifest = readFileSync(path.join(root, "examples/dns/dns.yaml"), "utf8").replaceAll("cluster.local", domain);
    await cluster.kubectlInput(manifest, "apply", "--server-side", "--force-conflicts");
    await cluster.kubectl(...["rollout", "status", "-n", "kube-system", "deployment/sampan-dns", "--timeout=40s"]);
    const behind = async () => {
      const selector = [
        "-l",
        "kubernetes.io/service-name=kube-dns",
        "-o",
        "jsonpath={.items[*].endpoints[*].targetRef.kind}",
      ];
      return cluster.kubectl("get", "endpointslices", "-n", "kube-system", ...selector);
    };
    await cluster.until(async () => ((await behind()) === "Pod Pod" ? true : undefined), "two pods behind kube-dns");
    assert.match(
      await cluster.kubectl("get", "svc", "-n", "kube-system", "kube-dns"),
      /ClusterIP .* 53\/UDP,53\/TCP,9153\/TCP/,
    );
    const address = await value("service/mysql-service", ".spec.clusterIP");
    await cluster.until(async () => {
      const [found, reversed] = await dig(`mysql-service.${svc}`, `-x ${address} +tcp`);
      return found?.[0] === address && reversed?.[0] === `mysql-service.${svc}.` ? true : undefined;
    }, "pods answer");
    const [podIp] = (
      await cluster.kubectl(
        ...["get", "pods", "-n", "kube-system", "-l", "app=sampan-dns", "-o", "jsonpath={.items[0].status.podIP}"],
      )
    ).split(" ");
    const asked = `dig +short @${podIp} mysql-service.${svc}; wget -qO- http://${podIp}:9153/metrics`;
    assert.match(await shell(asked), /^coredns_dns_requests_total\{/m);
    await cluster.kubectl(
      ...[
        "patch",
        "service",
        "-n",
        "kube-system",
        "kube-dns",
        "--type=json",
        "-p",
        '[{"op":"remove","path":"/spec/selector"},{"op":"replace","path":"/spec/internalTrafficPolicy","value":"Local"}]',
      ],
    );
    await cluster.kubectl("delete", "deployment", "-n", "kube-system", "sampan-dns");
    await cluster.until(async () => {
      const [found] = await dig(`mysql-service.${svc}`).catch(() => [[]]);
      return found?.[0] === address ? true : undefined;
    }, "the node's server answers again");
  });
});
