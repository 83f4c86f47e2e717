/**
 * Divides seats among priority levels: each gets the same multiple of its target, except where a bound of its own stops it. The
 * multiple at which all of it adds up is unique; it is found by walking the bounds in ascending order. Upstream's conc_alloc.
 */
export interface Share {
  readonly target: number;
  readonly lowerBound: number;
  readonly upperBound: number;
}

export interface Allocation {
  /** In the order of the shares; not rounded. */
  readonly seats: readonly number[];
  readonly fairFraction: number;
}

/** A target of nothing still wants to be a number to divide by. */
const targetMin = 0.001;

/** Undefined: the bounds don't allow this sum. */
export function allocateSeats(sum: number, shares: readonly Share[]): Allocation | undefined {
  const lowest = shares.reduce((total, { lowerBound }) => total + lowerBound, 0);
  const highest = shares.reduce((total, { upperBound }) => total + upperBound, 0);
  const epsilon = 1e-7;
  if (lowest - sum > epsilon || sum - highest > epsilon) return undefined;
  const items = shares.map(({ target, lowerBound, upperBound }) => ({
    target: Math.max(target, targetMin),
    lowerBound,
    upperBound,
  }));
  const fairFraction = sum === 0 ? 0 : fractionOf(sum, { items, lowest });
  const seats = items.map(({ target, lowerBound, upperBound }) =>
    Math.max(lowerBound, Math.min(upperBound, fairFraction * target)),
  );
  return { seats, fairFraction };
}

function fractionOf(sum: number, { items, lowest }: { items: readonly Share[]; lowest: number }): number {
  // Below its lower bound an item has that; between its bounds it grows with the fraction; above it has the upper one.
  const bounds = items.flatMap(({ target, lowerBound, upperBound }) => [
    { at: lowerBound / target, growth: target },
    { at: upperBound / target, growth: -target },
  ]);
  bounds.sort((a, b) => a.at - b.at);
  let fraction = bounds[0]?.at ?? 0;
  let reached = lowest;
  let growth = 0;
  for (const bound of bounds) {
    const next = reached + growth * (bound.at - fraction);
    if (next >= sum && growth > 0) break;
    reached = next;
    fraction = bound.at;
    growth += bound.growth;
  }
  return growth > 0 && reached < sum ? fraction + (sum - reached) / growth : fraction;
}
