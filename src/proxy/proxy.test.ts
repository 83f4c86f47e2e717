/** The proxy with real nftables: in a network namespace of its own, with pods that are namespaces on a bridge. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { get } from "node:http";
import { test } from "node:test";
import { realClock, silentLogger } from "#base";
import {
  createFakeInformers,
  insideNamespace,
  ip,
  makeBridge,
  makePod,
  runInNamespace,
  whyNoNamespaces,
} from "#testing";
import { createNft } from "#base";
import { createProxy, removeRules } from "./proxy.ts";

const services = "v1/services";
const slices = "discovery.k8s.io/v1/endpointslices";
const vip = "10.96.0.7";
const service = (spec: object) => ({
  metadata: { name: "web", namespace: "ns" },
  spec: { clusterIP: vip, clusterIPs: [vip], ...spec },
});
const slice = (...addresses: string[]) => ({
  metadata: { name: "web-x", namespace: "ns", labels: { "kubernetes.io/service-name": "web" } },
  addressType: "IPv4",
  ports: [{ name: "", port: 8080, protocol: "TCP" }],
  endpoints: addresses.map((address) => ({ addresses: [address], nodeName: "n1", conditions: { ready: true } })),
});

/** The answer's text, or the error's code. */
const fetch = (url: string): Promise<string> =>
  new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 3000 }, (response) =>
      response.setEncoding("utf8").on("data", resolve),
    );
    request
      .on("timeout", () => resolve("timeout"))
      .on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
  });

const why = whyNoNamespaces();
if (!insideNamespace)
  test("proxy: real nftables in a namespace", { skip: why ?? false }, () => runInNamespace(import.meta.filename));
else
  test("proxy: services answer, spread, reject and vanish", async (t) => {
    makeBridge("br0", "10.244.0.1/24");
    ip("route", "add", "10.96.0.0/16", "dev", "br0");
    const [one, two] = await Promise.all([
      makePod({ bridge: "br0", address: "10.244.0.2", gateway: "10.244.0.1", port: 8080 }),
      makePod({ bridge: "br0", address: "10.244.0.3", gateway: "10.244.0.1", port: 8080 }),
    ]);
    t.after(() => {
      one.close();
      two.close();
    });
    const informers = createFakeInformers();
    informers.set(services, service({ type: "NodePort", ports: [{ port: 80, nodePort: 30080 }] }));
    informers.set(slices, slice(one.address));
    const apply = createNft();
    const proxy = createProxy({
      informers,
      nodeName: "n1",
      clusterCidr: "10.244.0.0/16",
      serviceCidr: "10.96.0.0/16",
      apply,
      clock: realClock,
      log: silentLogger,
    });
    const stop = new AbortController();
    const running = proxy.run(stop.signal);
    t.after(async () => {
      stop.abort();
      await running;
    });
    await new Promise((next) => setImmediate(next));
    await proxy.settled();

    const wget = (pod: typeof one, url: string) =>
      pod
        .run(
          process.execPath,
          "-e",
          `fetch("${url}").then((r) => r.text()).then(console.log, (e) => console.log(e.cause.code))`,
        )
        .trim();
    assert.match(await fetch(`http://${vip}/`), /^10\.244\.0\.2 from /, "from the node");
    assert.equal(
      wget(two, `http://${vip}/`),
      "10.244.0.2 from ::ffff:10.244.0.3",
      "from a pod, with the pod's own address",
    );
    assert.match(
      wget(one, `http://${vip}/`),
      /^10\.244\.0\.2 from ::ffff:10\.244\.0\.1$/,
      "a pod through its service to itself",
    );
    assert.match(await fetch("http://10.244.0.1:30080/"), /^10\.244\.0\.2 from /, "node port");
    assert.equal(await fetch(`http://${vip}:81/`), "ECONNREFUSED", "a port the service doesn't have");
    assert.equal(await fetch("http://10.96.9.9/"), "ECONNREFUSED", "an address no service has");
    assert.equal(wget(two, "http://10.96.9.9/"), "ECONNREFUSED", "an address no service has, from a pod");

    const ports = [{ containerPort: 8080, hostPort: 9080 }];
    informers.set("v1/pods", {
      metadata: { name: "two", namespace: "ns" },
      ...{ spec: { containers: [{ name: "c", ports }] }, status: { podIP: two.address } },
    });
    await proxy.settled();
    assert.equal(wget(one, "http://10.244.0.1:9080/"), "10.244.0.3 from ::ffff:10.244.0.2", "host port");

    informers.set(slices, slice(one.address, two.address));
    await proxy.settled();
    const seen = new Set<string>();
    for (let round = 0; round < 60 && seen.size < 2; round++)
      seen.add((await fetch(`http://${vip}/`)).split(" ")[0] ?? "");
    assert.deepEqual([...seen].sort(), [one.address, two.address], "both endpoints are used");

    const sticky = { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } };
    informers.set(services, service({ ports: [{ port: 80 }], ...sticky }));
    await proxy.settled();
    const first = await fetch(`http://${vip}/`);
    for (let round = 0; round < 20; round++)
      assert.equal(await fetch(`http://${vip}/`), first, "the same endpoint each time");

    informers.set(slices, slice());
    await proxy.settled();
    assert.equal(await fetch(`http://${vip}/`), "ECONNREFUSED", "no endpoints");
    informers.remove(services, service({}));
    informers.remove(slices, slice());
    await proxy.settled();
    const ruleset = execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" });
    assert.doesNotMatch(ruleset, /ns\/web/, "nothing of a removed service is left");
    await removeRules(apply);
    assert.equal(execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" }), "", "nothing at all is left");
  });
