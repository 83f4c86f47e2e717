/** Expressions that select devices, compiled once; they repeat in classes, claims and attempts. `loadCel` comes first. */
import { compileDeviceExpression, deviceValue, matchesDevice } from "#api";
import type { ReadonlyDevice, Slice } from "./pools.ts";

type Compiled = ReturnType<typeof compileDeviceExpression>;
type DeviceValue = ReturnType<typeof deviceValue>;

/** Programs kept; a few thousand bytes each. */
const programsMax = 100;

export class Selectors {
  readonly #programs = new Map<string, Compiled>();
  /** A slice's devices don't change: another version of it has others. */
  readonly #values = new WeakMap<ReadonlyDevice, DeviceValue>();

  /** Throws with `CEL compile error` or `CEL runtime error`. */
  matches(source: string, slice: Slice, device: ReadonlyDevice): boolean {
    const { program, error } = this.#compile(source);
    if (!program) throw new Error(`CEL compile error: ${error}`);
    try {
      return matchesDevice(program, this.#valueOf(slice, device));
    } catch (thrown) {
      throw new Error(`CEL runtime error: ${thrown instanceof Error ? thrown.message : thrown}`, { cause: thrown });
    }
  }

  #valueOf(slice: Slice, device: ReadonlyDevice): DeviceValue {
    const known = this.#values.get(device);
    if (known !== undefined) return known;
    const value = deviceValue(slice.spec.driver, device);
    this.#values.set(device, value);
    return value;
  }

  #compile(source: string): Compiled {
    const known = this.#programs.get(source);
    if (known) return known;
    const compiled = compileDeviceExpression(source);
    if (this.#programs.size >= programsMax) this.#programs.clear();
    this.#programs.set(source, compiled);
    return compiled;
  }
}
