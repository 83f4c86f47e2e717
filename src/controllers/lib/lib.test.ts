import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#base";
import { planClaims } from "./claim.ts";
import { Expectations } from "./expectations.ts";
import { testPod, testReplicaSet } from "./fixture.ts";
import { bytesHash, contentHash, goJson, safeEncode } from "./hash.ts";
import { inBatches } from "./in-batches.ts";
import { shareOf } from "./int-or-percent.ts";
import { templatePatch } from "./revisions.ts";

test("expectations: met when seen, counted once for a deletion, dropped after five minutes", () => {
  const clock = new FakeClock();
  const expectations = new Expectations(clock);
  assert.equal(expectations.areMet("a"), true);
  expectations.expectCreations("a", 2);
  expectations.created("a");
  assert.equal(expectations.areMet("a"), false);
  expectations.created("a");
  assert.equal(expectations.areMet("a"), true);
  expectations.expectDeletions("a", ["x", "y"]);
  expectations.deleted("a", "x");
  expectations.deleted("a", "x");
  assert.equal(expectations.areMet("a"), false);
  clock.advance(300_001);
  assert.equal(expectations.areMet("a"), true);
});

test("batches: grow by two and stop at the first that fails", async () => {
  const started: number[] = [];
  const result = await inBatches(20, async (index) => {
    started.push(index);
    if (index === 5) throw new Error("quota");
  });
  assert.deepEqual(started, [0, 1, 2, 3, 4, 5, 6]);
  assert.equal(result.succeeded, 6);
  assert.match(String(result.error), /quota/);
});

for (const [value, total, roundUp, expected] of [
  [3, 10, true, 3],
  ["25%", 10, true, 3],
  ["25%", 10, false, 2],
  ["0%", 10, true, 0],
  ["100%", 3, false, 3],
  [undefined, 3, false, 0],
] as const)
  test(`share: ${value} of ${total} rounded ${roundUp ? "up" : "down"} is ${expected}`, () => {
    assert.equal(shareOf(value, { total, roundUp }), expected);
  });

test("hash: members in any order hash alike, collisions change it, the alphabet is safe", () => {
  const hash = contentHash({ a: 1, b: { c: [1], d: undefined, e: {} } });
  assert.equal(contentHash({ b: { c: [1] }, a: 1 }), hash);
  assert.notEqual(contentHash({ a: 1, b: { c: [1] } }, 0), hash);
  assert.match(hash, /^[bcdfghjklmnpqrstvwxz2456789]+$/);
  assert.equal(safeEncode("0123456789"), "456789bcdf");
});

test("hash: a revision of a stateful set has the very name kube-controller-manager 1.36.3 gives it", () => {
  const container = {
    env: [{ name: "A", value: "é\u2028" }],
    image: "i",
    imagePullPolicy: "Always",
    livenessProbe: {
      failureThreshold: 3,
      httpGet: { path: "/", port: "http", scheme: "HTTP" },
      periodSeconds: 10,
      successThreshold: 1,
      timeoutSeconds: 1,
    },
    name: "c",
    resources: { limits: { cpu: "500m", memory: "1Gi" } },
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
  };
  const spec = {
    volumes: [{ emptyDir: {}, name: "v" }],
    containers: [container],
    dnsPolicy: "ClusterFirst",
    restartPolicy: "Always",
    schedulerName: "default-scheduler",
    securityContext: {},
    terminationGracePeriodSeconds: 30,
  };
  const metadata = { labels: { app: "s" }, annotations: { html: "<&>" } };
  assert.equal(bytesHash(`${goJson(templatePatch({ metadata, spec }))}0`), "f8657c64f");
});

test("claims: adopts matching orphans, releases own that no longer match, leaves others' alone", () => {
  const owner = testReplicaSet("rs");
  const ours = { kind: "ReplicaSet", name: "rs", uid: "uid-rs" };
  const pods = [
    testPod({ name: "own", owner: ours }),
    testPod({ name: "strayed", owner: ours, labels: { app: "db" } }),
    testPod({ name: "orphan" }),
    testPod({ name: "going", deleting: true }),
    testPod({ name: "others", owner: { kind: "ReplicaSet", name: "rs2", uid: "uid-rs2" } }),
    testPod({ name: "elsewhere", namespace: "other" }),
  ];
  const names = (list: readonly { metadata: { name?: string | undefined } }[]) => list.map((pod) => pod.metadata.name);
  const claims = planClaims(owner, pods, (labels) => labels?.app === "web");
  assert.deepEqual(names(claims.owned), ["own"]);
  assert.deepEqual(names(claims.adopt), ["orphan"]);
  assert.deepEqual(names(claims.release), ["strayed"]);
  const deleting = { ...owner, metadata: { ...owner.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
  const whileDeleting = planClaims(deleting, pods, (labels) => labels?.app === "web");
  assert.deepEqual([whileDeleting.adopt.length, whileDeleting.release.length], [0, 0]);
});

// conformance: Daemon set [Serial] should update pod when spec was updated and update strategy is RollingUpdate
test("revisions: the patch that restores a template has its members in order", () => {
  const spec = { containers: [{ name: "c", image: "i" }], activeDeadlineSeconds: 1 };
  assert.equal(
    JSON.stringify(templatePatch({ spec, metadata: { labels: { b: "2", a: "1" } } })),
    '{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"a":"1","b":"2"}},"spec":{"activeDeadlineSeconds":1,"containers":[{"image":"i","name":"c"}]}}}}',
  );
});
