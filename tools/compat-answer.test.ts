import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { explainedSteps, laterFile, stepOf, summary } from "./compat-answer.ts";

const answer = (metadata: object, more: object = {}) =>
  summary({ status: 200, type: "application/json", body: { metadata, ...more } });

test("answers: what changes from run to run doesn't count, the rest does", () => {
  const one = answer({ name: "a", uid: "1", annotations: { at: "2026-01-01T00:00:00Z 10.96.0.1" } });
  assert.equal(one, answer({ annotations: { at: "2027-01-01T00:00:00Z 10.96.0.9" }, uid: "2", name: "a" }));
  assert.notEqual(one, answer({ name: "b", uid: "1", annotations: { at: "2026-01-01T00:00:00Z 10.96.0.1" } }));
  assert.notEqual(answer({}), answer({}, { spec: {} }));
  assert.match(summary({ status: 404, type: "", body: { reason: "NotFound" } }), /^404 NotFound [0-9a-f]{10}$/);
});

test("answers: every explained step has one of the later release, and no other", () => {
  assert.equal(stepOf("02-pods#012 old volumes"), "02#012");
  const later: unknown = JSON.parse(readFileSync(laterFile, "utf8"));
  assert.deepEqual(Object.keys(later as object).sort(), [...explainedSteps()].sort());
});
