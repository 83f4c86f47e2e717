/** Pods for the tests of what is in them: short ways to write one, and what validation says of it. */
import assert from "node:assert/strict";
import { podKind } from "../core/pod.ts";
import { tryCreate } from "../trial.ts";

export const c = (fields: object = {}) => ({ name: "c", image: "i", ...fields });
export const one = (fields: object) => ({ containers: [c(fields)] });
export const vol = (...volumes: object[]) => ({ containers: [c()], volumes });

/** What is said about formats is long, and tested with the formats. */
const shorten = (error: string): string => error.replace(/ must consist of .*$/, " …");

export const podErrors = (spec: object): string[] => tryCreate(podKind, { spec }).errors.map(shorten);

/** What a pod is called, its spec, and what is wrong with it. */
export type Refused = readonly [name: string, spec: object, errors: readonly string[]];

export function assertRefused(cases: readonly Refused[]): void {
  for (const [name, spec, errors] of cases) assert.deepEqual(podErrors(spec), errors, name);
}
