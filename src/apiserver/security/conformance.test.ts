/** What Kubernetes' conformance tests of sig-auth ask of the API server, over HTTPS; what needs a node is asked of the pod that would run there. */
import assert from "node:assert/strict";
import { createPublicKey, webcrypto } from "node:crypto";
import { type TestContext, test } from "node:test";
import type { KubernetesObject, WatchEvent } from "#machinery";
import { createAuthority } from "./certificates.ts";
import { isSignedBy, parseJwt } from "./authn/jwt.ts";
import { ownIssuer, type SecuredServer, startSecuredServer } from "./test-secured-server.ts";

const token = "tok";
const core = "/api/v1/namespaces/default";
const post = async ({ ask }: SecuredServer, path: string, body: object, headers = {}) => {
  const answer = await ask(path, { method: "POST", token, body, headers });
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
};
const newAccount = (api: SecuredServer, name: string, more: object = {}) =>
  post(api, `${core}/serviceaccounts`, { metadata: { name }, ...more });
/** From a version that was read before, so that it doesn't matter when it begins. */
function startWatch(
  t: TestContext,
  { self }: SecuredServer,
  { path, query }: { path: string; query: Record<string, string> },
  onEvent: (event: WatchEvent) => void,
): void {
  const stop = new AbortController();
  const request = { method: "GET", path, query: { ...query, watch: true }, signal: stop.signal } as const;
  const running = self.watch(request, onEvent);
  t.after(async () => {
    stop.abort();
    await running;
  });
}
const container = { name: "c", image: "busybox" };

// conformance: [sig-auth] SubjectReview should support SubjectReview API operations [Conformance]
for (const allowed of [false, true])
  test(`subject review: of an account says what it may do: ${allowed}`, async (t) => {
    const api = await startSecuredServer(t);
    const { metadata } = await newAccount(api, "robot");
    if (allowed) {
      const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
      const rules = [{ apiGroups: [""], resources: ["configmaps"], verbs: ["list"] }];
      await post(api, `${rbac}/roles`, { metadata: { name: "lister" }, rules });
      await post(api, `${rbac}/rolebindings`, {
        metadata: { name: "lister" },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "lister" },
        subjects: [{ kind: "ServiceAccount", name: "robot", namespace: "default" }],
      });
    }
    const user = "system:serviceaccount:default:robot";
    const groups = ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:default"];
    const asRobot = {
      "Impersonate-User": user,
      "Impersonate-Uid": metadata.uid as string,
      "Impersonate-Group": groups,
    };
    const resourceAttributes = { verb: "list", resource: "configmaps", namespace: "default", version: "v1" };
    const spec = { resourceAttributes, user, groups, uid: metadata.uid };
    const authorization = "/apis/authorization.k8s.io/v1";
    const review = await post(api, `${authorization}/subjectaccessreviews`, { spec });
    const local = await post(api, `${authorization}/namespaces/default/localsubjectaccessreviews`, {
      metadata: { namespace: "default" },
      spec,
    });
    const { status } = await api.ask(`${core}/configmaps`, { token, headers: asRobot });
    assert.deepEqual([review.status.allowed, local.status.allowed, status], [allowed, allowed, allowed ? 200 : 403]);
  });

// [sig-auth] SelfSubjectReview testing SSR in different API groups
test("self subject review: is announced and answers who asks, also who acts as somebody", async (t) => {
  const api = await startSecuredServer(t);
  const groups = (await api.ask("/apis", { token })).body.groups as { name: string; versions: { version: string }[] }[];
  const group = groups.find(({ name }) => name === "authentication.k8s.io");
  assert.ok(group?.versions.some(({ version }) => version === "v1"));
  const path = "/apis/authentication.k8s.io/v1";
  const { resources } = (await api.ask(path, { token })).body;
  const found = resources.find(({ name }: { name: string }) => name === "selfsubjectreviews");
  assert.deepEqual(found?.verbs, ["create"]);
  const headers = {
    "Impersonate-User": "jane",
    "Impersonate-Uid": "7",
    "Impersonate-Group": ["g"],
    "Impersonate-Extra-Acme.io%2fTeam": "x",
  };
  const { status } = await post(api, `${path}/selfsubjectreviews`, {}, headers);
  assert.deepEqual(status.userInfo, {
    username: "jane",
    uid: "7",
    groups: ["g", "system:authenticated"],
    extra: { "acme.io/team": ["x"] },
  });
});

// conformance: [sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount [Conformance]
// conformance: [sig-auth] ServiceAccounts should update a ServiceAccount [Conformance]
test("service account: is created, patched, updated, listed by label and deleted; whoever watches sees it", async (t) => {
  const api = await startSecuredServer(t);
  const labelSelector = "test-serviceaccount-static=true";
  const { metadata } = (await api.ask(`${core}/serviceaccounts`, { token })).body;
  const query = { labelSelector, resourceVersion: metadata.resourceVersion };
  const events: string[] = [];
  const gone = Promise.withResolvers<void>();
  startWatch(t, api, { path: `${core}/serviceaccounts`, query }, ({ type, object }) => {
    const { automountServiceAccountToken } = object as { automountServiceAccountToken?: boolean };
    events.push(`${type} ${automountServiceAccountToken}`);
    if (type === "DELETED") gone.resolve();
  });
  await newAccount(api, "robot", { metadata: { name: "robot", labels: { "test-serviceaccount-static": "true" } } });
  const path = `${core}/serviceaccounts/robot`;
  const contentType = { "content-type": "application/strategic-merge-patch+json" };
  const patch = { method: "PATCH", token, body: { automountServiceAccountToken: false }, headers: contentType };
  assert.equal((await api.ask(path, patch)).body.automountServiceAccountToken, false);
  const all = await api.ask(`/api/v1/serviceaccounts?labelSelector=${encodeURIComponent(labelSelector)}`, { token });
  assert.deepEqual(
    all.body.items.map((each: { metadata: { name: string }; automountServiceAccountToken: boolean }) => [
      each.metadata.name,
      each.automountServiceAccountToken,
    ]),
    [["robot", false]],
  );
  const current = (await api.ask(path, { token })).body;
  const updated = await api.ask(path, {
    method: "PUT",
    token,
    body: { ...current, automountServiceAccountToken: true },
  });
  assert.equal(updated.body.automountServiceAccountToken, true);
  const selected = `${core}/serviceaccounts?labelSelector=${encodeURIComponent(labelSelector)}`;
  assert.equal((await api.ask(selected, { method: "DELETE", token })).status, 200);
  await gone.promise;
  assert.deepEqual(events, ["ADDED undefined", "MODIFIED false", "MODIFIED true", "DELETED true"]);
});

// conformance: [sig-auth] ServiceAccounts should allow opting out of API token automount  [Conformance]
for (const [pod, account, mounted] of [
  [undefined, undefined, true],
  [undefined, true, true],
  [undefined, false, false],
  [true, undefined, true],
  [true, true, true],
  [true, false, true],
  [false, undefined, false],
  [false, true, false],
  [false, false, false],
] as const)
  test(`token of a pod: pod says ${pod}, account says ${account}: ${mounted ? "mounted" : "not mounted"}`, async (t) => {
    const api = await startSecuredServer(t);
    await newAccount(api, "robot", { automountServiceAccountToken: account });
    const { spec } = await post(api, `${core}/pods`, {
      metadata: { name: "p" },
      spec: { serviceAccountName: "robot", automountServiceAccountToken: pod, containers: [container] },
    });
    const [mount] = spec.containers[0].volumeMounts ?? [];
    assert.equal(mount?.mountPath, mounted ? "/var/run/secrets/kubernetes.io/serviceaccount" : undefined);
  });

// conformance: [sig-auth] ServiceAccounts should mount an API token into pods  [Conformance]
// The kubelet's part: src/kubelet/volumes/tokens.test.ts and volumes.test.ts.
test("token of a pod: its volume holds a token, the authority and the namespace, and such a token is good", async (t) => {
  const api = await startSecuredServer(t);
  await newAccount(api, "robot");
  const { spec, metadata } = await post(api, `${core}/pods`, {
    metadata: { name: "p" },
    spec: { serviceAccountName: "robot", containers: [container] },
  });
  const [{ projected }] = spec.volumes;
  assert.deepEqual(projected.sources, [
    { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
    { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
    {
      downwardAPI: { items: [{ fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" }, path: "namespace" }] },
    },
  ]);
  const boundObjectRef = { kind: "Pod", apiVersion: "v1", name: "p", uid: metadata.uid };
  const request = { spec: { audiences: [], expirationSeconds: 3607, boundObjectRef } };
  const answer = await post(api, `${core}/serviceaccounts/robot/token`, request);
  const own = answer.status.token as string;
  assert.equal(await api.whoAmI({ token: own }), "system:serviceaccount:default:robot");
  const review = await post(api, "/apis/authentication.k8s.io/v1/tokenreviews", { spec: { token: own } });
  assert.equal(review.status.authenticated, true);
  assert.deepEqual(review.status.user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
  assert.deepEqual(review.status.user.extra["authentication.kubernetes.io/pod-uid"], [metadata.uid]);
  const gone = await api.ask(`${core}/pods/p?gracePeriodSeconds=0`, { method: "DELETE", token });
  assert.equal(gone.status, 200);
  assert.equal(await api.whoAmI({ token: own }), 401, "it ends with its pod");
});

// conformance: [sig-auth] ServiceAccounts should mount projected service account token [Conformance]
test("token of a pod: a volume of its own is taken as it is, for whom it says", async (t) => {
  const api = await startSecuredServer(t);
  await newAccount(api, "robot", { automountServiceAccountToken: false });
  const source = { serviceAccountToken: { path: "vault-token", expirationSeconds: 7200, audience: "vault" } };
  const { spec, metadata } = await post(api, `${core}/pods`, {
    metadata: { name: "p" },
    spec: {
      serviceAccountName: "robot",
      containers: [{ ...container, volumeMounts: [{ name: "v", mountPath: "/v" }] }],
      volumes: [{ name: "v", projected: { sources: [source] } }],
    },
  });
  assert.deepEqual(spec.volumes[0].projected.sources, [source]);
  const boundObjectRef = { kind: "Pod", apiVersion: "v1", name: "p", uid: metadata.uid };
  const request = { spec: { audiences: ["vault"], expirationSeconds: 7200, boundObjectRef } };
  const answer = await post(api, `${core}/serviceaccounts/robot/token`, request);
  assert.equal(await api.whoAmI({ token: answer.status.token }), 401, "not for this server");
  const review = { spec: { token: answer.status.token, audiences: ["vault", "bank"] } };
  const { status } = await post(api, "/apis/authentication.k8s.io/v1/tokenreviews", review);
  assert.deepEqual([status.authenticated, status.audiences], [true, ["vault"]]);
});

// conformance: [sig-auth] ServiceAccounts ServiceAccountIssuerDiscovery should support OIDC discovery of service account issuer [Conformance]
test("issuer: a pod's account reads its documents, and its own token holds against the keys there", async (t) => {
  const api = await startSecuredServer(t);
  await newAccount(api, "robot");
  const issue = async (audiences: string[]): Promise<string> =>
    (await post(api, `${core}/serviceaccounts/robot/token`, { spec: { audiences } })).status.token;
  const own = await issue([]);
  const projected = await issue(["oidc-discovery-test"]);
  const document = await api.ask("/.well-known/openid-configuration", { token: own });
  assert.equal(document.headers["content-type"], "application/json");
  assert.deepEqual(document.body, {
    issuer: ownIssuer,
    jwks_uri: `${ownIssuer}/openid/v1/jwks`,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["RS256"],
  });
  const jwks = await api.ask("/openid/v1/jwks", { token: own });
  assert.equal(jwks.headers["content-type"], "application/jwk-set+json");
  const jwt = parseJwt(projected);
  assert.ok(jwt);
  assert.deepEqual([jwt.claims.iss, jwt.claims.aud], [document.body.issuer, ["oidc-discovery-test"]]);
  const key = jwks.body.keys.find(({ kid }: { kid: string }) => kid === jwt.header.kid);
  assert.ok(isSignedBy(jwt, createPublicKey({ key, format: "jwk" })));
  for (const path of ["/.well-known/openid-configuration", "/openid/v1/jwks", "/openid/v1/jwks/"]) {
    assert.equal((await api.ask(path, { token: own })).status, 200, path);
    assert.equal((await api.ask(path)).status, 403, `${path}, anonymous`);
    assert.equal((await api.ask(path, { token: "alice" })).status, 403, `${path}, no account`);
  }
});

async function certificateRequest(name: string): Promise<string> {
  await import("reflect-metadata"); // x509's container needs it first
  const x509 = await import("@peculiar/x509");
  x509.cryptoProvider.set(webcrypto as Crypto); // the same object under two declarations
  const signingAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const made = await webcrypto.subtle.generateKey(signingAlgorithm, true, ["sign", "verify"]);
  const keys = made as webcrypto.CryptoKeyPair; // what it makes for these uses
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ name: `CN=${name}`, keys, signingAlgorithm });
  return Buffer.from(request.toString("pem")).toString("base64");
}

// conformance: [sig-auth] Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]
test("certificate signing request: is announced, written, watched, approved, answered and deleted", async (t) => {
  const api = await startSecuredServer(t);
  const group = "/apis/certificates.k8s.io/v1";
  const { resources } = (await api.ask(group, { token })).body;
  const verbs = Object.fromEntries(resources.map((each: { name: string; verbs: string[] }) => [each.name, each.verbs]));
  assert.deepEqual(verbs.certificatesigningrequests, [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
  ]);
  for (const part of ["approval", "status"])
    assert.deepEqual(verbs[`certificatesigningrequests/${part}`], ["get", "patch", "update"]);
  const all = `${group}/certificatesigningrequests`;
  const signerName = "example.com/e2e-csr";
  const object = {
    metadata: { generateName: "e2e-example-csr-" },
    spec: {
      request: await certificateRequest("e2e.example.com"),
      signerName,
      expirationSeconds: 3600,
      usages: ["digital signature", "key encipherment", "server auth"],
    },
  };
  await post(api, all, object);
  await post(api, all, object);
  const created = await post(api, all, object);
  const { name, uid } = created.metadata;
  const path = `${all}/${name}`;
  const get = async (part = "") => (await api.ask(`${path}${part}`, { token })).body;
  const patch = async (body: object, part = "") => {
    const headers = { "content-type": "application/merge-patch+json" };
    const answer = await api.ask(`${path}${part}`, { method: "PATCH", token, body, headers });
    assert.equal(answer.status, 200, answer.text);
    return answer.body;
  };
  const put = async (body: object, part = "") => {
    const answer = await api.ask(`${path}${part}`, { method: "PUT", token, body });
    assert.equal(answer.status, 200, answer.text);
    return answer.body;
  };
  const count = async () =>
    (await api.ask(`${all}?fieldSelector=spec.signerName%3D${signerName}`, { token })).body.items.length;
  assert.deepEqual([(await get()).metadata.uid, (await get()).spec.expirationSeconds, await count()], [uid, 3600, 3]);

  const updated = Promise.withResolvers<void>();
  const seen: string[] = [];
  const query = { fieldSelector: `metadata.name=${name}`, resourceVersion: created.metadata.resourceVersion };
  startWatch(t, api, { path: all, query }, ({ type, object: at }) => {
    seen.push(type);
    if ((at as KubernetesObject).metadata?.annotations?.updated) updated.resolve();
  });
  const patched = await patch({ metadata: { annotations: { patched: "true" } } });
  assert.equal(patched.metadata.annotations.patched, "true");
  patched.metadata.annotations.updated = "true";
  assert.equal((await put(patched)).metadata.annotations.updated, "true");
  await updated.promise;
  assert.deepEqual(seen, ["MODIFIED", "MODIFIED"]);

  assert.deepEqual(
    [(await get("/approval")).kind, (await get("/approval")).metadata.uid],
    ["CertificateSigningRequest", uid],
  );
  const first = { type: "ApprovalPatch", status: "True", reason: "e2e" };
  const approval = await patch(
    { metadata: { annotations: { patchedapproval: "true" } }, status: { conditions: [first] } },
    "/approval",
  );
  assert.deepEqual([approval.status.conditions.length, approval.status.conditions[0].type], [1, "ApprovalPatch"]);
  assert.equal(approval.metadata.annotations.patchedapproval, "true");
  approval.status.conditions.push({ type: "Approved", status: "True", reason: "E2E", message: "Set from an e2e test" });
  const approved = await put(approval, "/approval");
  assert.deepEqual([approved.status.conditions.length, approved.status.conditions[1].type], [2, "Approved"]);

  assert.equal((await get("/status")).metadata.uid, uid);
  const { certificate: pem } = await createAuthority("e2e.example.com", { now: Date.now(), validDays: 1 });
  const certificate = Buffer.from(pem).toString("base64");
  const status = await patch(
    { metadata: { annotations: { patchedstatus: "true" } }, status: { certificate } },
    "/status",
  );
  assert.deepEqual([status.status.certificate, status.metadata.annotations.patchedstatus], [certificate, "true"]);
  status.status.conditions.push({
    type: "StatusUpdate",
    status: "True",
    reason: "E2E",
    message: "Set from an e2e test",
  });
  const { conditions } = (await put(status, "/status")).status;
  assert.equal(conditions.at(-1).type, "StatusUpdate");

  assert.equal((await api.ask(path, { method: "DELETE", token })).status, 200);
  assert.equal((await api.ask(path, { token })).status, 404);
  assert.equal(await count(), 2);
  await api.ask(`${all}?fieldSelector=spec.signerName%3D${signerName}`, { method: "DELETE", token });
  assert.equal(await count(), 0);
});
