/** Which backend a request goes to: the tables of the API's documentation and the scenarios of the ingress conformance project, without a server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Ingress, IngressBackend } from "#api";
import { isOurs, readClasses } from "./claim.ts";
import { RouteTable } from "./routes.ts";
import { normalizeHost, normalizePath } from "./target.ts";

const to = (name: string): IngressBackend => ({ service: { name, port: { number: 80 } } });
type Path = readonly [pathType: string, path: string, service?: string];
const rule = (host: string | undefined, ...paths: Path[]) => ({
  ...(host !== undefined && { host }),
  http: {
    paths: paths.map(([pathType, path, name]) => ({ path, pathType, backend: to(name ?? `${pathType} ${path}`) })),
  },
});
type Rule = ReturnType<typeof rule>;
interface Given {
  readonly name?: string;
  readonly rules?: readonly Rule[];
  readonly fallback?: string;
  readonly created?: string;
}
const ingress = ({ name = "i", rules = [], fallback, created = "2026-01-01T00:00:00Z" }: Given): Ingress => ({
  metadata: { namespace: "ns", name, creationTimestamp: created },
  spec: { rules: [...rules], ...(fallback !== undefined && { defaultBackend: to(fallback) }) },
});
function table(...given: readonly Given[]): RouteTable {
  const routes = new RouteTable();
  for (const each of given) routes.set(`ns/${each.name ?? "i"}`, ingress(each));
  return routes;
}
const ask = (routes: RouteTable, url: string): string => {
  const [, host = "", path = ""] = /^([^/]*)(.*)$/.exec(url) ?? [];
  return routes.match(normalizeHost(host) ?? "", normalizePath(path || "/") ?? "")?.backend.service?.name ?? "none";
};
const check = (routes: RouteTable, cases: Readonly<Record<string, string>>) => {
  for (const [url, wanted] of Object.entries(cases)) assert.equal(ask(routes, url), wanted, url);
};

test("paths: the API's table of examples", () => {
  const cases: [rules: Path[], request: string, matched: string][] = [
    [[["Prefix", "/"]], "/any/path", "Prefix /"],
    [[["Exact", "/foo"]], "/foo", "Exact /foo"],
    [[["Exact", "/foo"]], "/bar", "none"],
    [[["Exact", "/foo"]], "/foo/", "none"],
    [[["Exact", "/foo/"]], "/foo", "none"],
    [[["Prefix", "/foo"]], "/foo", "Prefix /foo"],
    [[["Prefix", "/foo"]], "/foo/", "Prefix /foo"],
    [[["Prefix", "/foo/"]], "/foo", "Prefix /foo/"],
    [[["Prefix", "/foo/"]], "/foo/", "Prefix /foo/"],
    [[["Prefix", "/aaa/bb"]], "/aaa/bbb", "none"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbb", "Prefix /aaa/bbb"],
    [[["Prefix", "/aaa/bbb/"]], "/aaa/bbb", "Prefix /aaa/bbb/"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbb/", "Prefix /aaa/bbb"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbb/ccc", "Prefix /aaa/bbb"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbbxyz", "none"],
    [
      [
        ["Prefix", "/"],
        ["Prefix", "/aaa"],
      ],
      "/aaa/ccc",
      "Prefix /aaa",
    ],
    [
      [
        ["Prefix", "/"],
        ["Prefix", "/aaa"],
        ["Prefix", "/aaa/bbb"],
      ],
      "/aaa/bbb",
      "Prefix /aaa/bbb",
    ],
    [
      [
        ["Prefix", "/"],
        ["Prefix", "/aaa"],
        ["Prefix", "/aaa/bbb"],
      ],
      "/ccc",
      "Prefix /",
    ],
    [[["Prefix", "/aaa"]], "/ccc", "none"],
    [
      [
        ["Prefix", "/foo"],
        ["Exact", "/foo"],
      ],
      "/foo",
      "Exact /foo",
    ],
    [[["ImplementationSpecific", "/foo"]], "/foo/bar", "ImplementationSpecific /foo"],
    [[["ImplementationSpecific", ""]], "/foo/bar", "ImplementationSpecific "],
  ];
  for (const [paths, request, matched] of cases)
    assert.equal(
      ask(table({ rules: [rule("h", ...paths)] }), `h${request}`),
      matched,
      `${request} of ${paths.join("; ")}`,
    );
});

test("hosts: the API's table of wildcards, and what the conformance project asks", () => {
  const routes = table({
    rules: [rule("*.foo.com", ["Prefix", "/", "wildcard"]), rule("foo.bar.com", ["Prefix", "/", "exact"])],
  });
  check(routes, {
    "foo.bar.com/": "exact",
    "FOO.Bar.Com:8080/x": "exact",
    "foo.bar.com./": "exact",
    "subdomain.bar.com/": "none",
    "bar.foo.com/": "wildcard",
    "baz.bar.foo.com/": "none",
    "foo.com/": "none",
    ".foo.com/": "none",
    "/": "none",
  });
});

test("paths: the conformance project's rules side by side", () => {
  const routes = table({
    rules: [
      rule("exact", ["Exact", "/foo"]),
      rule("prefix", ["Prefix", "/foo"], ["Prefix", "/aaa/bbb"], ["Prefix", "/aaa"]),
      rule("mixed", ["Prefix", "/foo"], ["Exact", "/foo"]),
      rule("trailing", ["Prefix", "/aaa/bbb/"], ["Exact", "/foo/"]),
    ],
  });
  check(routes, {
    "exact/foo": "Exact /foo",
    "exact/foo?x=/bar": "Exact /foo",
    "exact/foo/": "none",
    "exact/FOO": "none",
    "exact/bar": "none",
    "prefix/foo": "Prefix /foo",
    "prefix/foo/": "Prefix /foo",
    "prefix/FOO": "none",
    "prefix/aaa/bbb": "Prefix /aaa/bbb",
    "prefix/aaa/bbb/ccc": "Prefix /aaa/bbb",
    "prefix/aaa/ccc": "Prefix /aaa",
    "prefix/aaaccc": "none",
    "mixed/foo": "Exact /foo",
    "mixed/foo/x": "Prefix /foo",
    "trailing/aaa/bbb": "Prefix /aaa/bbb/",
    "trailing/aaa/bbb/": "Prefix /aaa/bbb/",
    "trailing/foo": "none",
    "trailing/foo/": "Exact /foo/",
  });
});

test("precedence: host before path, and what one host doesn't match another may", () => {
  const routes = table({
    rules: [
      rule(undefined, ["Prefix", "/", "any"], ["Exact", "/long/exact", "any exact"]),
      rule("*.foo.com", ["Prefix", "/w", "wildcard"]),
      rule("a.foo.com", ["Prefix", "/a", "exact"]),
    ],
  });
  check(routes, {
    "a.foo.com/a/b": "exact",
    "a.foo.com/w/b": "wildcard",
    "a.foo.com/x": "any",
    "b.foo.com/a": "any",
    "b.foo.com/long/exact": "any exact",
    "other/long/exact": "any exact",
    "[2001:db8::1]:80/": "any",
  });
});

test("default backends: of the host's Ingress, of one without rules, of any", () => {
  const withRules = { name: "r", rules: [rule("h", ["Exact", "/x", "x"])], fallback: "of r" };
  check(table(withRules), { "h/x": "x", "h/y": "of r", "other/": "of r" });
  check(table(withRules, { name: "d", fallback: "of d" }), { "h/y": "of r", "other/": "of d" });
  check(table({ fallback: "all" }), { "/": "all", "my-host/sub-path": "all" });
  const onlyHost = {
    metadata: { namespace: "ns", name: "o" },
    spec: { rules: [{ host: "h" }], defaultBackend: to("d") },
  };
  const routes = new RouteTable();
  routes.set("ns/o", onlyHost);
  check(routes, { "h/": "d" });
});

test("conflicts: the oldest Ingress keeps what it has, and the next one inherits it", () => {
  const newer = { name: "a", created: "2026-02-01T00:00:00Z", rules: [rule("h", ["Prefix", "/", "newer"])] };
  const older = { name: "b", created: "2026-01-01T00:00:00Z", rules: [rule("h", ["Prefix", "/", "older"])] };
  const routes = table(newer, older);
  check(routes, { "h/": "older" });
  routes.delete("ns/b");
  check(routes, { "h/": "newer" });
  routes.set("ns/a", ingress({ ...newer, rules: [rule("h", ["Exact", "/only", "changed"])] }));
  check(routes, { "h/": "none", "h/only": "changed" });
  routes.delete("ns/a");
  assert.equal(routes.size, 0);
  check(routes, { "h/only": "none" });
});

test("paths: another spelling of a path is the same path", () => {
  const routes = table({
    rules: [rule("h", ["Prefix", "/public"], ["Prefix", "/admin"], ["Exact", "/caf%c3%a9"], ["Exact", "/a%2Fb"])],
  });
  check(routes, {
    "h/public/../admin": "Prefix /admin",
    "h/public/%2e%2E/admin/x": "Prefix /admin",
    "h/%61dmin": "Prefix /admin",
    "h/./public/.": "Prefix /public",
    "h/../../admin": "Prefix /admin",
    "h/caf%C3%A9": "Exact /caf%c3%a9",
    "h/a%2fb": "Exact /a%2Fb",
    "h/a/b": "none",
    "h/public%2f..%2fadmin": "none",
  });
});

test("a lookup doesn't depend on how many Ingresses there are, nor on how long a path is", () => {
  const routes = new RouteTable();
  for (let i = 0; i < 5000; i++)
    routes.set(`ns/${i}`, ingress({ name: String(i), rules: [rule(`h${i}.example`, ["Prefix", "/a/b", `s${i}`])] }));
  check(routes, { "h4321.example/a/b/c": "s4321", [`h77.example/a/b${"/x".repeat(8000)}`]: "s77" });
  assert.equal(ask(routes, `h77.example${"/".repeat(16_000)}`), "none");
  for (let i = 0; i < 5000; i++) routes.delete(`ns/${i}`);
  check(routes, { "h4321.example/a/b/c": "none" });
});

test("hosts: what is no host is refused", () => {
  for (const bad of ["a b", "a/b", "a@b", "a\u0000", "a..b", "-", "*.foo.com", "a:b:c", "é", `${"a".repeat(300)}`])
    assert.equal(normalizeHost(bad), undefined, bad);
  for (const good of ["a", "A.b", "a:80", "1.2.3.4:80", "[::1]:8080", "a_b.c", "", "xn--bcher-kva.example"])
    assert.notEqual(normalizeHost(good), undefined, good);
  for (const bad of ["*", "foo", "", "http//x"]) assert.equal(normalizePath(bad), undefined, bad);
});

test("classes: ours by controller, by the old annotation, or as default", () => {
  const mark = { "ingressclass.kubernetes.io/is-default-class": "true" };
  const kind = (name: string, controller: string, { isDefault = false, created = "2026-01-01T00:00:00Z" } = {}) => ({
    metadata: { name, creationTimestamp: created, ...(isDefault && { annotations: mark }) },
    spec: { controller },
  });
  const own = "sampan.dev/ingress";
  const plain = readClasses([kind("mine", own), kind("nginx", "k8s.io/ingress-nginx", { isDefault: true })]);
  const isDefault = readClasses([kind("sampan", own, { isDefault: true })]);
  const named = (ingressClassName?: string, annotation?: string): Ingress => ({
    metadata: { ...(annotation !== undefined && { annotations: { "kubernetes.io/ingress.class": annotation } }) },
    spec: { ...(ingressClassName !== undefined && { ingressClassName }) },
  });
  const cases: [Ingress, typeof plain, boolean][] = [
    [named("mine"), plain, true],
    [named("nginx"), plain, false],
    [named("some-invalid-class-name"), isDefault, false],
    [named("sampan"), plain, false],
    [named(), plain, false],
    [named(), isDefault, true],
    [named(undefined, "nginx"), isDefault, false],
    [named(undefined, "sampan"), plain, true],
    [named(undefined, "mine"), plain, true],
    [named("nginx", "sampan"), plain, false],
    [named(undefined, ""), isDefault, true],
  ];
  for (const [given, classes, wanted] of cases) assert.equal(isOurs(given, classes), wanted, JSON.stringify(given));
  const two = [
    kind("a", own, { isDefault: true }),
    kind("b", "x/y", { isDefault: true, created: "2026-02-01T00:00:00Z" }),
  ];
  assert.equal(readClasses(two).isDefault, false, "the newest default counts");
});
