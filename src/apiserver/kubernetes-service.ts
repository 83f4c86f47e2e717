/**
 * Keeps the `kubernetes` Service and what is behind it: whoever deletes them gets them back. Upstream looks every ten seconds;
 * here the store's own events say when something went.
 */
import type { Logger } from "#base";
import type { Store } from "#store";
import { type StoredKind, storageKey } from "./resource.ts";

export interface KeptObject {
  /** In the namespace `default`, named `kubernetes`. */
  readonly kind: StoredKind | undefined;
  /** Makes it again. */
  restore(): Promise<void>;
}

/** Answers a function that ends it. */
export function keepKubernetesService(
  { store, log }: { store: Store; log: Logger },
  objects: readonly KeptObject[],
): () => void {
  const cancels = objects.flatMap(({ kind, restore }) => {
    if (!kind) return [];
    const cancel = store.watch({
      start: storageKey(kind, "default", "kubernetes"),
      onEvents(events) {
        if (events.at(-1)?.type !== "delete") return;
        restore().catch((error: unknown) => log.error("the kubernetes Service could not be restored", { error }));
      },
      // Only when the store closes: the watch begins now, so nothing it asks for can be compacted.
      onEnd: (reason) => log.debug("the kubernetes Service is no longer kept", { reason }),
    });
    return [cancel];
  });
  return () => {
    for (const cancel of cancels) cancel();
  };
}
