import assert from "node:assert/strict";
import { test } from "node:test";
import { aggregatedOrder, legacyOrder, type ServedGroup } from "./group-order.ts";

const row = (text: string) => {
  const [group = "", version = "", groupPriority = "", versionPriority = ""] = text.split(" ");
  return { group, version, groupPriority: Number(groupPriority), versionPriority: Number(versionPriority) };
};
const print = (groups: readonly ServedGroup[]) =>
  groups.map(({ group, versions }) => `${group} ${versions.map(({ version }) => version)}`);

test("group order: the highest version places its group; versions by priority, then by what they promise", () => {
  const rows = ["b v1 1 9", "a v1 5 9", "b v2 9 1", "a v1beta1 5 9", "a v2alpha1 5 9", "a v10 5 9", "a x 5 9"].map(row);
  const wanted = ["b v1,v2", "a v10,v1,v1beta1,v2alpha1,x"];
  assert.deepEqual(print(legacyOrder(rows)), wanted);
  assert.deepEqual(print(aggregatedOrder(rows)), wanted);
});

test("group order: among equals the old document looks at the version first, the new one at the group", () => {
  const rows = ["a v2 1 1", "b v1 1 1"].map(row);
  assert.deepEqual(print(legacyOrder(rows)), ["b v1", "a v2"]);
  assert.deepEqual(print(aggregatedOrder(rows)), ["a v2", "b v1"]);
});
