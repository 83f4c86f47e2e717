/** Lists of indexes of a job's pods, `1,3-5,7`, as success policies and the status of indexed jobs have them. */
import { goQuote } from "#machinery";

/** First and last index. */
type Interval = readonly [number, number];

/** Says what is wrong with a text. */
class IndexesError extends Error {}

function readIndex(text: string, completions: number): number {
  if (!/^[+-]?[0-9]+$/.test(text)) {
    throw new IndexesError(`cannot convert string to integer for index: ${goQuote(text)}`);
  }
  if (Number(text) >= completions) throw new IndexesError(`too large index: ${goQuote(text)}`);
  return Number(text);
}

const outOfOrder = (previous: number, current: number): Error =>
  new IndexesError(`non-increasing order, previous: ${previous}, current: ${current}`);

function readInterval(text: string, completions: number): Interval {
  const [first = "", last, ...more] = text.split("-");
  if (more.length > 0) {
    const why = "violates the requirement that an index interval can have at most two parts separated by '-'";
    throw new IndexesError(`the fragment ${goQuote(text)} ${why}`);
  }
  const start = readIndex(first, completions);
  if (last === undefined) return [start, start];
  const end = readIndex(last, completions);
  if (start >= end) throw outOfOrder(start, end);
  return [start, end];
}

/** How many indexes the text names, or what is wrong with it. */
export function countIndexes(text: string, completions: number): { total: number; problem: string } {
  if (text === "") return { total: 0, problem: "" };
  let total = 0;
  let previous: number | undefined;
  try {
    for (const part of text.split(",")) {
      const [start, end] = readInterval(part, completions);
      if (previous !== undefined && previous >= start) throw outOfOrder(previous, start);
      total += end - start + 1;
      previous = end;
    }
  } catch (error) {
    if (error instanceof IndexesError) return { total: 0, problem: error.message };
    throw error;
  }
  return { total, problem: "" };
}

/** The first index that is in both; parts that can't be read are passed over, because others complain about them. */
export function findOverlap(a: string, b: string, completions: number): number | undefined {
  const left = readAll(a, completions);
  const right = readAll(b, completions);
  let i = 0;
  let j = 0;
  for (;;) {
    const one = left[i];
    const other = right[j];
    if (!one || !other) return undefined;
    if (one[0] <= other[1] && other[0] <= one[1]) return Math.max(one[0], other[0]);
    if (one[0] <= other[0]) i++;
    else j++;
  }
}

function readAll(text: string, completions: number): Interval[] {
  const intervals: Interval[] = [];
  for (const part of text === "" ? [] : text.split(",")) {
    try {
      intervals.push(readInterval(part, completions));
    } catch (error) {
      if (!(error instanceof IndexesError)) throw error;
    }
  }
  return intervals;
}
