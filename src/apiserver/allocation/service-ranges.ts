/** The ranges that Services get their addresses from: those of all ServiceCIDRs, of which some may not be ready or are going. */
import type { ServiceCIDR } from "#api";
import { assert } from "#base";
import type { DeepReadonly } from "#machinery";
import type { ResourceCache } from "../cache/resource-cache.ts";
import type { WatchCaches } from "../cache/watch-caches.ts";
import type { ResourceTable, StoredKind } from "../resource.ts";
import { AddressRange } from "./address-range.ts";

/** Of the ServiceCIDR that a cluster begins with. */
export const defaultRangeName = "kubernetes";

export interface ServiceRange {
  readonly range: AddressRange;
  /** Addresses may be given out of it. */
  readonly ready: boolean;
}

export interface ServiceRangesOptions {
  readonly table: ResourceTable;
  readonly caches: WatchCaches;
}

export class ServiceRanges {
  readonly #options: ServiceRangesOptions;
  #made: { readonly cache: ResourceCache; readonly at: number; readonly ranges: readonly ServiceRange[] } | undefined;

  constructor(options: ServiceRangesOptions) {
    this.#options = options;
  }

  get kind(): StoredKind {
    const kind = this.#options.table.stored("networking.k8s.io", "servicecidrs");
    assert(kind, "servicecidrs is a built-in kind");
    return kind;
  }

  /** As they are now; made anew only when a ServiceCIDR changed. The cluster's own comes first. */
  async current(): Promise<readonly ServiceRange[]> {
    const { caches } = this.#options;
    const wait = caches.fresh();
    if (wait) await wait;
    const cache = await caches.of(this.kind);
    const made = this.#made;
    if (made?.cache === cache && made.at === cache.changedAt) return made.ranges;
    const ranges = rangesOf(cache.all().map((object) => object.decoded() as DeepReadonly<ServiceCIDR>)); // of that kind
    this.#made = { cache, at: cache.changedAt, ranges };
    return ranges;
  }
}

export function rangesOf(objects: readonly DeepReadonly<ServiceCIDR>[]): ServiceRange[] {
  const ready = new Map<string, boolean>();
  const first = ({ metadata }: DeepReadonly<ServiceCIDR>) => (metadata.name === defaultRangeName ? 0 : 1);
  for (const object of [...objects].sort((a, b) => first(a) - first(b)))
    for (const cidr of object.spec?.cidrs ?? []) ready.set(cidr, ready.get(cidr) === true || isReady(object));
  return [...ready].map(([cidr, each]) => ({ range: new AddressRange(cidr), ready: each }));
}

/** Without a condition it is: nobody may be there to set it. */
function isReady({ metadata, status }: DeepReadonly<ServiceCIDR>): boolean {
  const condition = status?.conditions?.find(({ type }) => type === "Ready");
  return metadata.deletionTimestamp === undefined && (condition?.status ?? "True") === "True";
}
