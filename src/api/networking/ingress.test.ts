import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { ingressKind } from "./ingress.ts";
import { ingressClassKind } from "./ingress-class.ts";

const service = (name: string, port: object = { number: 80 }) => ({ service: { name, port } });
const backend = service("a");
const path = (path: string, pathType = "Prefix") => ({ path, pathType, backend });
const rule = (host: string, ...paths: object[]) => ({ host, ...(paths.length > 0 && { http: { paths } }) });
const errorsOf = (spec: object) => tryCreate(ingressKind, { spec }).errors;

test("ingress: neither rules nor a backend", () => {
  assert.match(
    errorsOf({}).join(),
    /^spec: Invalid value: null: either `defaultBackend` or `rules` must be specified$/,
  );
  const { object } = tryCreate(ingressKind, { spec: { defaultBackend: backend } });
  assert.deepEqual([object.status, object.metadata.generation], [{ loadBalancer: {} }, 1]);
});

test("ingress: hosts", () => {
  const errors = errorsOf({ rules: [rule("1.2.3.4"), rule("A"), rule("*.*.x"), rule("*.x"), rule("a.example")] });
  assert.deepEqual(
    errors.map((error) => error.split(": ").slice(0, 3).join(": ").slice(0, 80)),
    [
      'spec.rules[0].host: Invalid value: "1.2.3.4"',
      'spec.rules[1].host: Invalid value: "A"',
      'spec.rules[2].host: Invalid value: "*.*.x"',
    ],
  );
});

test("ingress: paths", () => {
  const at = "spec.rules[0].http.paths[0].path";
  const cases: [object, string[]][] = [
    [path("/"), []],
    [path("", "ImplementationSpecific"), []],
    [path("x"), [`${at}: Invalid value: "x": must be an absolute path`]],
    [path(""), [`${at}: Invalid value: "": must be an absolute path`]],
    [path("/a//b"), [`${at}: Invalid value: "/a//b": must not contain '//'`]],
    [path("/a/.."), [`${at}: Invalid value: "/a/..": cannot end with '/..'`]],
    [path("/%2f", "Exact"), [`${at}: Invalid value: "/%2f": must not contain '%2f'`]],
    [{ path: "/" }, [`${at}Type: Required value: pathType must be specified`]],
    [
      path("/", "Odd"),
      [`${at}Type: Unsupported value: "Odd": supported values: "Exact", "ImplementationSpecific", "Prefix"`],
    ],
  ];
  for (const [each, errors] of cases) {
    assert.deepEqual(errorsOf({ rules: [rule("a", each)] }), errors, JSON.stringify(each));
  }
});

test("ingress: backends", () => {
  const at = "spec.defaultBackend";
  const resource = { kind: "K", name: "r" };
  const cases: [object, string[]][] = [
    [{ resource }, []],
    // Names of services may begin with a digit.
    [service("1a"), []],
    [{}, [`${at}: Invalid value: "": resource or service backend is required`]],
    [{ resource, ...backend }, [`${at}: Invalid value: "": cannot set both resource and service backends`]],
    [service("a", {}), [`${at}: Required value: port name or number is required`]],
    [service("a", { name: "w", number: 1 }), [`${at}: Invalid value: "": cannot set both port name & port number`]],
    [
      service("", { number: 70000 }),
      [
        `${at}.service.name: Required value`,
        `${at}.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive`,
      ],
    ],
    [
      { resource: { kind: "a/b" } },
      [`${at}.resource.kind: Invalid value: "a/b": may not contain '/'`, `${at}.resource.name: Required value`],
    ],
  ];
  for (const [each, errors] of cases) {
    assert.deepEqual(errorsOf({ defaultBackend: each }), errors, JSON.stringify(each));
  }
});

test("ingress: a class that is named twice", () => {
  const sent = (ingressClassName?: string) => ({
    metadata: { name: "i", annotations: { "kubernetes.io/ingress.class": "x" } },
    spec: { defaultBackend: backend, ...(ingressClassName && { ingressClassName }) },
  });
  assert.deepEqual(tryCreate(ingressKind, sent("x")).errors, []);
  assert.deepEqual(tryCreate(ingressKind, sent("y")).errors, [
    'annotations.kubernetes.io/ingress.class: Invalid value: "x": must match `ingressClassName` when both are specified',
  ]);
  assert.equal(tryCreate(ingressKind, sent()).warnings.length, 1);
});

test("ingress: old faults may stay", () => {
  const { object: old } = tryCreate(ingressKind, { spec: { defaultBackend: backend } });
  const bad = { tls: [{ secretName: "A b" }], rules: [rule("*.x", path("bad"))] };
  const change = (from: typeof old) =>
    tryUpdate(ingressKind, from, { change: ({ spec }) => void Object.assign(spec ?? {}, bad) });
  const { errors, object } = change(old);
  assert.equal(errors.length, 2);
  assert.deepEqual(change(object).errors, []);
});

test("ingress: status and cells", () => {
  const { object: old } = tryCreate(ingressKind, {
    spec: { rules: ["a", "b", "c", "d"].map((host) => rule(host)), tls: [{}] },
  });
  const ingress = [{ ip: "1.2.3.4" }, { hostname: "lb.example" }, { ip: "01.2.3.4" }, { hostname: "1.2.3.4" }];
  const { errors, object } = tryUpdate(ingressKind, old, {
    subresource: "status",
    change: (each) => void Object.assign(each, { status: { loadBalancer: { ingress } } }),
  });
  assert.deepEqual(errors, [
    'status.loadBalancer.ingress[2].ip: Invalid value: "01.2.3.4": must not have leading 0s',
    'status.loadBalancer.ingress[3].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
  ]);
  const { Class, Hosts, Address, Ports } = tryColumns(ingressKind, object);
  assert.deepEqual([Class, Hosts, Ports], ["<none>", "a,b,c + 1 more...", "80, 443"]);
  assert.equal(Address, "01.2.3.4,1.2.3.4,lb.example");
});

test("ingress class: controller and parameters", () => {
  const { object: old, errors } = tryCreate(ingressClassKind, {
    spec: { controller: "example.com/c", parameters: { apiGroup: "x.example", kind: "P", name: "p" } },
  });
  assert.deepEqual(errors, []);
  assert.equal(old.spec?.parameters?.scope, "Cluster");
  assert.equal(tryColumns(ingressClassKind, old).Parameters, "P.x.example/p");
  const bad = { controller: "c", parameters: { kind: "", name: "p", scope: "Namespace" } };
  assert.deepEqual(tryCreate(ingressClassKind, { spec: bad }).errors, [
    'spec.controller: Invalid value: "c": must be a domain-prefixed path (such as "acme.io/foo")',
    "spec.parameters.kind: Required value",
    "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
  ]);
  assert.deepEqual(tryCreate(ingressClassKind, {}).errors, ["spec.controller: Required value"]);
  const other = tryUpdate(ingressClassKind, old, {
    change: ({ spec }) => void Object.assign(spec ?? {}, { controller: "example.com/d" }),
  });
  assert.deepEqual(other.errors, ['spec.controller: Invalid value: "example.com/d": field is immutable']);
  assert.equal(other.object.metadata.generation, 2);
});
