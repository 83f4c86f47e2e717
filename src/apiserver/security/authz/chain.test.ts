import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#base";
import { type ApiRequest, parseLabelSelector, statusError, type Transport } from "#machinery";
import type { Attributes, Decision } from "../../security.ts";
import { loadExpressionCompiler } from "../expressions.ts";
import { alwaysAllow, alwaysDeny, createAuthorizerChain, noRules, type RulesAuthorizer } from "./chain.ts";
import { createMatchConditions } from "./match-conditions.ts";
import { createWebhookAuthorizer, type WebhookAuthorizerOptions } from "./webhook.ts";

const attributes = (more: Partial<Attributes> = {}): Attributes => ({
  user: { name: "alice", uid: "u", groups: ["devs"], extra: { "acme.io/scope": ["a"] } },
  verb: "list",
  resourceRequest: true,
  path: "/api/v1/namespaces/ns/pods",
  apiGroup: "",
  apiVersion: "v1",
  resource: "pods",
  subresource: "",
  namespace: "ns",
  name: "",
  ...more,
});

const says = (decision: Decision, late = false): RulesAuthorizer => ({
  authorize: () => (late ? Promise.resolve(decision) : decision),
  rulesFor: () => noRules,
});
const no = (reason: string, more: Partial<Decision> = {}): Decision => ({ allowed: false, reason, ...more });
const yes: Decision = { allowed: true, reason: "yes" };

for (const late of [false, true]) {
  const ask = async (...decisions: Decision[]) =>
    createAuthorizerChain(decisions.map((each) => says(each, late))).authorize(attributes());

  test(`authorizers${late ? " over the network" : ""}: the first that decides counts, opinions are joined`, async () => {
    assert.deepEqual(await ask(no("a"), yes, no("b", { denied: true })), yes);
    assert.deepEqual(await ask(no("a"), no("b", { denied: true }), yes), no("b", { denied: true }));
    assert.deepEqual(await ask(no("a"), no(""), no("b")), no("a\nb"));
    assert.deepEqual(await ask(no("", { error: "x" }), no("b", { error: "y" })), no("b", { error: "[x, y]" }));
    assert.deepEqual(await ask(no("", { error: "x" }), yes), yes);
    assert.deepEqual(await ask(), no(""));
  });
}

test("authorizers: masters are never asked about", async () => {
  const masters = { name: "root", uid: "", groups: ["system:masters"], extra: {} };
  const chain = createAuthorizerChain([alwaysDeny]);
  assert.deepEqual(await chain.authorize(attributes({ user: masters })), { allowed: true, reason: "" });
  assert.deepEqual(await chain.authorize(attributes()), no("Everything is forbidden."));
  assert.equal(createAuthorizerChain([alwaysAllow]).rulesFor(masters, "x").rules.length, 2);
});

interface Answer {
  readonly status?: object;
  readonly error?: Error;
}

function webhook(
  answers: (Answer | ((request: ApiRequest) => Promise<unknown>))[],
  more: Partial<WebhookAuthorizerOptions> = {},
) {
  const asked: { spec: Record<string, unknown>; apiVersion: string }[] = [];
  const clock = new FakeClock();
  const transport: Transport = {
    async request(request) {
      asked.push(request.body as (typeof asked)[number]);
      const answer = answers[Math.min(asked.length, answers.length) - 1] ?? {};
      if (typeof answer === "function") return answer(request);
      if (answer.error) throw answer.error;
      const { apiVersion } = request.body as { apiVersion: string };
      return { kind: "SubjectAccessReview", apiVersion, status: answer.status };
    },
    watch: async () => undefined,
    close: () => undefined,
  };
  const authorizer = createWebhookAuthorizer({
    target: { transport, path: "" },
    version: "v1",
    timeoutMs: 1000,
    authorizedTtlMs: 60_000,
    unauthorizedTtlMs: 10_000,
    failurePolicy: "NoOpinion",
    clock,
    ...more,
  });
  return { authorizer, asked, clock };
}

test("webhook: what is asked for is a SubjectAccessReview", async () => {
  const { authorizer, asked } = webhook([{ status: { allowed: true, reason: "fine" } }]);
  const selected = attributes({
    fieldSelector: [{ field: "spec.nodeName", operator: "=", value: "n1" }],
    labelSelector: parseLabelSelector("a=b,c notin (d),!e,f,g>1").requirements,
  });
  assert.deepEqual(await authorizer.authorize(selected), { allowed: true, denied: false, reason: "fine" });
  assert.deepEqual(asked[0], {
    kind: "SubjectAccessReview",
    apiVersion: "authorization.k8s.io/v1",
    metadata: {},
    spec: {
      resourceAttributes: {
        namespace: "ns",
        verb: "list",
        version: "v1",
        resource: "pods",
        fieldSelector: { requirements: [{ key: "spec.nodeName", operator: "In", values: ["n1"] }] },
        labelSelector: {
          requirements: [
            { key: "a", operator: "In", values: ["b"] },
            { key: "c", operator: "NotIn", values: ["d"] },
            { key: "e", operator: "DoesNotExist" },
            { key: "f", operator: "Exists" },
          ],
        },
      },
      user: "alice",
      groups: ["devs"],
      extra: { "acme.io/scope": ["a"] },
      uid: "u",
    },
  });
  const old = webhook([{ status: { allowed: true } }], { version: "v1beta1" });
  await old.authorizer.authorize(attributes({ resourceRequest: false, path: "/healthz", verb: "get" }));
  assert.deepEqual(old.asked[0]?.spec, {
    nonResourceAttributes: { path: "/healthz", verb: "get" },
    user: "alice",
    group: ["devs"],
    extra: { "acme.io/scope": ["a"] },
    uid: "u",
  });
});

test("webhook: answers are kept, a yes longer than a no, long questions never", async () => {
  const good = webhook([{ status: { allowed: true } }]);
  const bad = webhook([{ status: { allowed: false, reason: "no" } }]);
  for (const { authorizer, clock } of [good, bad]) {
    for (const ms of [0, 9_000, 5_000, 50_000]) {
      clock.advance(ms);
      await authorizer.authorize(attributes());
    }
    await Promise.all([
      authorizer.authorize(attributes({ name: "x" })),
      authorizer.authorize(attributes({ name: "x" })),
    ]);
  }
  assert.equal(good.asked.length, 3, "once, once more after a minute, and once for x");
  assert.equal(bad.asked.length, 4, "again after ten seconds");
  const long = webhook([{ status: { allowed: true } }]);
  for (let i = 0; i < 2; i++) await long.authorizer.authorize(attributes({ name: "x".repeat(20_000) }));
  assert.equal(long.asked.length, 2);
});

test("webhook: it may deny, contradict itself, lie, fail and hang", async () => {
  const decide = async (answer: Answer | ((request: ApiRequest) => Promise<unknown>), more = {}) =>
    webhook([answer], { timeoutMs: 20, ...more }).authorizer.authorize(attributes());
  assert.deepEqual(
    await decide({ status: { allowed: false, denied: true, reason: "never" } }),
    no("never", { denied: true }),
  );
  assert.deepEqual(
    await decide({ status: { allowed: true, denied: true } }),
    no("", { denied: true, error: "webhook subject access review returned both allow and deny response" }),
  );
  assert.deepEqual(await decide({ status: { allowed: "yes" } }), no("", { denied: false }), "only true is a yes");
  for (const garbage of ["hello", null, [], { kind: "Pod" }, { kind: "SubjectAccessReview", apiVersion: "x/v1" }])
    assert.match((await decide(async () => garbage)).error ?? "", /answered something else than a SubjectAccessReview/);
  const refused = { error: statusError.forbidden({ group: "", resource: "x" }, "", "go away") };
  assert.deepEqual(await decide(refused), no("", { denied: false, error: "x is forbidden: go away" }));
  assert.deepEqual(
    await decide(refused, { failurePolicy: "Deny" }),
    no("", { denied: true, error: "x is forbidden: go away" }),
  );
  const hang = ({ signal }: ApiRequest) =>
    new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
  assert.deepEqual(await decide(hang), no("", { denied: false, error: "context deadline exceeded" }));
});

test("webhook: failures that may pass are tried again, five times in all", async () => {
  const internal = { error: statusError.internal("oops") };
  const { authorizer, asked, clock } = webhook([internal, internal, { status: { allowed: true } }]);
  const decision = authorizer.authorize(attributes());
  const settled = Promise.resolve(decision).finally(() => undefined);
  let done = false;
  void settled.then(() => {
    done = true;
  });
  while (!done) {
    clock.advance(1000);
    await new Promise(setImmediate);
  }
  assert.equal((await decision).allowed, true);
  assert.equal(asked.length, 3);
});

test("webhook: conditions keep questions away; a no of one counts more than a failure of another", async () => {
  const compile = await loadExpressionCompiler();
  const conditionsOf = (...sources: string[]) =>
    createMatchConditions(
      sources.map((source) => {
        const compiled = compile(source, { scope: "request", returns: "bool" });
        assert.ok(!("problem" in compiled));
        return compiled;
      }),
    );
  const decide = async (sources: string[], more = {}) => {
    const { authorizer, asked } = webhook([{ status: { allowed: true } }], {
      conditions: conditionsOf(...sources),
      ...more,
    });
    return { decision: await authorizer.authorize(attributes()), asked: asked.length };
  };
  const aboutPods = 'has(request.resourceAttributes) && request.resourceAttributes.resource == "pods"';
  const failing = 'request.extra["nothing"][0] == "x"';
  assert.equal((await decide([aboutPods, 'request.groups.exists(g, g == "devs")'])).asked, 1);
  assert.deepEqual(await decide(['request.user == "bob"']), { decision: no(""), asked: 0 });
  assert.deepEqual(await decide([failing, 'request.user == "bob"']), { decision: no(""), asked: 0 });
  const failed = await decide([failing], { failurePolicy: "Deny" });
  assert.equal(failed.asked, 0);
  assert.equal(failed.decision.denied, true);
  assert.match(
    failed.decision.error ?? "",
    /^cel evaluation error: expression '.*' resulted in error: no such key: nothing/,
  );
});
