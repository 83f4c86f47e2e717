/** `sampan lb` as a process of its own, with a real haproxy, in front of two real API servers and of node ports. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { get } from "node:https";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { Node, Service } from "#api";
import { type Client, createClient, createHttpsTransport, kubeconfigTarget, readKubeconfig } from "#client";
import { freePort, startPart, temporaryFolder } from "./processes.ts";

function whyNoHaproxy(): string | false {
  try {
    execFileSync("haproxy", ["-v"], { stdio: "pipe" });
    return false;
  } catch {
    return "needs haproxy";
  }
}

async function until(look: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 1500; turn++) {
    if (await look()) return;
    await new Promise((next) => setTimeout(next, 10));
  }
  assert.fail(look.toString());
}

/** What stands for a node port: answers its own address. */
async function listenOn(t: TestContext, host: string, port: number): Promise<void> {
  const server = createServer((_, response) => void response.setHeader("connection", "close").end(host)).listen(
    port,
    host,
  );
  await once(server, "listening");
  t.after(() => server.close());
}

const nodeOf = (name: string, address: string, ready: boolean): Node => ({
  ...{ apiVersion: "v1", kind: "Node", metadata: { name } },
  status: {
    addresses: [{ type: "InternalIP", address }],
    conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
  },
});

test("lb: an API server that is killed costs no request; node ports follow nodes; an address is published", {
  skip: whyNoHaproxy(),
}, async (t) => {
  const folder = temporaryFolder(t);
  const [first, second] = [path.join(folder, "first"), path.join(folder, "second")];
  const [port1, port2, port, nodePort, servicePort] = await Promise.all([1, 2, 3, 4, 5].map(freePort));
  const serve = (data: string, at = 0) => [
    ...["apiserver", "--data-dir", data, "--bind-address", "127.0.0.1", "--secure-port", String(at)],
    ...["--service-node-port-range", "1024-65535"],
  ];
  await startPart(t, serve(first, port1)).printed(/serving on/);
  cpSync(path.join(first, "pki"), path.join(second, "pki"), { recursive: true });
  const other = startPart(t, serve(second, port2));
  await other.printed(/serving on/);
  const kubeconfig = path.join(first, "admin.kubeconfig");
  const lb = startPart(t, [
    ...["lb", "--kubeconfig", kubeconfig, "--run-dir", path.join(folder, "lb"), "--bind", "127.0.0.1"],
    ...[
      "--apiservers",
      `127.0.0.1:${port1},127.0.0.1:${port2}`,
      "--apiserver-port",
      String(port),
      "--publish",
      "lb.example",
    ],
  ]);
  await lb.printed(/haproxy works/);

  const ca = readFileSync(path.join(first, "pki/ca.crt"), "utf8");
  const ask = () =>
    new Promise<number | undefined>((resolve, reject) => {
      get({ host: "127.0.0.1", port, path: "/readyz", ca, agent: false }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode));
      }).on("error", reject);
    });
  const many = async () => {
    for (let round = 0; round < 15; round++) assert.equal(await ask(), 200);
  };
  await many();
  other.child.kill("SIGKILL");
  await other.ended;
  await many();

  const { transport: target } = await kubeconfigTarget(await readKubeconfig([kubeconfig]));
  const transport = createHttpsTransport({ ...target, userAgent: "test" });
  t.after(() => transport.close());
  const client: Client = createClient(transport);
  const nodes = client.resource("v1/nodes");
  for (const [name, address] of [
    ["a", "127.0.0.2"],
    ["b", "127.0.0.3"],
  ] as const) {
    await listenOn(t, address, nodePort ?? 0);
    const made = await nodes.create(nodeOf(name, address, true));
    await nodes.updateStatus({ ...nodeOf(name, address, true), metadata: { ...made.metadata } } as Node); // of its own
  }
  const services = client.resource("v1/services", "default");
  await services.create({
    ...{ apiVersion: "v1", kind: "Service", metadata: { name: "web" } },
    spec: {
      ...{ type: "LoadBalancer", loadBalancerClass: "sampan.dev/haproxy" },
      ports: [{ port: servicePort ?? 0, nodePort: nodePort ?? 0, protocol: "TCP" }],
    },
  } as Service);
  await until(async () => (await services.get("web")).status?.loadBalancer?.ingress?.[0]?.hostname === "lb.example");
  const answers = async () =>
    new Set(await Promise.all([1, 2, 3, 4].map(async () => (await fetch(`http://127.0.0.1:${servicePort}/`)).text())));
  await until(async () => (await answers()).size === 2);
  await nodes.patch(
    "a",
    { status: nodeOf("a", "127.0.0.2", false).status },
    { type: "strategic", subresource: "status" },
  );
  await until(async () => [...(await answers())].join() === "127.0.0.3");
  lb.child.kill("SIGTERM");
  assert.equal(await lb.ended, 0);
});
