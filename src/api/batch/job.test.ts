import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import type { Job } from "../types.d.ts";
import { jobKind } from "./job.ts";

const template = { spec: { containers: [{ name: "c", image: "demo/a:1" }], restartPolicy: "Never" } };
const sent = (spec: object = {}, metadata: object = {}) => ({
  metadata: { name: "one", namespace: "n", ...metadata },
  spec: { template, ...spec },
});
const errorsOf = (spec: object, metadata?: object) => tryCreate(jobKind, sent(spec, metadata)).errors;

test("job: what a client leaves out", () => {
  const { object, errors, warnings } = tryCreate(jobKind, sent());
  assert.deepEqual([errors, warnings], [[], []]);
  const labels = {
    "batch.kubernetes.io/controller-uid": "u",
    "batch.kubernetes.io/job-name": "one",
    "controller-uid": "u",
    "job-name": "one",
  };
  assert.deepEqual(object.metadata.labels, labels);
  const { template: pods, ...rest } = object.spec ?? { template: {} };
  assert.deepEqual(pods.metadata?.labels, labels);
  assert.deepEqual(rest, {
    parallelism: 1,
    completions: 1,
    backoffLimit: 6,
    selector: { matchLabels: { "batch.kubernetes.io/controller-uid": "u" } },
    manualSelector: false,
    completionMode: "NonIndexed",
    suspend: false,
    podReplacementPolicy: "TerminatingOrFailed",
  });
});

test("job: defaults that hang together", () => {
  const spec = (sentSpec: object) => tryCreate(jobKind, sent(sentSpec)).object.spec;
  assert.equal(spec({ parallelism: 2 })?.completions, undefined);
  const indexed = { completionMode: "Indexed", completions: 3 };
  assert.equal(spec({ ...indexed, backoffLimitPerIndex: 1 })?.backoffLimit, 2147483647);
  const onPodConditions = [{ type: "DisruptionTarget" }];
  const policy = spec({ podFailurePolicy: { rules: [{ action: "Ignore", onPodConditions }] } });
  assert.equal(policy?.podReplacementPolicy, "Failed");
  assert.equal(policy?.podFailurePolicy?.rules[0]?.onPodConditions?.[0]?.status, "True");
});

test("job: labels of the template are the job's too, unless it has its own", () => {
  const labelled = { ...template, metadata: { labels: { own: "label" } } };
  const labels = (metadata?: object) =>
    Object.keys(tryCreate(jobKind, sent({ template: labelled }, metadata)).object.metadata.labels ?? {}).sort();
  assert.deepEqual(labels().at(-1), "own");
  assert.equal(labels().length, 5);
  assert.deepEqual(labels({ labels: { mine: "x" } }), ["mine"]);
});

test("job: what is refused", () => {
  const indexed = { completionMode: "Indexed", completions: 3 };
  const nonNegative = "must be greater than or equal to 0";
  const always = { spec: { ...template.spec, restartPolicy: "Always" } };
  const cases: [object, string[]][] = [
    [{ template: always }, ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']],
    [
      { parallelism: -1, backoffLimit: -1 },
      [`spec.parallelism: Invalid value: -1: ${nonNegative}`, `spec.backoffLimit: Invalid value: -1: ${nonNegative}`],
    ],
    [
      { completionMode: "Indexed", parallelism: 1 },
      ["spec.completions: Required value: when completion mode is Indexed"],
    ],
    [{ backoffLimitPerIndex: 1 }, ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"]],
    [
      { ...indexed, maxFailedIndexes: 4 },
      [
        "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
        "spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions",
      ],
    ],
    [
      { managedBy: "x" },
      ['spec.managedBy: Invalid value: "x": must be a domain-prefixed path (such as "acme.io/foo")'],
    ],
    [
      { successPolicy: { rules: [{}] }, ...indexed },
      [
        "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified",
      ],
    ],
    [
      { selector: { matchLabels: { a: "b" } } },
      [
        'spec.selector: Invalid value: {"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"u"}}: `selector` not auto-generated',
        'spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"one","controller-uid":"u","job-name":"one"}: `selector` does not match template `labels`',
      ],
    ],
    [
      { podReplacementPolicy: "Odd" },
      ['spec.podReplacementPolicy: Unsupported value: "Odd": supported values: "Failed", "TerminatingOrFailed"'],
    ],
  ];
  for (const [spec, errors] of cases) assert.deepEqual(errorsOf(spec), errors, JSON.stringify(spec));
  const name = "a".repeat(62);
  assert.deepEqual(errorsOf({ completionMode: "Indexed", completions: 100 }, { name }), [
    `metadata.name: Invalid value: "${name}": will not able to create pod with invalid DNS label: ${name}-99`,
  ]);
});

const change = (old: Job, spec: object) =>
  tryUpdate(jobKind, old, { change: (job) => void Object.assign(job.spec ?? {}, spec) });

test("job: what may change", () => {
  const { object: old } = tryCreate(jobKind, sent());
  assert.deepEqual(change(old, { parallelism: 3, suspend: true, activeDeadlineSeconds: 5 }).errors, []);
  const immutable = "field is immutable";
  assert.deepEqual(change(old, { completions: 4 }).errors, [`spec.completions: Invalid value: 4: ${immutable}`]);
  const { object: indexed } = tryCreate(jobKind, sent({ completionMode: "Indexed", completions: 2, parallelism: 2 }));
  assert.deepEqual(change(indexed, { completions: 3, parallelism: 3 }).errors, []);
  assert.deepEqual(change(indexed, { completions: 3 }).errors, [
    "spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism",
  ]);
  assert.deepEqual(change(old, { managedBy: "acme.io/x" }).errors, [
    `spec.managedBy: Invalid value: "acme.io/x": ${immutable}`,
  ]);
});

test("job: a suspended job's pods may be placed anew", () => {
  const { object: running } = tryCreate(jobKind, sent());
  const { object: suspended } = tryCreate(jobKind, sent({ suspend: true }));
  const placed = (job: Job, pod: object) => {
    const old = job.spec?.template;
    return change(job, { template: { ...old, spec: { ...old?.spec, ...pod } } }).errors.length;
  };
  const resources = [{ ...suspended.spec?.template.spec?.containers[0], resources: { requests: { cpu: "2" } } }];
  assert.equal(placed(suspended, { nodeSelector: { a: "b" } }), 0);
  assert.equal(placed(suspended, { containers: resources }), 0);
  assert.equal(placed(suspended, { hostNetwork: true }), 1);
  assert.equal(placed(running, { nodeSelector: { a: "b" } }), 1);
});

test("job: cells", () => {
  const { object } = tryCreate(jobKind, sent());
  const cells = (status: object, spec: object = {}) => {
    const { Status, Completions, Duration } = tryColumns(jobKind, {
      ...object,
      status,
      spec: { ...spec, template: {} },
    });
    return [Status, Completions, Duration];
  };
  const startTime = "2026-01-02T03:02:05Z";
  const done = [{ type: "Complete", status: "True" }];
  assert.deepEqual(cells({ startTime, succeeded: 1 }, { completions: 3 }), ["Running", "1/3", "2m"]);
  assert.deepEqual(cells({ conditions: done, startTime, completionTime: "2026-01-02T03:02:15Z" }, { parallelism: 2 }), [
    "Complete",
    "0/1 of 2",
    "10s",
  ]);
  assert.deepEqual(cells({ conditions: [{ type: "Suspended", status: "True" }] }), ["Suspended", "0/1", ""]);
});

test("job: deleting one without a word about its pods is worth a warning", () => {
  assert.equal(jobKind.warningsOnDelete?.({}).length, 1);
  assert.equal(jobKind.warningsOnDelete?.({ propagationPolicy: "Orphan" }).length, 0);
  assert.equal(jobKind.warningsOnDelete?.({ orphanDependents: false }).length, 0);
});
