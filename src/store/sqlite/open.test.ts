import { FakeClock } from "#base";
import { storeSuite } from "../suite.ts";
import { openSqliteStore } from "./open.ts";
import { openScratchStore } from "./scratch.ts";

storeSuite("sqlite", openScratchStore);
storeSuite("sqlite inline", () => openScratchStore({ commitIn: "inline" }));
storeSuite("sqlite in memory", async () => {
  const clock = new FakeClock();
  const store = await openSqliteStore({ path: ":memory:", clock });
  return { store, passTime: (ms) => clock.advance(ms), close: () => store.close() };
});
