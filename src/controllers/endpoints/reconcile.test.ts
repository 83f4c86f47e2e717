import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoints, Pod, Service } from "#api";
import { ago, type PodShape, testPod } from "../lib/fixture.ts";
import { planEndpoints } from "./reconcile.ts";

function service(change: Partial<Service["spec"]> & object = {}): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "default", uid: "uid-web", labels: { team: "x" } },
    spec: {
      selector: { app: "web" },
      clusterIP: "10.96.0.10",
      ipFamilies: ["IPv4"],
      ports: [
        { name: "http", port: 80, targetPort: 8080, protocol: "TCP" },
        { name: "dns", port: 53, targetPort: 53, protocol: "UDP" },
      ],
      ...change,
    },
  };
}

function pod(name: string, ip: string, change: Partial<PodShape> = {}): Pod {
  const made = testPod({ name, node: "n1", ...change });
  return { ...made, status: { ...made.status, podIP: ip, podIPs: [{ ip }] } };
}

const plan = (of: Service, pods: Pod[], current?: Endpoints) =>
  planEndpoints({ service: of, pods, current, triggerTime: ago(3) });

test("endpoints: ready and other addresses with all ports in one subset", () => {
  const made = plan(service(), [pod("b", "10.0.0.2"), pod("a", "10.0.0.1", { readySince: 5 })]);
  assert.deepEqual(made?.metadata, {
    name: "web",
    namespace: "default",
    labels: { team: "x", "endpoints.kubernetes.io/managed-by": "endpoint-controller" },
    annotations: { "endpoints.kubernetes.io/last-change-trigger-time": ago(3) },
  });
  const target = (name: string) => ({ kind: "Pod", namespace: "default", name, uid: `uid-${name}` });
  assert.deepEqual(made?.subsets, [
    {
      addresses: [{ ip: "10.0.0.1", nodeName: "n1", targetRef: target("a") }],
      notReadyAddresses: [{ ip: "10.0.0.2", nodeName: "n1", targetRef: target("b") }],
      ports: [
        { name: "dns", port: 53, protocol: "UDP" },
        { name: "http", port: 8080, protocol: "TCP" },
      ],
    },
  ]);
  assert.equal(plan(service(), [pod("b", "10.0.0.2"), pod("a", "10.0.0.1", { readySince: 5 })], made), undefined);
});

test("endpoints: none for pods that go, unless not-ready addresses are published", () => {
  const going = pod("a", "10.0.0.1", { readySince: 5, deleting: true });
  assert.deepEqual(plan(service(), [going])?.subsets, []);
  assert.equal(plan(service({ publishNotReadyAddresses: true }), [going])?.subsets?.[0]?.addresses?.length, 1);
});

test("endpoints: a headless Service without ports has addresses without ports", () => {
  const made = plan(service({ clusterIP: "None", ports: [] }), [pod("a", "10.0.0.1", { readySince: 5 })]);
  assert.equal(made?.subsets?.[0]?.ports, undefined);
  assert.equal(made?.metadata.labels?.["service.kubernetes.io/headless"], "");
});

test("endpoints: more than a thousand addresses are cut, ready ones last", () => {
  const pods = Array.from({ length: 1500 }, (_, index) =>
    pod(`p${index}`, `10.0.${index >> 8}.${index & 255}`, index % 2 ? { readySince: 5 } : {}),
  );
  const made = plan(service(), pods);
  assert.equal(made?.metadata.annotations?.["endpoints.kubernetes.io/over-capacity"], "truncated");
  assert.deepEqual([made?.subsets?.[0]?.addresses?.length, made?.subsets?.[0]?.notReadyAddresses?.length], [750, 250]);
});
