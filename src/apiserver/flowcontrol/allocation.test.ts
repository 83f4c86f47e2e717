import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateSeats, type Share } from "./allocation.ts";

const shares = (...items: [target: number, lowerBound: number, upperBound: number][]): Share[] =>
  items.map(([target, lowerBound, upperBound]) => ({ target, lowerBound, upperBound }));

const near = (a: number, b: number) => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b));

test("allocation: what upstream gives each", () => {
  // From upstream's own function.
  const cases = [
    [
      249,
      shares([20, 20, 673], [30, 30, 698], [10, 10, 625], [50, 50, 698], [245, 25, 845], [12, 12, 649], [13, 13, 613]),
      [20, 30, 10, 50, 114, 12, 13],
      0.4653061224489796,
    ],
    [100, shares([60, 10, 40], [60, 0, 200], [5, 5, 50]), [40, 55, 5], 0.9166666666666666],
    [10, shares([0, 0, 100], [0, 0, 3]), [7, 3], 7000],
    [
      50,
      shares([100, 40, 60], [1, 0, 5], [3, 3, 90]),
      [46.53465346534654, 0.46534653465346537, 3],
      0.46534653465346537,
    ],
  ] as const;
  for (const [sum, items, seats, fraction] of cases) {
    const found = allocateSeats(sum, items);
    assert.ok(found && near(found.fairFraction, fraction), `${sum}: ${found?.fairFraction}`);
    for (const [at, each] of seats.entries())
      assert.ok(near(found.seats[at] ?? Number.NaN, each), `${sum}: ${found.seats}`);
  }
  assert.equal(allocateSeats(5, shares([6, 6, 10])), undefined, "less than the lower bounds");
  assert.equal(allocateSeats(11, shares([6, 6, 10])), undefined, "more than the upper bounds");
});

test("allocation: adds up, and each has its fair part or stands at a bound", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  const random = mulberry(seed);
  for (let round = 0; round < 300; round++) {
    const items = Array.from({ length: 1 + Math.floor(random() * 8) }, () => {
      const lowerBound = Math.max(0, random() * 50 - 10);
      return { lowerBound, target: lowerBound + random() * 40, upperBound: lowerBound + random() * 60 };
    });
    const low = items.reduce((total, item) => total + item.lowerBound, 0);
    const high = items.reduce((total, item) => total + item.upperBound, 0);
    const sum = low + (high - low) * random();
    const found = allocateSeats(sum, items);
    assert.ok(found, `seed ${seed}`);
    const total = found.seats.reduce((all, each) => all + each, 0);
    assert.ok(near(total, sum), `seed ${seed}: ${total} for ${sum}`);
    items.forEach(({ lowerBound, upperBound, target }, at) => {
      const fair = Math.max(lowerBound, Math.min(upperBound, found.fairFraction * Math.max(target, 0.001)));
      assert.ok(near(found.seats[at] ?? Number.NaN, fair), `seed ${seed}`);
    });
  }
});

function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
