/** Who is recognized and what is refused, over real TLS. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { before, test } from "node:test";
import { createHeaderRemoval } from "./authn/request-header.ts";
import { parseAuthenticationConfiguration } from "./authn/jwt-configuration.ts";
import { startTestIssuer, type TestIssuer } from "./authn/test-issuer.ts";
import { createAuthority, issueCertificate, type KeyPair, type LeafRequest } from "./certificates.ts";
import { loadExpressionCompiler } from "./expressions.ts";
import { startSecuredServer } from "./test-secured-server.ts";

const now = Date.now();
const dayMs = 24 * 3600 * 1000;
const leaf = (issuer: KeyPair, request: Partial<LeafRequest> & { at?: number }) =>
  issueCertificate(issuer, {
    commonName: "jane",
    usages: ["client"],
    validDays: 1,
    now: request.at ?? now,
    ...request,
  });
const headersOf = (authorities: string, allowedNames: readonly string[] = []) => ({
  authorities,
  allowedNames,
  usernameHeaders: ["X-Remote-User", "X-Old-User"],
  uidHeaders: ["X-Remote-Uid"],
  groupHeaders: ["X-Remote-Group"],
  extraHeaderPrefixes: ["X-Remote-Extra-"],
});

let one: KeyPair;
let two: KeyPair;
let other: KeyPair;
before(async () => {
  const authority = (name: string) => createAuthority(name, { now, validDays: 2 });
  [one, two, other] = await Promise.all([authority("one"), authority("two"), authority("one")]);
});

test("client certificate: any of the authorities; what is shown and wrong is refused, not anonymous", async (t) => {
  const { whoAmI, ask, status2 } = await startSecuredServer(t, {
    clientAuthorities: one.certificate + two.certificate,
  });
  const jane = await leaf(one, { organizations: ["system:masters", "a, b"] });
  assert.equal(await whoAmI({ client: jane }), "jane");
  assert.equal(await whoAmI({ client: await leaf(two, { commonName: "joe" }) }), "joe");
  assert.equal(await status2("/api/v1/nodes", { client: jane }), 200);
  const wrong = {
    "another authority of the same name": await leaf(other, {}),
    "it has ended": await leaf(one, { at: now - 2 * dayMs }),
    "it begins tomorrow": await leaf(one, { at: now + dayMs }),
    "for servers": await leaf(one, { usages: ["server"] }),
  };
  for (const [why, client] of Object.entries(wrong)) {
    const { status, body } = await ask("/version", { client });
    assert.equal(status, 401, why);
    assert.equal(body.message, "Unauthorized");
    assert.equal(await status2("/version", { client }), 401, `${why}, over HTTP/2`);
    assert.equal(await whoAmI({ client, token: "alice" }), "alice", `${why}, but the token is good`);
  }
  const nameless = await leaf(one, { commonName: "" });
  assert.equal((await ask("/version", { client: nameless })).status, 200, "nobody is named: anonymous");
  assert.equal((await ask("/version")).status, 200);
  assert.equal((await ask("/version", { token: "wrong" })).status, 401);
});

test("client certificate: every organization is a group, and the certificate is named", async (t) => {
  const { ask } = await startSecuredServer(t, { clientAuthorities: one.certificate });
  const { body } = await ask("/apis/authentication.k8s.io/v1/selfsubjectreviews", {
    method: "POST",
    body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
    client: await leaf(one, { organizations: ["x", "a, b=c", "ü"] }),
  });
  const { username, groups, extra, uid } = body.status.userInfo;
  assert.deepEqual([username, uid], ["jane", undefined]);
  assert.deepEqual(groups, ["x", "ü", "a, b=c", "system:authenticated"]); // a set in a certificate has an order of its own
  assert.match(extra["authentication.kubernetes.io/credential-id"][0], /^X509SHA256=[0-9a-f]{64}$/);
});

test("client certificate: without authorities nobody is recognized by one", async (t) => {
  const { ask } = await startSecuredServer(t);
  assert.equal((await ask("/version", { client: await leaf(one, {}) })).status, 200, "anonymous");
});

test("proxy in front: believed by its authority and name only; over both protocols", async (t) => {
  const { whoAmI, ask, status2 } = await startSecuredServer(t, {
    clientAuthorities: one.certificate,
    requestHeader: headersOf(two.certificate, ["proxy"]),
  });
  const proxy = await leaf(two, { commonName: "proxy" });
  const headers = { "X-Remote-User": "Zoë", "X-Remote-Group": ["g", "system:masters"] };
  assert.equal(await whoAmI({ client: proxy, headers }), "Zoë");
  assert.equal(
    await status2("/api/v1/nodes", {
      client: proxy,
      headers: { "x-remote-user": "z", "x-remote-group": "system:masters" },
    }),
    200,
  );
  assert.equal(await status2("/api/v1/nodes", { client: proxy, headers: { "x-remote-user": "z" } }), 403);
  assert.equal(await whoAmI({ client: await leaf(two, { commonName: "sly" }), headers }), 401, "another name");
  assert.equal(
    await whoAmI({ client: await leaf(one, { commonName: "proxy" }), headers }),
    "proxy",
    "a client's authority",
  );
  assert.equal(await whoAmI({ token: "alice", headers }), "alice", "no certificate");
  assert.equal((await ask("/version", { headers })).status, 200);
  assert.equal((await ask("/api/v1/nodes", { headers })).status, 403, "anonymous");
  assert.equal((await ask("/version", { client: proxy })).status, 401, "names nobody, and is no client");
});

test("proxy in front: uid, groups and extra as they were sent; the first header that is there names the user", async (t) => {
  const { ask } = await startSecuredServer(t, { requestHeader: headersOf(two.certificate) });
  const { body } = await ask("/apis/authentication.k8s.io/v1/selfsubjectreviews", {
    method: "POST",
    body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
    client: await leaf(two, {}),
    headers: {
      "X-Old-User": "old",
      "X-Remote-Uid": "7",
      "X-Remote-Group": ["a, b", "c"],
      "X-Remote-Extra-Acme.io%2fTeam": ["x", "y"],
    },
  });
  assert.deepEqual(body.status.userInfo, {
    username: "old",
    uid: "7",
    groups: ["a, b", "c", "system:authenticated"],
    extra: { "acme.io/team": ["x", "y"] },
  });
});

test("proxy in front: headers of unusual names are known to nobody behind", () => {
  const headers = { "x-who": "a", "x-more-team": "b", "x-remote-user": "c", other: "d" };
  const standard = headersOf(two.certificate);
  assert.equal(createHeaderRemoval({ ...standard, usernameHeaders: ["X-Remote-User"] }), undefined);
  createHeaderRemoval({ ...standard, usernameHeaders: ["X-Who"], extraHeaderPrefixes: ["X-More-"] })?.(headers);
  assert.deepEqual(headers, { "x-remote-user": "c", other: "d" });
});

test("HTTP/2: strangers get one request for each connection, whoever is known keeps theirs", async (t) => {
  const { port } = await startSecuredServer(t);
  for (const [token, status, ends] of [
    ["alice", 200, false],
    ["", 200, true],
    ["wrong", 401, true],
  ] as const) {
    const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    const stream = session.request({ ":path": "/version", ...(token && { authorization: `Bearer ${token}` }) });
    const left = ends ? once(session, "goaway") : undefined;
    const [headers] = await once(stream, "response");
    assert.equal(headers[":status"], status);
    stream.resume();
    await once(stream, "end");
    await left;
    if (!ends) assert.equal(session.closed, false);
    session.destroy();
  }
});

test("authorities: replaced ones count at once, even where a handshake still accepts the old ones", async (t) => {
  const { whoAmI, security } = await startSecuredServer(t, { clientAuthorities: one.certificate });
  const client = await leaf(one, {});
  assert.equal(await whoAmI({ client }), "jane");
  security.setAuthorities({ clients: two.certificate });
  assert.equal(await whoAmI({ client }), 401, "the listener still lets it in");
});

test("issuers: replaced ones count once they answer", async (t) => {
  const [before, after] = await Promise.all([startTestIssuer(), startTestIssuer()]);
  t.after(() => Promise.all([before.close(), after.close()]));
  const rules = { compile: await loadExpressionCompiler(), disallowedIssuers: [] };
  const configured = async ({ url, authority }: TestIssuer) => {
    const username = { claim: "sub", prefix: "out:" };
    const issuer = { url, audiences: ["sampan"], certificateAuthority: authority };
    const file = { apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration" };
    const text = JSON.stringify({ ...file, jwt: [{ issuer, claimMappings: { username } }] });
    return (await parseAuthenticationConfiguration(text, rules)).jwt;
  };
  const { whoAmI, security } = await startSecuredServer(t, { jwt: await configured(before) });
  const both = () => Promise.all([whoAmI({ token: before.token({}) }), whoAmI({ token: after.token({}) })]);
  assert.deepEqual(await both(), ["out:jane", 401]);
  await security.setJwt(await configured(after));
  assert.deepEqual(await both(), [401, "out:jane"]);
  await security.setJwt([]);
  assert.deepEqual(await both(), [401, 401]);
});

test("anonymous: not at all, or to some paths", async (t) => {
  const closed = await startSecuredServer(t, { anonymous: { enabled: false, paths: new Set() } });
  assert.equal((await closed.ask("/version")).status, 401);
  const some = await startSecuredServer(t, { anonymous: { enabled: true, paths: new Set(["/healthz"]) } });
  assert.equal((await some.ask("/healthz")).status, 200);
  assert.equal((await some.ask("/readyz")).status, 401);
});

test("path: however it is written, it isn't allowed what its plain form isn't", async (t) => {
  const { ask, self } = await startSecuredServer(t);
  const role = "/apis/rbac.authorization.k8s.io/v1/clusterrole";
  await self.request({
    method: "POST",
    path: `${role}s`,
    body: {
      metadata: { name: "logs" },
      rules: [
        { nonResourceURLs: ["/logs/*"], verbs: ["*"] },
        { apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list"] },
      ],
    },
  });
  await self.request({
    method: "POST",
    path: `${role}bindings`,
    body: {
      metadata: { name: "logs" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "logs" },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "alice" }],
    },
  });
  const secrets = "/api/v1/namespaces/kube-system/secrets";
  await self.request({
    method: "POST",
    path: secrets,
    body: { metadata: { name: "hidden" }, stringData: { word: "sesame" } },
  });
  const plain = await ask(`${secrets}/hidden`, { token: "alice" });
  assert.equal(plain.status, 403);
  const forms = [
    `/${secrets}/hidden`,
    `/api//v1/namespaces/kube-system/secrets/hidden`,
    `/api/v1//namespaces/kube-system/secrets/hidden`,
    `${secrets}//hidden`,
    `${secrets}/hidden/`,
    `${secrets}/./hidden`,
    `/logs/..${secrets}/hidden`,
    `/logs/%2e%2e${secrets}/hidden`,
    `/api/v1/namespaces/kube-system/configmaps/../secrets/hidden`,
    `/api/v1/namespaces/kube-system/configmaps/%2e%2e/secrets/hidden`,
    `/api/v1/namespaces/kube-system/configmaps%2f..%2fsecrets/hidden`,
    `/api/v1/namespaces/kube-system/s%65crets/hidden`,
    `/%61pi/v1/namespaces/kube-system/secrets/hidden`,
    `/api/v1/namespaces/kube-system%2fsecrets/hidden`,
    `/api/v1/namespaces/kube-system/secrets%2fhidden`,
    `/api%2fv1/namespaces/kube-system/secrets/hidden`,
    `/api/v1/watch/namespaces/kube-system/secrets/hidden`,
    `/api/v1/secrets?fieldSelector=metadata.name%3Dhidden`,
    `/API/V1/namespaces/kube-system/secrets/hidden`,
    `/api/v1/namespaces/kube-system/SECRETS/hidden`,
    `/api/v1/namespaces/kube-system/secrets;x/hidden`,
    `/api/v1/namespaces/kube-system/secrets/hidden%00`,
    `/api/v1/namespaces/kube-system/secrets/hidden%`,
    `https://other.host${secrets}/hidden`,
    `/logs/x?/..${secrets}/hidden`,
    `\\api\\v1\\secrets`,
    `/api/v1/namespaces/kube-system/secrets/hidden#x`,
  ];
  for (const path of forms) {
    const { status, text } = await ask(path, { token: "alice" });
    assert.ok(!text.includes("c2VzYW1l"), `${path} shows it`);
    assert.ok([301, 307, 400, 403, 404].includes(status), `${path}: ${status}`);
  }
  assert.equal((await ask("/logs/x", { token: "alice" })).status, 404, "allowed, but not there");
  assert.equal((await ask("/logs/%2e%2e/metrics", { token: "alice" })).status === 200, false);
});
