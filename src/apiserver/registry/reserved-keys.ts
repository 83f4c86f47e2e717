/** Keys of the store that stand for something only one object may have: they come and go with it, in its transaction. */
import type { Operation } from "#store";
import type { SideWrites } from "./storage.ts";

export class ReservedKeys implements SideWrites {
  readonly compare: { key: string; modRevision: number }[] = [];
  readonly operations: Operation[] = [];

  get empty(): boolean {
    return this.operations.length === 0;
  }

  take(key: string, value: Uint8Array): void {
    this.compare.push({ key, modRevision: 0 });
    this.operations.push({ type: "put", key, value });
  }

  release(key: string): void {
    this.operations.push({ type: "delete", key });
  }
}
