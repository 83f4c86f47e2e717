/**
 * Shuffle sharding: each flow is dealt a small hand of queues, always the same one, so that a flow which fills its hand shares at
 * most a few queues with any other. Upstream's util/shufflesharding, bit by bit: the same flow sits in the same queues on every server.
 */
import { createHash } from "node:crypto";

/** The queues of a flow, `handSize` different ones of `queues`. */
export function dealHand(flow: bigint, { queues, handSize }: { queues: number; handSize: number }): readonly number[] {
  const remainders: number[] = [];
  let left = flow;
  for (let at = 0; at < handSize; at++) {
    const size = BigInt(queues - at);
    remainders.push(Number(left % size));
    left /= size;
  }
  return remainders.map((card, at) => {
    // Cards dealt before are no longer in the deck.
    let dealt = card;
    for (let before = at - 1; before >= 0; before--) if (dealt >= remainders[before]!) dealt++; // before is inside
    return dealt;
  });
}

export const flowHash = (schema: string, distinguisher: string): bigint =>
  createHash("sha256").update(schema).update("\0").update(distinguisher).digest().readBigUInt64LE(0);
