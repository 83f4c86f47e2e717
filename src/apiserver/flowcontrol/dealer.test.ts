import assert from "node:assert/strict";
import { test } from "node:test";
import { dealHand, flowHash } from "./dealer.ts";

test("dealer: the hands that upstream deals", () => {
  // From upstream's own dealer.
  const cases = [
    ["service-accounts", "system:serviceaccount:default:a", 128, 6, 2014990045381161825n, [97, 46, 30, 113, 47, 72]],
    ["global-default", "alice", 128, 6, 17644606172554983095n, [55, 62, 126, 125, 105, 1]],
    ["x", "", 16, 4, 15577321897059547156n, [4, 13, 8, 12]],
    ["y", "z", 5, 5, 2286397028200841072n, [2, 3, 1, 0, 4]],
  ] as const;
  for (const [schema, distinguisher, queues, handSize, hash, hand] of cases) {
    assert.equal(flowHash(schema, distinguisher), hash);
    assert.deepEqual(dealHand(hash, { queues, handSize }), hand);
  }
});
