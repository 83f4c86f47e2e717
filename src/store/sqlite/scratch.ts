/** Test support: folders that are gone after the test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeClock } from "#base";
import type { StoreUnderTest } from "../suite.ts";
import { openSqliteStore, type SqliteStoreOptions } from "./open.ts";

export function scratchFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "store-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export async function openScratchStore(
  options: Omit<SqliteStoreOptions, "path"> = {},
): Promise<StoreUnderTest & { path: string }> {
  const folder = scratchFolder();
  const path = join(folder.path, "store.db");
  const clock = new FakeClock();
  const open = () => openSqliteStore({ clock, ...options, path });
  let store = await open();
  return {
    store,
    path,
    passTime: (ms) => clock.advance(ms),
    async reopen() {
      await store.close();
      store = await open();
      return store;
    },
    async close() {
      await store.close();
      folder.remove();
    },
  };
}
