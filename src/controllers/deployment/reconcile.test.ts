import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment, ReplicaSet } from "#api";
import { ago, testDeployment, testNow, testReplicaSet } from "../lib/fixture.ts";
import { type DeploymentPlan, planDeployment } from "./reconcile.ts";
import { desiredReplicasAnnotation, maxReplicasAnnotation, revisionAnnotation } from "./rollout.ts";

interface SetShape {
  replicas: number;
  available?: number;
  revision?: number | bigint;
  desired?: number;
  max?: number;
  /** Has the Deployment's template. */
  isNew?: boolean;
  created?: number;
}

function set(name: string, shape: SetShape): ReplicaSet {
  const { replicas, available = replicas, revision = 1, desired = 10, max = 13, isNew = false, created = 500 } = shape;
  const made = testReplicaSet(name, { replicas });
  made.metadata.creationTimestamp = ago(created);
  made.metadata.annotations = {
    [revisionAnnotation]: String(revision),
    [desiredReplicasAnnotation]: String(desired),
    [maxReplicasAnnotation]: String(max),
  };
  if (!isNew && made.spec) {
    made.spec.template = { ...made.spec.template, spec: { containers: [{ name: "web", image: name }] } };
  }
  made.status = { replicas, readyReplicas: available, availableReplicas: available, observedGeneration: 1 };
  return made;
}

const plan = (deployment: Deployment, sets: ReplicaSet[], hasOtherPods = false): DeploymentPlan =>
  planDeployment({ deployment, sets, now: testNow, hasOtherPods: () => hasOtherPods });

const sizes = ({ updates }: DeploymentPlan) =>
  Object.fromEntries(
    updates.filter(({ event }) => event).map(({ set: { metadata, spec } }) => [metadata.name, spec?.replicas]),
  );

const condition = (result: DeploymentPlan, type: string) => {
  const found = result.write?.status?.conditions?.find((each) => each.type === type);
  return found && `${found.status} ${found.reason}: ${found.message}`;
};

test("deployment: a new one gets a set with the hash in name, labels and selector, and says so", () => {
  const { create, updates, write } = plan(testDeployment("web", { replicas: 3 }), []);
  assert.equal(updates.length, 0);
  const name = create?.set.metadata.name ?? "";
  const hash = name.replace("web-", "");
  assert.match(hash, /^[bcdfghjklmnpqrstvwxz2456789]+$/);
  assert.equal(create?.event, `Scaled up replica set ${name} from 0 to 3`);
  assert.deepEqual(create?.set.metadata.labels, { app: "web", "pod-template-hash": hash });
  assert.deepEqual(create?.set.spec?.selector, { matchLabels: { app: "web", "pod-template-hash": hash } });
  assert.deepEqual(create?.set.spec?.template?.metadata?.labels, { app: "web", "pod-template-hash": hash });
  assert.deepEqual(create?.set.metadata.annotations, {
    "deployment.kubernetes.io/revision": "1",
    "deployment.kubernetes.io/desired-replicas": "3",
    "deployment.kubernetes.io/max-replicas": "4",
  });
  assert.equal(write?.metadata.annotations?.[revisionAnnotation], "1");
  assert.equal(
    condition({ updates: [], deletions: [], ...(write ? { write } : {}) }, "Progressing"),
    `True NewReplicaSetCreated: Created new replica set "${name}"`,
  );
});

const rolling = (change: object = {}) =>
  testDeployment("web", {
    replicas: 10,
    strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } },
    ...change,
  });

for (const [why, sets, expected] of [
  ["grows first", [set("old", { replicas: 10 }), set("new", { replicas: 0, isNew: true })], { new: 3 }],
  ["then shrinks", [set("old", { replicas: 10 }), set("new", { replicas: 3, available: 0, isNew: true })], { old: 8 }],
  [
    "a broken new version never eats up the old one",
    [set("old", { replicas: 8, available: 7 }), set("new", { replicas: 5, available: 0, isNew: true })],
    {},
  ],
  [
    "drops broken old pods first",
    [
      set("old", { replicas: 8, available: 8 }),
      set("older", { replicas: 5, available: 0, created: 600 }),
      set("new", { replicas: 0, isNew: true }),
    ],
    { older: 0 },
  ],
  [
    "roll-over shrinks the set in between",
    [
      set("v1", { replicas: 8, created: 900 }),
      set("v2", { replicas: 5, available: 0 }),
      set("v3", { replicas: 0, isNew: true, created: 1 }),
    ],
    { v2: 0 },
  ],
  ["surplus of the new set goes", [set("new", { replicas: 12, isNew: true })], { new: 10 }],
  ["nothing to do", [set("new", { replicas: 10, isNew: true })], {}],
] satisfies [string, ReplicaSet[], object][])
  test(`deployment rolls: ${why}`, () => {
    assert.deepEqual(sizes(plan(rolling(), sets)), expected);
  });

for (const [why, replicas, sets, expected] of [
  ["the only set takes it all", 12, [set("new", { replicas: 10, isNew: true })], { new: 12 }],
  [
    "in proportion, up",
    15,
    [set("old", { replicas: 8 }), set("new", { replicas: 5, isNew: true, created: 1 })],
    { old: 11, new: 7 },
  ],
  [
    "in proportion, down",
    5,
    [set("old", { replicas: 8 }), set("new", { replicas: 5, isNew: true, created: 1 })],
    { old: 5, new: 3 },
  ],
  ["to nothing", 0, [set("old", { replicas: 8 }), set("new", { replicas: 5, isNew: true })], { old: 0, new: 0 }],
] satisfies [string, number, ReplicaSet[], object][])
  test(`deployment scales in the midst of a roll-out: ${why}`, () => {
    assert.deepEqual(sizes(plan(rolling({ replicas }), sets)), expected);
  });

test("deployment scales: of two of one size the newer grows, though it has the older template again", () => {
  const sets = [
    set("rolled-back", { replicas: 5, max: 10, desired: 10, isNew: true, created: 900 }),
    set("broken", { replicas: 5, max: 10, desired: 10, created: 100 }),
  ];
  const grown = testDeployment("web", {
    replicas: 11,
    strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
  });
  assert.deepEqual(sizes(plan(grown, sets)), { broken: 6 });
});

test("deployment: a paused one of the right size leaves its set alone, whatever the set was told before", () => {
  const { updates } = plan(testDeployment("web", { replicas: 3, paused: true }), [
    set("new", { replicas: 3, desired: 2, max: 3, isNew: true }),
  ]);
  assert.deepEqual(updates, []);
});

test("deployment: a long name is cut so that the set's hash fits", () => {
  const { create } = plan(testDeployment(`d${"o".repeat(250)}`), []);
  const { name = "", labels } = create?.set.metadata ?? {};
  assert.equal(name.length, 253);
  assert.ok(name.endsWith(`-${labels?.["pod-template-hash"]}`));
});

test("deployment: going pods are counted as soon as every set that was looked at counts them", () => {
  const terminating = (counts: (number | undefined)[]) => {
    const sets = counts.map((count, index) => {
      const made = set(`s${index}`, { replicas: 0 });
      made.status = {
        replicas: 0,
        ...(index === 0 ? {} : { observedGeneration: 1 }),
        ...(count === undefined ? {} : { terminatingReplicas: count }),
      };
      return made;
    });
    return plan(testDeployment("web", { paused: true }), sets).write?.status?.terminatingReplicas;
  };
  assert.equal(terminating([undefined, 2, 1]), 3);
  assert.equal(terminating([undefined, 2, undefined]), undefined);
});

test("deployment scales: a saturated new set takes over at once", () => {
  const sets = [set("old", { replicas: 1, desired: 9 }), set("new", { replicas: 10, isNew: true })];
  assert.deepEqual(sizes(plan(rolling(), sets)), { old: 0 });
});

test("deployment paused: scales in proportion, rolls nothing out, and says so", () => {
  const sets = [set("old", { replicas: 8 })];
  const result = plan(rolling({ paused: true }), sets);
  assert.equal(result.create, undefined);
  assert.deepEqual(sizes(result), { old: 10 });
  assert.equal(condition(result, "Progressing"), "Unknown DeploymentPaused: Deployment is paused");
});

test("deployment recreate: stops everything, waits for the last pod, then starts", () => {
  const deployment = testDeployment("web", { replicas: 2, strategy: { type: "Recreate" } });
  const old = set("old", { replicas: 2, desired: 2, max: 2 });
  const first = plan(deployment, [old]);
  assert.deepEqual([sizes(first), first.create], [{ old: 0 }, undefined]);
  const stopped = set("old", { replicas: 0, desired: 2, max: 2 });
  assert.equal(plan(deployment, [stopped], true).create, undefined);
  assert.equal(plan(deployment, [stopped]).create?.set.spec?.replicas, 2);
});

test("deployment: a set that is used again gets the next revision and remembers its own", () => {
  const sets = [set("first", { replicas: 0, revision: 1, isNew: true }), set("second", { replicas: 10, revision: 2 })];
  const [update] = plan(rolling(), sets).updates;
  assert.equal(update?.set.metadata.name, "first");
  assert.equal(update?.set.metadata.annotations?.[revisionAnnotation], "3");
  assert.equal(update?.set.metadata.annotations?.["deployment.kubernetes.io/revision-history"], "1");
});

// conformance: Deployment RollingUpdateDeployment should delete old pods and create new ones
test("deployment: revisions are 64 bits wide", () => {
  const old = set("old", { replicas: 10, revision: 3546343826724305832n });
  const { create } = plan(rolling(), [old]);
  assert.equal(create?.set.metadata.annotations?.[revisionAnnotation], "3546343826724305833");
});

test("deployment: annotations go to the new set, except those about one object", () => {
  const deployment = rolling();
  deployment.metadata.annotations = {
    "kubernetes.io/change-cause": "why",
    "kubectl.kubernetes.io/last-applied-configuration": "{}",
  };
  const [update] = plan(deployment, [set("new", { replicas: 10, isNew: true })]).updates;
  assert.equal(update?.set.metadata.annotations?.["kubernetes.io/change-cause"], "why");
  assert.equal(update?.set.metadata.annotations?.["kubectl.kubernetes.io/last-applied-configuration"], undefined);
});

const done = (deployment: Deployment): Deployment => ({
  ...deployment,
  metadata: { ...deployment.metadata, annotations: { [revisionAnnotation]: "5" } },
  status: {
    observedGeneration: 1,
    replicas: 10,
    updatedReplicas: 10,
    readyReplicas: 10,
    availableReplicas: 10,
    conditions: [
      {
        type: "Available",
        status: "True",
        reason: "MinimumReplicasAvailable",
        message: "Deployment has minimum availability.",
      },
      {
        type: "Progressing",
        status: "True",
        reason: "NewReplicaSetAvailable",
        message: "x",
        lastUpdateTime: ago(9000),
      },
    ],
  },
});

test("deployment: when done, old sets beyond the limit go, oldest revision first", () => {
  const sets = [1, 3, 2, 4].map((revision) => set(`r${revision}`, { replicas: 0, revision }));
  const result = plan(done(rolling({ revisionHistoryLimit: 2 })), [
    ...sets,
    set("new", { replicas: 10, isNew: true, revision: 5 }),
  ]);
  assert.deepEqual(result.deletions, ["r1", "r2"]);
  const rolledOut = plan(rolling({ revisionHistoryLimit: 2 }), [
    ...sets,
    set("new", { replicas: 3, isNew: true, revision: 5 }),
  ]);
  assert.deepEqual(rolledOut.deletions, []);
});

test("deployment: when done, nothing is written and nothing is waited for", () => {
  const deployment = done(rolling());
  const result = plan(deployment, [set("new", { replicas: 10, isNew: true, revision: 5 })]);
  assert.deepEqual(result, { updates: [], deletions: [] });
});

function progressing(seconds: number, status: object = {}): Deployment {
  const deployment = rolling();
  deployment.metadata.annotations = { [revisionAnnotation]: "1" };
  deployment.status = {
    observedGeneration: 1,
    replicas: 10,
    updatedReplicas: 10,
    readyReplicas: 4,
    availableReplicas: 4,
    conditions: [
      {
        type: "Progressing",
        status: "True",
        reason: "ReplicaSetUpdated",
        message: 'ReplicaSet "new" is progressing.',
        lastUpdateTime: ago(seconds),
        lastTransitionTime: ago(5000),
      },
    ],
    ...status,
  };
  return deployment;
}

for (const [why, deployment, available, expected] of [
  ["complete", progressing(100), 10, 'True NewReplicaSetAvailable: ReplicaSet "new" has successfully progressed.'],
  ["progress", progressing(100), 5, 'True ReplicaSetUpdated: ReplicaSet "new" is progressing.'],
  ["no progress yet", progressing(100), 4, 'True ReplicaSetUpdated: ReplicaSet "new" is progressing.'],
  ["too late", progressing(601), 4, 'False ProgressDeadlineExceeded: ReplicaSet "new" has timed out progressing.'],
] satisfies [string, Deployment, number, string][])
  test(`deployment progress: ${why}`, () => {
    const result = plan(deployment, [set("new", { replicas: 10, available, isNew: true })]);
    assert.equal(condition(result, "Progressing"), expected);
    const written = result.write?.status?.conditions?.find(({ type }) => type === "Progressing");
    if (why === "progress") {
      assert.deepEqual([written?.lastUpdateTime, written?.lastTransitionTime], [ago(0), ago(5000)]);
    }
    if (why === "no progress yet") assert.equal(result.checkInMs, 501_000);
  });

test("deployment: a failure of a set shows", () => {
  const sick = set("new", { replicas: 10, isNew: true });
  sick.status = {
    replicas: 0,
    conditions: [
      { type: "ReplicaFailure", status: "True", reason: "FailedCreate", message: "quota", lastTransitionTime: ago(5) },
    ],
  };
  const result = plan(rolling(), [sick]);
  assert.equal(condition(result, "ReplicaFailure"), "True FailedCreate: quota");
  assert.equal(
    condition(result, "Available"),
    "False MinimumReplicasUnavailable: Deployment does not have minimum availability.",
  );
});

test("deployment: the old rollback annotation copies the template back", () => {
  const deployment = rolling();
  deployment.metadata.annotations = { "deprecated.deployment.rollback.to": "0", cause: "edit" };
  const old = set("old", { replicas: 0, revision: 1 });
  old.metadata.annotations = { ...old.metadata.annotations, cause: "create" };
  const { rollback } = plan(deployment, [old, set("new", { replicas: 10, isNew: true, revision: 2 })]);
  assert.equal(rollback?.deployment.spec?.template.spec?.containers[0]?.image, "old");
  assert.deepEqual(rollback?.deployment.metadata.annotations, { cause: "create" });
  assert.equal(rollback?.event?.message, 'Rolled back deployment "web" to revision 1');
});

/** Plays roll-outs with pods that become available or break by chance and holds the two promises of a rolling update. */
test("deployment rolls: never fewer available nor more pods than promised, whatever the pods do", () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
  for (let round = 0; round < 50; round++) {
    const replicas = 1 + Math.floor(random() * 12);
    const maxSurge = Math.floor(random() * 4);
    const maxUnavailable = Math.floor(random() * 4);
    const deployment = testDeployment("web", {
      replicas,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge, maxUnavailable } },
    });
    const unavailable = maxSurge + maxUnavailable === 0 ? 1 : maxUnavailable;
    let sets = [set("old", { replicas, desired: replicas, max: replicas + maxSurge })];
    let isDone = false;
    for (let step = 0; step < 200 && !isDone; step++) {
      const result = plan(deployment, sets);
      if (result.create) sets.push({ ...result.create.set, status: { replicas: 0 } });
      for (const update of result.updates) {
        sets = sets.map((each) => (each.metadata.name === update.set.metadata.name ? update.set : each));
      }
      // Broken pods go first, then pods appear, then some become available.
      for (const each of sets) {
        const size = each.spec?.replicas ?? 0;
        const available = Math.min(each.status?.availableReplicas ?? 0, size);
        const grown = available < size && random() < 0.5 ? available + 1 : available;
        each.status = { replicas: size, readyReplicas: grown, availableReplicas: grown };
      }
      const total = sets.reduce((sum, each) => sum + (each.spec?.replicas ?? 0), 0);
      const available = sets.reduce((sum, each) => sum + (each.status?.availableReplicas ?? 0), 0);
      const where = `seed ${seed} round ${round} step ${step}`;
      assert.ok(total <= replicas + maxSurge, `${where}: ${total} pods of ${replicas}+${maxSurge}`);
      assert.ok(available >= replicas - unavailable, `${where}: ${available} available of ${replicas}-${unavailable}`);
      isDone =
        sets.every((each) => (each.metadata.name === "old" ? 0 : replicas) === each.spec?.replicas) &&
        available === replicas;
    }
    assert.ok(isDone, `seed ${seed} round ${round}: not done`);
  }
});
