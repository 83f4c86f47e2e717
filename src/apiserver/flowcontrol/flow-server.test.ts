/** Flow control in a server: its objects, refusals over HTTPS, watches, dumps. */
import assert from "node:assert/strict";
import { request as httpsRequest } from "node:https";
import type { IncomingMessage } from "node:http";
import { after, before, describe, test } from "node:test";
import type { Answer as Served } from "../answer.ts";
import type { CallHandler } from "../registry/registry.ts";
import { startTestServer, type TestObject, type TestServer, testCertificate } from "../test-server.ts";

const base = "/apis/flowcontrol.apiserver.k8s.io/v1";
const schemas = `${base}/flowschemas`;
const levels = `${base}/prioritylevelconfigurations`;

/** Requests for config maps named `held` wait here until they are let go. */
const held: (() => void)[] = [];
const arrivals: (() => void)[] = [];
/** Those that come are let go at once. */
let open = false;
const letGo = () => {
  open = true;
  for (const release of held.splice(0)) release();
};
const hold: CallHandler = async ({ target }): Promise<Served> => {
  if (target.name === "held" && !open)
    await new Promise<void>((resolve) => {
      held.push(resolve);
      arrivals.shift()?.();
    });
  return { type: "value", status: 200, value: {} };
};

let api: TestServer;
let port = 0;
before(async () => {
  const groups = ["system:authenticated"];
  api = await startTestServer({
    tls: await testCertificate(),
    handlers: new Map([["/configmaps//get", hold]]),
    authenticator: {
      authenticate({ headers: { authorization = "" } }) {
        const name = authorization.slice("Bearer ".length);
        return { name, uid: "", groups: name === "admin" ? ["system:masters"] : groups, extra: {} };
      },
    },
  });
  port = (await api.server.listen({ host: "127.0.0.1", port: 0 })).port;
});
after(() => api.close());

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

function ask(path: string, user: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${user}` };
    const request = httpsRequest(
      { host: "127.0.0.1", port, path, headers, rejectUnauthorized: false, agent: false },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => (body += text));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      },
    );
    request.on("error", reject).end();
  });
}

const heldPath = "/api/v1/namespaces/default/configmaps/held";

/** Resolves when the request runs; the answer comes when `held` is let go. */
async function askAndHold(user: string): Promise<{ answer: Promise<Answer> }> {
  open = false;
  const arrived = new Promise<void>((resolve) => arrivals.push(resolve));
  const answer = ask(heldPath, user);
  await arrived;
  return { answer };
}

const rows = async (dump: string): Promise<string[][]> => {
  const { body } = await ask(`/debug/api_priority_and_fairness/${dump}`, "admin");
  return body
    .trimEnd()
    .split("\n")
    .map((line) => line.split(",").map((cell) => cell.trim()));
};

const levelRow = async (name: string) => {
  const [heads = [], ...found] = await rows("dump_priority_levels");
  const row = found.find(([first]) => first === name) ?? [];
  return Object.fromEntries(heads.map((head, at) => [head, row[at]]));
};

/** Asks until the answer is as expected: what is written in the background is told to nobody. */
async function eventually(path: string, expected: (object: TestObject) => boolean): Promise<TestObject> {
  for (;;) {
    const object = await api.call("GET", path).catch(() => undefined);
    if (object && expected(object)) return object;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const dangling = ({ status }: TestObject) =>
  (status?.conditions as { type: string; status: string; reason: string; message: string }[] | undefined)?.find(
    ({ type }) => type === "Dangling",
  );

const schemaFor = (name: string, level: string, user: string) => ({
  metadata: { name },
  spec: {
    priorityLevelConfiguration: { name: level },
    matchingPrecedence: 50,
    distinguisherMethod: { type: "ByUser" },
    rules: [
      {
        subjects: [{ kind: "User", user: { name: user } }],
        resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"], namespaces: ["*"], clusterScope: true }],
      },
    ],
  },
});

/** Three seats, neither lent nor borrowed. */
const levelOf = (name: string, limitResponse: object) => ({
  metadata: { name },
  spec: {
    type: "Limited",
    limited: { nominalConcurrencyShares: 1, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse },
  },
});

describe("flow control: its objects", () => {
  test("flow control: what every cluster has is there, and says that its levels exist", async () => {
    const { items } = await api.call("GET", schemas);
    assert.equal(items.length, 11);
    assert.equal((await api.call("GET", levels)).items.length, 8);
    const object = await eventually(`${schemas}/service-accounts`, (each) => dangling(each) !== undefined);
    const { status, reason, message } = dangling(object) ?? {};
    const refers = 'This FlowSchema references the PriorityLevelConfiguration object named "workload-low"';
    assert.deepEqual(
      { status, reason, message },
      { status: "False", reason: "Found", message: `${refers} and it exists` },
    );
  });

  test("flow control: a mandatory object that is deleted comes back", async () => {
    const { metadata } = await api.call("GET", `${schemas}/catch-all`);
    await api.call("DELETE", `${schemas}/catch-all`);
    await eventually(`${schemas}/catch-all`, (each) => each.metadata.uid !== metadata.uid);
  });

  test("flow control: a suggested object is kept as it was, unless its annotation says otherwise", async () => {
    const path = `${levels}/global-default`;
    const shares = (object: TestObject) =>
      (object.spec.limited as { nominalConcurrencyShares: number }).nominalConcurrencyShares;
    const more = { contentType: "application/merge-patch+json" };
    const change = { spec: { limited: { nominalConcurrencyShares: 7 } } };
    const changed = await api.call("PATCH", path, change, more);
    assert.equal(shares(changed), 7);
    await eventually(path, (each) => shares(each) === 20);
    const annotations = { "apf.kubernetes.io/autoupdate-spec": "false" };
    const mine = await api.call("PATCH", path, { ...change, metadata: { annotations } }, more);
    // The next change of another object has been dealt with: nobody touched this one.
    await api.call("DELETE", `${schemas}/probes`);
    await eventually(`${schemas}/probes`, () => true);
    assert.equal((await api.call("GET", path)).metadata.resourceVersion, mine.metadata.resourceVersion);
    await api.call(
      "PATCH",
      path,
      { metadata: { annotations: { ...annotations, "apf.kubernetes.io/autoupdate-spec": "true" } } },
      more,
    );
    await eventually(path, (each) => shares(each) === 20);
  });

  test("flow control: a schema without its level says so, until the level comes", async () => {
    await api.call("POST", schemas, schemaFor("lost", "nowhere", "lost"));
    const lost = await eventually(`${schemas}/lost`, (each) => dangling(each)?.status === "True");
    assert.equal(dangling(lost)?.reason, "NotFound");
    await api.call("POST", levels, levelOf("nowhere", { type: "Reject" }));
    await eventually(`${schemas}/lost`, (each) => dangling(each)?.status === "False");
  });

  // conformance: [sig-api-machinery] API priority and fairness should support FlowSchema API operations [Conformance]
  // conformance: [sig-api-machinery] API priority and fairness should support PriorityLevelConfiguration API operations [Conformance]
  for (const [path, make] of [
    [schemas, (name: string) => schemaFor(name, "global-default", "nobody-at-all")],
    [levels, (name: string) => levelOf(name, { type: "Reject" })],
  ] as const)
    test(`flow control: ${path.split("/").at(-1)} can be made, read, changed and deleted, and their status too`, async () => {
      const labels = { kept: "no" };
      const made = (name: string) => ({ ...make(name), metadata: { name, labels } });
      for (const name of ["ops-a", "ops-b"]) await api.call("POST", path, made(name));
      const { items } = await api.call("GET", path, undefined, { query: { labelSelector: "kept=no" } });
      assert.equal(items.length, 2);
      const patched = await api.call(
        "PATCH",
        `${path}/ops-a`,
        { metadata: { annotations: { patched: "yes" } } },
        { contentType: "application/merge-patch+json" },
      );
      const updated = await api.call("PUT", `${path}/ops-a`, {
        ...patched,
        metadata: { ...patched.metadata, annotations: { updated: "yes" } },
      });
      assert.deepEqual(updated.metadata.annotations, { updated: "yes" });
      const conditions = [{ type: "Own", status: "True", reason: "r", message: "m", lastTransitionTime: null }];
      const status = await api.call(
        "PATCH",
        `${path}/ops-a/status`,
        { status: { conditions } },
        { contentType: "application/merge-patch+json" },
      );
      assert.ok((status.status.conditions as { type: string }[]).some(({ type }) => type === "Own"));
      await api.call("DELETE", `${path}/ops-a`);
      await assert.rejects(api.call("GET", `${path}/ops-a`), { message: /not found/ });
      await api.call("DELETE", path, undefined, { query: { labelSelector: "kept=no" } });
      assert.equal((await api.call("GET", path, undefined, { query: { labelSelector: "kept=no" } })).items.length, 0);
    });
});

describe("flow control: requests over HTTPS", () => {
  before(async () => {
    await api.call("POST", levels, levelOf("few", { type: "Reject" }));
    await api.call(
      "POST",
      levels,
      levelOf("patient", { type: "Queue", queuing: { queues: 1, handSize: 1, queueLengthLimit: 2 } }),
    );
    await api.call("POST", schemas, schemaFor("few", "few", "fred"));
    await api.call("POST", schemas, schemaFor("patient", "patient", "paula"));
    for (const name of ["few", "patient"])
      await eventually(`${schemas}/${name}`, (each) => dangling(each)?.status === "False");
  });

  test("flow control: clients are told which schema and level were theirs", async () => {
    const { headers } = await ask("/api/v1/namespaces/default/configmaps/x", "fred");
    const uid = async (path: string) => (await api.call("GET", path)).metadata.uid;
    assert.equal(headers["x-kubernetes-pf-flowschema-uid"], await uid(`${schemas}/few`));
    assert.equal(headers["x-kubernetes-pf-prioritylevel-uid"], await uid(`${levels}/few`));
  });

  test("flow control: one request too many is refused, with a time to come back", async () => {
    const running = [await askAndHold("fred"), await askAndHold("fred"), await askAndHold("fred")];
    const { status, headers, body } = await ask(heldPath, "fred");
    assert.deepEqual(
      [status, headers["retry-after"], headers["content-type"], body],
      [429, "1", "text/plain; charset=utf-8", "Too many requests, please try again later.\n"],
    );
    assert.ok(headers["x-kubernetes-pf-flowschema-uid"]);
    const { ExecutingRequests, RejectedRequests, IsIdle } = await levelRow("few");
    assert.deepEqual([ExecutingRequests, RejectedRequests, IsIdle], ["3", "1", "false"]);
    letGo();
    for (const { answer } of running) assert.equal((await answer).status, 200);
    assert.equal((await levelRow("few")).IsIdle, "true");
  });

  test("flow control: requests wait for a seat, and are refused when the queue is full", async () => {
    const running = [await askAndHold("paula"), await askAndHold("paula"), await askAndHold("paula")];
    const waiting = [ask(heldPath, "paula"), ask(heldPath, "paula")];
    while ((await levelRow("patient")).WaitingRequests !== "2");
    const refused = await ask(heldPath, "paula");
    assert.equal(refused.status, 429);
    const requests = (await rows("dump_requests?includeRequestDetails=1")).filter(([level]) => level === "patient");
    assert.deepEqual(
      requests.map((row) => [row[1], row[2], row[3], row[4], row[10], row[11], row[14], row[16]]),
      [
        ["patient", "0", "0", "", "paula", "get", "held", "configmaps"],
        ["patient", "0", "1", "", "paula", "get", "held", "configmaps"],
        ...running.map(() => ["patient", "0", "-1", "", "paula", "get", "held", "configmaps"]),
      ],
    );
    const [queue] = (await rows("dump_queues")).filter(([level]) => level === "patient");
    assert.deepEqual(queue?.slice(1, 5), ["0", "2", "3", "3"]);
    letGo();
    for (const answer of [...running.map((each) => each.answer), ...waiting]) assert.equal((await answer).status, 200);
    const text = (await ask("/metrics", "admin")).body;
    assert.match(
      text,
      /flowcontrol_rejected_requests_total\{priority_level="patient",flow_schema="patient",reason="queue-full"} 1\n/,
    );
    assert.match(text, /apiserver_request_terminations_total\{verb="GET",[^}]*code="429"} 2\n/);
    assert.match(
      text,
      /flowcontrol_request_wait_duration_seconds_count\{priority_level="patient",[^}]*execute="true"} 5\n/,
    );
  });

  test("flow control: a watch takes a seat only while it begins", async () => {
    const path = "/api/v1/namespaces/default/secrets?watch=1&timeoutSeconds=60";
    const watches = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const headers = { authorization: "Bearer fred" };
        const request = httpsRequest({
          host: "127.0.0.1",
          port,
          path,
          headers,
          rejectUnauthorized: false,
          agent: false,
        });
        const answered = new Promise<number>((resolve, reject) => {
          request.on("response", (response) => resolve(response.statusCode ?? 0)).on("error", reject);
        });
        request.end();
        return { request, status: await answered };
      }),
    );
    assert.deepEqual(
      watches.map(({ status }) => status),
      [200, 200, 200, 200, 200],
    );
    while ((await levelRow("few")).ExecutingRequests !== "0");
    const { body } = await ask("/metrics", "admin");
    assert.match(
      body,
      /apiserver_longrunning_requests\{verb="WATCH",group="",version="v1",resource="secrets",[^}]*} 5\n/,
    );
    for (const { request } of watches) request.destroy();
  });

  test("flow control: the administrator is never kept waiting", async () => {
    const running = [await askAndHold("fred"), await askAndHold("fred"), await askAndHold("fred")];
    assert.equal((await ask("/api/v1/namespaces/default/configmaps/x", "admin")).status, 200);
    letGo();
    await Promise.all(running.map(({ answer }) => answer));
  });
});

test("flow control: without it there are fixed limits, except for the administrator", async () => {
  const gate = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  const slow: CallHandler = async () => {
    began.resolve();
    await gate.promise;
    return { type: "value", status: 200, value: {} };
  };
  const other = await startTestServer({
    flow: { enabled: false, maxRequestsInFlight: 1, maxMutatingRequestsInFlight: 1 },
    handlers: new Map([["/configmaps//get", slow]]),
  });
  const { createLocalTransport } = await import("../local-transport.ts");
  const { realClock } = await import("#base");
  const user = { name: "fred", uid: "", groups: [], extra: {} };
  const stop = new AbortController();
  const fred = createLocalTransport({ pipeline: other.server.pipeline, clock: realClock, user, userAgent: "t" });
  const get = { method: "GET", path: "/api/v1/namespaces/default/configmaps/a" } as const;
  const first = fred.request(get);
  await began.promise;
  stop.abort();
  await assert.rejects(fred.request({ ...get, signal: stop.signal }), { message: /Too many requests/ });
  const others = other.call("GET", get.path);
  gate.resolve();
  await Promise.all([first, others]);
  fred.close();
  await other.close();
});
