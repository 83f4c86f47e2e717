import assert from "node:assert/strict";
import { test } from "node:test";
import { validateConditions } from "./condition-validation.ts";
import { type FieldError, FieldPath } from "./field.ts";
import {
  missingResourceVersion,
  validateLabelSelector,
  validateManagedFields,
  validateObjectMeta,
  validateObjectMetaUpdate,
} from "./meta-validation.ts";
import { nameIsDnsSubdomain } from "./names.ts";
import type { ObjectMeta } from "./object.ts";

const print = (errors: readonly FieldError[]) => errors.map(({ field, message }) => `${field}: ${message}`);

const create = (meta: ObjectMeta, anyFinalizer = false) =>
  print(validateObjectMeta(meta, { namespaced: true, checkName: nameIsDnsSubdomain, anyFinalizer }));

const good: ObjectMeta = { name: "a", namespace: "b" };

test("metadata: what is wrong at creation", () => {
  const owner = { apiVersion: "v1", kind: "Pod", name: "p", uid: "u" };
  const cases: [meta: ObjectMeta, errors: (string | RegExp)[]][] = [
    [good, []],
    [
      {
        ...good,
        labels: { "example.com/x": "y", z: "" },
        annotations: { "Example.com/x": "any thing" },
        finalizers: ["kubernetes", "example.com/x"],
        ownerReferences: [{ ...owner, controller: true }, owner],
      },
      [],
    ],
    [{ namespace: "b" }, ["metadata.name: Required value: name or generateName is required"]],
    [{ ...good, generateName: "web-" }, []],
    [
      { ...good, generateName: "Ab-" },
      [/^metadata.generateName: Invalid value: "Ab-": a lowercase RFC 1123 subdomain/],
    ],
    [{ name: "a" }, ["metadata.namespace: Required value"]],
    [{ name: "a", namespace: "a.b" }, ['metadata.namespace: Invalid value: "a.b": must not contain dots']],
    [{ ...good, generation: -1 }, ["metadata.generation: Invalid value: -1: must be greater than or equal to 0"]],
    [
      { ...good, labels: { "a b": "c d" } },
      [
        /^metadata.labels: Invalid value: "a b": name part must consist of/,
        /^metadata.labels: Invalid value: "c d": a valid label must be an empty string/,
      ],
    ],
    [
      { ...good, annotations: { "/x": "1" } },
      ['metadata.annotations: Invalid value: "/x": prefix part must be non-empty'],
    ],
    [
      { ...good, annotations: { x: "a".repeat(256 * 1024) } },
      ["metadata.annotations: Too long: may not be more than 262144 bytes"],
    ],
    [
      { ...good, finalizers: ["x"] },
      [
        'metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified',
      ],
    ],
    [
      { ...good, finalizers: ["orphan", "foregroundDeletion"] },
      [
        'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set',
      ],
    ],
    [
      { ...good, ownerReferences: [{ apiVersion: "", kind: "", name: "", uid: "" }] },
      [
        'metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty',
        'metadata.ownerReferences.kind: Invalid value: "": must not be empty',
        'metadata.ownerReferences.name: Invalid value: "": must not be empty',
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
      ],
    ],
    [
      { ...good, ownerReferences: [{ ...owner, kind: "Event" }] },
      [
        'metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"p","uid":"u"}: /v1, Kind=Event is disallowed from being an owner',
      ],
    ],
    [
      {
        ...good,
        ownerReferences: [
          { ...owner, controller: true },
          { ...owner, name: "q", controller: true },
        ],
      },
      [/Only one reference can have Controller set to true. Found "true" in references for Pod\/p and Pod\/q$/],
    ],
  ];
  for (const [meta, errors] of cases) {
    const found = create(meta);
    assert.equal(found.length, errors.length, found.join("\n"));
    errors.forEach((error, i) => {
      if (typeof error === "string") assert.equal(found[i], error);
      else assert.match(found[i] ?? "", error);
    });
  }
  assert.deepEqual(create({ ...good, finalizers: ["x"] }, true), [], "custom resources may");
  const cluster = validateObjectMeta(good, { namespaced: false, checkName: nameIsDnsSubdomain });
  assert.deepEqual(print(cluster), ["metadata.namespace: Forbidden: not allowed on this type"]);
});

test("metadata: what an update may not change", () => {
  const old: ObjectMeta = {
    ...good,
    uid: "u",
    resourceVersion: "1",
    generation: 2,
    creationTimestamp: "2026-01-01T00:00:00Z",
    finalizers: ["example.com/x"],
  };
  const cases: [meta: ObjectMeta, old: ObjectMeta, errors: string[]][] = [
    [{ ...old, labels: { a: "b" } }, old, []],
    [{ ...old, uid: "x" }, old, ['metadata.uid: Invalid value: "x": field is immutable']],
    [
      { ...old, resourceVersion: "" },
      old,
      ['metadata.resourceVersion: Invalid value: "": must be specified for an update'],
    ],
    [{ ...old, generation: 1 }, old, ["metadata.generation: Invalid value: 1: must not be decremented"]],
    [
      { ...good, uid: "u", resourceVersion: "1", generation: 2 },
      old,
      ["metadata.creationTimestamp: Invalid value: null: field is immutable"],
    ],
    [
      { ...old, deletionTimestamp: "2026-01-02T00:00:00Z" },
      old,
      ['metadata.deletionTimestamp: Invalid value: "2026-01-02T00:00:00Z": field is immutable'],
    ],
    [
      { ...old, deletionTimestamp: "x", finalizers: ["example.com/y", "example.com/x"] },
      { ...old, deletionTimestamp: "x" },
      [
        'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/y"}',
      ],
    ],
  ];
  for (const [meta, before, errors] of cases) assert.deepEqual(print(validateObjectMetaUpdate(meta, before)), errors);
  assert.deepEqual(print([missingResourceVersion()]), [
    "metadata.resourceVersion: Invalid value: 0: must be specified for an update",
  ]);
});

test("metadata: managed fields", () => {
  const path = FieldPath.root("managedFields");
  assert.deepEqual(
    print(validateManagedFields([{ operation: "Apply", fieldsType: "FieldsV1", manager: "m" }], path)),
    [],
  );
  assert.deepEqual(
    print(validateManagedFields([{ fieldsType: "X", manager: "é\n", subresource: "s".repeat(257) }], path)),
    [
      'managedFields[0].operation: Invalid value: "": must be `Apply` or `Update`',
      'managedFields[0].fieldsType: Invalid value: "X": must be `FieldsV1`',
      'managedFields[0].manager: Invalid value: "é\\n": invalid character U+000A (at position 2)',
      "managedFields[0].subresource: Too long: may not be more than 256 bytes",
    ],
  );
});

test("metadata: label selectors in specs", () => {
  const path = FieldPath.root("spec").child("selector");
  assert.deepEqual(validateLabelSelector(undefined, path), []);
  const selector = {
    matchExpressions: [
      { key: "a", operator: "In" },
      { key: "a", operator: "Exists", values: ["x"] },
      { key: "a", operator: "Odd" },
      { key: "a", operator: "NotIn", values: ["-"] },
    ],
  };
  const found = print(validateLabelSelector(selector, path));
  assert.deepEqual(found.slice(0, 3), [
    "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    "spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
    'spec.selector.matchExpressions[2].operator: Invalid value: "Odd": not a valid selector operator',
  ]);
  assert.match(found[3] ?? "", /^spec.selector.matchExpressions\[3\].values\[0\]: Invalid value: "-": a valid label/);
  assert.equal(print(validateLabelSelector(selector, path, { anyValue: true, anyOperator: true })).length, 2);
});

test("metadata: conditions", () => {
  const path = FieldPath.root("conditions");
  const ready = { type: "Ready", status: "True", reason: "Ok", lastTransitionTime: "2026-01-01T00:00:00Z" };
  assert.deepEqual(validateConditions([ready], path), []);
  assert.deepEqual(print(validateConditions([ready, { type: "Ready", observedGeneration: -1 }], path)), [
    'conditions[1].type: Duplicate value: "Ready"',
    'conditions[1].status: Unsupported value: "": supported values: "False", "True", "Unknown"',
    "conditions[1].observedGeneration: Invalid value: -1: must be greater than or equal to zero",
    "conditions[1].lastTransitionTime: Required value",
    "conditions[1].reason: Required value",
  ]);
});
