/**
 * Three machines: a server, and two agents that joined by a token. What must hold between machines: joining and its refusals, pods and
 * Services across, logs and shells, cut cables, killed agents, a server that starts again, removed nodes.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { CertificateSigningRequest, EndpointSlice, Node, Pod } from "#api";
import { packImage } from "#kubelet";
import { type ClusterMachine, type ClusterMachines, leftovers, startClusterMachines, whyNoCluster } from "#testing";

const why = whyNoCluster() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static");
const image = "demo/busybox:1";
const graceSeconds = 4;
/** busybox's own clients can't resolve names when linked statically. */
const fetching =
  "fetch(process.argv[1], { signal: AbortSignal.timeout(3000) }).then((answer) => answer.text()).then((text) => process.stdout.write(text))";
const calmNode = {
  ...{ apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration" },
  evictionHard: { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
  ...{ imageGCHighThresholdPercent: 100, imageGCLowThresholdPercent: 99, nodeStatusUpdateFrequency: "1s" },
  nodeLeaseDurationSeconds: graceSeconds,
};

suite("machines", { skip: why ?? false }, () => {
  let lan: ClusterMachines;
  let server: ClusterMachine;
  let agents: ClusterMachine[];
  /** Without the token. */
  let join: string[];
  const kubectl = (...args: string[]) => server.run("kubectl", ...args);
  const read = async <T>(...what: string[]) => JSON.parse(await kubectl("get", ...what, "-o", "json")) as T; // of that kind
  const list = async <T>(...what: string[]) => (await read<{ items: T[] }>(...what)).items;
  const create = async (...items: object[]) => {
    const file = path.join(server.dataDir, "objects.json");
    writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    await kubectl("apply", "-f", file);
  };
  const isTrue = (conditions: readonly { type: string; status: string }[] | undefined, wanted: string) =>
    conditions?.some(({ type, status }) => type === wanted && status === "True") ?? false;
  const nodeIs = (name: string, ready: boolean) =>
    lan.until(
      async () => {
        const node = (await list<Node>("nodes")).find(({ metadata }) => metadata.name === name);
        return node && isTrue(node.status?.conditions, "Ready") === ready ? node : undefined;
      },
      `node ${name} is ${ready ? "" : "not "}ready`,
    );
  /** One on each agent, ready. */
  const webs = () =>
    lan.until(async () => {
      const pods = await list<Pod>("pods", "-l", "app=web");
      const found = agents.map(({ name }) =>
        pods.find(
          ({ spec, status, metadata }) =>
            spec?.nodeName === name && isTrue(status?.conditions, "Ready") && !metadata.deletionTimestamp,
        ),
      );
      return found.every((pod) => pod !== undefined) ? found : undefined;
    }, "a pod is ready on each agent");
  const ask = async (machine: ClusterMachine, address: string) =>
    (await machine.run(process.execPath, "-e", fetching, `http://${address}/`)).trim();
  const secretOf = async () => (await server.sampan("token", "create", "--ttl", "1h")).trim();

  const startServer = async () => {
    const before = server.log().length;
    server.start("server", "--advertise-address", server.address, "--node-monitor-grace-period", `${graceSeconds}s`);
    await lan.until(async () => server.log().slice(before).includes("serving on") || undefined, "the server serves");
  };
  const startAgent = (machine: ClusterMachine, ...more: string[]) => {
    const config = path.join(lan.directory, "kubelet.json");
    writeFileSync(config, JSON.stringify(calmNode));
    machine.start("agent", "--node-name", machine.name, "--kubelet-config", config, ...more);
  };

  before(async () => {
    lan = await startClusterMachines(["server", "a", "b"]);
    const [first, ...rest] = lan.machines;
    assert.ok(first);
    [server, agents] = [first, rest];
    const files = ["busybox", "sh"].map((name) => ({ host: "/bin/busybox", path: `/bin/${name}` }));
    const archive = await packImage({ name: image, files });
    for (const { dataDir } of agents) {
      mkdirSync(path.join(dataDir, "images"));
      writeFileSync(path.join(dataDir, "images/busybox.tar"), archive);
    }
    await startServer();
    const line = (await server.sampan("token", "create", "--print-join-command")).trim();
    assert.match(
      line,
      /^sampan agent --server https:\/\/192\.0\.2\.1:6443 --token [a-z0-9]{6}\.[a-z0-9]{16} --ca-cert-hash sha256:[0-9a-f]{64}$/,
    );
    const [, , ...flags] = line.split(" ");
    for (const agent of agents) startAgent(agent, ...flags);
    join = flags.filter((_, i) => i < 2 || i > 3);
    for (const { name } of agents) await nodeIs(name, true);
    const script =
      "mkdir -p /tmp; hostname > /tmp/index.html; trap exit TERM; httpd -p 80 -h /tmp; echo $NODE; sleep 3600 & wait";
    const env = [{ name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }];
    const container = {
      ...{ name: "c", image, command: ["/bin/sh", "-c", script], env },
      readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 },
    };
    await create(
      {
        ...{ apiVersion: "apps/v1", kind: "DaemonSet", metadata: { name: "web" } },
        spec: {
          selector: { matchLabels: { app: "web" } },
          template: {
            metadata: { labels: { app: "web" } },
            spec: { terminationGracePeriodSeconds: 1, containers: [container] },
          },
        },
      },
      {
        ...{ apiVersion: "v1", kind: "Service", metadata: { name: "web" } },
        spec: {
          selector: { app: "web" },
          type: "NodePort",
          clusterIP: "10.96.0.80",
          ports: [{ port: 80, nodePort: 30080 }],
        },
      },
    );
  });
  after(() => lan?.close());

  test("agent: a node with its machine's address, a share of the pods' addresses and certificates that nobody approved by hand", async () => {
    const nodes = await list<Node>("nodes");
    assert.deepEqual(
      nodes.map(({ metadata, status }) => [metadata.name, status?.addresses?.[0]?.address]),
      [
        ["a", "192.0.2.2"],
        ["b", "192.0.2.3"],
      ],
    );
    assert.equal(new Set(nodes.map(({ spec }) => spec?.podCIDR)).size, 2);
    const requests = await list<CertificateSigningRequest>("csr");
    assert.equal(requests.length, 4);
    assert.ok(requests.every(({ status }) => isTrue(status?.conditions, "Approved") && status?.certificate));
    const slices = await list<EndpointSlice>(
      "endpointslices",
      "-n",
      "kube-system",
      "-l",
      "kubernetes.io/service-name=kube-dns",
    );
    assert.deepEqual(slices.map(({ endpoints }) => endpoints?.[0]?.nodeName).sort(), ["a", "b"]);
  });

  test("agent: logs, shells and ports of pods of each", async () => {
    for (const pod of await webs()) {
      const name = pod.metadata.name ?? "";
      assert.equal((await kubectl("logs", name)).trim(), pod.spec?.nodeName);
      assert.equal((await kubectl("exec", name, "--", "busybox", "hostname")).trim(), name);
      const forward = `kubectl port-forward pod/${name} 18080:80 > /dev/null & trap 'kill $!' EXIT; for i in $(seq 50); do busybox wget -qO- http://127.0.0.1:18080/ 2>/dev/null && exit 0; sleep 0.1; done; exit 1`;
      assert.equal((await server.run("sh", "-c", forward)).trim(), name);
    }
  });

  test("agent: each machine reaches each pod, the Service by its cluster address, and its node port on each machine", async () => {
    const pods = await webs();
    const names = pods.map(({ metadata }) => metadata.name);
    for (const agent of agents) {
      for (const { metadata, status } of pods) assert.equal(await ask(agent, status?.podIP ?? ""), metadata.name);
      assert.ok(names.includes(await ask(agent, "10.96.0.80")));
    }
    for (const { address } of agents) assert.ok(names.includes(await ask(server, `${address}:30080`)));
  });

  const refused: [title: string, flags: () => Promise<string[]>, message: RegExp][] = [
    [
      "another authority's hash",
      async () => ["--token", await secretOf(), ...join.slice(0, 3), `sha256:${"0".repeat(64)}`],
      /the cluster's authority has the hash sha256:[0-9a-f]{64}, not sha256:0{64} \(--ca-cert-hash\)/,
    ],
    [
      "a token of nobody",
      async () => ["--token", "nobody.0123456789abcdef", ...join],
      /token id "nobody" is invalid for this cluster or it has expired/,
    ],
    [
      "a wrong secret",
      async () => ["--token", `${(await secretOf()).slice(0, 7)}0123456789abcdef`, ...join],
      /isn't signed with this token: the token's secret is wrong/,
    ],
    [
      "a token that only signs",
      async () => [
        "--token",
        (await server.sampan("token", "create", "--usages", "signing", "--groups", "")).trim(),
        ...join,
      ],
      /doesn't accept the token [a-z0-9]{6}: it has expired, or may not be used for joining/,
    ],
    ["no hash", async () => ["--token", await secretOf(), ...join.slice(0, 2)], /--ca-cert-hash is needed/],
    ["no token", async () => join, /--token is needed/],
    [
      "the name of a node that is alive",
      async () => ["--token", await secretOf(), ...join, "--node-name", "a"],
      /a node with the name "a" and status "Ready" is in the cluster already, at 192\.0\.2\.2/,
    ],
  ];
  for (const [title, flags, message] of refused)
    test(`agent: ${title} is refused with a reason`, async () => {
      const folder = path.join(lan.directory, "refused");
      await assert.rejects(
        async () =>
          server.run(
            process.execPath,
            "dist/sampan.js",
            "agent",
            "--data-dir",
            folder,
            "--node-name",
            "c",
            ...(await flags()),
          ),
        message,
      );
    });

  test("agent: a second one with the same data folder is refused", async () => {
    const [a] = agents;
    assert.ok(a);
    await assert.rejects(
      async () => a.sampan("agent", "--node-name", "other", ...join),
      /an agent \(pid \d+, node a\) runs with this data folder already/,
    );
  });

  test("token: listed as kubeadm does, and deleted", async () => {
    const made = await server.sampan(
      "token",
      "create",
      "abcdef.0123456789abcdef",
      "--ttl",
      "0",
      "--description",
      "mine",
    );
    assert.equal(made, "abcdef.0123456789abcdef\n");
    await assert.rejects(
      server.sampan("token", "create", "abcdef.0123456789abcdef"),
      /a token with id "abcdef" already exists/,
    );
    const lines = (await server.sampan("token", "list")).split("\n");
    assert.match(lines[0] ?? "", /^TOKEN {21}TTL +EXPIRES +USAGES +DESCRIPTION +EXTRA GROUPS$/);
    const line = lines.find((each) => each.startsWith("abcdef"));
    assert.equal(
      line?.replace(/ +/g, " "),
      "abcdef.0123456789abcdef <forever> <never> authentication,signing mine system:bootstrappers:kubeadm:default-node-token",
    );
    assert.equal(await server.sampan("token", "delete", "abcdef"), 'bootstrap token "abcdef" deleted\n');
    assert.doesNotMatch(await server.sampan("token", "list"), /abcdef/);
  });

  test("agent: killed and started again without a token, its pods go on", async () => {
    const [a] = agents;
    assert.ok(a);
    const before = (await webs()).map(({ status }) => status?.containerStatuses?.[0]?.containerID);
    await a.stop("SIGKILL");
    const logged = a.log().length;
    startAgent(a);
    await lan.until(
      async () => a.log().slice(logged).includes("is ready for pods") || undefined,
      "the agent is ready again",
    );
    assert.deepEqual(
      (await webs()).map(({ status }) => status?.containerStatuses?.[0]?.containerID),
      before,
    );
  });

  test("server: starts again, and the agents go on", async () => {
    await server.stop("SIGTERM");
    await startServer();
    const [pod] = await webs();
    await kubectl("delete", "pod", pod?.metadata.name ?? "", "--wait=false");
    const [other] = await lan.until(async () => {
      const pods = await webs();
      return pods[0]?.metadata.uid === pod?.metadata.uid ? undefined : pods;
    }, "the agent has a new pod");
    assert.equal((await kubectl("logs", other?.metadata.name ?? "")).trim(), "a");
  });

  /** The address that answers at the cluster address of the Service, once a connection. */
  const answered = async (machine: ClusterMachine, times: number) => {
    const script = `const [host, times] = process.argv.slice(1);
      const ask = () => fetch("http://" + host, { signal: AbortSignal.timeout(1000), headers: { connection: "close" } }).then((a) => a.text(), (e) => "none");
      (async () => { for (let i = 0; i < times; i++) process.stdout.write((await ask()).trim() + " "); })()`;
    return (await machine.run(process.execPath, "-e", script, "10.96.0.80", String(times))).trim().split(" ");
  };
  /** Names of the pods that answer there, when it is looked at for a second after the cut is mended. */
  const cuts: [
    title: string,
    cut: (a: ClusterMachine) => Promise<unknown>,
    mend: (a: ClusterMachine) => Promise<unknown>,
  ][] = [
    ["a pulled cable", (a) => a.setLink("down"), (a) => a.setLink("up")],
    [
      "packets that are dropped",
      (a) =>
        a.run(
          "nft",
          "add table netdev cut; add chain netdev cut in { type filter hook ingress device eth0 priority 0; policy drop; }",
        ),
      (a) => a.run("nft", "delete table netdev cut"),
    ],
  ];
  for (const [title, cut, mend] of cuts)
    test(`partition: after ${title} the node is not ready, its endpoints leave, and a second after the heal no packet goes where nobody is any more`, async () => {
      const [a, b] = agents;
      assert.ok(a && b);
      const [, old] = await webs();
      assert.ok(old);
      await cut(a);
      try {
        await nodeIs("a", false);
        const endpoints = await lan.until(async () => {
          const slices = await list<EndpointSlice>("endpointslices", "-l", "kubernetes.io/service-name=web");
          const ready = slices.flatMap(({ endpoints = [] }) => endpoints.filter(({ conditions }) => conditions?.ready));
          return ready.length === 1 ? ready : undefined;
        }, "the endpoint of the cut machine leaves");
        assert.equal(endpoints[0]?.nodeName, "b");
        // What a hasn't heard of: b's pod is another one now.
        await kubectl("delete", "pod", old.metadata.name ?? "");
        await lan.until(async () => {
          const pods = await list<Pod>("pods", "-l", "app=web", "--field-selector", "spec.nodeName=b");
          return (
            pods.some(
              ({ metadata, status }) => metadata.uid !== old.metadata.uid && isTrue(status?.conditions, "Ready"),
            ) || undefined
          );
        }, "b has a new pod");
      } finally {
        await mend(a);
      }
      await a.run("sleep", "1");
      const names = await answered(a, 20);
      const living = (await list<Pod>("pods", "-l", "app=web")).map(({ metadata }) => metadata.name ?? "");
      assert.deepEqual(
        names.filter((name) => !living.includes(name)),
        [],
      );
      await nodeIs("a", true);
      await webs();
    });

  test("partition: a slow cable that loses packets costs no node", async (context) => {
    const [a] = agents;
    assert.ok(a);
    try {
      await a.shape("netem", "delay", "50ms", "loss", "5%");
    } catch (error) {
      return context.skip(`this kernel has no netem: ${(error as Error).message.split("\n").at(-2)}`);
    }
    try {
      const [pod] = await webs();
      assert.equal((await kubectl("logs", pod?.metadata.name ?? "")).trim(), "a");
      assert.equal(
        (await kubectl("exec", pod?.metadata.name ?? "", "--", "busybox", "hostname")).trim(),
        pod?.metadata.name,
      );
      await nodeIs("a", true);
    } finally {
      await a.shape();
    }
  });

  /** All that runs of it and all that isn't on its disk goes, as when its power is cut. */
  const cutPower = async (machine: ClusterMachine) => {
    await machine.stop("SIGKILL");
    const rows = execFileSync("ps", ["-eo", "pid,ppid,args"], { encoding: "utf8", maxBuffer: 2 ** 24 }).split("\n");
    const processes = rows.map((row) => {
      const [, pid, parent, args = ""] = /^ *(\d+) +(\d+) (.*)$/.exec(row) ?? [];
      return { pid: Number(pid), parent: Number(parent), isOwn: args.includes(`${machine.dataDir}/`) };
    });
    const own = new Set(processes.filter(({ isOwn }) => isOwn).map(({ pid }) => pid));
    for (const { pid, parent } of processes) if (own.has(pid) || own.has(parent)) killed(pid);
    const script = `ip link delete sampan0; nft flush ruleset
      awk -v under="$0/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l
      rm -rf "$0"/nodes/*/containerd/state`;
    await machine.run("sh", "-c", script, machine.dataDir);
  };

  test("node: after its machine lost power it comes back under its name, with its share of the pods' addresses and its pods", async () => {
    const [, b] = agents;
    assert.ok(b);
    const share = (await nodeIs("b", true)).spec?.podCIDR;
    const [, before] = await webs();
    await cutPower(b);
    await nodeIs("b", false);
    startAgent(b);
    assert.equal((await nodeIs("b", true)).spec?.podCIDR, share);
    const restarts = await lan.until(async () => {
      const [, pod] = await webs();
      const id = pod?.status?.containerStatuses?.[0]?.containerID;
      return id === before?.status?.containerStatuses?.[0]?.containerID ? undefined : pod;
    }, "its pod runs anew");
    assert.equal(restarts.metadata.uid, before?.metadata.uid);
    assert.equal(await ask(server, `${b.address}:30080`).then((name) => name.startsWith("web-")), true);
  });

  test("node: deleted, its pods, endpoints and DNS leave; its agent makes it anew when it is started again", async () => {
    const [, b] = agents;
    assert.ok(b);
    const [, before] = await webs();
    await kubectl("delete", "node", "b");
    await lan.until(async () => {
      const [pods, web, dns] = await Promise.all([
        list<Pod>("pods", "-l", "app=web"),
        list<EndpointSlice>("endpointslices", "-l", "kubernetes.io/service-name=web"),
        list<EndpointSlice>("endpointslices", "-n", "kube-system", "-l", "kubernetes.io/service-name=kube-dns"),
      ]);
      const left = [...web, ...dns].flatMap(({ endpoints = [] }) => endpoints.map(({ nodeName }) => nodeName));
      return pods.some(({ spec }) => spec?.nodeName === "b") || left.includes("b") ? undefined : true;
    }, "nothing is left of the node in the cluster");
    await b.stop("SIGTERM");
    startAgent(b);
    await nodeIs("b", true);
    const [, pod] = await webs();
    assert.notEqual(pod?.metadata.uid, before?.metadata.uid);
    assert.match(await ask(server, `${b.address}:30080`), /^web-/);
  });

  test("agent: down ends it and its pods and leaves nothing on its machine, also with a damaged pid file", async () => {
    const [, b] = agents;
    assert.ok(b);
    writeFileSync(path.join(b.dataDir, "nodes/b/agent.pid"), "{");
    assert.match(await b.sampan("down"), /^down/);
    const left = await leftovers(b, ["b"]);
    assert.deepEqual(
      left.filter((line) => !/ dev eth0 | eth0@/.test(line)),
      [],
    );
  });
});

function killed(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // kill throws errno errors; it went with another
  }
}
