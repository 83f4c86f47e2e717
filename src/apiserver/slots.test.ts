import assert from "node:assert/strict";
import { test } from "node:test";
import { Slots } from "./slots.ts";

test("slots: never more than allowed at once, in the order of asking, and free again after failures", async () => {
  const slots = new Slots(3);
  const [started, ends] = [[] as number[], [] as { resolve(): void; reject(error: Error): void }[]];
  const works = Array.from({ length: 8 }, (_, index) =>
    slots.run(async () => {
      started.push(index);
      const end = Promise.withResolvers<void>();
      ends[index] = end;
      await end.promise;
      return index;
    }),
  );
  const settled = Promise.allSettled(works);
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  await turn();
  assert.deepEqual(started, [0, 1, 2]);
  ends[1]?.reject(new Error("no"));
  await turn();
  assert.deepEqual(started, [0, 1, 2, 3]);
  for (let index = 0; index < 8; index++) {
    ends[index]?.resolve();
    await turn();
  }
  assert.deepEqual(started, [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual((await settled).map(({ status }) => status).filter((status) => status === "rejected").length, 1);
  assert.equal(await slots.run(async () => "again"), "again");
});
