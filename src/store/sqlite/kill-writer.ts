/**
 * The process that `kill.test.ts` kills: writes as fast as it can and says on standard output what was answered, one JSON line each.
 * Arguments: the store's path, and a number that makes this run's keys its own.
 */
import { writeSync } from "node:fs";
import { contentOf } from "./kill-content.ts";
import { openSqliteStore } from "./open.ts";

const [path = "", run = ""] = process.argv.slice(2);
const store = await openSqliteStore({ path });

/** Written at once: a line that the parent can read was answered before the kill. */
function say(answer: object): void {
  let rest: Uint8Array = Buffer.from(`${JSON.stringify(answer)}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      // The pipe is full until the parent, on a busy machine, comes to read it.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

async function writeFresh(writer: number): Promise<void> {
  for (let n = 0; ; n++) {
    const key = `/fresh/${run}-${writer}-${n}`;
    const put = { type: "put", key, value: contentOf(key) } as const;
    const { revision } = await store.transact({ compare: [{ key, modRevision: 0 }], operations: [put] });
    say({ fresh: key, revision });
    if (n % 3 !== 0) continue;
    await store.transact({ compare: [{ key, modRevision: revision }], operations: [{ type: "delete", key }] });
    say({ deleted: key });
  }
}

/** Two keys that always change together. */
async function writePair(writer: number): Promise<void> {
  for (let n = 1; ; n++) {
    const operations = ["left", "right"].map((side) => {
      return { type: "put", key: `/pair/${run}-${writer}/${side}`, value: contentOf(String(n)) } as const;
    });
    await store.transact({ compare: [], operations });
    say({ pair: `/pair/${run}-${writer}`, n });
  }
}

async function compact(): Promise<void> {
  for (;;) {
    const revision = store.revision() - 100;
    if (revision > (await store.size()).oldestRevision) await store.compact(revision);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

say({ opened: store.revision() });
await Promise.all([...Array.from({ length: 6 }, (_, i) => writeFresh(i)), writePair(0), writePair(1), compact()]);
