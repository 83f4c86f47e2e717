import assert from "node:assert/strict";
import { request as httpsRequest } from "node:https";
import type { IncomingMessage } from "node:http";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { configMap, configMaps, startTestServer, type TestServer, testCertificate } from "../test-server.ts";

let api: TestServer;
let port = 0;
before(async () => {
  api = await startTestServer({ tls: await testCertificate() });
  port = (await api.server.listen({ host: "127.0.0.1", port: 0 })).port;
});
after(() => api.close());

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

function ask(path: string, { method = "GET", headers = {}, body }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        host: "127.0.0.1",
        port,
        path,
        method,
        rejectUnauthorized: false,
        agent: false,
        headers: { authorization: "Bearer admin", ...headers },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
        );
      },
    );
    request.on("error", reject).end(body);
  });
}

const metrics = async (path = "/metrics") => (await ask(path)).body.toString();
/** The series of these names and labels; 0: there is none. */
function seriesValue(text: string, name: string, labels: string): number {
  const line = text.split("\n").find((each) => each.startsWith(`${name}{${labels}}`) || each.startsWith(`${name} `));
  return Number(line?.slice(line.lastIndexOf(" ") + 1) ?? 0);
}

const json = { "content-type": "application/json" };
const configMapLabels = (verb: string, scope: string) =>
  `verb="${verb}",dry_run="",group="",version="v1",resource="configmaps",subresource="",scope="${scope}",component="apiserver"`;

test("metrics: requests by what was asked and how they were answered, over HTTPS and in this process", async () => {
  await ask(configMaps, { method: "POST", headers: json, body: JSON.stringify(configMap("one")) });
  await ask(configMaps, { method: "POST", headers: json, body: JSON.stringify(configMap("one")) });
  await ask(`${configMaps}/one`);
  await ask(configMaps);
  await ask("/api/v1/configmaps");
  await ask(`${configMaps}/one?dryRun=All`, { method: "DELETE" });
  await ask(`${configMaps}/one?fieldManager=a`, {
    method: "PATCH",
    headers: { "content-type": "application/apply-patch+yaml" },
    body: JSON.stringify(configMap("one")),
  });
  await api.call("GET", `${configMaps}/one`);
  const text = await metrics();
  const total = (verb: string, scope: string, code: number) =>
    seriesValue(text, "apiserver_request_total", `${configMapLabels(verb, scope)},code="${code}"`);
  assert.deepEqual(
    [total("POST", "resource", 201), total("POST", "resource", 409), total("GET", "resource", 200)],
    [1, 1, 2],
  );
  assert.deepEqual(
    [total("LIST", "namespace", 200), total("LIST", "cluster", 200), total("APPLY", "resource", 200)],
    [1, 1, 1],
  );
  const dry = configMapLabels("DELETE", "resource").replace('dry_run=""', 'dry_run="All"');
  assert.equal(seriesValue(text, "apiserver_request_total", `${dry},code="200"`), 1);
  assert.equal(seriesValue(text, "apiserver_request_duration_seconds_count", configMapLabels("GET", "resource")), 2);
  assert.match(
    text,
    /apiserver_response_sizes_count\{verb="LIST",group="",version="v1",resource="configmaps",subresource="",scope="namespace",component="apiserver"} 1\n/,
  );
  assert.match(
    text,
    /apiserver_request_sli_duration_seconds_count\{verb="GET",group="",version="v1",resource="configmaps"/,
  );
});

test("metrics: what it takes to answer: who asks, whether they may, admission, the store", async () => {
  await ask(configMaps, { headers: { authorization: "Bearer nobody" } });
  const text = await metrics();
  for (const [name, labels] of [
    ["authentication_attempts", 'result="success"'],
    ["authentication_attempts", 'result="failure"'],
    ["authenticated_user_requests", 'username="admin"'],
    ["authorization_attempts_total", 'result="allowed"'],
    ["apiserver_admission_step_admission_duration_seconds_count", 'type="admit",operation="CREATE",rejected="false"'],
    ["etcd_requests_total", 'operation="create",group="",resource="configmaps"'],
    ["etcd_request_duration_seconds_count", 'operation="create",group="",resource="configmaps"'],
    ["apiserver_storage_objects", 'resource="configmaps"'],
    ["apiserver_resource_objects", 'group="",resource="configmaps"'],
    ["apiserver_resource_size_estimate_bytes", 'group="",resource="configmaps"'],
    ["apiserver_storage_size_bytes", 'storage_cluster_id="etcd-0"'],
    ["apiserver_cache_list_total", 'group="",resource="configmaps"'],
    ["apiserver_watch_cache_events_received_total", 'group="",resource="configmaps"'],
    ["apiserver_current_inflight_requests", 'request_kind="readOnly"'],
    ["apiserver_flowcontrol_dispatched_requests_total", 'priority_level="exempt",flow_schema="exempt"'],
    ["apiserver_flowcontrol_nominal_limit_seats", 'priority_level="workload-low"'],
  ] as const)
    assert.ok(seriesValue(text, name, labels) > 0, `${name}{${labels}}`);
  assert.match(text, /kubernetes_build_info\{git_version="v1\.\d+\.0",[^}]*} 1\n/);
});

test("metrics: watches and their events", async () => {
  const { metadata } = await api.call("GET", configMaps);
  const path = `${configMaps}?watch=1&resourceVersion=${metadata.resourceVersion}&timeoutSeconds=60`;
  const request = httpsRequest({
    host: "127.0.0.1",
    port,
    path,
    rejectUnauthorized: false,
    agent: false,
    headers: { authorization: "Bearer admin" },
  });
  const seen = new Promise<void>((resolve, reject) => {
    request.on("error", reject).on("response", (response: IncomingMessage) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
        if (text.includes("watched-2")) resolve();
      });
    });
  });
  request.end();
  while (!/longrunning_requests\{verb="WATCH",[^}]*resource="configmaps"[^}]*} 1\n/.test(await metrics()));
  for (const name of ["watched-1", "watched-2"]) await api.call("POST", configMaps, configMap(name));
  await seen;
  const text = await metrics();
  const labels = 'group="",version="v1",resource="configmaps"';
  assert.equal(seriesValue(text, "apiserver_watch_events_total", labels), 2);
  assert.equal(seriesValue(text, "apiserver_watch_events_sizes_count", labels), 2);
  request.destroy();
  while (!/longrunning_requests\{verb="WATCH",[^}]*resource="configmaps"[^}]*} 0\n/.test(await metrics()));
  assert.match(await metrics(), /apiserver_request_total\{verb="WATCH",[^}]*resource="configmaps"[^}]*} 1\n/);
});

test("metrics: as text, as OpenMetrics, compressed, and only the head", async () => {
  const plain = await ask("/metrics");
  assert.equal(plain.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  const open = await ask("/metrics", {
    headers: { accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.1" },
  });
  assert.equal(open.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
  assert.ok(open.body.toString().endsWith("# EOF\n"));
  assert.match(open.body.toString(), /# TYPE authentication_attempts unknown\nauthentication_attempts\{/);
  const packed = await ask("/metrics", { headers: { "accept-encoding": "gzip" } });
  assert.equal(packed.headers["content-encoding"], "gzip");
  assert.match(gunzipSync(packed.body).toString(), /^# HELP /);
  const head = await ask("/metrics", { method: "HEAD" });
  assert.deepEqual([head.status, head.body.length], [200, 0]);
  assert.equal((await ask("/metrics/none")).status, 404);
});

test("health: lists, checks of their own, exclusions; each check is an indicator", async () => {
  const verbose = (await ask("/readyz?verbose")).body.toString();
  assert.match(verbose, /^\[\+]ping ok\n\[\+]log ok\n\[\+]etcd ok\n/);
  assert.match(verbose, /\n\[\+]shutdown ok\nreadyz check passed\n$/);
  assert.equal((await ask("/livez/poststarthook/rbac/bootstrap-roles")).body.toString(), "ok");
  // The suite's "health handlers should contain necessary checks".
  for (const name of ["storage-readiness", "start-service-ip-repair-controllers", "apiservice-openapi-controller"])
    assert.equal((await ask(`/livez/poststarthook/${name}`)).body.toString(), "ok");
  assert.equal((await ask("/livez/shutdown")).status, 404, "only for readiness");
  assert.equal((await ask("/livez/none")).status, 404);
  const excluded = (await ask("/livez?verbose&exclude=etcd&exclude=nope")).body.toString();
  assert.match(excluded, /\n\[\+]etcd excluded: ok\n/);
  assert.match(excluded, /\nwarn: some health checks cannot be excluded: no matches for "nope"\nlivez check passed\n$/);
  const text = await metrics("/metrics/slis");
  assert.equal(seriesValue(text, "kubernetes_healthcheck", 'name="etcd",type="readyz"'), 1);
  assert.equal(seriesValue(text, "kubernetes_healthchecks_total", 'name="ping",type="livez",status="success"'), 1);
});

test("debug: an index of profiles, the log level, pages about the process", async () => {
  const bare = await ask("/debug/pprof");
  assert.deepEqual([bare.status, bare.headers.location], [302, "/debug/pprof/"]);
  const index = await ask("/debug/pprof/");
  assert.deepEqual([index.status, index.headers["content-type"]], [200, "text/html; charset=utf-8"]);
  assert.equal((await ask("/debug/pprof/none")).status, 404);
  const profile = await ask("/debug/pprof/profile?seconds=0.05");
  assert.equal(profile.headers["content-type"], "application/octet-stream");
  assert.ok(gunzipSync(profile.body).includes("nanoseconds"));
  const put = (body: string) => ask("/debug/flags/v", { method: "PUT", body });
  assert.equal((await put("5")).body.toString(), "successfully set klog.logging.verbosity to 5\n");
  assert.equal((await put("x")).status, 400);
  assert.match((await ask("/statusz")).body.toString(), /^\napiserver statusz\nWarning: /);
  const accept = "application/json;v=v1beta1;g=config.k8s.io;as=Statusz";
  const page = JSON.parse((await ask("/statusz", { headers: { accept } })).body.toString()) as { kind: string };
  assert.equal(page.kind, "Statusz");
  assert.equal((await ask("/flagz", { headers: { accept } })).status, 406);
});
