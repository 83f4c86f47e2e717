/** One filled-in object of every kind, as upstream's own test data has it: JSON and protobuf must turn into each other. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createProtobufCodec, decodeEnvelope } from "#machinery";
import { facts } from "./facts.ts";

const folder = join(import.meta.dirname, "../../../shared/reference/kubernetes/roundtrip");

test("facts: every kind goes from JSON to protobuf and back byte for byte", {
  skip: !existsSync(folder) && "no reference data",
}, () => {
  const codec = createProtobufCodec("kubernetes");
  const names = globSync("*.json", { cwd: folder });
  assert.ok(names.length >= 185);
  for (const name of names) {
    const object: { apiVersion?: string; kind?: string } = JSON.parse(readFileSync(join(folder, name), "utf8"));
    const bytes = readFileSync(join(folder, name.replace(/json$/, "pb")));
    // A watch event carries neither.
    const { apiVersion = "v1", kind = "WatchEvent" } = object;
    const type = facts.typeOf(apiVersion, kind);
    assert.ok(type, `${apiVersion} ${kind} is unknown`);
    const envelope = decodeEnvelope(bytes);
    assert.deepEqual([envelope.apiVersion, envelope.kind], [object.apiVersion ?? "", object.kind ?? ""], name);
    const { apiVersion: _, kind: __, ...fields } = object;
    assert.deepEqual(codec.decode(type, envelope.raw), fields, name);
    assert.ok(codec.encodeObject(type, object).equals(bytes), `${name}: other bytes`);
  }
});
