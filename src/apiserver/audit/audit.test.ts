/** The audit log of a real server, over HTTPS and from inside of the process. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpsRequest } from "node:https";
import { afterEach, test } from "node:test";
import type { RequestUser } from "#api";
import { realClock, silentLogger } from "#base";
import type { Attributes } from "../security.ts";
import { createImpersonation } from "../security/impersonate.ts";
import {
  configMap,
  configMaps,
  startTestServer,
  type TestServer,
  type TestServerOptions,
  testCertificate,
} from "../test-server.ts";
import { Auditor } from "./auditor.ts";
import type { AuditSink } from "./backend.ts";
import { encodeEvent } from "./event.ts";
import { parseAuditPolicy } from "./policy.ts";

interface Entry {
  kind?: string;
  apiVersion?: string;
  level: string;
  auditID: string;
  stage: string;
  requestURI: string;
  verb: string;
  user: { username?: string; groups?: string[] };
  impersonatedUser?: { username?: string; groups?: string[] };
  sourceIPs?: string[];
  userAgent?: string;
  objectRef?: Record<string, string>;
  responseStatus?: { code: number; status?: string; message?: string; reason?: string };
  requestObject?: { data?: unknown; spec?: Record<string, unknown>; gracePeriodSeconds?: number };
  responseObject?: {
    kind: string;
    metadata: Record<string, unknown>;
    items?: { metadata: Record<string, unknown> }[];
    rows?: unknown[];
  };
  annotations?: Record<string, string>;
}

const users: Readonly<Record<string, RequestUser>> = {
  "Bearer admin": { name: "admin", uid: "1", groups: ["system:masters"], extra: {} },
  "Bearer alice": { name: "alice", uid: "2", groups: [], extra: {} },
};
const authorizer = {
  authorize: ({ user }: Attributes) =>
    user.name === "alice" ? { allowed: false, reason: "not today" } : { allowed: true, reason: "because" },
};

/** The server has business of its own. */
const isOurs = ({ userAgent }: { userAgent: string }): boolean => userAgent === "me" || userAgent === "test";

const impersonate = createImpersonation(authorizer);

const open: TestServer[] = [];
afterEach(async () => {
  for (const api of open.splice(0)) await api.close();
});

async function serve(rules: string, { sink, ...more }: TestServerOptions & { sink?: AuditSink } = {}) {
  const entries: Entry[] = [];
  const memory: AuditSink = {
    take(events) {
      for (const event of events) if (isOurs(event)) entries.push(JSON.parse(encodeEvent(event)));
      return true;
    },
    close: async () => undefined,
  };
  const policy = await parseAuditPolicy(`apiVersion: audit.k8s.io/v1\nkind: Policy\n${rules}`, () => undefined);
  const audit = new Auditor({ policy, sink: () => sink ?? memory, clock: realClock, log: silentLogger });
  const api = await startTestServer({
    tls: await testCertificate(),
    audit,
    authorizer,
    authenticator: {
      authenticate(credentials, context) {
        const user = users[credentials.headers.authorization ?? ""];
        return user && impersonate(user, credentials, context);
      },
    },
    ...more,
  });
  open.push(api);
  const { port } = await api.server.listen({ host: "127.0.0.1", port: 0 });
  const ask = async (method: string, path: string, { body, headers }: { body?: unknown; headers?: object } = {}) => {
    const text = body === undefined ? "" : JSON.stringify(body);
    const request = httpsRequest({
      host: "127.0.0.1",
      port,
      path,
      method,
      rejectUnauthorized: false,
      agent: false,
      headers: {
        authorization: "Bearer admin",
        "user-agent": "me",
        ...(body !== undefined && { "content-type": "application/json", "content-length": text.length }),
        ...headers,
      },
    });
    request.end(text);
    const [response] = await once(request, "response");
    let answer = "";
    for await (const chunk of response) answer += chunk;
    return { status: response.statusCode as number, headers: response.headers, text: answer };
  };
  return { api, audit, entries, ask };
}

test("audit: a request is written when it comes and when its answer goes, under the caller's id", async () => {
  const { entries, ask } = await serve("rules: [{level: Metadata}]");
  const { headers } = await ask("POST", `${configMaps}?fieldManager=f`, {
    body: configMap("a", { x: "hush" }),
    headers: { "audit-id": "mine", "x-forwarded-for": "1.2.3.4, nonsense, 5.6.7.8", "x-real-ip": "9.9.9.9" },
  });
  assert.equal(headers["audit-id"], "mine");
  const [received, complete] = entries;
  assert.equal(entries.length, 2);
  assert.deepEqual(
    { ...complete, requestReceivedTimestamp: 0, stageTimestamp: 0 },
    {
      kind: "Event",
      apiVersion: "audit.k8s.io/v1",
      level: "Metadata",
      auditID: "mine",
      stage: "ResponseComplete",
      requestURI: `${configMaps}?fieldManager=f`,
      verb: "create",
      user: { username: "admin", uid: "1", groups: ["system:masters"] },
      sourceIPs: ["1.2.3.4", "5.6.7.8", "9.9.9.9", "127.0.0.1"],
      userAgent: "me",
      objectRef: { resource: "configmaps", namespace: "default", name: "a", apiVersion: "v1" },
      responseStatus: { metadata: {}, code: 201 },
      requestReceivedTimestamp: 0,
      stageTimestamp: 0,
      annotations: { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "because" },
    },
  );
  assert.equal(received?.stage, "RequestReceived");
  assert.equal(received?.responseStatus, undefined);
  assert.ok(!JSON.stringify(entries).includes("hush"), "nothing of the body at this level");
});

test("audit: bodies as the level says; patches as they came; managed fields left out when asked", async () => {
  const { entries, ask } = await serve(`
omitStages: [RequestReceived]
rules:
- {level: None, verbs: [watch]}
- {level: Request, resources: [{resources: [services]}]}
- {level: RequestResponse, omitManagedFields: true}
`);
  const services = "/api/v1/namespaces/default/services";
  await ask("POST", services, { body: { metadata: { name: "s" }, spec: { ports: [{ port: 80 }] } } });
  await ask("POST", configMaps, { body: configMap("a", { x: "1" }) });
  await ask("PATCH", `${configMaps}/a`, {
    body: { data: { x: "2" } },
    headers: { "content-type": "application/merge-patch+json" },
  });
  await ask("GET", configMaps);
  await ask("GET", configMaps, { headers: { accept: "application/json;as=Table;g=meta.k8s.io;v=v1" } });
  await ask("GET", `${configMaps}/none`);
  await ask("DELETE", `${configMaps}/a`, { body: { kind: "DeleteOptions", apiVersion: "v1", gracePeriodSeconds: 3 } });
  await ask("GET", `${configMaps}?watch=true&timeoutSeconds=1`);
  const [service, created, patched, listed, table, none, deleted, ...rest] = entries;
  assert.deepEqual(rest, [], "level None writes nothing");
  assert.equal(service?.requestObject?.spec?.sessionAffinity, "None", "with its defaults");
  assert.equal(service?.responseObject, undefined);
  assert.deepEqual(created?.requestObject?.data, { x: "1" });
  assert.ok(created?.responseObject?.metadata.uid);
  assert.equal(created?.responseObject?.metadata.managedFields, undefined);
  assert.deepEqual(patched?.requestObject, { data: { x: "2" } });
  assert.equal(listed?.responseObject?.kind, "ConfigMapList");
  assert.equal(listed?.responseObject?.items?.length, 1);
  assert.equal(listed?.responseObject?.items?.[0]?.metadata.managedFields, undefined);
  assert.equal(table?.responseObject?.kind, "Table");
  assert.equal(table?.responseObject?.rows?.length, 1);
  assert.equal(none?.responseStatus?.reason, "NotFound");
  assert.equal(none?.responseObject?.kind, "Status");
  assert.equal(deleted?.requestObject?.gracePeriodSeconds, 3);
  assert.equal(deleted?.responseStatus?.status, "Success");
});

test("audit: a watch is written when its answer starts and when it ends", async () => {
  const { entries, ask } = await serve("rules: [{level: RequestResponse}]");
  await ask("GET", `${configMaps}?watch=true&timeoutSeconds=1`);
  assert.deepEqual(
    entries.map(({ stage, verb, responseStatus }) => [stage, verb, responseStatus?.code]),
    [
      ["RequestReceived", "watch", undefined],
      ["ResponseStarted", "watch", 200],
      ["ResponseComplete", "watch", 200],
    ],
  );
});

test("audit: who may not, and who is nobody", async () => {
  const { entries, ask } = await serve("rules: [{level: Metadata, omitStages: [RequestReceived]}]");
  assert.equal((await ask("GET", configMaps, { headers: { authorization: "Bearer alice" } })).status, 403);
  assert.equal((await ask("GET", configMaps, { headers: { authorization: "Bearer x" } })).status, 401);
  const [forbidden, unknown, ...rest] = entries;
  assert.deepEqual(rest, []);
  assert.deepEqual(forbidden?.annotations, {
    "authorization.k8s.io/decision": "forbid",
    "authorization.k8s.io/reason": "not today",
  });
  assert.equal(forbidden?.responseStatus?.reason, "Forbidden");
  assert.equal(unknown?.stage, "ResponseStarted");
  assert.deepEqual(unknown?.user, {});
  assert.deepEqual(
    [unknown?.responseStatus?.code, unknown?.responseStatus?.message, unknown?.annotations],
    [401, "Unauthorized", undefined],
  );
});

test("audit: impersonation names both, also when it is refused", async () => {
  const { entries, ask } = await serve("rules: [{level: Metadata, users: [admin, alice]}]");
  const bob = { "impersonate-user": "bob" };
  await ask("GET", configMaps, { headers: bob });
  await ask("GET", configMaps, { headers: { ...bob, authorization: "Bearer alice" } });
  const [received, complete, refusedReceived, refused] = entries;
  assert.equal(received?.impersonatedUser, undefined, "not yet known to be allowed");
  assert.equal(complete?.user.username, "admin");
  assert.deepEqual(complete?.impersonatedUser, { username: "bob", groups: ["system:authenticated"] });
  assert.equal(refusedReceived?.stage, "RequestReceived");
  assert.equal(refused?.responseStatus?.code, 403);
  assert.equal(refused?.impersonatedUser, undefined);
});

test("audit: parts of this process are written down like everyone else", async () => {
  const { api, entries } = await serve("rules: [{level: Request}]");
  await api.call("POST", configMaps, configMap("local", { x: "1" }));
  await assert.rejects(api.call("GET", `${configMaps}/none`));
  assert.deepEqual(
    entries.map(({ stage, verb, responseStatus }) => [stage, verb, responseStatus?.code]),
    [
      ["RequestReceived", "create", undefined],
      ["ResponseComplete", "create", 201],
      ["RequestReceived", "get", undefined],
      ["ResponseComplete", "get", 404],
    ],
  );
  assert.equal(entries[1]?.objectRef?.name, "local");
});

test("audit: pod security says what it enforced and what it would not have let through", async () => {
  const { api, entries, ask } = await serve("rules: [{level: Metadata, resources: [{resources: [pods]}]}]");
  await api.call("POST", "/api/v1/namespaces", {
    metadata: { name: "strict", labels: { "pod-security.kubernetes.io/audit": "restricted" } },
  });
  const pod = { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i" }] } };
  await api.call("POST", "/api/v1/namespaces/strict/serviceaccounts", { metadata: { name: "default" } });
  const { status, text } = await ask("POST", "/api/v1/namespaces/strict/pods", { body: pod });
  assert.equal(status, 201, text);
  const annotations = entries.at(-1)?.annotations ?? {};
  assert.equal(annotations["pod-security.kubernetes.io/enforce-policy"], "privileged:latest");
  assert.match(
    annotations["pod-security.kubernetes.io/audit-violations"] ?? "",
    /^would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false \(container "c" must set/,
  );
});

test("audit: a strict log that can't be written refuses the request", async () => {
  const sink: AuditSink = { take: ([event]) => !event || !isOurs(event), close: async () => undefined };
  const { audit, ask } = await serve("rules: [{level: Metadata}]", { sink });
  const { status, text } = await ask("GET", configMaps);
  assert.deepEqual([status, text], [500, `Internal Server Error: "${configMaps}": failed to store audit event\n`]);
  assert.equal(audit.counters.rejected, 1);
});

test("audit: an answer waits for a log that blocks, and the end of the server for both", async () => {
  const held = Promise.withResolvers<void>();
  const stages: string[] = [];
  let closed = false;
  const sink: AuditSink = {
    async take([event]) {
      if (!event || !isOurs(event)) return true;
      if (event.stage === "ResponseComplete") await held.promise;
      stages.push(event.stage);
      return true;
    },
    async close() {
      closed = true;
    },
  };
  const { ask } = await serve("rules: [{level: Metadata}]", { sink });
  const answer = ask("GET", configMaps).then(({ status }) => `${status} after ${stages.join()}`);
  setImmediate(held.resolve);
  assert.equal(await answer, "200 after RequestReceived,ResponseComplete");
  await open.pop()?.close();
  assert.ok(closed);
});
