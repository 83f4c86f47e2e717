import assert from "node:assert/strict";
import { test } from "node:test";
import { afterAnswer, initialProbeState } from "./probe-state.ts";
import type { ProbeType } from "./types.ts";

function verdicts(
  type: ProbeType,
  answers: string,
  thresholds: { successThreshold?: number; failureThreshold?: number },
) {
  let state = initialProbeState(type);
  return [...answers]
    .map((answer) => {
      state = afterAnswer(state, answer === "+", { type, spec: thresholds });
      return `${state.verdict === undefined ? "?" : state.verdict ? "+" : "-"}${state.done ? "!" : ""}`;
    })
    .join(" ");
}

test("thresholds: answers in a row turn the verdict", () => {
  assert.equal(verdicts("readiness", "-+--+++", { failureThreshold: 2, successThreshold: 2 }), "- - - - - + +");
  assert.equal(verdicts("readiness", "+-+--+", { failureThreshold: 2 }), "+ + + + - +");
});

test("liveness: ends with the failure that restarts the container", () => {
  assert.equal(verdicts("liveness", "-+--", { failureThreshold: 2 }), "+ + + -!");
});

test("startup: unknown until it succeeds or fails for good", () => {
  assert.equal(verdicts("startup", "--+", { failureThreshold: 3 }), "? ? +!");
  assert.equal(verdicts("startup", "---", { failureThreshold: 3 }), "? ? -!");
});
