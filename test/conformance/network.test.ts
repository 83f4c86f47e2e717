/** Services and pods' connections, as Kubernetes' conformance suite asks for them (test/e2e/network), on three nodes with real containers and nftables. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { EndpointSlice, Service } from "#api";
import { createAuthority, issueCertificate } from "../../src/apiserver/security/certificates.ts";
import { type Dial, type NetCluster, podPort, startNetCluster, udpPort, type View } from "./net-cluster.ts";
import { whyNoPods } from "./node-pods.ts";

const merge = "application/merge-patch+json";
const selector = { app: "server" };
const addressOf = ({ spec }: Service) => spec?.clusterIP ?? "";
const nodePortOf = ({ spec }: Service, at = 0) => spec?.ports?.[at]?.nodePort ?? 0;

suite("the network of three nodes", { skip: whyNoPods ?? false }, () => {
  let net: NetCluster;
  let views: readonly View[];
  let names: readonly string[];
  before(async () => {
    net = await startNetCluster("--nodes", "3");
    views = [...net.servers, ...net.hosts];
    names = net.servers.map(({ name }) => name).sort();
  });
  after(() => net?.close());

  const service = (name: string) => `${net.api.base}/services/${name}`;
  const patch = async (name: string, spec: object) =>
    (await net.api.call("PATCH", service(name), { spec }, merge)) as unknown as Service;
  /** From everywhere, until each server has answered and nothing else has. */
  async function reachesAll(target: Dial, from: readonly View[] = views): Promise<void> {
    await Promise.all(
      from.map((view) =>
        net.until(`${view.name} reaches all at ${JSON.stringify(target)}`, async () => {
          const { responses } = await view.dial({ ...target, tries: 12 });
          const seen = [...new Set(responses)].sort();
          return seen.join() === names.join();
        }),
      ),
    );
  }
  const refuses = (view: View, target: Dial) =>
    net.until(`${view.name} is refused at ${JSON.stringify(target)}`, async () => {
      const { errors } = await view.dial(target);
      return errors.length > 0 && errors;
    });

  for (const [from, who] of [
    ["intra-pod", () => net.servers],
    ["node-pod", () => net.hosts],
  ] as const)
    for (const protocol of ["http", "udp"] as const) {
      test(`conformance: Networking Granular Checks: Pods should function for ${from} communication: ${protocol}`, async () => {
        const port = protocol === "udp" ? udpPort : podPort;
        for (const view of who())
          for (const { address: host, name } of net.servers)
            assert.equal(await view.ask({ host, port, protocol }), name);
      });
    }

  test("conformance: Services should serve a basic endpoint from pods", async () => {
    await net.createService("basic", { selector: { basic: "yes" }, ports: [{ port: 80, targetPort: podPort }] });
    await net.endpoints("basic", 0);
    const target = { host: addressOf((await net.api.call("GET", service("basic"))) as unknown as Service), port: 80 };
    assert.deepEqual(await refuses(net.servers[0] as View, target), ["ECONNREFUSED"]);
    const label = (name: string, basic: string | null) =>
      net.api.call("PATCH", `${net.api.base}/pods/${name}`, { metadata: { labels: { basic } } }, merge);
    const answers = async (...wanted: string[]) => {
      await net.endpoints("basic", wanted.length);
      await net.until(`${wanted} answer`, async () => {
        const { responses, errors } = await (net.servers[0] as View).dial({ ...target, tries: 10 });
        return errors.length === 0 && [...new Set(responses)].sort().join() === wanted.join();
      });
    };
    const [first = "", second = first] = names;
    await label(first, "yes");
    await answers(first);
    if (second !== first) {
      await label(second, "yes");
      await answers(first, second);
      await label(first, null);
      await answers(second);
    }
    await label(second, null);
    await net.endpoints("basic", 0);
    assert.deepEqual(await refuses(net.servers[0] as View, target), ["ECONNREFUSED"]);
  });

  test("conformance: Services should serve multiport endpoints from pods", async () => {
    const ports = [
      { name: "portname1", port: 80, targetPort: "first" },
      { name: "portname2", port: 81, targetPort: "second" },
    ];
    const made = await net.createService("multi", { selector: { multi: "yes" }, ports });
    await net.endpoints("multi", 0);
    const labels = { multi: "yes" };
    const pods = ["first", "second"].map((name, at) =>
      net.startView(`multi-${name}`, {
        labels,
        ports: [{ name, containerPort: podPort }],
        node: net.nodes.at(at)?.name ?? net.nodes[0]?.name ?? "",
      }),
    );
    await Promise.all(pods);
    const slices = await net.endpoints("multi", 2);
    assert.deepEqual(slices.map((slice) => slice.ports?.map(({ name }) => name).join()).sort(), [
      "portname1",
      "portname2",
    ]);
    for (const view of views)
      for (const [port, name] of [
        [80, "multi-first"],
        [81, "multi-second"],
      ] as const)
        await net.until(
          `${view.name} reaches ${port}`,
          async () => (await view.ask({ host: addressOf(made), port })) === name,
        );
    await net.api.call("DELETE", `${net.api.base}/pods/multi-first`);
    await net.endpoints("multi", 1);
    assert.deepEqual(await refuses(net.hosts[0] as View, { host: addressOf(made), port: 80 }), ["ECONNREFUSED"]);
    await net.api.call("DELETE", `${net.api.base}/pods/multi-second`);
    await net.endpoints("multi", 0);
  });

  test("conformance: Services should be able to create a functioning NodePort service", async () => {
    const made = await net.createService("node-port", {
      type: "NodePort",
      selector,
      ports: [{ port: 80, targetPort: podPort }],
    });
    await net.endpoints("node-port", names.length);
    await reachesAll({ host: addressOf(made), port: 80 });
    await reachesAll({ host: "node-port", port: 80 }, net.servers);
    for (const { address } of net.nodes) await reachesAll({ host: address, port: nodePortOf(made) });
  });

  test("conformance: Services should serve endpoints on same port and different protocols", async () => {
    const tcp = { name: "tcp-port", port: 80, targetPort: podPort, protocol: "TCP" };
    const udp = { name: "udp-port", port: 80, targetPort: udpPort, protocol: "UDP" };
    const made = await net.createService("both", { selector, ports: [tcp, udp] });
    const at = (protocol: "http" | "udp") => ({ host: addressOf(made), port: 80, protocol });
    await Promise.all([reachesAll(at("http")), reachesAll(at("udp"))]);
    await patch("both", { ports: [tcp] });
    // The kernel tells the node itself that it may not send.
    for (const [from, code] of [
      [net.servers, "ECONNREFUSED"],
      [net.hosts, "EPERM"],
    ] as const)
      for (const view of from) assert.deepEqual(await refuses(view, at("udp")), [code], view.name);
    await reachesAll(at("http"));
    await patch("both", { ports: [udp] });
    for (const view of views) await refuses(view, at("http"));
    await reachesAll(at("udp"));
  });

  suite("session affinity", () => {
    const tries = 16;
    /** How many different servers answer one client. */
    const kinds = async (view: View, target: Dial) => {
      const { responses, errors } = await view.dial({ ...target, tries });
      assert.deepEqual(errors, []);
      return new Set(responses).size;
    };
    const types = [
      ["service with type clusterIP", "ClusterIP"],
      ["NodePort service", "NodePort"],
    ] as const;
    const make = async (name: string, type: string, more: object) => {
      const made = await net.createService(name, {
        type,
        selector,
        ports: [{ port: 80, targetPort: podPort }],
        ...more,
      });
      await net.endpoints(name, names.length);
      const target =
        type === "NodePort"
          ? { host: net.nodes[0]?.address ?? "", port: nodePortOf(made) }
          : { host: addressOf(made), port: 80 };
      for (const view of net.servers) await net.until("it answers", async () => (await view.ask(target)) !== "");
      return target;
    };
    const isSticky = async (view: View, target: Dial) =>
      net.until("one server answers", async () => (await kinds(view, target)) === 1);
    const spreads = async (view: View, target: Dial) =>
      net.until("all servers answer", async () => (await kinds(view, target)) === names.length);

    for (const [text, type] of types) {
      const id = type.toLowerCase();
      test(`conformance: Services should have session affinity work for ${text}`, async () => {
        const target = await make(`sticky-${id}`, type, { sessionAffinity: "ClientIP" });
        for (const view of net.servers) {
          const { responses } = await view.dial({ ...target, tries });
          assert.equal(new Set(responses).size, 1, `${view.name} sees ${responses}`);
        }
      });
      test(`conformance: Services should be able to switch session affinity for ${text}`, async () => {
        const target = await make(`switch-${id}`, type, { sessionAffinity: "ClientIP" });
        const [view] = net.servers as [View];
        await isSticky(view, target);
        await patch(`switch-${id}`, { sessionAffinity: "None" });
        await spreads(view, target);
        await patch(`switch-${id}`, { sessionAffinity: "ClientIP" });
        await isSticky(view, target);
      });
      test(`conformance: Services should have session affinity timeout work for ${text}`, async () => {
        const timeoutSeconds = 2;
        const affinity = { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds } } };
        const target = await make(`timeout-${id}`, type, affinity);
        const [view] = net.servers as [View];
        const first = await view.ask(target);
        const { responses } = await view.dial({ ...target, tries });
        assert.deepEqual(new Set(responses), new Set([first]));
        if (names.length > 1)
          await net.until("another server answers once the time is over", async () => {
            await new Promise((over) => setTimeout(over, timeoutSeconds * 1000 + 200));
            return (await view.ask(target)) !== first;
          });
      });
    }
  });

  suite("changed types", () => {
    const ports = [{ port: 80, targetPort: podPort, protocol: "TCP" }];
    const other = "target.default.svc.cluster.local";
    let target: Service;
    before(async () => {
      target = await net.createService("target", { selector, ports });
      await net.endpoints("target", names.length);
    });
    const isAlias = (name: string) =>
      Promise.all(
        net.servers.map((view) =>
          net.until(`${view.name} finds the other name`, async () => {
            const found = await view.resolve(`${name}.default.svc.cluster.local`, "CNAME");
            return JSON.stringify(found) === JSON.stringify([other]);
          }),
        ),
      );
    const isReached = async (name: string) => {
      const { spec } = (await net.api.call("GET", service(name))) as unknown as Service;
      assert.ok(spec?.clusterIP);
      await net.endpoints(name, names.length);
      await reachesAll({ host: spec.clusterIP, port: 80 });
      await reachesAll({ host: name, port: 80 }, net.servers);
      return spec;
    };
    for (const type of ["ClusterIP", "NodePort"]) {
      test(`conformance: Services should be able to change the type from ExternalName to ${type}`, async () => {
        const name = `from-external-${type.toLowerCase()}`;
        const made = await net.createService(name, { type: "ExternalName", externalName: other });
        assert.equal(made.spec?.clusterIP, undefined);
        await isAlias(name);
        const changed = await patch(name, { type, externalName: null, selector, ports });
        await isReached(name);
        if (type === "NodePort")
          for (const { address } of net.nodes) await reachesAll({ host: address, port: nodePortOf(changed) });
      });
      test(`conformance: Services should be able to change the type from ${type} to ExternalName`, async () => {
        const name = `to-external-${type.toLowerCase()}`;
        const { spec } = await net.createService(name, { type, selector, ports });
        await isReached(name);
        const changed = await patch(name, { type: "ExternalName", externalName: other });
        assert.equal(changed.spec?.clusterIP, undefined);
        await isAlias(name);
        for (const view of net.servers) assert.deepEqual(await view.resolve(name), [addressOf(target)]);
        await refuses(net.hosts[0] as View, { host: spec?.clusterIP ?? "", port: 80 });
      });
    }
  });

  test("conformance: Services should provide secure master service", async () => {
    const { spec } = (await net.api.call("GET", service("kubernetes"))) as unknown as Service;
    assert.deepEqual(
      spec?.ports?.map(({ name, port, protocol }) => [name, port, protocol]),
      [["https", 443, "TCP"]],
    );
    // A request without TLS is answered, so it has come to the API server.
    for (const view of views) {
      const { responses, errors } = await view.dial({
        host: addressOf({ spec } as Service),
        port: 443,
        request: "readyz",
      });
      assert.ok(responses.length === 1 || !errors.includes("no answer"), `${view.name}: ${errors}`);
    }
  });

  test("conformance: Services should find a service from listing all namespaces", async () => {
    const { items } = await net.api.call("GET", "/api/v1/services");
    assert.ok(items.some(({ metadata }) => metadata?.name === "kubernetes" && metadata.namespace === "default"));
  });

  test("conformance: Service endpoints latency should not be very high", async (t) => {
    const count = 100;
    const times: number[] = [];
    for (let batch = 0; batch < count; batch += 10)
      await Promise.all(
        Array.from({ length: 10 }, async (_, at) => {
          const start = performance.now();
          await net.createService(`latency-${batch + at}`, { selector, ports: [{ port: 80 }] });
          await net.endpoints(`latency-${batch + at}`, names.length);
          times.push(performance.now() - start);
        }),
      );
    times.sort((a, b) => a - b);
    const [half = 0, most = 0] = [times[count * 0.5], times[count * 0.99]];
    t.diagnostic(`endpoints after ${half.toFixed()} ms (median), ${most.toFixed()} ms (99 of 100)`);
    assert.ok(half < 20_000 && most < 50_000); // upstream's limits
  });

  suite("endpoint slices", () => {
    const slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    const slicesOf = async (name: string) =>
      (await net.api.call("GET", `${slices}?labelSelector=kubernetes.io/service-name=${name}`))
        .items as unknown as EndpointSlice[];

    test("conformance: EndpointSlice should have Endpoints and EndpointSlices pointing to API Server", async () => {
      const endpoints = (await net.api.call("GET", `${net.api.base}/endpoints/kubernetes`)) as unknown as {
        subsets: { addresses: { ip: string }[]; ports: { name: string; port: number }[] }[];
      };
      const found = await slicesOf("kubernetes");
      const addresses = endpoints.subsets.flatMap((subset) => subset.addresses.map(({ ip }) => ip));
      assert.deepEqual(
        found.flatMap((slice) => (slice.endpoints ?? []).flatMap((each) => each.addresses)),
        addresses,
      );
      const [{ name, port } = {}] = found[0]?.ports ?? [];
      for (const view of views)
        for (const host of addresses) {
          const { errors } = await view.dial({ host, port: port ?? 0, request: "readyz" });
          assert.ok(!errors.includes("no answer") && !errors.includes("ECONNREFUSED"), `${view.name}: ${errors}`);
        }
      assert.equal(name, "https");
    });

    test("conformance: EndpointSlice should create and delete Endpoints and EndpointSlices for a Service with a selector specified", async () => {
      const endpoints = `${net.api.base}/endpoints/empty`;
      await net.createService("empty", { selector: { nobody: "here" }, ports: [{ name: "example", port: 80 }] });
      await net.until("endpoints", () => net.api.call("GET", endpoints));
      await net.until("a slice", async () => (await slicesOf("empty")).length === 1);
      await net.api.call("DELETE", service("empty"));
      await net.until("endpoints are gone", () =>
        net.api.call("GET", endpoints).then(
          () => false,
          (error: { code?: number }) => error.code === 404,
        ),
      );
      await net.until("slices are gone", async () => (await slicesOf("empty")).length === 0);
    });

    test("conformance: EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service", async () => {
      await net.createService("matching", {
        selector,
        publishNotReadyAddresses: true,
        ports: [{ name: "example", port: 80, targetPort: podPort }],
      });
      const wanted = net.servers
        .map(({ address, name, node }) => ({ address, name, node }))
        .sort((a, b) => a.name.localeCompare(b.name));
      const seen = async () => {
        const found = await net.endpoints("matching", names.length);
        for (const slice of found)
          assert.deepEqual(
            [slice.addressType, slice.ports],
            ["IPv4", [{ name: "example", port: podPort, protocol: "TCP" }]],
          );
        return found
          .flatMap((slice) => slice.endpoints ?? [])
          .map((each) => ({ address: each.addresses[0], name: each.targetRef?.name ?? "", node: each.nodeName }))
          .sort((a, b) => a.name.localeCompare(b.name));
      };
      assert.deepEqual(await seen(), wanted);
      const before = (await slicesOf("matching")).map(({ metadata }) => metadata.uid);
      await net.api.call("DELETE", `${slices}?labelSelector=kubernetes.io/service-name=matching`);
      await net.until("it is made again", async () => {
        const now = await slicesOf("matching");
        return now.length > 0 && now.every(({ metadata }) => !before.includes(metadata.uid));
      });
      assert.deepEqual(await seen(), wanted);
    });

    test("conformance: EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete", async () => {
      const made = await net.createService("mirrored", { ports: [{ name: "example", port: 80 }] });
      const endpoints = `${net.api.base}/endpoints`;
      const [server] = net.servers as [View];
      const subsets = (ip: string) => [{ addresses: [{ ip }], ports: [{ name: "example", port: podPort }] }];
      await net.api.call("POST", endpoints, { metadata: { name: "mirrored" }, subsets: subsets(server.address) });
      const mirrors = (address: string) =>
        net.until(`${address} is mirrored`, async () => {
          const found = (await slicesOf("mirrored"))[0];
          return found?.endpoints?.[0]?.addresses[0] === address && found;
        });
      const slice = await mirrors(server.address);
      assert.equal(
        slice.metadata.labels?.["endpointslice.kubernetes.io/managed-by"],
        "endpointslicemirroring-controller.k8s.io",
      );
      for (const view of views)
        await net.until(
          "it answers",
          async () => (await view.ask({ host: addressOf(made), port: 80 })) === server.name,
        );
      await net.api.call("PATCH", `${endpoints}/mirrored`, { subsets: subsets("10.2.3.4") }, merge);
      await mirrors("10.2.3.4");
      await net.api.call("DELETE", `${endpoints}/mirrored`);
      await net.until("nothing is mirrored", async () => (await slicesOf("mirrored")).length === 0);
    });
  });

  test("conformance: HostPort validates that there is no conflict between pods with same hostPort but different hostIP and protocol", async () => {
    const node = net.nodes.at(-1) ?? { name: "", address: "" };
    const host = net.hosts.at(-1) as View;
    const port = 54323;
    const start = (name: string, hostIP: string, protocol: string) =>
      net.startView(name, {
        node: node.name,
        ports: [{ hostPort: port, hostIP, protocol, containerPort: protocol === "UDP" ? udpPort : podPort }],
      });
    await Promise.all([
      start("hp1", "127.0.0.1", "TCP"),
      start("hp2", node.address, "TCP"),
      start("hp3", node.address, "UDP"),
    ]);
    const is = (name: string, target: Dial) =>
      net.until(`${name} answers at its port`, async () => (await host.ask({ ...target, port })) === name);
    await is("hp1", { host: "127.0.0.1", port, from: node.address });
    await is("hp2", { host: node.address, port });
    await is("hp3", { host: node.address, port, protocol: "udp" });
  });

  suite("the API server as a proxy", () => {
    const methods = ["DELETE", "OPTIONS", "PATCH", "POST", "PUT", "GET", "HEAD"];
    let places: readonly string[];
    before(async () => {
      const now = Date.now();
      const authority = await createAuthority("proxied", { now, validDays: 1 });
      const leaf = {
        commonName: "proxied",
        usages: ["server" as const],
        ipAddresses: ["127.0.0.1"],
        validDays: 1,
        now,
      };
      const { certificate, key } = await issueCertificate(authority, leaf);
      const env = { PORTS: "8080,160,162", TLS_PORT: "460", TLS_CERT: certificate, TLS_KEY: key };
      const ports = [
        ["dest1", 160],
        ["dest2", 162],
        ["tlsdest1", 460],
      ].map(([name, containerPort]) => ({ name, containerPort }));
      await net.startView("proxied", { labels: { proxied: "yes" }, env, ports, node: net.nodes.at(-1)?.name ?? "" });
      await net.createService("proxied", {
        selector: { proxied: "yes" },
        ports: [
          { name: "portname1", port: 80, targetPort: "dest1" },
          { name: "portname2", port: 81, targetPort: 162 },
          { name: "tlsportname1", port: 443, targetPort: "tlsdest1" },
        ],
      });
      await net.endpoints("proxied", 1);
      await net.createService("proxied-one", {
        selector: { proxied: "yes" },
        ports: [{ port: 80, targetPort: podPort }],
      });
      await net.endpoints("proxied-one", 1);
      places = [`${net.api.base}/pods/proxied:8080/proxy`, `${net.api.base}/services/proxied-one/proxy`];
    });
    const told = (text: string) => JSON.parse(text) as { method: string; path: string; port: number };

    test("conformance: Proxy version v1 A set of valid responses are returned for both pod and service Proxy", async () => {
      for (const place of places)
        for (const method of methods) {
          const answer = await net.request(method, `${place}?method=${method}`);
          if (method === "GET" || method === "HEAD") {
            assert.deepEqual(
              [answer.status, answer.location?.endsWith(`${place}/?method=${method}`)],
              [301, true],
              `${method} ${place}`,
            );
            continue;
          }
          assert.equal(answer.status, 200, `${method} ${place}: ${answer.text}`);
          assert.deepEqual([told(answer.text).method, told(answer.text).path], [method, `/?method=${method}`]);
        }
    });

    test("conformance: Proxy version v1 A set of valid responses are returned for both pod and service ProxyWithPath", async () => {
      for (const place of places)
        for (const method of methods) {
          const answer = await net.request(method, `${place}/some/path/with/${method}`);
          assert.equal(answer.status, 200, `${method} ${place}: ${answer.text}`);
          if (method !== "HEAD")
            assert.deepEqual([told(answer.text).method, told(answer.text).path], [method, `/some/path/with/${method}`]);
        }
    });

    test("conformance: Proxy version v1 should proxy through a service and a pod", async () => {
      const wanted: Record<string, number> = {
        ...{ "services/proxied:portname1": 160, "services/proxied:portname2": 162 },
        ...{ "services/http:proxied:portname1": 160, "services/http:proxied:portname2": 162 },
        ...{ "services/https:proxied:tlsportname1": 460, "services/proxied:80": 160, "services/proxied:81": 162 },
        ...{ "services/https:proxied:443": 460, "services/http:proxied:81": 162 },
        ...{ "pods/proxied:160": 160, "pods/http:proxied:162": 162, "pods/https:proxied:460": 460 },
      };
      for (const [place, port] of Object.entries(wanted)) {
        const answer = await net.request("GET", `${net.api.base}/${place}/proxy/`);
        assert.deepEqual([answer.status, told(answer.text).port], [200, port], place);
      }
    });
  });

  test("service links: seven variables for each port as Docker's links had them, none when the pod wants none", async () => {
    const made = await net.createService("redis-master", { selector: { nobody: "here" }, ports: [{ port: 6379 }] });
    const show = (name: string, spec: object) => ({
      metadata: { name },
      spec: {
        restartPolicy: "Never",
        containers: [
          { name: "c", image: "demo/busybox:1", imagePullPolicy: "IfNotPresent", command: ["/bin/busybox", "env"] },
        ],
        ...spec,
      },
    });
    const ip = addressOf(made);
    const { log } = await net.api.run(show("links", {}));
    const lines = log.split("\n");
    assert.deepEqual(lines.filter((line) => line.startsWith("REDIS_MASTER")).sort(), [
      `REDIS_MASTER_PORT=tcp://${ip}:6379`,
      `REDIS_MASTER_PORT_6379_TCP=tcp://${ip}:6379`,
      `REDIS_MASTER_PORT_6379_TCP_ADDR=${ip}`,
      "REDIS_MASTER_PORT_6379_TCP_PORT=6379",
      "REDIS_MASTER_PORT_6379_TCP_PROTO=tcp",
      `REDIS_MASTER_SERVICE_HOST=${ip}`,
      "REDIS_MASTER_SERVICE_PORT=6379",
    ]);
    const { log: without } = await net.api.run(show("no-links", { enableServiceLinks: false }));
    assert.doesNotMatch(without, /REDIS_MASTER/);
    assert.match(without, /^KUBERNETES_SERVICE_HOST=/m);
  });
});
