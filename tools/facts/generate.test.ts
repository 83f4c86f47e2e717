import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { generate } from "./generate.ts";
import { parseProto } from "./proto.ts";

const root = join(import.meta.dirname, "../..");
const reference = join(root, "../shared/reference");

test("facts: the committed files are what the reference gives", {
  skip: !existsSync(reference) && "no reference data",
}, () => {
  for (const [path, text] of generate(reference))
    assert.ok(
      text === readFileSync(join(root, "src", path), "utf8"),
      `src/${path} is not what the generator writes: run it again`,
    );
});

test("facts: no description gets in", () => {
  for (const path of ["api/facts.json", "kubelet/cri/facts.json"])
    assert.doesNotMatch(readFileSync(join(root, "src", path), "utf8"), /\b(the|that|should|must)\b/);
});

test("proto reader: messages, maps, oneofs, enums within, streams and markers", () => {
  const file = parseProto(`
syntax = "proto3";
package a.v1;
/* message Not { string x = 1; } */
service S {
  // message NotEither
  rpc One(Empty) returns (M) {}
  rpc Many(Empty)
    returns (stream M) {}
}
message Empty {}
message M {
  enum E {
    ZERO = 0;
    ONE = 1;
  }
  // +optional
  // Words about it.
  // +listType=set
  repeated string list = 1;
  map<string, .b.Other> map = 2; // and a comment
  oneof choice {
    E e = 3;
    M m = 4 [deprecated=true];
  }
  optional int64 last = 5;
}
`);
  assert.deepEqual(
    file.services[0]?.methods.map(({ name, serverStream }) => [name, serverStream]),
    [
      ["One", false],
      ["Many", true],
    ],
  );
  assert.deepEqual(
    [...(file.enums[0]?.values ?? [])],
    [
      ["ZERO", 0],
      ["ONE", 1],
    ],
  );
  const [, message] = file.messages;
  assert.deepEqual(
    message?.fields.map(({ name, number, type, repeated, map, oneof }) => [name, number, type, repeated, map, oneof]),
    [
      ["list", 1, "string", true, false, undefined],
      ["map", 2, "b.Other", false, true, undefined],
      ["e", 3, "a.v1.E", false, false, "choice"],
      ["m", 4, "a.v1.M", false, false, "choice"],
      ["last", 5, "int64", false, false, undefined],
    ],
  );
  assert.deepEqual(message?.fields[0]?.markers, ["optional", "listType=set"]);
});
