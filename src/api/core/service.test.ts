import assert from "node:assert/strict";
import { test } from "node:test";
import { type TrialAnswer, tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import type { Service, ServiceSpec } from "../types.d.ts";
import { serviceKind } from "./service.ts";

const ports = [{ port: 80 }];
const create = (spec: object) => tryCreate(serviceKind, { spec: { ports, ...spec } });
const completed = (spec: object): ServiceSpec => {
  const { object, errors } = create(spec);
  assert.deepEqual(errors, []);
  return object.spec ?? {};
};

/** As the registry stores it, with what it has allocated. */
function stored(spec: object, allocated: object): Service {
  const { object } = create(spec);
  return { ...object, spec: { ...object.spec, clusterIP: "10.96.0.5", clusterIPs: ["10.96.0.5"], ...allocated } };
}

const change = (old: Service, fields: object, removed: readonly (keyof ServiceSpec)[] = []): TrialAnswer<Service> =>
  tryUpdate(serviceKind, old, {
    change(service) {
      service.spec = { ...service.spec, ...fields };
      for (const field of removed) delete service.spec[field];
    },
  });

test("a service: what a client leaves out", () => {
  const complete = [{ port: 80, protocol: "TCP", targetPort: 80 }];
  const families = { ipFamilies: ["IPv4"], ipFamilyPolicy: "SingleStack" };
  const cluster = { sessionAffinity: "None", internalTrafficPolicy: "Cluster" };
  assert.deepEqual(completed({}), { ports: complete, type: "ClusterIP", ...cluster, ...families });
  const outer = { externalTrafficPolicy: "Cluster" };
  assert.deepEqual(completed({ type: "NodePort" }), {
    ports: complete,
    type: "NodePort",
    ...outer,
    ...cluster,
    ...families,
  });
  assert.deepEqual(completed({ type: "LoadBalancer" }), {
    ports: complete,
    type: "LoadBalancer",
    allocateLoadBalancerNodePorts: true,
    ...outer,
    ...cluster,
    ...families,
  });
  assert.deepEqual(completed({ type: "ExternalName", externalName: "a.example.", ports: [] }), {
    type: "ExternalName",
    externalName: "a.example.",
    // What was sent empty goes when it is encoded.
    ports: [],
    sessionAffinity: "None",
  });
  const dual = { ipFamilies: ["IPv4", "IPv6"], ipFamilyPolicy: "RequireDualStack" };
  assert.deepEqual(completed({ clusterIP: "None" }), {
    ports: complete,
    type: "ClusterIP",
    clusterIP: "None",
    clusterIPs: ["None"],
    ...cluster,
    ...dual,
  });
  assert.deepEqual(completed({ sessionAffinity: "ClientIP" }).sessionAffinityConfig, {
    clientIP: { timeoutSeconds: 10800 },
  });
});

test("what was allocated is kept from clients that don't know it", () => {
  const plain = stored({}, {});
  const kept = change(plain, {}, ["clusterIP", "clusterIPs"]).object.spec;
  assert.deepEqual([kept?.clusterIP, kept?.clusterIPs], ["10.96.0.5", ["10.96.0.5"]]);
  const nodePort = stored(
    { type: "NodePort" },
    { ports: [{ port: 80, targetPort: 80, protocol: "TCP", nodePort: 30000 }] },
  );
  assert.equal(change(nodePort, { ports: [{ port: 80 }] }).object.spec?.ports?.[0]?.nodePort, 30000);
});

test("another type drops what it can't have", () => {
  const balancer = stored(
    { type: "LoadBalancer", externalTrafficPolicy: "Local" },
    { healthCheckNodePort: 30099, ports: [{ port: 80, targetPort: 80, protocol: "TCP", nodePort: 30000 }] },
  );
  const { object, errors } = change(balancer, { type: "ClusterIP" });
  assert.deepEqual(errors, []);
  const {
    externalTrafficPolicy,
    healthCheckNodePort,
    allocateLoadBalancerNodePorts,
    ports: [port] = [],
  } = object.spec ?? {};
  assert.deepEqual(
    [externalTrafficPolicy, healthCheckNodePort, allocateLoadBalancerNodePorts, port?.nodePort],
    [undefined, undefined, undefined, undefined],
  );
  const named = change(stored({}, {}), { type: "ExternalName", externalName: "b.example" });
  assert.deepEqual(named.errors, []);
  assert.deepEqual([named.object.spec?.clusterIP, named.object.spec?.ipFamilies], [undefined, undefined]);
});

test("what may not change in a service", () => {
  const plain = stored({}, {});
  const balancer = stored({ type: "LoadBalancer", externalTrafficPolicy: "Local" }, { healthCheckNodePort: 30099 });
  const ofClass = stored({ type: "LoadBalancer", loadBalancerClass: "example.com/a" }, {});
  const cases: [string, TrialAnswer<Service>, string[]][] = [
    [
      "the address",
      change(plain, { clusterIP: "10.96.0.6", clusterIPs: ["10.96.0.6"] }),
      ['spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set'],
    ],
    [
      "to none",
      change(plain, { clusterIP: "None", clusterIPs: ["None"] }),
      ['spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set'],
    ],
    [
      "the family",
      change(plain, { ipFamilies: ["IPv6"] }),
      ['spec.clusterIPs[0]: Invalid value: "10.96.0.5": expected an IPv6 value as indicated by `ipFamilies[0]`'],
    ],
    [
      "the port of its health",
      change(balancer, { healthCheckNodePort: 30011 }),
      ["spec.healthCheckNodePort: Forbidden: field is immutable"],
    ],
    [
      "who balances",
      change(ofClass, { loadBalancerClass: "example.com/b" }),
      ['spec.loadBalancerClass: Invalid value: "example.com/b": may not change once set'],
    ],
  ];
  for (const [name, { errors }, wanted] of cases) assert.deepEqual(errors, wanted, name);
});

test("a balancer says where it is, others may not", () => {
  const status = (spec: object, ingress: object[]) =>
    tryUpdate(serviceKind, stored(spec, {}), {
      subresource: "status",
      change: (service) => Object.assign(service, { status: { loadBalancer: { ingress } } }),
    });
  const { object, errors } = status({ type: "LoadBalancer" }, [{ ip: "5.6.7.8" }]);
  assert.deepEqual([errors, object.status?.loadBalancer?.ingress], [[], [{ ip: "5.6.7.8", ipMode: "VIP" }]]);
  assert.deepEqual(status({ type: "LoadBalancer" }, [{ ip: "x" }, { hostname: "10.0.0.1" }]).errors, [
    'status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    'status.loadBalancer.ingress[1].hostname: Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
  ]);
  assert.deepEqual(status({}, [{ ip: "5.6.7.8" }]).errors, [
    "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'",
  ]);
});

test("what is ignored is warned about", () => {
  assert.deepEqual(create({ clusterIP: "None", externalIPs: ["10.0.0.9"], sessionAffinity: "ClientIP" }).warnings, [
    "spec.externalIPs is ignored for headless services",
    "spec.SessionAffinity is ignored for headless services",
  ]);
  assert.deepEqual(
    create({ externalIPs: ["010.0.0.9"], externalName: "x", trafficDistribution: "PreferClose" }).warnings,
    [
      'spec.externalIPs[0]: non-standard IP address "010.0.0.9" will be considered invalid in a future Kubernetes release: use "10.0.0.9"',
      "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
      'spec.externalName is ignored when spec.type is not "ExternalName"',
      'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"',
    ],
  );
});

test("the table", () => {
  const cells = (service: Service) => Object.values(tryColumns(serviceKind, service)).slice(0, 4);
  const at = { ports: [{ port: 80, nodePort: 30000, protocol: "TCP" }] };
  assert.deepEqual(cells(stored({}, {})), ["ClusterIP", "10.96.0.5", "<none>", "80/TCP"]);
  assert.deepEqual(cells(stored({ type: "NodePort" }, at)), ["NodePort", "10.96.0.5", "<none>", "80:30000/TCP"]);
  assert.deepEqual(cells(stored({ type: "LoadBalancer" }, at)), [
    "LoadBalancer",
    "10.96.0.5",
    "<pending>",
    "80:30000/TCP",
  ]);
  const balancer = {
    ...stored({ type: "LoadBalancer", externalIPs: ["10.0.0.9"] }, at),
    status: { loadBalancer: { ingress: [{ ip: "5.6.7.8" }, { hostname: "b.example" }] } },
  };
  assert.deepEqual(cells(balancer)[2], "5.6.7.8,b.example,10.0.0.9");
  assert.deepEqual(cells(create({ type: "ExternalName", externalName: "x.example", ports: [] }).object), [
    "ExternalName",
    "<none>",
    "x.example",
    "<none>",
  ]);
});
