import assert from "node:assert/strict";
import { test } from "node:test";
import { lookUp, placeMatches, readDockerConfig, ringOfSecrets } from "./keyring.ts";

const matches: readonly (readonly [pattern: string, target: string, fits: boolean])[] = [
  ["*.kubernetes.io", "prefix.kubernetes.io", true],
  ["prefix.*.io", "prefix.kubernetes.io", true],
  ["prefix.kubernetes.*", "prefix.kubernetes.io", true],
  ["*-good.kubernetes.io", "prefix-good.kubernetes.io", true],
  ["*.kubernetes.io/blah", "prefix.kubernetes.io/blah", true],
  ["prefix.*.io/foo", "prefix.kubernetes.io/foo/bar", true],
  ["*.kubernetes.io:1111/blah", "prefix.kubernetes.io:1111/blah", true],
  ["prefix.*.io:1111/foo", "prefix.kubernetes.io:1111/foo/bar", true],
  ["*.kubernetes.io", "kubernetes.io", false],
  ["*.*.kubernetes.io", "prefix.kubernetes.io", false],
  ["*kubernetes.io", "a.kubernetes.io", false],
  ["*kubernetes.io", "kubernetes.io", true],
  ["*.*.*.kubernetes.io", "a.b.c.kubernetes.io", true],
  ["kubernetes.io", "kubernetes.com", false],
  ["k*.io", "quay.io", false],
  ["*.kubernetes.io:1234/blah", "prefix.kubernetes.io:1111/blah", false],
  ["prefix.*.io/foo", "prefix.kubernetes.io:1111/foo/bar", false],
  ["*.*.io:5000", "a.b.io:5000/c", true],
  ["registry.io/foo", "registry.io/foobar", true],
  ["reg[.io", "reg[.io", false],
  ["[::1]:5000", "[::1]:5000/a", true],
];

test("keyring: which places fit which images", () => {
  for (const [pattern, target, fits] of matches)
    assert.equal(placeMatches(pattern, target), fits, `${pattern} ${target}`);
});

const users = (config: Record<string, string>, image: string) =>
  lookUp(
    [
      {
        config: Object.fromEntries(
          Object.entries(config).map(([place, username]) => [place, { username, password: "p" }]),
        ),
      },
    ],
    image,
  )
    .map(({ username }) => username)
    .join(" ");

const lookups: readonly (readonly [config: Record<string, string>, image: string, users: string])[] = [
  [{ "a.io": "all", "a.io/team": "team", "*.io": "any" }, "a.io/team/app", "team all any"],
  [{ "a.io": "all", "a.io/team": "team", "*.io": "any" }, "a.io/other", "all any"],
  [{ "https://a.io/v1/": "one" }, "a.io/x", "one"],
  [{ "https://a.io/v2/path": "one" }, "a.io/path/x", "one"],
  [{ "http://a.io:80": "one" }, "a.io/x", ""],
  [{ "https://index.docker.io/v1/": "hub" }, "docker.io/library/busybox", "hub"],
  [{ "docker.io": "hub" }, "docker.io/library/busybox", "hub"],
  [{ "https://index.docker.io/v1/": "hub" }, "a.io/x", ""],
  [{ "localhost:5000": "local" }, "localhost:5000/x", "local"],
  [{ "a b.io": "broken" }, "a b.io/x", ""],
];

test("keyring: all that fit, the longer place first, Docker's hub by its old name when nothing else fits", () => {
  for (const [config, image, expected] of lookups) assert.equal(users(config, image), expected, image);
});

const auth = (text: string) => Buffer.from(text).toString("base64");

test("docker configurations: names, passwords and what base64 may be", () => {
  assert.deepEqual(readDockerConfig({ "a.io": { auth: auth("me:pa:ss"), username: "other", email: "e" } }), {
    "a.io": { username: "me", password: "pa:ss", email: "e" },
  });
  assert.deepEqual(readDockerConfig({ a: { auth: auth("me:word").replace(/=+$/, "") } }), {
    a: { username: "me", password: "word" },
  });
  for (const [text, message] of [
    [auth("nobody"), "unable to parse auth field, must be formatted as base64(username:password)"],
    ["bW!6", "illegal base64 data at input byte 2"],
    ["bWU6c", "illegal base64 data at input byte 4"],
  ] as const)
    assert.throws(() => readDockerConfig({ a: { auth: text } }), { message });
});

test("pull secrets: both types, only with their type, each remembered as the source", () => {
  const metadata = { uid: "u", namespace: "n", name: "s" };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64");
  const entry = { "a.io": { auth: auth("me:pw") } };
  const ring = ringOfSecrets([
    { metadata, type: "kubernetes.io/dockerconfigjson", data: { ".dockerconfigjson": json({ auths: entry }) } },
    { metadata, type: "kubernetes.io/dockercfg", data: { ".dockercfg": json(entry) } },
    { metadata, type: "Opaque", data: { ".dockercfg": json(entry) } },
  ]);
  assert.deepEqual(
    ring.map(({ source }) => source),
    [{ secret: metadata }, { secret: metadata }],
  );
  const [first, second] = lookUp(ring, "a.io/x");
  assert.equal(first?.password, "pw");
  // sha256 of {"username":"me","password":"pw"}, as upstream records it
  const hash = "46f0422e67d24e06f51d06a9b5c3ecb8442ce99f3895fab789cb907bac4b27a5";
  assert.deepEqual([first?.hash, second?.hash], [hash, hash]);
});
