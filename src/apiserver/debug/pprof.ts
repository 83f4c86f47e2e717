/**
 * Profiles of V8 in the format of pprof, which `go tool pprof` and everybody's flame graphs read: a gzipped protobuf message
 * (github.com/google/pprof, profile.proto). V8 tells a tree of calls; pprof wants a list of stacks with what was measured in each.
 */
import { gzipSync } from "node:zlib";

export interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  /** From 0; -1: unknown. */
  readonly lineNumber: number;
}

export interface StackNode {
  readonly callFrame: CallFrame;
  /** What was measured in this frame itself, one number for each sample type; all 0: nothing. */
  readonly values: readonly number[];
  readonly children: readonly StackNode[];
}

export interface SampleType {
  /** `cpu` */
  readonly type: string;
  /** `nanoseconds` */
  readonly unit: string;
}

export interface ProfileOptions {
  readonly sampleTypes: readonly SampleType[];
  readonly periodType: SampleType;
  readonly period: number;
  /** Since the epoch. */
  readonly startMs: number;
  readonly durationMs: number;
}

export function encodeProfile(root: StackNode, options: ProfileOptions): Buffer {
  const { sampleTypes, periodType, period, startMs, durationMs } = options;
  const builder = new ProfileBuilder();
  const message = new Message();
  for (const each of sampleTypes) message.message(1, builder.valueType(each));
  builder.addStacks(message, root);
  message.message(3, new Message().number(1, 1).number(5, builder.text("node")).number(7, 1).number(8, 1).number(9, 1));
  message.number(9, startMs * 1e6).number(10, durationMs * 1e6);
  message.message(11, builder.valueType(periodType)).number(12, period);
  builder.finish(message);
  return gzipSync(message.bytes());
}

class ProfileBuilder {
  readonly #texts = new Map<string, number>([["", 0]]);
  /** By name, file and line: a location and a function of the same number. */
  readonly #frames = new Map<string, number>();
  readonly #described: Message[][] = [];

  text(value: string): number {
    return this.#texts.getOrInsertComputed(value, () => this.#texts.size);
  }

  valueType({ type, unit }: SampleType): Message {
    return new Message().number(1, this.text(type)).number(2, this.text(unit));
  }

  addStacks(message: Message, root: StackNode): void {
    const walk = ({ callFrame, values, children }: StackNode, callers: readonly number[]): void => {
      // The nearest frame first; the root isn't one.
      const stack = callFrame.functionName === "(root)" ? callers : [this.#location(callFrame), ...callers];
      if (values.some((value) => value > 0)) message.message(2, new Message().numbers(1, stack).numbers(2, values));
      for (const child of children) walk(child, stack);
    };
    walk(root, []);
  }

  /** What all else refers to: comes last. */
  finish(message: Message): void {
    for (const [location] of this.#described) if (location) message.message(4, location);
    for (const [, described] of this.#described) if (described) message.message(5, described);
    for (const text of this.#texts.keys()) message.text(6, text);
  }

  #location({ functionName, url, lineNumber }: CallFrame): number {
    const line = lineNumber + 1;
    return this.#frames.getOrInsertComputed(`${functionName}\0${url}\0${line}`, () => {
      const id = this.#frames.size + 1;
      const name = this.text(functionName || "(anonymous)");
      const place = new Message().number(1, id).number(2, line);
      const location = new Message().number(1, id).number(2, 1).message(4, place);
      const file = this.text(url.replace(/^file:\/\//, ""));
      this.#described.push([
        location,
        new Message().number(1, id).number(2, name).number(3, name).number(4, file).number(5, line),
      ]);
      return id;
    });
  }
}

/** A protobuf message being written. */
class Message {
  readonly #parts: Uint8Array[] = [];

  number(field: number, value: number): this {
    this.#parts.push(varint(field * 8), varint(value));
    return this;
  }

  numbers(field: number, values: readonly number[]): this {
    return this.#delimited(field, Buffer.concat(values.map(varint)));
  }

  text(field: number, value: string): this {
    return this.#delimited(field, Buffer.from(value));
  }

  message(field: number, value: Message): this {
    return this.#delimited(field, value.bytes());
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #delimited(field: number, bytes: Uint8Array): this {
    this.#parts.push(varint(field * 8 + 2), varint(bytes.length), bytes);
    return this;
  }
}

/** Not below 0; above 2^53 only as exact as a number is. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let left = Math.round(value);
  while (left >= 128) {
    bytes.push((left % 128) + 128);
    left = Math.floor(left / 128);
  }
  bytes.push(left);
  return Uint8Array.from(bytes);
}
