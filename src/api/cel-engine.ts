/**
 * The expression language, loaded when the first expression comes along: most clusters start without one. Whoever may wait does so with
 * `loadCel` before something is validated or evaluated.
 */
import { assert } from "#base";

export type CelEngine = typeof import("#cel");

// One engine for the process, like any loaded module.
const loaded: { engine?: CelEngine; loading?: Promise<void> } = {};

/** A promise only if there is something to wait for. */
export function loadCel(): Promise<void> | undefined {
  if (loaded.engine) return undefined;
  loaded.loading ??= import("#cel").then((engine) => {
    loaded.engine = engine;
  });
  return loaded.loading;
}

export function celEngine(): CelEngine {
  assert(loaded.engine, "loadCel comes first");
  return loaded.engine;
}
