import assert from "node:assert/strict";
import { test } from "node:test";
import { Place } from "./place.ts";
import * as names from "./resource-names.ts";

test("which names are known where", () => {
  const isFine = (check: (name: string, at: Place) => unknown, name: string) => {
    const at = Place.root("a");
    check(name, at);
    return at.errors.length === 0;
  };
  const cases: [name: string, container: boolean, pod: boolean, quota: boolean][] = [
    ["cpu", true, true, true],
    ["memory", true, true, true],
    ["ephemeral-storage", true, false, true],
    ["hugepages-2Mi", true, true, true],
    ["storage", false, false, false],
    ["pods", false, false, true],
    ["requests.cpu", false, false, true],
    ["disk", false, false, false],
    ["example.com/gpu", true, false, true],
    ["kubernetes.io/x", true, false, true],
    ["a b", false, false, false],
  ];
  for (const [name, container, pod, quota] of cases) {
    const fine = [names.validateContainerResourceName, names.validatePodResourceName, names.validateQuotaResourceName];
    assert.deepEqual(
      fine.map((check) => isFine(check, name)),
      [container, pod, quota],
      name,
    );
  }
});

test("whose resources they are", () => {
  assert.deepEqual(["cpu", "kubernetes.io/x", "example.com/x"].map(names.isNativeResource), [true, true, false]);
  assert.deepEqual(["example.com/x", "requests.example.com/x", "cpu"].map(names.isExtendedResource), [
    true,
    false,
    false,
  ]);
  assert.deepEqual(["cpu", "hugepages-1Gi", "example.com/x"].map(names.isOvercommitAllowed), [true, false, false]);
});

test("huge pages come whole", () => {
  assert.equal(names.isDivisibleHugePages("hugepages-2Mi", "4Mi"), true);
  assert.equal(names.isDivisibleHugePages("hugepages-2Mi", "3Mi"), false);
  assert.equal(names.isDivisibleHugePages("hugepages-odd", "3Mi"), false);
});
