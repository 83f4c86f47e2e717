import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import type { Credentials } from "../../security.ts";
import { parseTokenFile } from "../static-tokens.ts";
import { createAuthenticator } from "./authenticator.ts";
import { createTokenChain, forServer, type TokenSource } from "./token-chain.ts";

const audience = "https://kubernetes.default.svc";
const staticTokens = parseTokenFile('tok,admin,1,"system:masters"\nalice,alice,2\n');
const listed = forServer((token) => staticTokens.get(token), [audience]);

const credentials = (headers: IncomingHttpHeaders, path = "/api"): Credentials => ({
  headers,
  rawHeaders: Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().flatMap((each) => [name, String(each)]),
  ),
  path,
  remoteAddress: "",
  peerCertificate: () => undefined,
});

const authenticator = ({ enabled = true, paths = [] as string[], sources = [listed] as TokenSource[] } = {}) =>
  createAuthenticator({
    tokens: createTokenChain(sources, [audience]),
    clientAuthorities: () => undefined,
    anonymous: { enabled, paths: new Set(paths) },
    authorizer: { authorize: () => ({ allowed: false, reason: "" }) },
    now: Date.now,
  });
const nameOf = async (headers: IncomingHttpHeaders, options = {}, path?: string) =>
  (await authenticator(options).authenticate(credentials(headers, path)))?.name;

test("static tokens: user, uid and groups are read; too few columns fail with the line", () => {
  assert.deepEqual(staticTokens.get("tok"), { name: "admin", uid: "1", groups: ["system:masters"], extra: {} });
  assert.deepEqual(parseTokenFile('t,u,1,"a,b"').get("t")?.groups, ["a", "b"]);
  assert.throws(() => parseTokenFile("a,b,1\nx,y"), /line 2: want at least 3 columns .* have 2/);
});

test("authenticate: no credentials are anonymous, wrong ones are refused", async () => {
  const found = await authenticator().authenticate(credentials({}));
  assert.deepEqual(found, { name: "system:anonymous", uid: "", groups: ["system:unauthenticated"], extra: {} });
  assert.equal(await nameOf({ authorization: "Bearer wrong" }), undefined);
  assert.equal(await nameOf({}, { enabled: false }), undefined);
  assert.equal(await nameOf({ authorization: "Basic YTpi" }), "system:anonymous", "not a credential of ours");
});

test("authenticate: anonymous may be limited to paths, however they are written", async () => {
  const paths = ["/healthz", "/livez"];
  assert.equal(await nameOf({}, { paths }, "/healthz"), "system:anonymous");
  assert.equal(await nameOf({}, { paths }, "/h%65althz"), "system:anonymous");
  for (const path of ["/api", "/healthz/", "/healthz/../api", "//healthz"])
    assert.equal(await nameOf({}, { paths }, path), undefined, path);
  assert.equal(await nameOf({ authorization: "Bearer alice" }, { paths }, "/api"), "alice");
});

test("authenticate: a token is what stands behind the scheme, to the next space", async () => {
  assert.equal(await nameOf({ authorization: "bearer alice" }), "alice");
  assert.equal(await nameOf({ authorization: "  Bearer alice behind" }), "alice");
  const warnings: string[] = [];
  const found = await authenticator().authenticate(credentials({ authorization: "Bearer  alice" }), { warnings });
  assert.equal(found?.name, "system:anonymous");
  assert.match(warnings.join(), /contains extra space before the bearer token, and is ignored/);
});

test("authenticate: browsers send a token among the protocols of a WebSocket", async () => {
  const token = (text: string) => `base64url.bearer.authorization.k8s.io.${Buffer.from(text).toString("base64url")}`;
  const offer = (...protocols: string[]) => ({
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-protocol": protocols.join(", "),
  });
  assert.equal(await nameOf(offer(token("alice"), "v5.channel.k8s.io")), "alice");
  for (const [why, headers] of [
    ["wrong", offer(token("wrong"), "v5.channel.k8s.io")],
    ["nothing left to answer", offer(token("alice"))],
    ["two of them", offer(token("alice"), token("alice"), "v5.channel.k8s.io")],
    ["not base64", offer("base64url.bearer.authorization.k8s.io.a=b", "v5.channel.k8s.io")],
  ] as const)
    assert.equal(await nameOf(headers), undefined, why);
  assert.equal(await nameOf({ "sec-websocket-protocol": `${token("alice")}, x` }), "system:anonymous", "no WebSocket");
});

test("authenticate: sources are asked in turn, those over the network as well; all reasons are told", async () => {
  const asked: string[] = [];
  const remote =
    (name: string, user?: string): TokenSource =>
    async (_token, audiences) => {
      asked.push(name);
      return user ? { user: { name: user, uid: "", groups: [], extra: {} }, audiences } : { why: `${name} says no` };
    };
  const chain = createTokenChain([listed, remote("a"), remote("b", "carol"), remote("c", "dave")], [audience]);
  const found = await chain.authenticate("x");
  assert.deepEqual("user" in found && found.user, {
    name: "carol",
    uid: "",
    groups: ["system:authenticated"],
    extra: {},
  });
  assert.deepEqual(asked, ["a", "b"]);
  const refused = await createTokenChain([remote("a"), listed, remote("b")], [audience]).authenticate("x");
  assert.deepEqual(refused, { reasons: ["a says no", "b says no"] });
  assert.deepEqual(chain.authenticate("alice") instanceof Promise, false, "in memory: at once");
  assert.deepEqual(await createTokenChain([listed], [audience]).authenticate("alice", ["vault"]), { reasons: [] });
});
