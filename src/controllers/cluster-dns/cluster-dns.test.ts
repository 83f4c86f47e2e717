import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Node } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { clusterDnsController } from "./controller.ts";
import { dnsAddressAnnotation, sliceOf } from "./reconcile.ts";

const node = (name: string, address: string, { podCIDR = "10.244.1.0/24", internal = "192.168.7.1" } = {}): Node => ({
  ...{ apiVersion: "v1", kind: "Node" },
  metadata: { name, annotations: { [dnsAddressAnnotation]: address } },
  spec: { podCIDR, podCIDRs: [podCIDR] },
  status: { addresses: [{ type: "InternalIP", address: internal }] },
});

test("cluster DNS: a node may name its own addresses only", () => {
  const found = (address: string) => sliceOf(node("a", address))?.endpoints?.[0]?.addresses[0];
  assert.equal(found("10.244.1.1"), "10.244.1.1");
  assert.equal(found("192.168.7.1"), "192.168.7.1");
  for (const wrong of ["10.244.2.1", "8.8.8.8", "", "x", "::1"]) assert.equal(found(wrong), undefined, wrong);
});

test("cluster DNS: endpoints come, change and go with nodes", async () => {
  const transport = new FakeTransport();
  const at = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
  const slice = (name: string) => transport.objects.get(`${at}/kube-dns-${name}`) as EndpointSlice | undefined;
  transport.create("/api/v1/nodes", node("a", "10.244.1.1"));
  transport.create("/api/v1/nodes", node("b", "10.244.9.1"));
  const controller = runController(clusterDnsController, transport);
  await controller.until(() => slice("a")?.endpoints?.[0]?.nodeName === "a");
  assert.equal(slice("b"), undefined);
  transport.put("/api/v1/nodes/a", node("a", "192.168.7.1"));
  await controller.until(() => slice("a")?.endpoints?.[0]?.addresses[0] === "192.168.7.1");
  transport.remove("/api/v1/nodes/a");
  await controller.until(() => slice("a") === undefined);
  await controller.stop();
});

test("cluster DNS: nodes stand back while pods are behind the Service", async () => {
  const transport = new FakeTransport();
  const at = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-a";
  const service = (selector?: Record<string, string>) => ({
    ...{ apiVersion: "v1", kind: "Service", metadata: { name: "kube-dns", namespace: "kube-system" } },
    spec: { clusterIP: "10.96.0.10", ...(selector && { selector }) },
  });
  transport.create("/api/v1/nodes", node("a", "10.244.1.1"));
  transport.create("/api/v1/namespaces/kube-system/services", service());
  const controller = runController(clusterDnsController, transport);
  const isThere = () => transport.objects.has(at);
  await controller.until(isThere);
  transport.put("/api/v1/namespaces/kube-system/services/kube-dns", service({ app: "dns" }));
  await controller.until(() => !isThere());
  transport.put("/api/v1/namespaces/kube-system/services/kube-dns", service());
  await controller.until(isThere);
  await controller.stop();
});
