/** Pods with addresses of both families, and pods that somebody else's plugin connects: real containers and Debian's CNI plugins. */
import assert from "node:assert/strict";
import { existsSync, rmdirSync } from "node:fs";
import { after, before, suite, test } from "node:test";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
const why =
  whyNoCluster() ??
  ["/bin/busybox", "/usr/lib/cni/ptp"].filter((file) => !existsSync(file)).map((file) => `needs ${file}`)[0];
const ranges = [
  "--cluster-cidr=10.244.0.0/16,fd00:10:244::/56",
  "--service-cidr=10.96.0.0/16,fd00:10:96::/108",
  "--node-name=n1",
];

const hadCni = existsSync("/etc/cni");

suite("pod network", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startTestCluster(...ranges);
    await cluster.sampan(
      "image",
      "pack",
      image,
      "--file",
      "/bin/busybox:/bin/busybox",
      "--file",
      "/bin/busybox:/bin/sh",
    );
  });
  after(async () => {
    await cluster?.close();
    // Where the last test mounted its own.
    if (!hadCni && existsSync("/etc/cni")) rmdirSync("/etc/cni");
  });

  interface Shown {
    spec: { podCIDRs?: string[]; clusterIPs?: string[] };
    status: {
      podIP?: string;
      podIPs?: { ip: string }[];
      addresses?: { type: string; address: string }[];
      conditions?: { type: string; status: string; message: string }[];
    };
  }
  const get = async (...args: string[]) => JSON.parse(await cluster.kubectl("get", ...args, "-o", "json")) as Shown;
  const create = (object: object) => cluster.kubectlInput(JSON.stringify(object), "create");
  const pod = (name: string, script: string) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "c", image, imagePullPolicy: "IfNotPresent", command: ["/bin/sh", "-c", script] }],
    },
  });
  const running = (name: string) => cluster.kubectl("wait", "--for=condition=Ready", `pod/${name}`, "--timeout=60s");
  const inPod = (name: string, ...command: string[]) => cluster.kubectl("exec", name, "--", ...command);

  test("pod network: pods have an address of each family, the first family first, and reach each other by both", async () => {
    const node = await get("node", "n1");
    assert.deepEqual(node.spec.podCIDRs, ["10.244.0.0/24", "fd00:10:244::/64"]);
    await create(pod("web", "echo hello > /tmp/index.html; busybox httpd -f -p 80 -h /tmp"));
    await create(pod("client", "sleep 3600"));
    await Promise.all([running("web"), running("client")]);
    const { status } = await get("pod", "web");
    const ips = (status.podIPs ?? []).map(({ ip }) => ip);
    assert.equal(ips[0], status.podIP);
    assert.match(ips.join(" "), /^10\.244\.0\.\d+ fd00:10:244::[0-9a-f]+$/);
    for (const host of [ips[0], `[${ips[1]}]`])
      assert.equal(await inPod("client", "busybox", "wget", "-qO-", `http://${host}/`), "hello\n");
  });

  test("pod network: a Service of both families answers by both, in pods and from the node", async () => {
    await create({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web" },
      spec: { ipFamilyPolicy: "RequireDualStack", selector: { app: "web" }, ports: [{ port: 80 }] },
    });
    const { clusterIPs = [] } = (await get("service", "web")).spec;
    assert.equal(clusterIPs.length, 2);
    for (const [, host] of [
      ["IPv4", clusterIPs[0]],
      ["IPv6", `[${clusterIPs[1]}]`],
    ]) {
      const url = `http://${host}/`;
      await cluster.until(
        async () =>
          (await inPod("client", "busybox", "wget", "-qO-", url).catch(() => "")) === "hello\n" ? true : undefined,
        `a pod reaches ${url}`,
        15_000,
      );
      const program = `fetch(${JSON.stringify(url)}).then((r) => r.text()).then((t) => process.stdout.write(t))`;
      assert.equal(await cluster.run(process.execPath, "-e", program), "hello\n");
    }
  });

  test("pod network: with --network none the node waits for a plugin, says so, and takes the one that comes", async () => {
    await cluster.kubectl("delete", "pod", "web", "client", "--now");
    await cluster.stop("SIGTERM");
    // The machine's own folders aren't touched: these are of the cluster's mount namespace.
    const set = [
      "mkdir -p /etc/cni",
      "mount -t tmpfs none /etc/cni",
      "mount -t tmpfs none /opt",
      "mkdir -p /etc/cni/net.d /opt/cni && ln -s /usr/lib/cni /opt/cni/bin",
      "ip link add up0 type veth peer name up1",
      "ip address add 192.0.2.5/24 dev up0",
      "ip link set up0 up; ip link set up1 up",
      "ip route add default via 192.0.2.1",
    ];
    await cluster.run("sh", "-ec", set.join("\n"));
    await cluster.start(...ranges, "--network=none");
    const ready = async () => (await get("node", "n1")).status.conditions?.find(({ type }) => type === "Ready");
    const unready = await cluster.until(async () => {
      const found = await ready();
      return found?.status === "False" ? found : undefined;
    }, "the node isn't ready");
    assert.match(
      unready.message,
      /container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:.*cni plugin not initialized/,
    );
    assert.doesNotMatch(await cluster.run("ip", "link"), /sampan0/);
    const plugin = {
      cniVersion: "0.4.0",
      name: "mine",
      plugins: [
        {
          type: "ptp",
          ipam: {
            type: "host-local",
            dataDir: `${cluster.directory}/leases`,
            ranges: [[{ subnet: "10.244.0.0/24" }], [{ subnet: "fd00:10:244::/64" }]],
            routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
          },
        },
      ],
    };
    await cluster.run("sh", "-c", `echo '${JSON.stringify(plugin)}' > /etc/cni/net.d/10-mine.conflist`);
    await cluster.until(async () => ((await ready())?.status === "True" ? true : undefined), "the node is ready");
    await create(pod("web", "echo hello > /tmp/index.html; busybox httpd -f -p 80 -h /tmp"));
    await create(pod("client", "sleep 3600"));
    await Promise.all([running("web"), running("client")]);
    const { podIPs = [] } = (await get("pod", "web")).status;
    assert.equal(podIPs.length, 2);
    assert.match(await cluster.run("ip", "route"), new RegExp(`${podIPs[0]?.ip} dev veth`));
    const fetched = () =>
      inPod("client", "busybox", "wget", "-qO-", "http://web.default.svc.cluster.local/").catch(() => "");
    await cluster.until(
      async () => ((await fetched()) === "hello\n" ? true : undefined),
      "a name leads to the pod",
      15_000,
    );
    await cluster.kubectl("delete", "pod", "web", "client", "--now");
  });
});
