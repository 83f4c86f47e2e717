/** The annotations in which autoscaling/v1 carries what it has no fields for. In v2 they mean nothing and are dropped. */
import { assert } from "#base";
import { checkTyped, DecodeError, QuantityError, TimeError } from "#machinery";
import { facts } from "../../facts.ts";
import type { HorizontalPodAutoscaler, ObjectMeta } from "../../types.d.ts";

const prefix = "autoscaling.alpha.kubernetes.io/";
const annotations = {
  behavior: `${prefix}behavior`,
  conditions: `${prefix}conditions`,
  currentMetrics: `${prefix}current-metrics`,
  metrics: `${prefix}metrics`,
} as const;

type Note = keyof typeof annotations;

export function dropNotes(metadata: ObjectMeta): void {
  for (const key of Object.values(annotations)) delete metadata.annotations?.[key];
  if (metadata.annotations && Object.keys(metadata.annotations).length === 0) delete metadata.annotations;
}

export function writeNotes(metadata: ObjectMeta, notes: Readonly<Partial<Record<Note, object>>>): void {
  for (const [note, value] of Object.entries(notes)) {
    metadata.annotations = { ...metadata.annotations, [annotations[note as Note]]: JSON.stringify(value) }; // a key of ours
  }
}

/** What `from` makes of the note; undefined when it isn't there or isn't what it should be, which upstream passes over. */
export function readNote<T>(
  metadata: ObjectMeta,
  note: Note,
  { from }: { from: (value: object) => T | undefined },
): T | undefined {
  const text = metadata.annotations?.[annotations[note]];
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? from(value) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || isMisfit(error)) return undefined;
    throw error;
  }
}

const isMisfit = (error: unknown): boolean =>
  error instanceof DecodeError || error instanceof QuantityError || error instanceof TimeError;

type Part<F extends "spec" | "status"> = Partial<NonNullable<HorizontalPodAutoscaler[F]>>;

/** A part of an autoscaler as a decoder would have read it. Throws where a field is not of its type. */
export function fitting<F extends "spec" | "status">(field: F, part: Part<F>): Part<F> {
  const type = facts.typeOf("autoscaling/v2", "HorizontalPodAutoscaler");
  assert(type, "the facts know autoscalers");
  checkTyped({ [field]: part }, type);
  return part;
}

export function listOf<T>(value: object, from: (each: object) => T): T[] {
  if (!Array.isArray(value)) throw new DecodeError("not a list");
  return value.map((each: unknown) => {
    if (typeof each === "object" && each !== null) return from(each);
    throw new DecodeError("not an object");
  });
}
