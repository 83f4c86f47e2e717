/** Flags and files of authentication and authorization: what is refused at the start, what a running server makes of them, and of their changes. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { createServer, request as httpsRequest } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { before, type TestContext, test } from "node:test";
import { openPki, type Pki } from "#apiserver";
import { createLogger, parseFlags, realClock } from "#base";
import { apiFlags, readApiFlags } from "./api-flags.ts";
import { startControlPlane } from "./control-plane.ts";
import { dataLayout } from "./settings.ts";

const specs = {
  ...apiFlags,
  "cluster-domain": { type: "string", default: "cluster.local" as string, help: "" },
} as const;

/** Another cluster's certificates: authorities and servers that nobody knows yet. */
let other: Pki;
let directory: string;
before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "security-flags-"));
  other = await openPki({
    directory: path.join(directory, "other"),
    now: Date.now(),
    serverNames: [],
    serverAddresses: ["127.0.0.1"],
  });
  return () => rm(directory, { recursive: true });
});

let files = 0;
const inFile = async (text: string): Promise<string> => {
  const file = path.join(directory, `file${files++}`);
  await writeFile(file, text);
  return file;
};
const replace = async (file: string, text: string) => {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
};

interface Ask {
  readonly method?: string;
  readonly token?: string;
  readonly body?: unknown;
  readonly client?: { certificate: string; key: string };
  readonly headers?: Record<string, string>;
}

/** With these flags, on any port. `logged` resolves when such a line is written. */
async function start(t: TestContext, ...args: string[]) {
  const root = await mkdtemp(path.join(tmpdir(), "security-flags-"));
  const waiting: { text: string; seen: () => void }[] = [];
  const lines: string[] = [];
  const log = createLogger({
    write(line) {
      lines.push(line);
      for (const { text, seen } of waiting) if (line.includes(text)) seen();
    },
  });
  const { values } = parseFlags(specs, { args, env: {} });
  const plane = await startControlPlane({
    layout: dataLayout(root),
    serviceCidr: "10.96.0.0/16",
    clusterDomain: "cluster.local",
    bindAddress: "127.0.0.1",
    port: 0,
    advertiseAddress: "127.0.0.1",
    ...(await readApiFlags({ ...values, "token-auth-file": values["token-auth-file"] ?? (await inFile(tokens)) }, log)),
    clock: realClock,
    log,
  });
  t.after(async () => {
    await plane.close();
    await rm(root, { recursive: true });
  });
  const ask = async (at: string, { method = "GET", token, body, client, headers }: Ask = {}) => {
    const request = httpsRequest({
      host: "127.0.0.1",
      port: plane.port,
      path: at,
      method,
      agent: false,
      rejectUnauthorized: false,
      ...(client && { cert: client.certificate, key: client.key }),
      headers: { ...(token && { authorization: `Bearer ${token}` }), "content-type": "application/json", ...headers },
    });
    request.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(request, "response")) as [IncomingMessage];
    let text = "";
    for await (const chunk of response) text += chunk;
    return { status: response.statusCode, text };
  };
  return {
    plane,
    lines,
    ask,
    async whoAmI(more: Ask) {
      const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
      const at = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
      const { status, text } = await ask(at, { ...more, method: "POST", body: review });
      return status === 201 ? (JSON.parse(text).status.userInfo.username as string) : status;
    },
    logged: (text: string) => new Promise<void>((seen) => waiting.push({ text, seen })),
  };
}
const tokens = 'tok,admin,1,"system:masters"\nalice,alice,2';
const inForce = "a changed configuration file is in force";
const notUsed = "a changed configuration file is not used";

/** A webhook over TLS with a kubeconfig to reach it. Its answer may be awaited for ever. */
async function startWebhook(t: TestContext, answer: (review: Review) => object | "hang") {
  const asked: Review[] = [];
  const server = createServer({ key: other.server.key, cert: other.server.certificate }, async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const review = JSON.parse(text) as Review;
    asked.push(review);
    const status = answer(review);
    if (status === "hang") return;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ apiVersion: review.apiVersion, kind: review.kind, status }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo; // a TCP port has one
  const kubeconfig = await inFile(
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name: "c",
          cluster: {
            server: `https://127.0.0.1:${port}/review`,
            "certificate-authority-data": Buffer.from(other.authority.certificate).toString("base64"),
          },
        },
      ],
      users: [{ name: "u", user: {} }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    }),
  );
  return { kubeconfig, asked };
}

interface Review {
  readonly apiVersion: string;
  readonly kind: string;
  readonly spec: {
    readonly token?: string;
    readonly audiences?: string[];
    readonly user?: string;
    readonly resourceAttributes?: { readonly verb: string; readonly resource: string };
  };
}

// biome-ignore format: a table
for (const [args, message] of [
  ["--authorization-mode=Nonsense", 'authorization-mode "Nonsense" is not a valid mode'],
  ["--authorization-mode=RBAC,RBAC", 'authorization-mode ["RBAC" "RBAC"] has mode specified more than once'],
  ["--authorization-mode=ABAC", "authorization-mode ABAC's authorization policy file not passed"],
  ["--authorization-mode=Webhook", "authorization-mode Webhook's authorization config file not passed"],
  ["--authorization-policy-file=EMPTY", "cannot specify --authorization-policy-file without mode ABAC"],
  ["--authorization-webhook-config-file=EMPTY", "cannot specify --authorization-webhook-config-file without mode Webhook"],
  ["--authorization-mode=ABAC --authorization-policy-file=BAD", "--authorization-policy-file BAD: "],
  ["--authorization-mode=RBAC --authorization-config=EMPTY", "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined"],
  ["--authorization-config=EMPTY", "--authorization-config EMPTY: "],
  ["--authorization-config=MISSING", "--authorization-config MISSING: ENOENT"],
  ["--authentication-config=BAD", "--authentication-config BAD: "],
  ["--authentication-config=EMPTY --oidc-client-id=x", "authentication-config file and oidc-* flags are mutually exclusive"],
  ["--oidc-client-id=x", "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set"],
  ["--oidc-issuer-url=http://x --oidc-client-id=x", "URL scheme must be https"],
  ["--oidc-issuer-url=https://x --oidc-client-id=x --oidc-signing-algs=HS256", "HS256"],
  ["--authentication-config=ANONYMOUS --anonymous-auth=false", "--anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file"],
  ["--client-ca-file=EMPTY", "--client-ca-file EMPTY: data does not contain any valid RSA or ECDSA certificates"],
  ["--requestheader-username-headers=X-U,\t", 'empty value in "requestheader-username-headers"'],
  ["--requestheader-uid-headers=X-My-Uid", "--requestheader-uid-headers is set without specifying the standard X-Remote-Uid header - API aggregation will not work"],
  ["--client-ca-file=CA --requestheader-client-ca-file=CA", "contain overlapping certificates; --requestheader-allowed-names must be specified"],
  ["--service-account-issuer=:b", "service-account-issuer \":b\" contained a ':' but was not a valid URL"],
  ["--service-account-issuer=https://a --service-account-issuer=https://a", 'service-account-issuer "https://a" is already specified'],
  ["--service-account-jwks-uri=http://a", "service-account-jwks-uri requires https scheme, parsed as: http://a"],
  ["--service-account-max-token-expiration=59m", "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds"],
  ["--service-account-key-file=EMPTY", "--service-account-key-file EMPTY: data does not contain any valid RSA or ECDSA public keys"],
  ["--authentication-token-webhook-config-file=EMPTY", "--authentication-token-webhook-config-file EMPTY: "],
  ["--token-auth-file=BAD", "--token-auth-file BAD: "],
] as const)
  test(`security flags: ${args}: refused at the start`, async () => {
    const named = {
      EMPTY: await inFile(""),
      BAD: await inFile("{nonsense"),
      CA: await inFile(other.authority.certificate),
      ANONYMOUS: await inFile("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {enabled: true}"),
      MISSING: path.join(directory, "missing"),
    };
    const spell = (text: string) => text.replace(/[A-Z]{5,}|\bCA\b|\bBAD\b/g, (name) => named[name as keyof typeof named] ?? name);
    const { values } = parseFlags(specs, { args: args.split(" ").map((arg) => arg.replace(/=.*/, spell)), env: {} });
    await assert.rejects(readApiFlags(values, createLogger({ write: () => undefined })), (error: Error) => {
      assert.equal(error.name, "CommandError");
      assert.ok(error.message.includes(spell(message)), error.message);
      return true;
    });
  });

test("token webhook: knows tokens, is asked once, and says for whom they are", async (t) => {
  const { kubeconfig, asked } = await startWebhook(t, ({ spec }) =>
    spec.token === "good"
      ? { authenticated: true, user: { username: "zoe", uid: "9", groups: ["g"], extra: { k: ["v"] } } }
      : { authenticated: false, error: "who is that" },
  );
  const { whoAmI, ask } = await start(t, `--authentication-token-webhook-config-file=${kubeconfig}`);
  assert.equal(await whoAmI({ token: "good" }), "zoe");
  assert.equal(await whoAmI({ token: "good" }), "zoe");
  assert.equal(await whoAmI({ token: "bad" }), 401);
  assert.equal(await whoAmI({ token: "tok" }), "admin", "it isn't asked for those that are known");
  assert.deepEqual(
    asked.map(({ apiVersion, spec }) => [apiVersion, spec.token]),
    [
      ["authentication.k8s.io/v1beta1", "good"],
      ["authentication.k8s.io/v1beta1", "bad"],
    ],
  );
  assert.deepEqual(asked[0]?.spec.audiences, ["https://kubernetes.default.svc"]);
  const body = { spec: { token: "bad" } };
  const review = await ask("/apis/authentication.k8s.io/v1/tokenreviews", { method: "POST", token: "tok", body });
  assert.equal(JSON.parse(review.text).status.error, "[invalid bearer token, who is that]");
});

test("token webhook: one that hangs keeps up only those whom it alone knows", async (t) => {
  const { kubeconfig, asked } = await startWebhook(t, () => "hang");
  const { whoAmI, ask } = await start(t, `--authentication-token-webhook-config-file=${kubeconfig}`);
  const stuck = Array.from({ length: 20 }, (_, at) => whoAmI({ token: `stuck${at}` }).catch(() => "ended"));
  while (asked.length < stuck.length) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await whoAmI({ token: "tok" }), "admin");
  assert.equal((await ask("/version")).status, 200);
  assert.equal((await ask("/readyz")).status, 200);
});

test("issuer: one that hangs keeps up neither the start nor others", async (t) => {
  const sockets = new Set<Socket>();
  const silent = createTcpServer((socket) => sockets.add(socket)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  t.after(() => {
    silent.close();
    for (const socket of sockets) socket.destroy();
  });
  const issuer = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`; // a TCP port has one
  const { whoAmI, ask } = await start(t, `--oidc-issuer-url=${issuer}`, "--oidc-client-id=x");
  const claims = Buffer.from(JSON.stringify({ iss: issuer, aud: "x", sub: "a" })).toString("base64url");
  assert.equal(await whoAmI({ token: `eyJhbGciOiJSUzI1NiJ9.${claims}.AAAA` }), 401);
  assert.equal(await whoAmI({ token: "alice" }), "alice");
  assert.equal((await ask("/version")).status, 200);
});

test("authorization webhook: in its place in the row; a yes is kept, one that hangs keeps up only those it is asked about", async (t) => {
  const { kubeconfig, asked } = await startWebhook(t, ({ spec }) => {
    if (spec.resourceAttributes?.resource === "pods") return "hang";
    return { allowed: spec.resourceAttributes?.resource === "secrets", reason: "says the webhook" };
  });
  const { ask } = await start(
    t,
    "--authorization-mode=RBAC,Webhook",
    `--authorization-webhook-config-file=${kubeconfig}`,
  );
  const list = async (resource: string, token = "alice") => (await ask(`/api/v1/${resource}`, { token })).status;
  assert.equal(await list("secrets"), 200);
  assert.equal(await list("secrets"), 200);
  assert.equal(await list("secrets", "tok"), 200, "the first one in the row allows it");
  const refused = await ask("/api/v1/configmaps", { token: "alice" });
  assert.equal(refused.status, 403);
  assert.match(
    refused.text,
    /cannot list resource \\"configmaps\\" in API group \\"\\" at the cluster scope: says the webhook/,
  );
  assert.deepEqual(
    asked.map(({ apiVersion, spec }) => [apiVersion, spec.user, spec.resourceAttributes?.resource]),
    [
      ["authorization.k8s.io/v1beta1", "alice", "secrets"],
      ["authorization.k8s.io/v1beta1", "alice", "configmaps"],
    ],
  );
  const stuck = list("pods").catch(() => "ended");
  while (asked.length < 3) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await list("secrets"), 200);
  assert.equal(await list("pods", "tok"), 200);
  t.after(() => stuck);
});

test("policies by file: decide beside roles", async (t) => {
  const file = await inFile(
    '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"alice","namespace":"*","resource":"secrets","apiGroup":"*","readonly":true}}\n',
  );
  const { ask } = await start(t, "--authorization-mode=RBAC,ABAC", `--authorization-policy-file=${file}`);
  assert.equal((await ask("/api/v1/secrets", { token: "alice" })).status, 200);
  const refused = await ask("/api/v1/namespaces/default/secrets", { token: "alice", method: "POST", body: {} });
  assert.equal(refused.status, 403);
  assert.match(refused.text, /: No policy matched\./);
});

const authorization = (text: string) =>
  `apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n${text}`;
const webhookOf = (kubeconfig: string, condition: string) => `- type: Webhook
  name: hook
  webhook:
    timeout: 3s
    authorizedTTL: 1ms
    unauthorizedTTL: 1ms
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: NoOpinion
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: ${kubeconfig}}
    matchConditions: [{expression: ${JSON.stringify(condition)}}]
`;

test("authorization configuration: conditions decide who is asked about; a change counts, a mistake doesn't", async (t) => {
  const { kubeconfig, asked } = await startWebhook(t, () => ({ allowed: true }));
  const config = (resource: string) =>
    authorization(
      `${webhookOf(kubeconfig, `request.resourceAttributes.resource == '${resource}'`)}- {type: RBAC, name: rbac}\n`,
    );
  const file = await inFile(config("secrets"));
  const { ask, logged } = await start(t, `--authorization-config=${file}`);
  const list = async (resource: string) => (await ask(`/api/v1/${resource}`, { token: "alice" })).status;
  assert.deepEqual([await list("secrets"), await list("configmaps")], [200, 403]);
  assert.equal(asked[0]?.apiVersion, "authorization.k8s.io/v1");
  const changed = logged(inForce);
  await replace(file, config("configmaps"));
  await changed;
  assert.deepEqual([await list("secrets"), await list("configmaps")], [403, 200]);
  for (const wrong of [
    "{",
    authorization("- {type: RBAC, name: a}\n- {type: RBAC, name: b}\n"),
    authorization("- {type: Node, name: n}\n- {type: RBAC, name: r}\n"),
    authorization("- {type: AlwaysAllow, name: a}\n"),
  ]) {
    const refused = logged(notUsed);
    await replace(file, wrong);
    await refused;
    assert.deepEqual([await list("secrets"), await list("configmaps")], [403, 200]);
  }
});

test("authentication configuration: anonymous on some paths only; what it says of that can't change while it runs", async (t) => {
  const config = (paths: string) =>
    `apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {enabled: true, conditions: [${paths}]}`;
  const file = await inFile(config("{path: /livez}"));
  const { ask, logged } = await start(t, `--authentication-config=${file}`);
  assert.deepEqual([(await ask("/livez")).status, (await ask("/readyz")).status], [200, 401]);
  const refused = logged(notUsed);
  await replace(file, config("{path: /livez}, {path: /readyz}"));
  await refused;
  assert.deepEqual([(await ask("/livez")).status, (await ask("/readyz")).status], [200, 401]);
});

test("authorities by file: a replaced bundle counts for new connections, and extension servers are told", async (t) => {
  const mine = await openPki({
    directory: path.join(directory, "mine"),
    now: Date.now(),
    serverNames: [],
    serverAddresses: [],
  });
  const file = await inFile(mine.authority.certificate);
  const { whoAmI, ask, logged } = await start(t, `--client-ca-file=${file}`);
  assert.deepEqual(
    [await whoAmI({ client: mine.admin }), await whoAmI({ client: other.admin })],
    ["kubernetes-admin", 401],
  );
  const changed = logged(inForce);
  await replace(file, other.authority.certificate);
  await changed;
  assert.deepEqual(
    [await whoAmI({ client: mine.admin }), await whoAmI({ client: other.admin })],
    [401, "kubernetes-admin"],
  );
  const map = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
  const told = async () => JSON.parse((await ask(map, { token: "tok" })).text).data["client-ca-file"] as string;
  while (!(await told()).includes(other.authority.certificate.trim()))
    await new Promise((resolve) => setImmediate(resolve));
});

test("extension servers: are told again when somebody deletes or empties what they read", async (t) => {
  const { ask, plane } = await start(t);
  const all = "/api/v1/namespaces/kube-system/configmaps";
  const map = `${all}/extension-apiserver-authentication`;
  const data = async () =>
    JSON.parse((await ask(map, { token: "tok" })).text).data as Record<string, string> | undefined;
  const first = await data();
  assert.equal(first?.["requestheader-client-ca-file"], plane.pki.frontProxy.authority);
  assert.equal(first?.["requestheader-username-headers"], '["X-Remote-User"]');
  const again = async () => {
    while (JSON.stringify(await data()) !== JSON.stringify(first))
      await new Promise((resolve) => setImmediate(resolve));
  };
  await ask(map, { token: "tok", method: "DELETE" });
  await again();
  const emptied = { metadata: { name: "extension-apiserver-authentication" }, data: {} };
  assert.equal((await ask(map, { token: "tok", method: "PUT", body: emptied })).status, 200);
  await again();
  assert.equal((await ask(map, { token: "alice" })).status, 403);
});

test("account flags: several issuers and keys; new tokens are of the first, signed by the given key", async (t) => {
  const [key, old] = [
    other.serviceAccountKey,
    (await openPki({ directory: path.join(directory, "old"), now: Date.now(), serverNames: [], serverAddresses: [] }))
      .serviceAccountKey,
  ];
  const keyFile = await inFile(key);
  const { ask, whoAmI } = await start(
    t,
    "--service-account-issuer=https://new.example",
    "--service-account-issuer=https://old.example",
    "--api-audiences=api,vault",
    `--service-account-signing-key-file=${keyFile}`,
    `--service-account-key-file=${keyFile}`,
    `--service-account-key-file=${await inFile(old)}`,
    "--service-account-jwks-uri=https://keys.example/jwks",
    "--service-account-max-token-expiration=2h",
  );
  const accounts = "/api/v1/namespaces/default/serviceaccounts";
  await ask(accounts, { token: "tok", method: "POST", body: { metadata: { name: "robot" } } });
  const answer = await ask(`${accounts}/robot/token`, {
    token: "tok",
    method: "POST",
    body: { spec: { expirationSeconds: 86400 } },
  });
  const { spec, status } = JSON.parse(answer.text);
  assert.deepEqual(spec.audiences, ["api", "vault"]);
  const claims = JSON.parse(Buffer.from(status.token.split(".")[1], "base64url").toString());
  assert.deepEqual([claims.iss, claims.exp - claims.iat], ["https://new.example", 7200]);
  assert.equal(await whoAmI({ token: status.token }), "system:serviceaccount:default:robot");
  const document = JSON.parse((await ask("/.well-known/openid-configuration", { token: "tok" })).text);
  assert.deepEqual([document.issuer, document.jwks_uri], ["https://new.example", "https://keys.example/jwks"]);
  assert.equal(JSON.parse((await ask("/openid/v1/jwks", { token: "tok" })).text).keys.length, 2);
});
