/**
 * When the node is short of something: thresholds as KubeletConfiguration writes them. Pure; names, rules and messages are upstream's
 * (pkg/kubelet/eviction/helpers.go).
 */
import { durationProblem, parseDuration } from "#base";
import { parseQuantity, printQuantity, type Quantity, quantityOf, quantitySign, quantityValue } from "#machinery";
import type { KubeletConfiguration } from "../config/configuration.ts";

export type PressureCondition = "MemoryPressure" | "DiskPressure" | "PIDPressure";
/** What is taken back from pods; `inodes` and `pids` are names of messages only. */
export type StarvedResource = "memory" | "ephemeral-storage" | "inodes" | "pids";

export const signals = {
  "memory.available": { condition: "MemoryPressure", resource: "memory" },
  "allocatableMemory.available": { condition: "MemoryPressure", resource: "memory" },
  "nodefs.available": { condition: "DiskPressure", resource: "ephemeral-storage" },
  "nodefs.inodesFree": { condition: "DiskPressure", resource: "inodes" },
  "imagefs.available": { condition: "DiskPressure", resource: "ephemeral-storage" },
  "imagefs.inodesFree": { condition: "DiskPressure", resource: "inodes" },
  "containerfs.available": { condition: "DiskPressure", resource: "ephemeral-storage" },
  "containerfs.inodesFree": { condition: "DiskPressure", resource: "inodes" },
  "pid.available": { condition: "PIDPressure", resource: "pids" },
} as const satisfies Record<string, { condition: PressureCondition; resource: StarvedResource }>;

export type Signal = keyof typeof signals;

/** An amount, or a share (0 to 1) of what there is. */
export type Bound = { readonly quantity: Quantity } | { readonly share: number };

export interface Threshold {
  readonly signal: Signal;
  readonly value: Bound;
  /** 0: hard. */
  readonly graceMs: number;
  /** When pods are evicted for it, so much more must become free. */
  readonly minReclaim?: Bound;
}

export type EvictionSettings = Pick<
  KubeletConfiguration,
  | "evictionHard"
  | "evictionSoft"
  | "evictionSoftGracePeriod"
  | "evictionMinimumReclaim"
  | "mergeDefaultEvictionSettings"
  | "enforceNodeAllocatable"
>;

/** Hard ones that count although a file names others, with `mergeDefaultEvictionSettings`. */
const hardDefaults: Readonly<Record<string, string>> = {
  "memory.available": "100Mi",
  "nodefs.available": "10%",
  "nodefs.inodesFree": "5%",
  "imagefs.available": "15%",
  "imagefs.inodesFree": "5%",
};

/** Throws with upstream's text. */
export function parseThresholds(config: EvictionSettings): Threshold[] {
  const { evictionHard, mergeDefaultEvictionSettings, evictionSoft, enforceNodeAllocatable } = config;
  const hard = parseAll(mergeDefaultEvictionSettings ? { ...hardDefaults, ...evictionHard } : evictionHard);
  const soft = parseAll(evictionSoft);
  const graces = new Map(Object.entries(config.evictionSoftGracePeriod).map(parseGrace));
  const reclaims = new Map(Object.entries(config.evictionMinimumReclaim).map(parseReclaim));
  const graced = soft.map((threshold) => {
    const graceMs = graces.get(threshold.signal);
    if (graceMs === undefined)
      throw new Error(`grace period must be specified for the soft eviction threshold ${threshold.signal}`);
    return { ...threshold, graceMs };
  });
  const all = [...hard, ...graced].map((threshold): Threshold => {
    const minReclaim = reclaims.get(threshold.signal);
    return minReclaim ? { ...threshold, minReclaim } : threshold;
  });
  if (!enforceNodeAllocatable.includes("pods")) return all;
  const ofPods = all.filter(({ signal, graceMs }) => signal === "memory.available" && graceMs === 0);
  return [...all, ...ofPods.map((threshold): Threshold => ({ ...threshold, signal: "allocatableMemory.available" }))];
}

/**
 * Nobody sets thresholds of containers' disk: they are those of the disk that it is. `ignored`: those that somebody set, as upstream warns.
 */
export function withContainerFs(thresholds: readonly Threshold[], { dedicated, split }: FileSystemLayout) {
  const own = (signal: Signal) => signal.startsWith("containerfs.");
  const like = dedicated && !split ? "imagefs." : "nodefs.";
  const derived = thresholds
    .filter(({ signal }) => signal.startsWith(like))
    .map(
      (threshold): Threshold => ({ ...threshold, signal: threshold.signal.replace(like, "containerfs.") as Signal }),
    ); // of this table
  return {
    thresholds: [...thresholds.filter(({ signal }) => !own(signal)), ...derived],
    ignored: thresholds
      .filter(({ signal }) => own(signal))
      .map(({ signal, graceMs }) => `found ${signal} for ${graceMs > 0 ? "soft" : "hard"} eviction. ignoring`),
  };
}

export interface FileSystemLayout {
  /** Images are on another disk than the node's files. */
  readonly dedicated: boolean;
  /** What containers write is on another disk than images. */
  readonly split: boolean;
}

/** What must be left, of `capacity`. */
export const amountOf = (bound: Bound, capacity: number): number =>
  "quantity" in bound ? quantityValue(bound.quantity) : Math.trunc(capacity * bound.share);

export const printAmount = (bound: Bound, capacity: number): string =>
  "quantity" in bound ? printQuantity(bound.quantity) : printBytes(amountOf(bound, capacity));

/** As upstream prints amounts that it measured: `12Ki`, `1000`. */
export const printBytes = (value: number): string => printQuantity(quantityOf(value, "BinarySI"));

function parseAll(statements: Readonly<Record<string, string>>): Threshold[] {
  return Object.entries(statements).flatMap(([name, text]): Threshold[] => {
    const signal = signalOf(name);
    // Nothing, or everything: no threshold.
    if (text === "0%" || text === "100%") return [];
    if (text.endsWith("%")) {
      const share = parseShare(text);
      if (share < 0) throw new Error(`eviction percentage threshold ${signal} must be >= 0%: ${text}`);
      if (share > 1) throw new Error(`eviction percentage threshold ${signal} must be <= 100%: ${text}`);
      return [{ signal, value: { share }, graceMs: 0 }];
    }
    const quantity = parseQuantity(text);
    if (quantitySign(quantity) <= 0)
      throw new Error(`eviction threshold ${signal} must be positive: ${printQuantity(quantity)}`);
    return [{ signal, value: { quantity }, graceMs: 0 }];
  });
}

function parseGrace([name, text]: readonly [string, string]): [Signal, number] {
  const signal = signalOf(name);
  const ms = parseDuration(text);
  if (ms === undefined) throw new Error(durationProblem(text));
  if (ms < 0) throw new Error(`invalid eviction grace period specified: ${text}, must be a positive value`);
  return [signal, ms];
}

function parseReclaim([name, text]: readonly [string, string]): [Signal, Bound] {
  const signal = signalOf(name);
  if (text.endsWith("%")) {
    const share = parseShare(text);
    if (share <= 0) throw new Error(`eviction percentage minimum reclaim ${signal} must be positive: ${text}`);
    return [signal, { share }];
  }
  const quantity = parseQuantity(text);
  if (quantitySign(quantity) < 0) throw new Error(`negative eviction minimum reclaim specified for ${signal}`);
  return [signal, { quantity }];
}

function signalOf(name: string): Signal {
  if (!Object.hasOwn(signals, name)) throw new Error(`unsupported eviction signal ${name}`);
  return name as Signal; // checked on the line above
}

/** In the precision that upstream has, so that 15 % of a disk is the same number of bytes. */
function parseShare(text: string): number {
  const number = text.replace(/%+$/, "");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(number))
    throw new Error(`strconv.ParseFloat: parsing ${JSON.stringify(number)}: invalid syntax`);
  return Math.fround(Math.fround(Number(number)) / 100);
}
