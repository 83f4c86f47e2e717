/** How long a read may hold the event loop before it lets others run. */
export const sliceMs = 3;

/** Resolves in the next turn of the event loop, after whatever else was waiting for it. */
export function nextSlice(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
