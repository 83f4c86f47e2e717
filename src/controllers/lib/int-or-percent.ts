/** `maxSurge: 25%`, `minAvailable: 2`: a number or a share of a total. Upstream: util/intstr. */
export interface ShareOptions {
  readonly total: number;
  readonly roundUp: boolean;
}

/** NaN when the text is no percentage; validation has refused such objects. */
export function shareOf(value: unknown, { total, roundUp }: ShareOptions): number {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || !/^[0-9]+%$/.test(value)) return value === undefined ? 0 : Number.NaN;
  const share = (Number.parseInt(value, 10) * total) / 100;
  return roundUp ? Math.ceil(share) : Math.floor(share);
}
