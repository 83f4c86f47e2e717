/** Ranges of sizes and costs. Numbers above 2^53 are approximate; nothing gets above 2^64, which stands for "unknown". */

import type { CelType } from "../types.ts";

/** A number of cost units; from 2^53 on approximate, at most 2^64. */
export interface CostEstimate {
  readonly min: number;
  readonly max: number;
}

export type SizeEstimate = CostEstimate;

/** A place in an expression whose size is asked for: `["self", "spec", "items", "@items"]`; empty when it has no path. */
export interface SizedNode {
  readonly path: readonly string[];
  readonly type: CelType;
}

export type SizeEstimator = (node: SizedNode) => SizeEstimate | undefined;

export const costMax = 2 ** 64;

/** What traversing a string costs per character, and a regular expression per character of the pattern. */
export const traversalFactor = 0.1;
export const regexFactor = 0.25;
export const listCost = 10;
export const mapCost = 30;
export const structCost = 40;

export const fixed = (n: number): CostEstimate => ({ min: n, max: n });
export const unknownSize: SizeEstimate = { min: 0, max: costMax };

const bounded = (n: number): number => Math.min(n, costMax);

export const plus = (...ranges: readonly CostEstimate[]): CostEstimate =>
  ranges.reduce((a, b) => ({ min: bounded(a.min + b.min), max: bounded(a.max + b.max) }), fixed(0));

export const times = (a: CostEstimate, b: CostEstimate): CostEstimate => ({
  min: bounded(a.min * b.min),
  max: bounded(a.max * b.max),
});

/** Rounded up. */
export const scaled = (a: CostEstimate, factor: number): CostEstimate => ({
  min: bounded(Math.ceil(a.min * factor)),
  max: bounded(Math.ceil(a.max * factor)),
});

export const union = (a: CostEstimate, b: CostEstimate): CostEstimate => ({
  min: Math.min(a.min, b.min),
  max: Math.max(a.max, b.max),
});

/** Nothing yet: the identity of union. */
export const emptyRange: CostEstimate = { min: costMax, max: 0 };
