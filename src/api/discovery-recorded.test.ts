/** The facts against the discovery documents that a kube-apiserver 1.24 really gave. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { facts } from "./facts.ts";

const recordings = join(import.meta.dirname, "../../../shared/compat/recorded-1.24.jsonl");

interface RecordedResource {
  name: string;
  kind: string;
  namespaced: boolean;
  verbs: string[];
  group?: string;
  version?: string;
  shortNames?: string[];
  categories?: string[];
}

interface RecordedBody {
  groupVersion?: string;
  resources?: RecordedResource[];
  groups?: { name: string; versions: { groupVersion: string }[] }[];
}

function recorded(id: RegExp): RecordedBody[] {
  return readFileSync(recordings, "utf8")
    .split("\n")
    .filter((line) => line !== "" && id.test(line.slice(0, 100)))
    .map((line) => (JSON.parse(line) as { body: RecordedBody }).body); // cast: the recording's own format
}

/** As discovery would print the resources of a version from the facts. */
function discover(groupVersion: string): RecordedResource[] {
  return facts
    .resources()
    .filter((each) => each.groupVersion === groupVersion)
    .flatMap((each) => {
      const { plural, kind, namespaced, shortNames, categories } = each;
      return [
        {
          name: plural,
          kind,
          namespaced,
          verbs: [...each.verbs],
          ...(shortNames.length > 0 ? { shortNames: [...shortNames] } : {}),
          ...(categories.length > 0 ? { categories: [...categories] } : {}),
        },
        ...each.subresources.map((sub) => ({
          name: `${plural}/${sub.name}`,
          kind: sub.kind,
          namespaced,
          verbs: [...sub.verbs],
          ...(sub.group === each.group && sub.version === each.version
            ? {}
            : { group: sub.group, version: sub.version }),
        })),
      ];
    });
}

test("facts: resources of 1.24 are as its discovery printed them, in its order", {
  skip: !existsSync(recordings) && "no recordings",
}, () => {
  const lists = recorded(/"11-discovery-tables#\d+ (core|resources of)/);
  assert.ok(lists.length > 15);
  for (const { groupVersion = "", resources = [] } of lists) {
    const names = new Set(resources.map((each) => each.name));
    const expected = resources.map(({ name, kind, namespaced, verbs, group, version, shortNames, categories }) => ({
      name,
      kind,
      namespaced,
      verbs,
      ...(shortNames ? { shortNames } : {}),
      ...(categories ? { categories } : {}),
      ...(group === undefined ? {} : { group, version }),
    }));
    const found = discover(groupVersion).filter((each) => names.has(each.name));
    assert.deepEqual(found, expected, groupVersion);
  }
});

test("facts: groups and versions of 1.24 come in its order", {
  skip: !existsSync(recordings) && "no recordings",
}, () => {
  const [list] = recorded(/"11-discovery-tables#\d+ groups"/);
  const known = facts.groupVersions().map((each) => each.groupVersion);
  const expected = list?.groups?.flatMap((group) => group.versions.map((each) => each.groupVersion)) ?? [];
  const both = expected.filter((each) => known.includes(each));
  assert.ok(both.length > 15);
  assert.deepEqual(
    known.filter((each) => both.includes(each)),
    both,
  );
});
