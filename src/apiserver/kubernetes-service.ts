/**
 * The `kubernetes` Service, by which pods find this server: on the first address of the cluster's range. It and what is behind it are kept:
 * whoever deletes them gets them back. Upstream looks every ten seconds; here the store's own events say when something went.
 */
import type { Logger } from "#base";
import type { Store } from "#store";
import { AddressRange } from "./allocation/address-range.ts";
import { createOwn, type OwnObject, type OwnWriter, readOwn } from "./peers/write-own.ts";
import { type StoredKind, storageKey } from "./resource.ts";

const at: OwnObject = { group: "", version: "v1", resource: "services", namespace: "default", name: "kubernetes" };

export interface KubernetesServiceOptions extends OwnWriter {
  /** The first of the cluster's ranges. */
  readonly cidr: string;
  /** Where the servers listen. */
  readonly port: number;
  /** 0: none. */
  readonly nodePort: number;
}

export async function ensureKubernetesService(options: KubernetesServiceOptions): Promise<void> {
  const { port, nodePort } = options;
  if (await readOwn(options, at)) return;
  await createOwn(options, at, {
    metadata: { name: "kubernetes", labels: { component: "apiserver", provider: "kubernetes" } },
    spec: {
      clusterIP: new AddressRange(options.cidr).first(),
      ports: [{ name: "https", port: 443, protocol: "TCP", targetPort: port, ...(nodePort && { nodePort }) }],
      ipFamilyPolicy: "SingleStack",
      sessionAffinity: "None",
      type: nodePort ? "NodePort" : "ClusterIP",
    },
  });
}

export interface KeptObject {
  /** Named `kubernetes`; in the namespace `default`, if it is in one. */
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
