import assert from "node:assert/strict";
import { test } from "node:test";
import { assertChanges, changePod, madePod } from "./update-trial.ts";

const add = (...ephemeralContainers: object[]) =>
  changePod(madePod(), ({ spec }) => Object.assign(spec, { ephemeralContainers }), "ephemeralcontainers");

test("a container for debugging is added, and nothing else", () => {
  const { object, errors } = changePod(
    madePod(),
    ({ spec }) => Object.assign(spec, { ephemeralContainers: [{ name: "x", image: "i" }], nodeName: "n" }),
    "ephemeralcontainers",
  );
  assert.deepEqual(errors, []);
  assert.equal(object.spec?.nodeName, undefined);
  assert.equal(object.spec?.ephemeralContainers?.[0]?.imagePullPolicy, "Always");
  assert.equal(object.metadata.generation, 2);
});

test("what it may not be", () => {
  const forbidden = (field: string) =>
    `spec.ephemeralContainers[0].${field}: Forbidden: cannot be set for an Ephemeral Container`;
  const { errors } = add({
    name: "c",
    image: "",
    targetContainerName: "zz",
    ports: [{ containerPort: 1 }],
    resources: { limits: { cpu: "1" } },
    livenessProbe: {},
  });
  assert.deepEqual(errors, [
    "spec.ephemeralContainers[0].image: Required value",
    'spec.ephemeralContainers[0].name: Duplicate value: "c"',
    'spec.ephemeralContainers[0].targetContainerName: Not found: "zz"',
    forbidden("ports"),
    forbidden("resources"),
    forbidden("livenessProbe"),
  ]);
});

test("once there it stays as it is", () => {
  const old = add({ name: "x", image: "i" }).object;
  assertChanges(
    [
      [
        "gone",
        old,
        ({ spec }) => Object.assign(spec, { ephemeralContainers: [] }),
        ['spec.ephemeralContainers: Forbidden: existing ephemeral containers "x" may not be removed'],
      ],
      [
        "another image",
        old,
        ({ spec }) => Object.assign(spec.ephemeralContainers?.[0] ?? {}, { image: "z" }),
        ['spec.ephemeralContainers: Forbidden: existing ephemeral containers "x" may not be changed'],
      ],
      ["one more", old, ({ spec }) => spec.ephemeralContainers?.push({ name: "y", image: "i" }), []],
    ],
    "ephemeralcontainers",
  );
});
