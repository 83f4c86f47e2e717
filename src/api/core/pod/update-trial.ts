/** Changes of pods for the tests of what they may be. */
import assert from "node:assert/strict";
import { type TrialAnswer, tryCreate, tryUpdate } from "../../trial.ts";
import type { Pod, PodSpec, PodStatus } from "../../types.d.ts";
import { podKind } from "../pod.ts";

export const madePod = (spec: object = {}, status: object = {}): Pod => {
  const containers = [
    { name: "c", image: "demo/a:1" },
    { name: "d", image: "demo/b:1" },
  ];
  const { object } = tryCreate(podKind, { spec: { containers, ...spec } });
  return { ...object, status: { ...object.status, ...status } };
};

/** Its parts, which it has for certain. */
export interface Parts {
  readonly pod: Pod;
  readonly spec: PodSpec;
  readonly status: PodStatus;
}

export function changePod(old: Pod, change: (parts: Parts) => void, subresource = ""): TrialAnswer<Pod> {
  return tryUpdate(podKind, old, {
    subresource,
    change(pod) {
      pod.spec ??= { containers: [] };
      pod.status ??= {};
      change({ pod, spec: pod.spec, status: pod.status });
    },
  });
}

export type Change = readonly [name: string, old: Pod, change: (parts: Parts) => void, errors: readonly string[]];

/** Of an error only the first line counts: then comes what differs. */
export function assertChanges(changes: readonly Change[], subresource = ""): void {
  for (const [name, old, change, wanted] of changes) {
    const errors = changePod(old, change, subresource).errors.map((error) => error.split("\n", 1)[0] ?? "");
    assert.deepEqual(errors, wanted, name);
  }
}
