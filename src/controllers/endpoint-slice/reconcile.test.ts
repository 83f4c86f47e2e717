import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Pod, Service } from "#api";
import { ago, type PodShape, testPod } from "../lib/fixture.ts";
import { endpointsMax, planSlices, type ServicePlan } from "./reconcile.ts";
import { TopologyHints } from "./topology-hints.ts";

function service(change: Partial<Service["spec"]> & object = {}, labels: Record<string, string> = {}): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "default", uid: "uid-web", labels, creationTimestamp: ago(100) },
    spec: {
      selector: { app: "web" },
      clusterIP: "10.96.0.10",
      ipFamilies: ["IPv4"],
      ports: [{ name: "http", port: 80, targetPort: 8080, protocol: "TCP" }],
      ...change,
    },
  };
}

function pod(name: string, ip: string, change: Partial<PodShape> = {}): Pod {
  const made = testPod({ name, node: "n1", readySince: 5, ...change });
  return { ...made, status: { ...made.status, podIP: ip, podIPs: [{ ip }] } };
}

const nodes: Record<string, { zone?: string }> = { n1: { zone: "a" }, n2: { zone: "b" }, n3: {} };
const plan = (of: Service, pods: Pod[], slices: EndpointSlice[] = [], topology = new TopologyHints()): ServicePlan =>
  planSlices({ service: of, pods, slices, nodeOf: (name) => nodes[name], triggerTime: ago(1), topology });

test("endpoint slices: one slice with all that a proxy needs", () => {
  const of = service({}, { team: "x" });
  const { create, update, delete: remove } = plan(of, [pod("p1", "10.0.0.1")]);
  assert.deepEqual([update.length, remove.length], [0, 0]);
  assert.deepEqual(create, [
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: {
        generateName: "web-",
        namespace: "default",
        labels: {
          team: "x",
          "kubernetes.io/service-name": "web",
          "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        },
        ownerReferences: [
          {
            apiVersion: "v1",
            kind: "Service",
            name: "web",
            uid: "uid-web",
            controller: true,
            blockOwnerDeletion: true,
          },
        ],
        annotations: { "endpoints.kubernetes.io/last-change-trigger-time": ago(1) },
      },
      addressType: "IPv4",
      endpoints: [
        {
          addresses: ["10.0.0.1"],
          conditions: { ready: true, serving: true, terminating: false },
          targetRef: { kind: "Pod", namespace: "default", name: "p1", uid: "uid-p1" },
          nodeName: "n1",
          zone: "a",
        },
      ],
      ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    },
  ]);
});

for (const [why, of, shape, expected] of [
  ["ready", service(), {}, { ready: true, serving: true, terminating: false }],
  ["not ready", service(), { readySince: undefined }, { ready: false, serving: false, terminating: false }],
  ["going", service(), { deleting: true }, { ready: false, serving: true, terminating: true }],
  [
    "published anyway",
    service({ publishNotReadyAddresses: true }),
    { readySince: undefined, deleting: true },
    { ready: true, serving: false, terminating: true },
  ],
] satisfies [string, Service, object, object][])
  test(`endpoint slices: conditions of a pod that is ${why}`, () => {
    const { readySince: _default, ...made } = { name: "p", node: "n1", readySince: 5, ...shape } as PodShape;
    const bare = testPod("readySince" in shape ? made : { ...made, readySince: 5 });
    const one = { ...bare, status: { ...bare.status, podIPs: [{ ip: "10.0.0.1" }] } };
    assert.deepEqual(plan(of, [one]).create[0]?.endpoints?.[0]?.conditions, expected);
  });

test("endpoint slices: a named port with two numbers makes two slices", () => {
  const of = service({ ports: [{ name: "http", port: 80, targetPort: "web", protocol: "TCP" }] });
  const withPort = (made: Pod, containerPort: number): Pod => ({
    ...made,
    spec: { ...made.spec, containers: [{ name: "c", ports: [{ name: "web", containerPort, protocol: "TCP" }] }] },
  });
  const { create } = plan(of, [
    withPort(pod("a", "10.0.0.1"), 1),
    withPort(pod("b", "10.0.0.2"), 2),
    pod("c", "10.0.0.3"),
  ]);
  assert.deepEqual(
    create.map((slice) => [slice.ports?.map(({ port }) => port), slice.endpoints?.length]),
    [
      [[1], 1],
      [[2], 1],
      [[], 1],
    ],
  );
});

test("endpoint slices: headless, dual-stack, hostname, no ports", () => {
  const of = service({ clusterIP: "None", ipFamilies: ["IPv4", "IPv6"], ports: [] });
  const made = pod("p", "10.0.0.1");
  const one = {
    ...made,
    spec: { ...made.spec, containers: [], hostname: "p-0", subdomain: "web" },
    status: { ...made.status, podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] },
  };
  const { create } = plan(of, [one]);
  assert.deepEqual(
    create.map(({ addressType, endpoints, ports, metadata }) => [
      addressType,
      endpoints?.[0]?.addresses,
      endpoints?.[0]?.hostname,
      ports,
      metadata.labels?.["service.kubernetes.io/headless"],
    ]),
    [
      ["IPv4", ["10.0.0.1"], "p-0", [], ""],
      ["IPv6", ["fd00::1"], "p-0", [], ""],
    ],
  );
});

test("endpoint slices: without pods there is an empty slice, and it is left alone", () => {
  const of = service();
  const { create } = plan(of, []);
  assert.deepEqual([create.length, create[0]?.endpoints, create[0]?.ports], [1, [], []]);
  const stored = { ...(create[0] as EndpointSlice), metadata: { ...create[0]?.metadata, name: "web-x" } };
  const again = plan(of, [], [stored]);
  assert.deepEqual([again.create.length, again.update.length, again.delete.length], [0, 0, 0]);
  const filled = plan(of, [pod("p", "10.0.0.1")], [stored]);
  assert.deepEqual([filled.create.length, filled.update[0]?.metadata.name, filled.delete.length], [0, "web-x", 0]);
});

test("endpoint slices: an empty list may be null", () => {
  const of = service({ trafficDistribution: "PreferClose" });
  const [made] = plan(of, []).create;
  const stored = {
    ...made,
    metadata: { ...made?.metadata, name: "web-x" },
    endpoints: null,
  } as unknown as EndpointSlice;
  const topology = new TopologyHints();
  topology.setNodes([]);
  const hinted = {
    ...of,
    metadata: { ...of.metadata, annotations: { "service.kubernetes.io/topology-mode": "Auto" } },
  };
  for (const each of [of, hinted]) assert.deepEqual(plan(each, [], [stored], topology).update, []);
});

test("endpoint slices: pods on unknown nodes are left out", () => {
  const { create } = plan(service(), [pod("p", "10.0.0.1", { node: "gone" })]);
  assert.equal(create[0]?.endpoints?.length, 0);
});

test("endpoint slices: finished pods of jobs have no endpoint", () => {
  const over = pod("p", "10.0.0.1", { phase: "Failed" });
  const never = { ...over, spec: { ...over.spec, containers: [], restartPolicy: "Never" } };
  assert.equal(plan(service(), [never]).create[0]?.endpoints?.length, 0);
});

test("endpoint slices: traffic distribution becomes hints, and they go when it goes", () => {
  const pods = [pod("a", "10.0.0.1"), pod("b", "10.0.0.2", { node: "n2" }), pod("c", "10.0.0.3", { node: "n3" })];
  const close = plan(service({ trafficDistribution: "PreferSameNode" }), pods).create[0] as EndpointSlice;
  assert.deepEqual(
    close.endpoints?.map(({ hints }) => hints),
    [
      { forZones: [{ name: "a" }], forNodes: [{ name: "n1" }] },
      { forZones: [{ name: "b" }], forNodes: [{ name: "n2" }] },
      { forNodes: [{ name: "n3" }] },
    ],
  );
  const stored = { ...close, metadata: { ...close.metadata, name: "web-x" } };
  const { update } = plan(service(), pods, [stored]);
  assert.deepEqual(
    update[0]?.endpoints?.map(({ hints }) => hints),
    [undefined, undefined, undefined],
  );
});

/** Applies a plan as the server would. */
function apply(slices: EndpointSlice[], { create, update, delete: remove }: ServicePlan, nextName: () => string) {
  const gone = new Set(remove.map(({ metadata }) => metadata.name));
  const changed = new Map(update.map((slice) => [slice.metadata.name, slice]));
  return [
    ...slices
      .filter(({ metadata }) => !gone.has(metadata.name))
      .map((slice) => changed.get(slice.metadata.name) ?? slice),
    ...create.map((slice) => ({ ...slice, metadata: { ...slice.metadata, name: nextName() } })),
  ];
}

test("endpoint slices: whatever comes and goes, each pod is in one slice, none too long, nothing written twice", () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state % below;
  };
  let names = 0;
  let pods: Pod[] = [];
  let slices: EndpointSlice[] = [];
  let made = 0;
  for (let step = 0; step < 60; step++) {
    for (let count = random(120); count > 0; count--) pods.push(pod(`p${++made}`, `10.1.${made >> 8}.${made & 255}`));
    pods = pods.filter(() => random(3) > 0);
    slices = apply(slices, plan(service(), pods, slices), () => `web-${++names}`);
    const shown = slices.flatMap(({ endpoints = [] }) => endpoints.map(({ targetRef }) => targetRef?.name)).sort();
    assert.deepEqual(shown, pods.map(({ metadata }) => metadata.name).sort(), `seed ${seed} step ${step}`);
    assert.ok(
      slices.every(({ endpoints = [] }) => endpoints.length <= endpointsMax),
      `seed ${seed} step ${step}`,
    );
    const again = plan(service(), pods, slices);
    assert.deepEqual([again.create, again.update, again.delete], [[], [], []], `seed ${seed} step ${step}`);
  }
});
