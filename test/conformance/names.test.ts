/** Names, as Kubernetes' conformance suite asks for them (test/e2e/network/dns.go): looked up in pods on three nodes by the C library and by questions of their own. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { Service } from "#api";
import { type NetCluster, podPort, startNetCluster, type View } from "./net-cluster.ts";
import { whyNoPods } from "./node-pods.ts";

const merge = "application/merge-patch+json";
const domain = "cluster.local";
const ports = [{ name: "http", port: 80, targetPort: podPort, protocol: "TCP" }];

suite("names in pods of three nodes", { skip: whyNoPods ?? false }, () => {
  let net: NetCluster;
  let everywhere: readonly View[];
  before(async () => {
    net = await startNetCluster("--nodes", "3");
    everywhere = net.servers;
  });
  after(() => net?.close());

  const sorted = (found: unknown) => (Array.isArray(found) ? found.map((each) => JSON.stringify(each)).sort() : found);
  /** From every pod, once the name is known there. */
  const resolves = (name: string, wanted: readonly unknown[], { type = "host", from = everywhere } = {}) =>
    Promise.all(
      from.map((view) =>
        net.until(`${view.name} finds ${JSON.stringify(wanted)} for ${type} ${name}`, async () => {
          const found = await view.resolve(name, type);
          return (
            JSON.stringify(sorted(found)) === JSON.stringify(sorted([...wanted])) ||
            Promise.reject(new Error(JSON.stringify(found)))
          );
        }),
      ),
    );
  const cluster = (name: string) => `${name}.default.svc.${domain}`;
  const addressOf = ({ spec }: Service) => spec?.clusterIP ?? "";
  const change = async (name: string, spec: object) =>
    (await net.api.call("PATCH", `${net.api.base}/services/${name}`, { spec }, merge)) as unknown as Service;

  test("conformance: DNS should provide DNS for the cluster", async () => {
    const master = (await net.api.call("GET", `${net.api.base}/services/kubernetes`)) as unknown as Service;
    for (const name of ["kubernetes.default", "kubernetes.default.svc", cluster("kubernetes")])
      await resolves(name, [addressOf(master)]);
    await resolves(addressOf(master), [cluster("kubernetes")], { type: "PTR" });
  });

  test("conformance: DNS should provide /etc/hosts entries for the cluster", async () => {
    await net.createService("hosts-entry", { clusterIP: "None", selector: { nobody: "here" }, ports });
    const spec = { hostname: "dns-querier", subdomain: "hosts-entry" };
    // The Service knows no such pod: only the pod's own file can tell.
    const view = await net.startView("hosts-file", { spec, node: net.nodes.at(-1)?.name ?? "" });
    for (const name of ["dns-querier", cluster("dns-querier.hosts-entry")])
      await resolves(name, [view.address], { from: [view] });
  });

  async function services(headless: string, regular: string) {
    const selector = { app: "server" };
    await net.createService(headless, { clusterIP: "None", selector, ports });
    const made = await net.createService(regular, { selector, ports });
    await Promise.all([net.endpoints(headless, net.servers.length), net.endpoints(regular, net.servers.length)]);
    return { made, endpoints: net.servers.map(({ address }) => address) };
  }
  const target = (name: string, port: number) => ({ name, port, priority: 0 });
  /** Weights depend on how many there are. */
  const resolvesPorts = (name: string, wanted: readonly object[]) =>
    Promise.all(
      everywhere.map((view) =>
        net.until(`${view.name} finds the ports of ${name}`, async () => {
          const found = await view.resolve(name, "SRV");
          if (!Array.isArray(found)) return false;
          const seen = found.map(({ name: at, port, priority }) => ({ name: at, port, priority }));
          return JSON.stringify(sorted(seen)) === JSON.stringify(sorted([...wanted]));
        }),
      ),
    );

  test("conformance: DNS should provide DNS for services", async () => {
    const { made, endpoints } = await services("dns-headless", "dns-regular");
    await resolves(cluster("dns-headless"), endpoints);
    await resolves(cluster("dns-headless"), endpoints, { type: "A" });
    await resolves(cluster("dns-regular"), [addressOf(made)]);
    await resolvesPorts(`_http._tcp.${cluster("dns-regular")}`, [target(cluster("dns-regular"), 80)]);
    const each = endpoints.map((address) =>
      target(`${address.replaceAll(".", "-")}.${cluster("dns-headless")}`, podPort),
    );
    await resolvesPorts(`_http._tcp.${cluster("dns-headless")}`, each);
    await resolves(addressOf(made), [cluster("dns-regular")], { type: "PTR" });
  });

  test("conformance: DNS should resolve DNS of partial qualified names for services", async () => {
    const { made, endpoints } = await services("part-headless", "part-regular");
    for (const end of ["", ".default", ".default.svc"]) {
      await resolves(`part-headless${end}`, endpoints);
      await resolves(`part-regular${end}`, [addressOf(made)]);
    }
  });

  test("conformance: DNS should provide DNS for pods for Hostname", async () => {
    await net.createService("dns-hostname", { clusterIP: "None", selector: { querier: "one" }, ports });
    const spec = { hostname: "querier-1", subdomain: "dns-hostname" };
    const view = await net.startView("querier-1", {
      spec,
      labels: { querier: "one" },
      node: net.nodes.at(-1)?.name ?? "",
    });
    for (const name of [cluster("querier-1.dns-hostname"), "querier-1.dns-hostname"])
      await resolves(name, [view.address], { from: [view, ...everywhere] });
    await resolves("querier-1", [view.address], { from: [view] });
  });

  test("conformance: DNS should provide DNS for pods for Subdomain", async () => {
    await net.createService("dns-subdomain", { clusterIP: "None", selector: { querier: "two" }, ports });
    const spec = { hostname: "querier-2", subdomain: "dns-subdomain" };
    const view = await net.startView("querier-2", {
      spec,
      labels: { querier: "two" },
      node: net.nodes.at(-1)?.name ?? "",
    });
    for (const name of [cluster("querier-2.dns-subdomain"), cluster("dns-subdomain")])
      await resolves(name, [view.address], { from: [view, ...everywhere] });
  });

  test("conformance: DNS should provide DNS for ExternalName services", async () => {
    const externalName = "foo.example.com";
    await net.createService("external", { type: "ExternalName", externalName });
    await resolves(cluster("external"), [externalName], { type: "CNAME" });
    await change("external", { externalName: "bar.example.com" });
    await resolves(cluster("external"), ["bar.example.com"], { type: "CNAME" });
    const made = await change("external", { type: "ClusterIP", externalName: null, ports });
    await resolves(cluster("external"), [addressOf(made)], { type: "A" });
    await resolves("external", [addressOf(made)]);
  });

  test("conformance: DNS should support configurable pod DNS nameservers", async () => {
    const spec = {
      dnsPolicy: "None",
      dnsConfig: {
        nameservers: ["1.1.1.1"],
        searches: ["resolv.conf.local"],
        options: [{ name: "ndots", value: "2" }, { name: "edns0" }],
      },
    };
    const { log } = await net.api.run({
      metadata: { name: "dns-config" },
      spec: {
        restartPolicy: "Never",
        containers: [
          {
            name: "c",
            image: "demo/busybox:1",
            imagePullPolicy: "IfNotPresent",
            command: ["/bin/busybox", "cat", "/etc/resolv.conf"],
          },
        ],
        ...spec,
      },
    });
    assert.equal(log, "search resolv.conf.local\nnameserver 1.1.1.1\noptions ndots:2 edns0\n");
  });
});
