/** What every implementation of `Store` must do, whatever it keeps its data in. Each runs it from a test file of its own. */
import { compactionSuite } from "./suite/compaction.ts";
import type { OpenStore } from "./suite/fixture.ts";
import { leaseSuite } from "./suite/leases.ts";
import { rangeSuite } from "./suite/ranges.ts";
import { transactionSuite } from "./suite/transactions.ts";
import { watchSuite } from "./suite/watches.ts";

export type { OpenStore, StoreUnderTest } from "./suite/fixture.ts";

/** Registers the tests with node:test. `open` makes an empty store for each. */
export function storeSuite(name: string, open: OpenStore): void {
  transactionSuite(name, open);
  rangeSuite(name, open);
  watchSuite(name, open);
  compactionSuite(name, open);
  leaseSuite(name, open);
}
