import type { CelType } from "./types.ts";
import type { CelValue, Result } from "./values.ts";

/** An object type with named fields, found by its name while checking. */
export interface StructType {
  readonly name: string;
  field(name: string): CelType | undefined;
  /** Makes the value of `Name{field: value}`; without it such an expression fails when it is evaluated. */
  construct?(fields: ReadonlyMap<string, CelValue>): Result;
}
