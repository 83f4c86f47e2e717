import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { storageClassKind } from "./storage-class.ts";
import { volumeAttributesClassKind } from "./volume-attributes-class.ts";

const made = (more: object = {}) => tryCreate(storageClassKind, { provisioner: "example.com/nfs", ...more });
const terms = (...expressions: object[][]) => expressions.map((matchLabelExpressions) => ({ matchLabelExpressions }));

test("storage class: what a client leaves out", () => {
  const { object, errors } = made();
  assert.deepEqual(errors, []);
  assert.deepEqual([object.reclaimPolicy, object.volumeBindingMode], ["Delete", "Immediate"]);
  const { Age: _, ...cells } = tryColumns(storageClassKind, object);
  assert.deepEqual(cells, {
    Name: "a",
    Provisioner: "example.com/nfs",
    ReclaimPolicy: "Delete",
    VolumeBindingMode: "Immediate",
    AllowVolumeExpansion: false,
  });
  const annotations = { "storageclass.kubernetes.io/is-default-class": "true" };
  const marked = { ...object, metadata: { ...object.metadata, annotations } };
  assert.equal(tryColumns(storageClassKind, marked).Name, "a (default)");
});

test("storage class: what is refused", () => {
  const zone = { key: "zone", values: ["a"] };
  const parameters = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, "v"]));
  const at = "allowedTopologies[0].matchLabelExpressions";
  const cases: [object, string[]][] = [
    [{ provisioner: "" }, ["provisioner: Required value"]],
    [{ parameters: { "": "x" } }, ['parameters: Invalid value: "": field can not be empty.']],
    [{ parameters: parameters(512) }, []],
    [{ parameters: parameters(513) }, ["parameters: Too long: may not be more than 512 bytes"]],
    [{ parameters: { k: "v".repeat(262_144) } }, ["parameters: Too long: may not be more than 262144 bytes"]],
    [
      { reclaimPolicy: "Recycle" },
      ['reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"'],
    ],
    [
      { volumeBindingMode: "Later" },
      ['volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"'],
    ],
    [{ allowedTopologies: terms([zone]) }, []],
    [{ allowedTopologies: terms([{ key: "zone" }]) }, [`${at}[0].values: Required value`]],
    [{ allowedTopologies: terms([{ ...zone, values: ["a", "a"] }]) }, [`${at}[0].values[1]: Duplicate value: "a"`]],
    [{ allowedTopologies: terms([zone, zone]) }, [`${at}[1].key: Duplicate value: "zone"`]],
    [{ allowedTopologies: terms([zone], [zone]) }, ['allowedTopologies[1].matchLabelExpressions: Duplicate value: ""']],
  ];
  for (const [more, expected] of cases) assert.deepEqual(made(more).errors, expected);
});

test("storage class: what an update may change", () => {
  const { object } = made({ parameters: { type: "fast" } });
  const { errors } = tryUpdate(storageClassKind, object, {
    change(storageClass) {
      storageClass.parameters = { type: "slow" };
      storageClass.provisioner = "other";
      storageClass.reclaimPolicy = "Retain";
      storageClass.volumeBindingMode = "WaitForFirstConsumer";
      storageClass.allowVolumeExpansion = true;
    },
  });
  assert.deepEqual(errors, [
    'parameters: Invalid value: {"type":"slow"}: field is immutable',
    'provisioner: Invalid value: "other": field is immutable',
    'reclaimPolicy: Invalid value: "Retain": field is immutable',
    'volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable',
  ]);
});

test("volume attributes class", () => {
  const sent = { driverName: "d.example.com", parameters: { iops: "1" } };
  const { object, errors } = tryCreate(volumeAttributesClassKind, sent);
  assert.deepEqual([errors, tryColumns(volumeAttributesClassKind, object).DriverName], [[], "d.example.com"]);
  assert.deepEqual(tryCreate(volumeAttributesClassKind, {}).errors, [
    "driverName: Required value",
    "parameters: Required value: must contain at least one key/value pair",
  ]);
  const change = (each: typeof object) => {
    each.driverName = "e";
    each.parameters = { iops: "2" };
  };
  assert.deepEqual(tryUpdate(volumeAttributesClassKind, object, { change }).errors, [
    "driverName: Forbidden: updates to driverName are forbidden.",
    "parameters: Forbidden: updates to parameters are forbidden.",
  ]);
});
