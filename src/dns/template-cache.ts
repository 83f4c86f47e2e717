/** Encoded answers by name and type, forgotten with the Service that they depend on. */
import type { Query, Template } from "./wire.ts";

/** Protects memory: then everything is forgotten. */
const entriesMax = 1000;

export class TemplateCache {
  readonly #byType = new Map<number, Map<string, Template>>();
  readonly #owned = new Map<string, { name: string; type: number }[]>();
  #size = 0;

  get(name: string, type: number): Template | undefined {
    return this.#byType.get(type)?.get(name);
  }

  set({ name, type }: Pick<Query, "name" | "type">, template: Template, owner: string): void {
    if (++this.#size > entriesMax) {
      this.#byType.clear();
      this.#owned.clear();
      this.#size = 1;
    }
    let names = this.#byType.get(type);
    if (!names) {
      names = new Map();
      this.#byType.set(type, names);
    }
    names.set(name, template);
    const owned = this.#owned.get(owner);
    if (owned) owned.push({ name, type });
    else this.#owned.set(owner, [{ name, type }]);
  }

  forget(owner: string): void {
    const owned = this.#owned.get(owner);
    if (!owned) return;
    this.#owned.delete(owner);
    this.#size -= owned.length;
    for (const { name, type } of owned) this.#byType.get(type)?.delete(name);
  }
}
